//! Everything that can happen, and in which order it does.

use super::contests::{Contest, Deletion};

/// What can happen.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// Somebody edits the field of this side.
    Edit(&'static str),
    /// All sides edit one contact, each its own field.
    EditAll,
    /// Two sides edit one field.
    Contest(Contest),
    /// One side makes a contact.
    Create(&'static str),
    /// Both upstreams make the same contact.
    CreateTwice,
    /// A contact that was deleted everywhere is made again.
    ComeBack,
    /// One side deletes a contact.
    Delete(&'static str),
    /// One side deletes a contact, another edits it.
    DeleteOrEdit(Deletion),
    /// An upstream fails.
    Fail,
    /// An upstream takes a question and never answers.
    Hang,
    /// A comment is added to the rules.
    TouchRules,
    /// The rules are broken, and stay so for a while.
    BreakRules,
    /// Another upstream comes first in `priority`.
    ChangeRules,
    /// A signal.
    Signal(&'static str),
    /// Somebody looks at metrics.
    Metrics,
    /// Somebody turns pages.
    Pages,
    /// A program reads the API.
    Api,
    /// A page is opened, and listens.
    OpenPage,
    /// One is closed.
    ClosePage,
    /// `status`
    Status,
    /// `sync`
    Sync,
    /// `pause`, `resume`
    Pause,
    /// Everybody is quiet for a moment.
    Rest,
}

/// Everything that can happen, and how often.
pub const ACTS: &[(Act, usize)] = &[
    (Act::Edit("local"), 4),
    (Act::Edit("crm"), 4),
    (Act::Edit("erp"), 3),
    (Act::EditAll, 2),
    (Act::Contest(Contest::Priority), 1),
    (Act::Contest(Contest::Time), 1),
    (Act::Contest(Contest::Person), 1),
    (Act::Create("local"), 1),
    (Act::Create("crm"), 1),
    (Act::Create("erp"), 1),
    (Act::CreateTwice, 1),
    (Act::ComeBack, 1),
    (Act::Delete("local"), 1),
    (Act::Delete("crm"), 1),
    (Act::Delete("erp"), 1),
    (Act::DeleteOrEdit(Deletion { deletes: "crm", edits: "local" }), 1),
    (Act::DeleteOrEdit(Deletion { deletes: "local", edits: "crm" }), 1),
    (Act::DeleteOrEdit(Deletion { deletes: "crm", edits: "erp" }), 1),
    (Act::Fail, 4),
    (Act::Hang, 1),
    (Act::TouchRules, 1),
    (Act::BreakRules, 1),
    (Act::ChangeRules, 1),
    (Act::Signal("HUP"), 1),
    (Act::Signal("USR1"), 1),
    (Act::Signal("USR2"), 1),
    (Act::Metrics, 1),
    (Act::Pages, 1),
    (Act::Api, 1),
    (Act::OpenPage, 2),
    (Act::ClosePage, 1),
    (Act::Status, 1),
    (Act::Sync, 1),
    (Act::Pause, 1),
    (Act::Rest, 1),
];

impl Act {
    /// For the table.
    pub fn name(self) -> &'static str {
        match self {
            Self::Edit("local") => "edit here",
            Self::Edit("crm") => "edit at crm",
            Self::Edit(_) => "edit at erp",
            Self::EditAll => "edit of three fields, each elsewhere",
            Self::Contest(Contest::Priority) => "contest decided by who edited",
            Self::Contest(Contest::Time) => "contest decided by when",
            Self::Contest(Contest::Person) => "contest decided by a person",
            Self::Create("local") => "create here",
            Self::Create("crm") => "create at crm",
            Self::Create(_) => "create at erp",
            Self::CreateTwice => "create of one at both upstreams",
            Self::ComeBack => "create of one that was deleted",
            Self::Delete("local") => "delete here",
            Self::Delete("crm") => "delete at crm",
            Self::Delete(_) => "delete at erp",
            Self::DeleteOrEdit(Deletion { deletes: "local", .. }) => "delete here, edit at crm",
            Self::DeleteOrEdit(Deletion { edits: "local", .. }) => "delete at crm, edit here",
            Self::DeleteOrEdit(_) => "delete at crm, edit at erp",
            Self::Fail => "failing upstream",
            Self::Hang => "hanging upstream",
            Self::TouchRules => "comment in the rules",
            Self::BreakRules => "broken rules",
            Self::ChangeRules => "other rules",
            Self::Signal("HUP") => "SIGHUP",
            Self::Signal("USR1") => "SIGUSR1",
            Self::Signal(_) => "SIGUSR2",
            Self::Metrics => "look at metrics",
            Self::Pages => "look at pages",
            Self::Api => "look by the API",
            Self::OpenPage => "open page",
            Self::ClosePage => "closed page",
            Self::Status => "command: status",
            Self::Sync => "command: sync",
            Self::Pause => "command: pause, resume",
            Self::Rest => "rest",
        }
    }
}

/// Numbers that are the same each time.
pub struct Chance(pub u64);

impl Chance {
    /// Less than this.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }

    /// A place in so many.
    pub fn at(&mut self, length: usize) -> usize {
        usize::try_from(self.below(length as u64)).unwrap()
    }

    /// One of these.
    pub fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.at(all.len())]
    }
}

/// Everything that can happen, shuffled: nothing comes twice before all the others have come.
#[derive(Default)]
pub struct Deck(Vec<Act>);

impl Deck {
    /// What happens next.
    pub fn draw(&mut self, chance: &mut Chance) -> Act {
        if self.0.is_empty() {
            self.0 = ACTS.iter().flat_map(|(act, times)| std::iter::repeat_n(*act, *times)).collect();
            for at in (1..self.0.len()).rev() {
                self.0.swap(at, chance.at(at + 1));
            }
        }
        self.0.pop().unwrap()
    }
}
