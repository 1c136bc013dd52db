//! Owns: talking to upstreams: requests built from rules, one HTTP client, auth, paging, budgets, retries; outcomes as data.
//!
//! Must not know: the store, bases, which value wins. The deciding halves take `now` and do no I/O.

mod outcome;
mod transport;

pub use outcome::*;
pub use transport::{Outgoing, Response, Transport, TransportError};

use crate::record::{Path, Value};
use crate::rules::Binding;
use std::sync::Arc;
pub struct Client;
impl Client {
    pub async fn check(&self) -> Result<Option<String>, Failure> {
        todo!()
    }
}
pub struct Lister;
impl Lister {
    pub fn new(_: Arc<Client>, _: Arc<Binding>, _: ListQuery) -> Self {
        todo!()
    }
    pub async fn page(&mut self) -> Result<Option<Page>, Failure> {
        todo!()
    }
}
pub async fn get(_: &Arc<Client>, _: &Binding, _: &str) -> Result<Got, Failure> {
    todo!()
}
pub async fn write_one(_: &Arc<Client>, _: &Binding, _: &WriteRequest) -> Written {
    todo!()
}
pub async fn write_batch(_: &Arc<Client>, _: &Binding, _: Vec<WriteRequest>) -> Vec<Written> {
    todo!()
}
pub async fn find_by_field(_: &Arc<Client>, _: &Binding, _: usize, _: &Value) -> Result<Vec<Remote>, Failure> {
    todo!()
}
pub async fn find_by_path(_: &Arc<Client>, _: &Binding, _: &Path, _: &str) -> Result<Vec<Remote>, Failure> {
    todo!()
}
