//! Owns: (being written elsewhere). Must not know: anything.
use super::{Built, Draft, Failure, Response, Safety};
use crate::clock::Clock;
use crate::rules::{Request, Upstream};
use std::sync::Arc;
pub struct Client;
impl Client {
    pub async fn check(&self) -> Result<Option<String>, Failure> {
        todo!()
    }
    pub fn upstream(&self) -> &Arc<Upstream> {
        todo!()
    }
    pub fn clock(&self) -> &Arc<dyn Clock> {
        todo!()
    }
    pub fn secret(&self, _name: &str) -> Option<String> {
        todo!()
    }
    pub fn draft(&self, _request: &Request, _fill: &dyn Fn(&str) -> Option<String>) -> Result<Draft, Failure> {
        todo!()
    }
    pub async fn send(&self, _built: Built, _safety: Safety) -> Result<Response, Failure> {
        todo!()
    }
}
