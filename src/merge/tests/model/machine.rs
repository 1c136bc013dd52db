//! Owns: the model's state and its steps: one record with one field, upstreams that may spell it their own way, a network that
//! loses and delays, a process that dies. What is decided is decided by the engine's own functions.
//!
//! Must not know: which properties are asked of it.

use chrono::TimeDelta;

use crate::merge::testkit::*;
use crate::merge::*;
use crate::record::{Slot, Value};
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

pub fn plain(word: Word) -> Word {
    word % SPELT
}

/// The edits of a word and of what its author saw, as bits; where it all began is in everything.
pub fn lineage(state: &State, word: Word) -> u8 {
    match plain(word) {
        0 => 1,
        edit => 1 << edit | state.seen_by[usize::from(edit)],
    }
}

pub fn value(word: Word) -> Value {
    Value::Text(if word >= SPELT { format!("V{}", plain(word)) } else { format!("v{word}") })
}

pub fn word(value: &Value) -> Word {
    let text = value.to_string();
    let number: Word = text[1..].parse().unwrap();
    if text.starts_with('V') { number + SPELT } else { number }
}

pub fn slot(word: Option<Word>) -> Slot {
    word.map_or(Slot::Absent, |word| Slot::Value(value(word)))
}

pub fn observation((word, version): (Word, u8)) -> Observation {
    let slots = vec![slot(Some(word))];
    Observation { slots, version: Some(version.to_string()), updated_at: None, observed_at: at(50) }
}

pub fn is_open(intent: Option<&Intent>) -> bool {
    intent.is_some_and(|intent| IntentState::OPEN.contains(&intent.state))
}

pub fn may_be_sent(intent: Option<&Intent>) -> bool {
    intent.is_some_and(|intent| IntentState::SENDABLE.contains(&intent.state))
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

    pub fn spell(&self, at: usize, word: Word) -> Word {
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
    pub fn asks(&self, side: &Side) -> bool {
        if !is_open(side.intent.as_ref()) || side.is_awaited() {
            return false;
        }
        let create = side.intent.as_ref().is_some_and(|intent| intent.create);
        match ask_of_create(self.idempotency(), TimeDelta::zero()) {
            Ask::Repeat => true,
            Ask::LookUp => {
                let proves = never_happened(self.idempotency(), 2, at(0), at(0), TimeDelta::minutes(1));
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
    pub fn deliver(&self, state: &mut State, at: usize, request: usize) {
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
                Some(Idempotency::Key { .. }) => Reply::Done { value, version, repeated: request.repeated },
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

    pub fn answer(&self, state: &mut State, at: usize) {
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
    pub fn evidence(&self, state: &mut State, at: usize) {
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
}

pub fn pull(state: &mut State, at: usize) {
    let side = &mut state.sides[at];
    side.read = Read::Whole;
    let known = side.tie.as_ref().map(|tie| (tie.raw, tie.version));
    side.staged = side.record.filter(|now| Some(*now) != known);
}

/// Marked `sent` first, then sent.
pub fn send(state: &mut State, at: usize, repeated: bool) {
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
