//! Owns: answers that are held back until a test lets them go.
//!
//! Must not know: which answers.

use std::sync::Arc;

use tokio::sync::Semaphore;

/// Holds answers back until it is opened. A copy is the same gate.
#[derive(Debug, Clone)]
pub struct Gate(Arc<Semaphore>);

impl Default for Gate {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(0)))
    }
}

impl Gate {
    /// Lets everything through, from now on.
    pub fn open(&self) {
        self.0.close();
    }

    /// Resolves once it is open.
    pub(super) async fn passed(&self) {
        // There never is a permit: an error says that it was opened.
        let _opened = self.0.acquire().await;
    }
}

impl PartialEq for Gate {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}
impl Eq for Gate {}
