//! People and programs that look on, and ask.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;

use crate::daemon::PATIENCE;
use crate::web::{browse, get, metrics};

use super::Soak;
use super::deck::Act;

/// Pages that stand open at a time.
const OPEN_PAGES_MAX: usize = 6;

impl Soak {
    /// Whether it could be done.
    pub fn look(&mut self, what: Act) -> bool {
        let pages = self.life.pages.clone();
        match what {
            Act::Metrics => {
                let text = metrics(&pages);
                assert!(text.contains("reconciled_passes_total{"), "{text}");
            }
            Act::Pages => self.turn_pages(&pages),
            Act::Api => {
                let records = get(&pages, "/api/v1/records/contacts?limit=20");
                assert_eq!(records["records"].as_array().unwrap().len(), 20);
                for path in ["/api/v1/collections", "/api/v1/passes", "/api/v1/conflicts", "/api/v1/upstreams"] {
                    get(&pages, path);
                }
            }
            Act::OpenPage => self.listen(&pages),
            Act::ClosePage => {
                let at = self.life.open_pages.len();
                return at > 0 && self.life.open_pages.pop().is_some();
            }
            Act::Status => self.asks(&["status"]),
            Act::Sync => self.asks(&["sync"]),
            Act::Pause => {
                self.asks(&["pause", "contacts"]);
                self.asks(&["resume", "contacts"]);
            }
            Act::Rest => self.life.rests(&self.world),
            other => unreachable!("{} is no look", other.name()),
        }
        true
    }

    fn turn_pages(&mut self, pages: &str) {
        let look = |path: &str| {
            let (status, _, body) = browse(pages, &self.life.cookie, path, None);
            assert_eq!(status, 200, "{path}: {body}");
            body
        };
        assert!(look("/").contains("contacts"));
        let records = look("/records/contacts");
        let link = records.split("href=\"/records/contacts/").nth(1).expect("a record").split('"').next().unwrap();
        look(&format!("/records/contacts/{link}"));
        for path in ["/passes", "/upstreams", "/webhooks", "/rules", "/conflicts"] {
            look(path);
        }
    }

    /// A page is opened, hears something, and stands open until somebody closes it, or it ends by itself.
    fn listen(&mut self, pages: &str) {
        if self.life.open_pages.len() >= OPEN_PAGES_MAX {
            self.life.open_pages.remove(0);
        }
        let mut stream = TcpStream::connect(pages).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let cookie = &self.life.cookie;
        write!(stream, "GET /events HTTP/1.1\r\nHost: {pages}\r\nCookie: {cookie}\r\n\r\n").unwrap();
        let mut answer = BufReader::new(stream.try_clone().unwrap());
        let mut text = String::new();
        while !text.contains("event: hello") {
            assert!(answer.read_line(&mut text).unwrap() > 0, "{text}");
        }
        self.life.open_pages.push(stream);
    }

    /// The command line asks the daemon. How things stand may be anything but a failure or a halt; somebody may be about to
    /// write rules, too.
    fn asks(&mut self, arguments: &[&str]) {
        let ran = self.world.run(arguments);
        let is_refused = ran.code == 2 && ran.stdout.contains("those from before are in force");
        assert!(is_refused || [0, 3, 4, 6].contains(&ran.code), "{arguments:?}: {ran:#?}");
    }
}
