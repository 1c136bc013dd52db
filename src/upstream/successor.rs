//! Owns: which client goes on where rules and secrets are read anew, so that nothing of what was learnt or spent is lost.
//!
//! Must not know: when they are read; who uses clients meanwhile.

use std::sync::Arc;

use super::Client;

impl Client {
    /// The client to go on with in place of `before`: that one, with budgets, breaker and tokens, where nothing of it is another
    /// thing now. A login that was refused is tried again by a new one, and what was spent before counts for that as well.
    pub fn or_still(self: Arc<Self>, before: &Arc<Self>) -> Arc<Self> {
        let says = |client: &Self| format!("{:?}", client.upstream);
        let needs_nobody = before.holder.as_ref().is_none_or(|holder| holder.reauth().is_none());
        if needs_nobody && says(&self) == says(before) && self.secrets.are_those_of(&before.secrets) {
            return Arc::clone(before);
        }
        let now = self.clock.monotonic();
        self.state().go_on_from(&before.state(), now);
        self
    }
}
