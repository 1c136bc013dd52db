//! Owns: the order of the demo: what happens, what is said about it.
//!
//! Must not know: how the sides are set up (that is `stage` and `upstreams`).

use std::sync::Arc;

use serde_json::json;

use crate::clock::SystemClock;
use crate::reconcile::PassReport;
use crate::record::RecordId;
use crate::store::{ConflictFilter, read, write};

use super::super::args::DemoArgs;
use super::super::conflicts;
use super::super::exit::{CliError, Exit};
use super::super::explain;
use super::super::explain_text;
use super::super::out::Out;
use super::super::report::{changes_text, run_text};
use super::super::stop::Stop;
use super::super::style::{self, paint};
use super::stage::{Folder, Stage, records};

/// What the local table looks like.
const TABLE: &str = "SELECT email, name, phone, status, balance FROM contacts ORDER BY email";

/// Tells the story; Ctrl-C ends it, and takes the temporary folder along.
pub async fn run(args: &DemoArgs, out: &Out) -> Result<Exit, CliError> {
    let folder = Folder::make(args.keep.as_deref())?;
    let mut stop = Stop::listen();
    tokio::select! {
        told = tell(&folder, out) => told?,
        () = stop.asked() => return Err(CliError::Other(match &folder {
            Folder::Temporary(_) => "interrupted; nothing is left behind".to_owned(),
            Folder::Kept(path) => format!("interrupted; what was made so far is in {}", path.display()),
        })),
    }
    if let Folder::Kept(path) = &folder {
        let path = path.display();
        out.talk(&format!(
            "kept in {path}: look around with `reconciled --config {path}/reconciled.toml status` (the upstreams are gone)"
        ));
    }
    Ok(Exit::IN_SYNC)
}

async fn tell(folder: &Folder, out: &Out) -> Result<(), CliError> {
    let stage = Stage::set(folder.path(), out, Arc::new(SystemClock::new())).await?;
    let teller = Teller { stage: &stage, out };
    teller.first_contact().await?;
    teller.edits_everywhere().await?;
    teller.a_person_decides().await?;
    teller.quiet().await
}

fn times(number: usize) -> String {
    match number {
        1 => "once".to_owned(),
        number => format!("{number} times"),
    }
}

struct Teller<'a> {
    stage: &'a Stage,
    out: &'a Out,
}

