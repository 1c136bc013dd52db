//! What must hold when it is over.

use std::collections::BTreeMap;

use reconciled::sandbox::Sandbox;

use super::figures::Figures;
use super::said::FIELDS;
use super::{Soak, Watch};

/// Passes that may be needed until everything is settled.
const PASSES_MAX: usize = 8;

impl Soak {
    /// The last life ends, everything that is left is done, and everything is as it was said.
    #[expect(clippy::print_stdout, reason = "the figures are what it is run for")]
    pub fn end(mut self) {
        self.mend_rules();
        self.late.clear();
        self.life.rests(&self.world);
        let ended = self.life.ends(&self.world, "TERM");
        self.counts.lives.push(ended);
        let took = Watch::begin();
        for name in ["crm", "erp"] {
            self.world.at(name, Sandbox::clear_faults);
        }
        self.settle();
        println!("{}{}", self.counts.table(), self.database_figures());
        self.is_as_said();
        self.world.is_quiet();
        println!("settled and looked at in {:.1} s", took.elapsed().as_secs_f64());
        let never: Vec<_> = self.counts.acts.iter().filter(|(_, tried)| tried.drawn >= 5 && tried.done == 0).collect();
        assert!(never.is_empty(), "it could never be done: {never:?}");
        let grown: Vec<String> = self.counts.lives.iter().filter_map(Figures::grown).collect();
        assert!(grown.is_empty(), "{grown:#?}");
    }

    fn settle(&self) {
        let mut codes = Vec::new();
        while codes.last() != Some(&0) {
            // A write that no lookup shows is not sent again before a minute has gone by.
            self.world.sql("update sync_intent set sent_at = sent_at - 120000000, not_before = null");
            let ran = self.world.full_sync();
            assert!(codes.len() < PASSES_MAX, "{codes:?} {ran:#?}");
            codes.push(ran.code);
        }
    }

    fn database_figures(&self) -> String {
        let one = |sql: &str| self.world.rows(sql).concat().concat();
        let outcomes = self.world.rows("select outcome, count(*) from sync_pass group by 1 order by 2 desc");
        let outcomes: Vec<String> = outcomes.iter().map(|row| row.join(" ")).collect();
        let hooks = self.world.rows("select state, count(*) from sync_hook group by 1");
        let hooks: Vec<String> = hooks.iter().map(|row| row.join(" ")).collect();
        format!(
            "passes: {}; {} of them targeted\nwebhooks: {}\nconflicts: {}; history: {} rows; contacts: {}\n",
            outcomes.join(", "),
            one("select count(*) from sync_pass where counts ->> '$.upstreams[0].read' = 'targeted'"),
            hooks.join(", "),
            one("select count(*) from sync_conflict"),
            one("select count(*) from sync_history"),
            one("select count(*) from contacts"),
        )
    }

    /// Nothing that was said is lost, nothing that was deleted is there, nothing is there twice.
    fn is_as_said(&self) {
        let said: Vec<Vec<String>> = self
            .said
            .alive
            .iter()
            .map(|(email, person)| {
                [email.clone()].into_iter().chain(FIELDS.iter().map(|field| person[field].clone())).collect()
            })
            .collect();
        let here = self.world.rows(&format!("select email, {} from contacts order by email", FIELDS.join(", ")));
        assert_same("here", &said, &here);
        for upstream in ["crm", "erp"] {
            let mut there: Vec<Vec<String>> = self.world.contacts(upstream).iter().map(row).collect();
            there.sort();
            assert_same(&format!("at {upstream}"), &said, &there);
        }
        let none = [
            "select count(*) from sync_conflict where closed_at is null",
            "select count(*) from sync_quarantine",
            "select count(*) from sync_halt where closed_at is null",
            "select count(*) from sync_intent where state in ('prepared', 'sent', 'unknown', 'parked')",
            "select count(*) from sync_hook where state in ('waiting', 'dead')",
        ];
        for query in none {
            assert_eq!(self.world.rows(query), [["0"]], "{query}");
        }
        assert_eq!(self.world.rows("pragma integrity_check"), [["ok"]]);
    }
}

fn row(contact: &serde_json::Value) -> Vec<String> {
    let text = |field: &str| contact[field].as_str().unwrap_or("∅").to_owned();
    ["email"].iter().chain(FIELDS.iter()).map(|field| text(field)).collect()
}

/// Only what differs is told.
#[track_caller]
fn assert_same(place: &str, said: &[Vec<String>], found: &[Vec<String>]) {
    let by_email = |rows: &[Vec<String>]| {
        let mut all: BTreeMap<String, Vec<Vec<String>>> = BTreeMap::new();
        for row in rows {
            all.entry(row[0].clone()).or_default().push(row[1..].to_vec());
        }
        all
    };
    let (said, found) = (by_email(said), by_email(found));
    let none = Vec::new();
    let differs: Vec<String> = said
        .keys()
        .chain(found.keys().filter(|email| !said.contains_key(*email)))
        .filter(|email| said.get(*email) != found.get(*email))
        .map(|email| {
            let (said, found) = (said.get(email).unwrap_or(&none), found.get(email).unwrap_or(&none));
            format!("{email}: said {said:?}, found {found:?}")
        })
        .collect();
    assert!(differs.is_empty(), "{place} ({FIELDS:?}):\n{}", differs.join("\n"));
}
