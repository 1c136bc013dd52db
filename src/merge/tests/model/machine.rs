//! Owns: the model's state and its steps: one record with one field, upstreams that may spell it their own way, a network that
//! loses and delays, a process that dies. What is decided is decided by the engine's own functions.
//!
//! Must not know: which properties are asked of it.

use chrono::TimeDelta;

use crate::merge::testkit::*;
use crate::merge::*;
use crate::record::{RecordId, Slot, Value};
use crate::rules::{Collection, Idempotency, Origin, Policy};

/// A value: 0 is where it all began, n the n-th edit; `SPELT` on top where an upstream wrote it its own way.
pub type Word = u8;
const SPELT: Word = 100;

/// What happened that must not: bits of [`State::broken`].
pub const LOST_UPDATE: u8 = 1;
pub const BLIND_OVERWRITE: u8 = 2;
pub const PHANTOM_DELETE: u8 = 4;
pub const SECOND_CREATE: u8 = 8;
pub const UNTRUE_BASE: u8 = 16;

/// The most versions that a remote record may come to: its first, one per edit, and two writes of ours for each of them.
const VERSIONS_MAX: u8 = 7;

/// What the model is bounded by, and what its upstreams are like.
pub struct World {
    pub collection: Collection,
    /// The upstreams that respell what they are given.
    pub respells: Vec<bool>,
    /// The upstreams where the record is not yet.
    pub lacks: Vec<bool>,
    pub edits: u8,
    pub crashes: u8,
    pub losses: u8,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Request {
    pub create: bool,
    pub value: Word,
    pub expected: Option<u8>,
    pub repeated: bool,
    /// The client still waits for the answer.
    pub awaited: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Reply {
    Done { value: Word, version: u8, repeated: bool },
    Stale { value: Word, version: u8 },
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Intent {
    pub state: IntentState,
    pub create: bool,
    pub value: Word,
    pub expected: Option<u8>,
}

/// A link with its base pair, and the raw observation that it rests on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Tie {
    pub hub: Option<Word>,
    pub remote: Option<Word>,
    pub raw: Word,
    pub version: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Read {
    No,
    Whole,
    /// The listing broke off: it proves nothing.
    Short,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Side {
    /// There: the record with its version.
    pub record: Option<(Word, u8)>,
    pub wire: Vec<Request>,
    pub reply: Option<Reply>,
    /// Here, durable.
    pub tie: Option<Tie>,
    pub staged: Option<(Word, u8)>,
    pub intent: Option<Intent>,
    /// A write that was answered with yes and not taken, and what stood there: not repeated unchanged.
    pub refused: Option<(Word, Word)>,
    /// Here, lost by a crash.
    pub read: Read,
    /// For the properties: creates that made a record, and all that the record ever was.
    pub created: u8,
    pub ever: u128,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    Idle,
    Pull,
    Push,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    pub row: Word,
    pub edited: bool,
    /// Who set the hub's value: 0 local, else upstream + 1.
    pub origin: Option<u8>,
    pub sides: Vec<Side>,
    pub phase: Phase,
    pub again: bool,
    pub edits: u8,
    pub crashes: u8,
    pub losses: u8,
    /// For the properties: by edit, the edits that its author saw; and the edits in history as losers.
    pub seen_by: [u8; 4],
    pub losers: u8,
    pub broken: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    EditHere,
    EditThere(usize),
    Begin,
    Evidence(usize),
    Pull(usize),
    PullBreaks(usize),
    Decide,
    Send(usize),
    Deliver(usize, usize),
    LoseRequest(usize),
    GiveUp(usize),
    LoseReply(usize),
    Answer(usize),
    End,
    Crash,
}

fn plain(word: Word) -> Word {
    word % SPELT
}

/// The edits of a word and of what its author saw, as bits; where it all began is in everything.
fn lineage(state: &State, word: Word) -> u8 {
    match plain(word) {
        0 => 1,
        edit => 1 << edit | state.seen_by[usize::from(edit)],
    }
}

fn value(word: Word) -> Value {
    Value::Text(if word >= SPELT { format!("V{}", plain(word)) } else { format!("v{word}") })
}

fn word(value: &Value) -> Word {
    let text = value.to_string();
    let number: Word = text[1..].parse().unwrap();
    if text.starts_with('V') { number + SPELT } else { number }
}

fn slot(word: Option<Word>) -> Slot {
    word.map_or(Slot::Absent, |word| Slot::Value(value(word)))
}

fn observation((word, version): (Word, u8)) -> Observation {
    let slots = vec![slot(Some(word))];
    Observation { slots, version: Some(version.to_string()), updated_at: None, observed_at: at(50) }
}

fn is_open(intent: Option<&Intent>) -> bool {
    intent.is_some_and(|intent| IntentState::OPEN.contains(&intent.state.name()))
}

fn may_be_sent(intent: Option<&Intent>) -> bool {
    intent.is_some_and(|intent| IntentState::SENDABLE.contains(&intent.state.name()))
}

impl Side {
    pub fn is_awaited(&self) -> bool {
        self.reply.is_some() || self.wire.iter().any(|request| request.awaited)
    }

    fn hold(&mut self, word: Word, version: u8) {
        self.record = Some((word, version));
        self.ever |= 1 << word;
    }
}

impl World {
    pub fn new(upstreams: usize, first: Policy, idempotency: &Idempotency) -> Self {
        let mut collection = collection(vec![text("t")], &["ash", "bay", "cob"][..upstreams]);
        collection.priority = ["bay", "local", "ash", "cob"].map(Origin::from_name).to_vec();
        collection.fields[0].chain = vec![first, Policy::SourcePriority];
        for at in 0..upstreams {
            edit(&mut collection, at).create.as_mut().unwrap().idempotency = idempotency.clone();
        }
        let respells = (0..upstreams).map(|at| at == 1).collect();
        Self { collection, respells, lacks: vec![false; upstreams], edits: 2, crashes: 1, losses: 1 }
    }

    fn spell(&self, at: usize, word: Word) -> Word {
        if self.respells[at] { plain(word) + SPELT } else { word }
    }

    pub fn start(&self) -> State {
        let side = |at: usize| {
            let there = self.spell(at, 0);
            let known = !self.lacks[at];
            Side {
                record: known.then_some((there, 1)),
                wire: Vec::new(),
                reply: None,
                tie: known.then_some(Tie { hub: Some(0), remote: Some(there), raw: there, version: 1 }),
                staged: None,
                intent: None,
                refused: None,
                read: Read::No,
                created: 0,
                ever: if known { 1 << there } else { 0 },
            }
        };
        State {
            row: 0,
            edited: self.lacks.contains(&true),
            origin: None,
            sides: (0..self.respells.len()).map(side).collect(),
            phase: Phase::Idle,
            again: false,
            edits: self.edits,
            crashes: self.crashes,
            losses: self.losses,
            seen_by: [0; 4],
            losers: 0,
            broken: 0,
        }
    }

    pub fn steps(&self, state: &State, steps: &mut Vec<Action>) {
        let all = 0..state.sides.len();
        if state.edits > 0 {
            steps.push(Action::EditHere);
            steps.extend(all.clone().filter(|at| state.sides[*at].record.is_some()).map(Action::EditThere));
        }
        for at in all {
            let side = &state.sides[at];
            steps.extend((0..side.wire.len()).map(|request| Action::Deliver(at, request)));
            if state.losses > 0 {
                if side.wire.iter().any(|request| request.awaited) {
                    steps.extend([Action::LoseRequest(at), Action::GiveUp(at)]);
                }
                steps.extend(side.reply.as_ref().map(|_| Action::LoseReply(at)));
            }
            if side.reply.is_some() {
                steps.push(Action::Answer(at));
            }
            let open = is_open(side.intent.as_ref()) && !side.is_awaited();
            match state.phase {
                Phase::Pull if side.read == Read::No => {
                    steps.extend(self.asks(side).then_some(Action::Evidence(at)));
                    steps.extend((!open && !side.is_awaited()).then_some(Action::Pull(at)));
                    steps.extend((state.losses > 0 && !side.is_awaited()).then_some(Action::PullBreaks(at)));
                }
                Phase::Push => {
                    let takes_part = side.read == Read::Whole;
                    steps.extend((takes_part && may_be_sent(side.intent.as_ref())).then_some(Action::Send(at)));
                    steps.extend((takes_part && self.asks(side)).then_some(Action::Evidence(at)));
                }
                Phase::Idle | Phase::Pull => {}
            }
        }
        match state.phase {
            Phase::Idle => steps.push(Action::Begin),
            Phase::Pull if state.sides.iter().all(|side| side.read != Read::No) => steps.push(Action::Decide),
            Phase::Push if !state.sides.iter().any(Side::is_awaited) && !self.is_pushing(state) => {
                steps.push(if state.again { Action::Decide } else { Action::End });
            }
            Phase::Pull | Phase::Push => {}
        }
        if state.crashes > 0 && state.phase != Phase::Idle {
            steps.push(Action::Crash);
        }
    }

    fn is_pushing(&self, state: &State) -> bool {
        let busy = |side: &Side| may_be_sent(side.intent.as_ref()) || self.asks(side);
        state.sides.iter().any(|side| side.read == Read::Whole && busy(side))
    }

    fn idempotency(&self) -> Option<&Idempotency> {
        self.collection.bindings[0].create.as_ref().map(|create| &create.idempotency)
    }

    /// Whether evidence about an open outcome can be had now. A lookup that finds nothing says nothing before the visibility
    /// window is over, and after it nothing is under way any more: that is what the window means.
    fn asks(&self, side: &Side) -> bool {
        if !is_open(side.intent.as_ref()) || side.is_awaited() {
            return false;
        }
        let create = side.intent.as_ref().is_some_and(|intent| intent.create);
        match ask_of_create(self.idempotency(), TimeDelta::zero()) {
            Ask::Repeat => true,
            Ask::LookUp => {
                let proves = never_happened(self.idempotency(), at(0), at(0), TimeDelta::minutes(1));
                !create || side.record.is_some() || proves || side.wire.is_empty()
            }
            Ask::Wait => !create,
        }
    }

    pub fn step(&self, before: &State, action: Action) -> State {
        let mut state = before.clone();
        match action {
            Action::EditHere => {
                let new = self.new_edit(&mut state, before.row);
                (state.row, state.edited) = (new, true);
            }
            Action::EditThere(at) => {
                let Some((old, version)) = before.sides[at].record else { return state };
                let new = self.new_edit(&mut state, old);
                state.sides[at].hold(self.spell(at, new), version + 1);
            }
            Action::Begin => state.phase = Phase::Pull,
            Action::Evidence(at) => self.evidence(&mut state, at),
            Action::Pull(at) => pull(&mut state, at),
            Action::PullBreaks(at) => {
                state.losses -= 1;
                state.sides[at].read = Read::Short;
            }
            Action::Decide => {
                self.decide(&mut state);
            }
            Action::Send(at) => send(&mut state, at, false),
            Action::Deliver(at, request) => self.deliver(&mut state, at, request),
            Action::LoseRequest(at) | Action::GiveUp(at) | Action::LoseReply(at) => {
                let side = &mut state.sides[at];
                if action == Action::LoseRequest(at) {
                    side.wire.retain(|request| !request.awaited);
                }
                side.wire.iter_mut().for_each(|request| request.awaited = false);
                side.reply = None;
                state.losses -= 1;
                answered(side, Answer::Unknown);
            }
            Action::Answer(at) => self.answer(&mut state, at),
            Action::End => {
                state.phase = Phase::Idle;
                state.sides.iter_mut().for_each(|side| side.read = Read::No);
            }
            Action::Crash => {
                state.crashes -= 1;
                (state.phase, state.again) = (Phase::Idle, false);
                for side in &mut state.sides {
                    (side.read, side.reply) = (Read::No, None);
                    side.wire.iter_mut().for_each(|request| request.awaited = false);
                }
            }
        }
        for side in &state.sides {
            let remote = side.tie.as_ref().and_then(|tie| tie.remote);
            if remote.is_some_and(|word| side.ever & (1 << word) == 0) {
                state.broken |= UNTRUE_BASE;
            }
            if side.created > 1 {
                state.broken |= SECOND_CREATE;
            }
        }
        state
    }

    fn new_edit(&self, state: &mut State, seen: Word) -> Word {
        let new = self.edits - state.edits + 1;
        state.edits -= 1;
        state.seen_by[usize::from(new)] = lineage(state, seen);
        new
    }

    /// The upstream's own side of a write.
    fn deliver(&self, state: &mut State, at: usize, request: usize) {
        let request = state.sides[at].wire.remove(request);
        let new = self.spell(at, request.value);
        let reply = match (state.sides[at].record, request.create) {
            (None, true) => {
                let side = &mut state.sides[at];
                side.created += 1;
                side.hold(new, 1);
                Reply::Done { value: new, version: 1, repeated: request.repeated }
            }
            (Some((value, version)), true) => match self.idempotency() {
                Some(Idempotency::Header { .. }) => Reply::Done { value, version, repeated: request.repeated },
                Some(Idempotency::ClientId) => Reply::Stale { value, version },
                Some(Idempotency::Match(_) | Idempotency::Field(_) | Idempotency::None) | None => {
                    state.sides[at].created += 1;
                    Reply::Done { value: new, version: 1, repeated: request.repeated }
                }
            },
            (Some((value, version)), false) if request.expected.is_none_or(|expected| expected == version) => {
                // What is overwritten was merged before: it is in what was sent, or known as a loser.
                let told = lineage(state, request.value) | state.losers;
                if told & 1 << plain(value) == 0 {
                    state.broken |= BLIND_OVERWRITE;
                }
                state.sides[at].hold(new, version + 1);
                Reply::Done { value: new, version: version + 1, repeated: request.repeated }
            }
            (Some((value, version)), false) => Reply::Stale { value, version },
            (None, false) => return,
        };
        if request.awaited {
            state.sides[at].reply = Some(reply);
        }
    }

    fn answer(&self, state: &mut State, at: usize) {
        let Some(reply) = state.sides[at].reply.take() else { return };
        match reply {
            Reply::Done { value, version, repeated } => self.done(state, at, None, (value, version), repeated),
            Reply::Stale { value, version } => overtaken(state, at, (value, version)),
        }
    }

    /// As `reconcile::settle` does it: the base advances with the answer, what was staged before is older than it.
    fn done(&self, state: &mut State, at: usize, only: Option<&[usize]>, now: (Word, u8), repeated: bool) {
        let side = &mut state.sides[at];
        let Some(intent) = side.intent.clone() else { return };
        answered(side, Answer::Done);
        let pair = side.tie.as_ref().map(|tie| (vec![tie.hub.map(value)], vec![slot(tie.remote)]));
        let former = pair.as_ref().filter(|_| !intent.create).map(|(hub, remote)| (&hub[..], &remote[..]));
        let mut sent = vec![(0, value(intent.value))];
        sent.retain(|(field, _)| only.as_ref().is_none_or(|only| only.contains(field)));
        let observed = [slot(Some(now.0))];
        let accepted = accept(&self.collection, former, sent, Some(&observed), repeated);
        side.refused = (!accepted.settled.refused.is_empty()).then_some((intent.value, now.0));
        let (hub, remote) = (&accepted.settled.hub[0], &accepted.settled.remote[0]);
        side.tie =
            Some(Tie { hub: hub.as_ref().map(word), remote: remote.value().map(word), raw: now.0, version: now.1 });
        side.staged = accepted.more.then_some(now);
        state.again |= accepted.more;
    }

    /// As `reconcile::unknown` does it.
    fn evidence(&self, state: &mut State, at: usize) {
        let side = &mut state.sides[at];
        let Some(intent) = side.intent.clone() else { return };
        if intent.create && ask_of_create(self.idempotency(), TimeDelta::zero()) == Ask::Repeat {
            send(state, at, true);
            return;
        }
        let Some(now) = side.record else {
            answered(side, Answer::NotDone { asked_to_wait: false });
            return;
        };
        let sent = vec![(0, value(intent.value))];
        let op = if intent.create { WriteOp::Create(sent) } else { WriteOp::Update(sent) };
        let base = [slot(side.tie.as_ref().and_then(|tie| tie.remote))];
        let (slots, version) = ([slot(Some(now.0))], now.1.to_string());
        let found = Found::Record { slots: &slots, version: Some(&version) };
        let expected = intent.expected.map(|version| version.to_string());
        let verdict = judge_unknown(&self.collection, &op, &base, expected.as_deref(), &found);
        match (verdict.answer(), verdict) {
            (Answer::Done, Verdict::Landed { fields }) => self.done(state, at, Some(&fields), now, false),
            (Answer::Overtaken, _) => overtaken(state, at, now),
            (answer, _) => answered(side, answer),
        }
    }

    fn facts(&self, state: &State) -> Facts {
        let spoke = |side: &Side| {
            let link = side.tie.as_ref().map(|tie| Link {
                remote_id: "x1".to_owned(),
                version: Some(tie.version.to_string()),
                base_hub: vec![tie.hub.map(value)],
                base_remote: vec![slot(tie.remote)],
                state: LinkState::Live,
            });
            let seen = match (side.staged, &side.tie, &link) {
                (Some(staged), ..) => Seen::Record(observation(staged)),
                (None, Some(tie), Some(link)) => Seen::of(&self.collection, link, observation((tie.raw, tie.version))),
                (None, ..) => Seen::Same,
            };
            let blocked = side.read != Read::Whole || is_open(side.intent.as_ref());
            Spoke { link, seen, blocked: blocked.then(|| "unknown".to_owned()) }
        };
        let origin = state.origin.map(|origin| Provenance {
            origin: match usize::from(origin).checked_sub(1) {
                None => Origin::Local,
                Some(at) => Origin::Upstream(self.collection.bindings[at].upstream.name.clone()),
            },
            source_time: None,
            observed_at: at(0),
        });
        Facts {
            record: Some(RecordId("r1".to_owned())),
            hub: Hub::Row { values: vec![value(state.row)], edited_at: state.edited.then(|| at(20)) },
            origins: vec![origin],
            spokes: state.sides.iter().map(spoke).collect(),
            unreadable: Vec::new(),
            frozen: Vec::new(),
            now: at(60),
        }
    }

    /// Decides and commits, as `reconcile::apply` and `reconcile::intend` do it; says how much changed here.
    fn decide(&self, state: &mut State) -> usize {
        let facts = self.facts(state);
        let plan = decide(&self.collection, &facts);
        judge_plan(state, &facts, &plan);
        let mut changed = 0;
        if let LocalChange::Update(values) = &plan.local {
            state.row = word(&values[0].1);
            changed += 1;
        }
        if let Some((_, provenance)) = plan.origins.first() {
            let position = |name: &str| self.collection.bindings.iter().position(|one| one.upstream.name == name);
            let at = position(provenance.origin.name()).map_or(0, |at| at + 1);
            state.origin = u8::try_from(at).ok();
        }
        state.edited &= facts.spokes.iter().any(|spoke| spoke.blocked.is_some());
        for (at, side) in state.sides.iter_mut().enumerate() {
            if facts.spokes[at].blocked.is_some() {
                continue;
            }
            let base = plan.bases.iter().find(|base| base.binding == at);
            let (hub, remote) = match (base, &side.tie) {
                (Some(base), _) => (base.hub[0].as_ref().map(word), base.remote[0].value().map(word)),
                (None, Some(tie)) => (tie.hub, tie.remote),
                (None, None) => (None, None),
            };
            let rests_on = side.staged.take().or(side.tie.as_ref().map(|tie| (tie.raw, tie.version)));
            side.tie = rests_on.map(|(raw, version)| Tie { hub, remote, raw, version });
            let wanted = plan.writes.iter().find(|write| write.binding == at).and_then(|write| {
                let (create, values) = match &write.op {
                    WriteOp::Create(values) => (true, values),
                    WriteOp::Update(values) => (false, values),
                    WriteOp::Delete => return None,
                };
                let expected = write.expected_version.as_ref().map(|version| version.parse().unwrap());
                let state = IntentState::Prepared;
                Some(Intent { state, create, value: word(&values[0].1), expected })
            });
            let there = side.tie.as_ref().map(|tie| tie.raw);
            let is_refused = |write: &Intent| {
                side.refused.is_some_and(|(value, stood)| write.value == value && there == Some(stood))
            };
            let wanted = wanted.filter(|write| !is_refused(write));
            let hash = |intent: &Intent| format!("{} {} {:?}", intent.create, intent.value, intent.expected);
            let renewal = renew(side.intent.as_ref().map(hash).as_deref(), wanted.as_ref().map(hash).as_deref());
            if renewal.forget {
                side.intent = None;
            }
            if renewal.record {
                side.intent = wanted;
            }
        }
        (state.phase, state.again) = (Phase::Push, false);
        changed
    }

    /// A whole pass without edits and faults; the number of writes and local changes.
    fn quiet_pass(&self, state: &mut State) -> usize {
        let mut changes = 0;
        let all = 0..state.sides.len();
        let exchange = |state: &mut State, at: usize| {
            self.deliver(state, at, state.sides[at].wire.len() - 1);
            self.answer(state, at);
        };
        for at in all.clone() {
            if self.asks(&state.sides[at]) {
                self.evidence(state, at);
                if state.sides[at].is_awaited() {
                    exchange(state, at);
                }
            }
            pull(state, at);
        }
        for _round in 0..3 {
            changes += self.decide(state);
            for at in all.clone() {
                if may_be_sent(state.sides[at].intent.as_ref()) {
                    changes += 1;
                    send(state, at, false);
                    exchange(state, at);
                }
            }
            if !state.again {
                break;
            }
        }
        state.phase = Phase::Idle;
        state.sides.iter_mut().for_each(|side| side.read = Read::No);
        changes
    }

    /// I1 and I2: from here, without edits and faults, three passes bring all sides together, and the next does nothing.
    pub fn comes_to_rest(&self, state: &State) -> bool {
        if state.phase != Phase::Idle || state.sides.iter().any(|side| !side.wire.is_empty()) {
            return true;
        }
        let mut state = state.clone();
        for _pass in 0..3 {
            self.quiet_pass(&mut state);
        }
        let agrees = |(at, side): (usize, &Side)| {
            side.record.is_some_and(|(word, _)| plain(word) == plain(state.row) && word == self.spell(at, word))
        };
        state.sides.iter().enumerate().all(agrees) && self.quiet_pass(&mut state) == 0
    }
}

fn pull(state: &mut State, at: usize) {
    let side = &mut state.sides[at];
    side.read = Read::Whole;
    let known = side.tie.as_ref().map(|tie| (tie.raw, tie.version));
    side.staged = side.record.filter(|now| Some(*now) != known);
}

/// Marked `sent` first, then sent.
fn send(state: &mut State, at: usize, repeated: bool) {
    let side = &mut state.sides[at];
    let Some(intent) = side.intent.as_mut() else { return };
    intent.state = IntentState::Sent;
    let (create, value, expected) = (intent.create, intent.value, intent.expected);
    side.wire.push(Request { create, value, expected, repeated, awaited: true });
}

fn answered(side: &mut Side, answer: Answer) {
    match (after(answer), &mut side.intent) {
        (Some(state), Some(intent)) => intent.state = state,
        (None | Some(_), _) => side.intent = None,
    }
}

fn overtaken(state: &mut State, at: usize, now: (Word, u8)) {
    answered(&mut state.sides[at], Answer::Overtaken);
    state.sides[at].staged = Some(now);
    state.again = true;
}

/// I3 and I5, asked of one plan: whatever a side newly says is in the hub, in what the hub's author saw, or a loser.
fn judge_plan(state: &mut State, facts: &Facts, plan: &RecordPlan) {
    for decision in &plan.decisions {
        for loser in &decision.losers {
            // What the loser's author saw was superseded by it, and needs no entry of its own.
            state.losers |= lineage(state, word(&loser.values[0]));
        }
    }
    let after = match &plan.local {
        LocalChange::Update(values) => word(&values[0].1),
        LocalChange::None | LocalChange::Insert(_) | LocalChange::Delete => state.row,
    };
    let told = lineage(state, after) | state.losers;
    let seen = facts.spokes.iter().filter(|spoke| spoke.blocked.is_none()).filter_map(|spoke| match &spoke.seen {
        Seen::Record(observation) => observation.slots[0].value().map(word),
        Seen::Same | Seen::Gone(_) | Seen::OutOfScope(_) => None,
    });
    if seen.chain([state.row]).any(|word| told & 1 << plain(word) == 0) {
        state.broken |= LOST_UPDATE;
    }
    let deletes = plan.writes.iter().any(|write| write.op == WriteOp::Delete);
    if deletes || plan.local == LocalChange::Delete || plan.links.iter().any(|(_, life)| *life != LinkState::Live) {
        state.broken |= PHANTOM_DELETE;
    }
}

/// I17: no remote record is written more often than edits and faults give reason to, by `more` at most.
pub fn is_bounded(state: &State, more: u8) -> bool {
    state.sides.iter().all(|side| side.record.is_none_or(|(_, version)| version <= VERSIONS_MAX + more))
}
