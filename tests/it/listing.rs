//! A pass that is asked for, and lists for as long as a test wants.

use std::process::{Child, Stdio};

use http::Method;
use reconciled::sandbox::{Fault, Gate, Matcher};

use crate::world::World;

/// One whose listing of crm is held.
pub struct Listing {
    gate: Gate,
    asked: Child,
}

impl Listing {
    /// Of this collection, which is at `/contacts`, from when its page has been asked for that is held, as it was then.
    pub fn begins(world: &World, collection: &str, page: u32, how: &[&str]) -> Self {
        let gate = held(world, page);
        world.forget_requests();
        let mut command = world.command();
        let asked = command.arg("sync").args(how).arg(collection).stdout(Stdio::null()).stderr(Stdio::null());
        let asked = asked.spawn().unwrap();
        while world.at("crm", |crm| crm.requests().count() < page as usize) {
            std::thread::yield_now();
        }
        Self { gate, asked }
    }

    /// Nothing answers whoever asked for it before it has ended.
    pub fn hangs(&mut self) {
        assert_eq!(self.asked.try_wait().unwrap(), None, "it is still listed");
    }

    /// It goes on, and well.
    pub fn ends(mut self) {
        self.gate.open();
        assert!(self.asked.wait().unwrap().success());
    }
}

/// The next listing of crm is held with this page.
pub fn held(world: &World, page: u32) -> Gate {
    let gate = Gate::default();
    let page = Matcher { nth: page, ..Matcher::exactly(Method::GET, "/contacts") };
    world.at("crm", |crm| crm.push_fault(page, Fault::Held(gate.clone())));
    gate
}
