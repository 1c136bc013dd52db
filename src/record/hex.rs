//! Owns: bytes written as hexadecimal digits, and read.
//!
//! Must not know: what the bytes are.

/// Two lower-case digits each.
pub fn hex(bytes: &[u8]) -> String {
    let digit = |half: u8| char::from_digit(u32::from(half), 16).unwrap_or('0');
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// Bytes written as two digits each, in either case.
pub fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let pairs = text.as_bytes().chunks(2);
    pairs.map(|pair| if let [high, low] = pair { Some(digit(*high)? << 4 | digit(*low)?) } else { None }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_written_in_lower_case_and_read_in_either() {
        assert_eq!(hex(&[0, 10, 255]), "000aff");
        assert_eq!(unhex("000aFf"), Some(vec![0, 10, 255]));
        assert_eq!(unhex(""), Some(Vec::new()));
        for bad in ["0", "abc", "0g", "+1", "é0", " 00"] {
            assert_eq!(unhex(bad), None, "{bad}");
        }
    }
}
