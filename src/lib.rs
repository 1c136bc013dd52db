//! The library behind the `reconciled` daemon, and the map of it. Operators read `README.md` and `docs/` instead.
//!
//! # One pass
//!
//! A pass reconciles one collection with every upstream that it is bound to. The local row is the *hub*; each *link* ties it
//! to a remote record and holds a *base*: the pair of what the hub was and what the remote record was when the two last
//! agreed. What came in is `diff(base.remote, observed)`, what must go out is `diff(hub, base.hub)`. No queue of events
//! exists: whatever a crash interrupts is derived again from state.
//!
//! ```text
//! trigger   a daemon::event::Event, or `run --once`          daemon::decide, cli::run, cli::plan
//!   │
//! account   whose is it? another one's halts the pass         reconcile::standing
//!   │
//! settle    writes whose outcome is unknown, by evidence      reconcile::unknown → merge::judge_unknown
//!   │
//! pull      every binding, page by page:                      reconcile::pull, upstream::Lister
//!   │         (or parent by parent)                           reconcile::parents
//!   │         known fingerprint? stop here, write nothing
//!   │         else map to fields and stage, with the cursor   record::Mapper, store
//!   │         set back? halts until a person says who wins    reconcile::set_back
//!   │         older than what is known? keep it out           reconcile::floor → merge::judge_age
//!   │         not listed at all? ask for it one by one        reconcile::absence
//!   │         told as deleted elsewhere? ask for it too       reconcile::deleted
//!   │       or what a feed of events names, by their ids      upstream::feed
//!   │       or, for edits and webhooks, the records that       reconcile::targeted
//!   │         they name, by their ids, and nothing is listed;
//!   │         also while another pass lists, between pages    reconcile::between
//!   │
//! plan      facts of one record → RecordPlan, pure            reconcile::gather → merge::decide
//! guard     totals → halts; a halt ends the pass here         merge::guard
//! commit    ONE transaction: rows, bases, provenance,         reconcile::commit, apply, intend
//!   │       history, conflicts, and an intent per write
//!   │         another record now? merged, or its id reused    reconcile::merged, reused
//!   │         waits for itself in a circle? without that      reconcile::cycle
//!   │         a change of state by a call of its own? that    reconcile::parts
//!   │         part first or last, the rest derived again
//!   │
//! push      each intent marked `sent`, then sent              reconcile::push, singles → upstream::write_one, write_batch
//!   │         another record in the way? once more, later     reconcile::hindered
//!   │         silent while others wait? left, and looked for  reconcile::left
//! settle    acknowledged: the base advances; else the         reconcile::settle → merge::settle
//!           intent is unknown, refused or parked
//! ```
//!
//! A write that was overtaken (412, 409) goes back to plan with what is there now, a few rounds at most. A dry run is the
//! same pass on a copy of the store, without push.
//!
//! A database that was restored or copied is noticed by the file beside it (`store::sqlite::epoch`); then each collection reads
//! everything anew and halts before it changes anything, until a person approves (`reconcile::restored`).
//! `store::sqlite` makes and puts back backups, and holds a database against what must be true of it (`verify`).
//!
//! # Modules, in reading order
//!
//! Imports go one way, as in the table of `tests/it/house.rs`. The first doc of each module says what it owns and what it
//! must not know.
//!
//! - [`record`]: values, their types and equality, exact JSON, paths, codecs, the mapping of one record. Pure.
//! - [`rules`]: TOML text → diagnostics, or a checked [`rules::Ruleset`]; sample answers → proposed text. Pure.
//! - [`merge`]: everything known about one record → what to do about it. Pure, and the heart of it all.
//! - [`store`]: the contract of durable state, and SQLite behind it.
//! - [`upstream`]: requests out of rules, one HTTP client, auth, paging, budgets, retries, a breaker; outcomes as data. Its
//!   `cassette` records exchanges without secrets, and answers by them in the place of a network.
//! - [`reconcile`]: the order of a pass; gathers facts, has them decided, applies what was decided.
//! - [`daemon`]: the life of `run`: when passes are due, signals, rules read anew, the service manager, the orderly stop.
//! - [`ops`]: what people look at and decide, whichever way they ask: standing, sides, conflicts, halts, the undo of a pass, backups,
//!   what is wrong in the database or differs from upstreams.
//! - [`web`]: what the daemon serves: the control socket of its own command line; pages, an API and
//!   metrics for the others; webhooks, at an address of their own.
//! - [`cli`]: arguments, one file per command, what is printed, exit codes. Its `manual` makes man pages, docs/commands.md and
//!   docs/settings.md of the grammar and the table of settings.
//! - [`config`], [`clock`], [`telemetry`]: settings and secrets, time and randomness, log lines (to the
//!   journal as well) and spans.
//! - [`spending`]: what processes took of budgets and set aside of them, in a file that they share.
//! - [`vault`]: tokens and secrets that outlive a process, sealed, in a file of their own.
//! - [`sandbox`]: a whole fake upstream for tests and the demo; knows nothing of the rest.
//! - [`sim`]: the engine on virtual time against sandboxes, faults and crashes, all from one seed (`reconciled sim SEED`).
//!
//! Where to start: `RecordPlan` in `merge/plan.rs` and [`merge::decide`] say what can happen to a record, the tables in
//! `merge/tests/` show it, `reconcile/run.rs` is the order of a pass, and `tests/it/scenarios/` runs the whole program.
//!
//! # Invariants
//!
//! Named by number in code and tests. After each: where it is held.
//!
//! - **I1 Quiet rerun**: without edits the next pass writes nothing. Bases are pairs: `merge::settle`, `merge::push`.
//! - **I2 Convergence**: when edits and faults stop, all sides agree after a few passes. [`merge::decide`] and its properties.
//! - **I3 No lost update**: an edit is in the hub, superseded, or in history as the loser. `Decision::losers`, `reconcile::apply`.
//! - **I4 No blind overwrite**: a write's precondition is the state it was merged against. `reconcile::intend`, `upstream::prepare`.
//! - **I5 No phantom delete**: an incomplete listing deletes nothing. `reconcile::absence`, `merge::guard` for emptied ones.
//! - **I6 At most one create** per record and upstream. One outstanding intent (a unique index), `reconcile::unknown`.
//! - **I7 True base**: a remote half was really seen, and advances with its evidence. `reconcile::settle`, `reconcile::base`.
//! - **I8 Order independence**: the order of upstreams changes nothing. `merge::policy`.
//! - **I9 Rule respect**: only an owner sets its field, pull-only fields are never sent. `merge::push`, `upstream::prepare`.
//! - **I10 Locality**: an edit writes its field (and group) only; a bad record stops no other. `merge::fields`, quarantine.
//! - **I11 Guards**: beyond a limit nothing is written until a person approves. `merge::guard`, `reconcile::commit`.
//! - **I12 Plan = apply**: an approval counts for the plan it was given for, by fingerprint. `reconcile::commit`.
//! - **I13 Link bijection**: one remote record, one local record per binding. Unique indexes of [`store`].
//! - **I14 Lens laws**: what is put is what is got, up to declared equality. `record::codec`, `record::mapping`, `record::path`.
//! - **I15 Crash equivalence**: killed anywhere, the next run goes on. One transaction per commit; `sent` is durable first.
//! - **I16 No resurrection**: a link outlives its deleted record, so that no late listing brings it back. `merge::existence`,
//!   `reconcile::floor`; and a remote id outlives its link where the record was made anew. `reconcile::former`.
//! - **I17 Bounded ping-pong**: an upstream's own spelling is its half of the base, never an edit of ours (`merge::settle`);
//!   what two sides take back from each other is frozen after a few writes (`merge::oscillation`).
//! - **I18 Determinism**: the same facts give the same plan; no clock, no randomness, ordered maps. [`merge`].
//! - **I19 No secret** in any output or column. Rules name secrets, never hold them; `config::secrets`, `upstream::secrets`.

mod record;
mod rules;

mod merge;

mod store;
mod upstream;

mod reconcile;

mod daemon;

mod ops;

mod web;

pub mod cli;

mod config;

mod clock;
mod telemetry;

mod spending;
mod vault;

pub mod sandbox;
mod sim;

#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzzing;
