//! Owns: the doors through which `fuzz/` reaches the readers of foreign bytes, and the test that plays its seeds.
//!
//! Must not know: what holds for them; each module's own `fuzzing` asserts that.
//!
//! The module exists under `cfg(fuzzing)`, which `cargo fuzz` sets, and in tests. Each function takes any bytes and panics
//! where a promise of the reader does not hold.

/// Rules files: diagnostics or a rule set.
pub fn rules(data: &[u8]) {
    crate::rules::fuzzing::check_rules(data);
}

/// Descriptions of APIs, in JSON or YAML: proposed rules that pass the check, or an error.
pub fn openapi(data: &[u8]) {
    crate::rules::fuzzing::check_openapi(data);
}

/// Headers that ask us to wait, and the one that says where a listing goes on.
pub fn headers(data: &[u8]) {
    crate::upstream::fuzzing::check_headers(data);
}

/// Pages of JSON, cut into records.
pub fn split(data: &[u8]) {
    crate::upstream::fuzzing::check_split(data);
}

/// Plain jq paths as lenses.
pub fn paths(data: &[u8]) {
    crate::record::fuzzing::check_paths(data);
}

/// Kept cursors, and the instants in them.
pub fn cursor(data: &[u8]) {
    crate::reconcile::fuzzing::check_cursor(data);
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    type Check = fn(&[u8]);

    /// Every seed and every input that once failed.
    fn play(target: &str, check: Check) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/seeds").join(target);
        let mut played = 0;
        for entry in fs::read_dir(folder).unwrap() {
            check(&fs::read(entry.unwrap().path()).unwrap());
            played += 1;
        }
        assert!(played >= 3, "{target}: only {played} seeds");
    }

    #[test]
    fn the_seeds_of_every_target_pass() {
        let targets: [(&str, Check); 6] = [
            ("rules", super::rules),
            ("openapi", super::openapi),
            ("headers", super::headers),
            ("split", super::split),
            ("paths", super::paths),
            ("cursor", super::cursor),
        ];
        for (target, check) in targets {
            play(target, check);
        }
    }
}