impl Teller<'_> {
    async fn first_contact(&self) -> Result<(), CliError> {
        self.chapter("1. First contact", "Two upstreams that know nothing of each other, and an empty database.")?;
        self.extent()?;
        let reports = self.sync().await?;
        self.say(
            "Records are matched by what the rules call keys (email, domain); what one side lacks is created there.",
        )?;
        self.runs(&reports)?;
        self.say("The local side is a plain SQL table:")?;
        self.data(&self.stage.table(TABLE, self.out.width())?)?;
        self.extent()
    }

    async fn edits_everywhere(&self) -> Result<(), CliError> {
        self.chapter("2. Edits on every side", "At the same time, before anybody synchronises:")?;
        let (crm, billing) = (&self.stage.crm, &self.stage.billing);
        let edit = |name: &str, patch| self.stage.edit(crm, "/contacts", "/properties/full_name", name, &patch);
        self.event("crm", "Ann Bell is now Ann Bell-Young")?;
        edit("Ann Bell", json!({"properties": {"full_name": "Ann Bell-Young"}}))?;
        self.event("billing", "Bob Crane has a new email, robert@birch.example")?;
        self.stage.edit(billing, "/customers", "/name", "Bob Crane", &json!({"email": "robert@birch.example"}))?;
        self.event("SQL", "Cara Dunn has a new phone: UPDATE contacts SET phone = …")?;
        self.stage.sql("UPDATE contacts SET phone = '02079460333' WHERE email = 'cara@cedar.example'")?;
        self.event("crm and SQL", "Dan Ellis is `lost` there and a `customer` here: the same field on two sides")?;
        edit("Dan Ellis", json!({"properties": {"lifecycle": "X"}}))?;
        self.stage.sql("UPDATE contacts SET status = 'customer' WHERE email = 'dan@birch.example'")?;
        self.event(
            "crm and SQL",
            "the notes on Birch Systems are edited on both sides; the rules leave that to a person",
        )?;
        let notes = json!({"properties": {"notes": "Renews in March, wants a discount."}});
        self.stage.edit(crm, "/companies", "/properties/domain", "birch.example", &notes)?;
        self.stage.sql("UPDATE companies SET notes = 'Renews in April.' WHERE domain = 'birch.example'")?;
        self.event("each side", "somebody new: Nora at the CRM, Omar at billing, Pia by INSERT")?;
        let nora = json!({"properties": {"email": "nora@acorn.example", "full_name": "Nora Orr", "companyId": "co_1"}});
        self.stage.add(crm, "/contacts", &nora)?;
        let omar = json!({"email": "omar@birch.example", "name": "Omar Page", "balance": "0.00", "discount": "0.00"});
        self.stage.add(billing, "/customers", &omar)?;
        self.stage.sql("INSERT INTO contacts (email, name) VALUES ('pia@cedar.example', 'Pia Quill')")?;
        self.event("SQL", "Fred Gale is deleted: DELETE FROM contacts … (the rules let billing keep its copy)")?;
        self.stage.sql("DELETE FROM contacts WHERE email = 'fred@cedar.example'")?;
        self.event("billing", "and the answer to the next create will be lost on its way, after it was done")?;
        self.stage.lose_next_create();
        let reports = self.sync().await?;
        self.say("\nOne pass later:")?;
        self.changes(&reports)?;
        let twins = records(billing, "/customers");
        let twins = twins.iter().filter(|record| record["email"] == "pia@cedar.example").count();
        self.say(&format!("Pia is at billing {}, whatever became of the answer.", times(twins)))?;
        self.say("Why? Every field can be asked:")?;
        self.explain("dan@birch.example", "status").await?;
        self.explain("ann@acorn.example", "name").await?;
        self.extent()
    }

    async fn a_person_decides(&self) -> Result<(), CliError> {
        self.chapter("3. What no rule decides waits for a person", "Only that one field stands still meanwhile.")?;
        let open = read(self.stage.store.as_ref(), |view| view.conflicts(&ConflictFilter::default())).await?;
        for row in &open {
            self.data(&conflicts::one(&crate::ops::Conflict::from(row), self.out.width()))?;
        }
        if let Some(row) = open.iter().find(|row| row.fields == "notes") {
            let id = row.id;
            self.say(&format!("$ reconciled resolve {id} --take crm"))?;
            write(self.stage.store.as_ref(), move |tx| tx.set_resolution(id, Some(r#"{"take":"crm"}"#))).await?;
        }
        let reports = self.sync().await?;
        self.changes(&reports)
    }

    async fn quiet(&self) -> Result<(), CliError> {
        self.chapter("4. And then there is quiet", "No edits, so nothing is to be done.")?;
        let reports = self.sync().await?;
        let remote: u64 = reports.iter().map(PassReport::remote_writes).sum();
        let local: u64 = reports.iter().map(|report| report.local.total()).sum();
        self.runs(&reports)?;
        let style = if remote + local == 0 { style::GOOD } else { style::BAD };
        self.say(&paint(style, format!("{remote} writes upstream, {local} changes here.")))?;
        if remote + local > 0 {
            return Err(CliError::Other("the last pass of the demo was to write nothing; this is a bug".to_owned()));
        }
        Ok(())
    }

    // ---- how it is told ----

    fn chapter(&self, title: &str, words: &str) -> Result<(), CliError> {
        self.say(&format!("\n{}\n{words}", paint(style::HEAD, title)))
    }

    fn event(&self, side: &str, what: &str) -> Result<(), CliError> {
        self.say(&format!("  {} {what}", paint(style::SIDE, format!("{side:<12}"))))
    }

    /// How many contacts each side has.
    fn extent(&self) -> Result<(), CliError> {
        let here = self.stage.ask("SELECT CAST(count(*) AS TEXT) FROM contacts")?;
        let (crm, billing) =
            (records(&self.stage.crm, "/contacts").len(), records(&self.stage.billing, "/customers").len());
        self.say(&format!("contacts: {here} here, {crm} at the CRM, {billing} at billing"))
    }

    async fn explain(&self, email: &str, field: &str) -> Result<(), CliError> {
        let record = self.stage.ask(&format!("SELECT id FROM contacts WHERE email = '{email}'"))?;
        let (rules, field) = (Arc::clone(&self.stage.rules), field.to_owned());
        let explained = read(self.stage.store.as_ref(), move |view| {
            let Some(collection) = rules.collections.get("contacts") else { return Ok(None) };
            explain::explain(view, collection, &RecordId(record), collection.field(&field)).map(Some)
        })
        .await?;
        match explained {
            Some(explained) => self.data(&explain_text::text(&explained, self.out.width())),
            None => Ok(()),
        }
    }

    async fn sync(&self) -> Result<Vec<PassReport>, CliError> {
        let mut reports = self.stage.sync().await?;
        let halts: Vec<i64> = reports.iter().filter_map(|report| report.halt).collect();
        if !halts.is_empty() {
            self.runs(&reports)?;
            self.say("A guard stops a pass that would change much at once, before its first write. A person looks and approves:")?;
            for id in halts {
                self.say(&format!("$ reconciled approve {id}"))?;
                self.stage.approve(id).await?;
            }
            reports = self.stage.sync().await?;
        }
        for report in &reports {
            if self.out.is_json() {
                self.out.json_line(report)?;
            }
            if let Some(error) = &report.error {
                return Err(CliError::Other(format!("the demo's pass of {} failed: {error}", report.collection)));
            }
        }
        Ok(reports)
    }

    fn runs(&self, reports: &[PassReport]) -> Result<(), CliError> {
        reports.iter().try_for_each(|report| self.data(&run_text(report, self.out.width())))
    }

    fn changes(&self, reports: &[PassReport]) -> Result<(), CliError> {
        reports.iter().try_for_each(|report| self.data(&changes_text(report, false, self.out.width())))
    }

    fn say(&self, words: &str) -> Result<(), CliError> {
        self.data(&format!("{words}\n"))
    }

    /// With `--json` only the reports of the passes are data.
    fn data(&self, text: &str) -> Result<(), CliError> {
        if self.out.is_json() { Ok(()) } else { self.out.data(text) }
    }
}
