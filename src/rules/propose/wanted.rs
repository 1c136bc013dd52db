//! Owns: what a proposal is asked for, and the checks of that.
//!
//! Must not know: what is proposed.

use super::ProposeError;
use super::names::{is_secret, squeezed};
use crate::record::Path;

/// What is known beforehand.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wanted<'a> {
    /// The collection's name.
    pub collection: &'a str,
    /// The upstream's name.
    pub upstream: &'a str,
    /// True where the rules define the upstream already.
    pub upstream_known: bool,
    /// Where the API is.
    pub base_url: Option<&'a str>,
    /// The path of the listing, with a query where it needs one.
    pub path: Option<&'a str>,
    /// Where the records are in an answer, such as `.results[]`.
    pub records: Option<&'a str>,
    /// Where the id is in a record, such as `.number`.
    pub id: Option<&'a str>,
}

/// What a file holds.
#[derive(Clone, Copy, Debug)]
pub struct Sample<'a> {
    /// For messages.
    pub name: &'a str,
    /// Its bytes.
    pub bytes: &'a [u8],
}

/// A path and the parameters behind it.
pub type Asked = (String, Vec<(String, String)>);

impl Wanted<'_> {
    /// The path of the listing as given, taken apart.
    pub(super) fn asked(&self) -> Result<Option<Asked>, ProposeError> {
        let Some(given) = self.path else { return Ok(None) };
        let (path, query) = given.split_once('?').unwrap_or((given, ""));
        let refuse = |why: String| Err(ProposeError::Wanted(why));
        if !path.starts_with('/') || path.contains(['#', '\n', '\r']) {
            return refuse(format!("--path begins with `/` and is below the base URL, e.g. /{}", self.collection));
        }
        if given.replace("${var.", "").contains('{') {
            return refuse("--path has a place for a value: write the value".to_owned());
        }
        let pairs: Vec<(String, String)> =
            url::form_urlencoded::parse(query.as_bytes()).map(|(name, value)| (name.into(), value.into())).collect();
        if let Some((name, _)) = pairs.iter().find(|(name, _)| is_secret(&squeezed(name))) {
            return refuse(format!(
                "`{}` in --path looks like a credential: leave it out, and put it into [upstream.{}.auth]",
                name.escape_debug(),
                self.upstream
            ));
        }
        Ok(Some((path.to_owned(), pairs)))
    }

    /// The path of the id as given.
    pub(super) fn id_path(&self) -> Result<Option<Path>, ProposeError> {
        let read = |text: &str| Path::parse(text).filter(|path| !path.steps.is_empty());
        self.id
            .map(|text| read(text).ok_or_else(|| ProposeError::Wanted("--id is a path such as .number".to_owned())))
            .transpose()
    }
}
