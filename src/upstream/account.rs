//! Owns: asking an upstream who it takes us for.
//!
//! Must not know: which account it should be.

use super::{Client, Failure, Holes, Safety};
use crate::record::Json;

/// Which account answered, and to whose tokens.
pub(super) struct Known {
    /// The sign-in that the tokens come from; empty where there are none.
    login: String,
    account: Option<String>,
}

impl Client {
    /// The health probe. Returns the account's identity where the rules say where it is.
    pub async fn check(&self) -> Result<Option<String>, Failure> {
        let Some(check) = &self.upstream.check else { return Ok(None) };
        let request = self.build(&check.request, &Holes::default())?;
        let response = self.send(request.clone(), Safety::Read).await?;
        let Some(path) = &check.account else { return Ok(None) };
        let json = Json::parse(&response.body).ok();
        match json.as_ref().and_then(|json| path.get(json)) {
            Some(Json::String(text)) => Ok(Some(text.clone())),
            Some(Json::Number(token)) => Ok(Some(token.clone())),
            _ => Err(self.bad_answer(&request, &response, &format!("no account identity at {path}"))),
        }
    }

    /// Whose account the credentials lead to, where the rules say how to find out. Asked once for each sign-in: what the
    /// credentials lead to does not change while they are the same ones.
    pub async fn check_account(&self) -> Result<Option<String>, Failure> {
        if self.upstream.check.as_ref().is_none_or(|check| check.account.is_none()) {
            return Ok(None);
        }
        let mut known = self.account.lock().await;
        let login = match self.holder() {
            Some(holder) => holder.tokens().await?.login.clone(),
            None => String::new(),
        };
        if let Some(known) = known.as_ref().filter(|known| known.login == login) {
            return Ok(known.account.clone());
        }
        let account = self.check().await?;
        *known = Some(Known { login, account: account.clone() });
        Ok(account)
    }
}
