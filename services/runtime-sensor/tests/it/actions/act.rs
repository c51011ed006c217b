//! What an action is.

/// Where an action happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Host,
    /// A container with the capabilities that container runtimes give.
    Plain,
    /// One with every capability.
    Privileged,
    /// One whose users are others on the host: 0 is 100000 there.
    Mapped,
    /// The action is the first process of a container of its own, with a terminal or capabilities beside the usual ones.
    First {
        terminal: bool,
        capabilities: &'static str,
    },
}

/// One action and its innocent neighbour. In programs, `B/` is the folder with the program under all its names, and `~` a blank.
#[derive(Clone, Copy, Debug)]
pub(super) struct Action {
    pub(super) rule: &'static str,
    pub(super) place: Place,
    pub(super) user: u32,
    /// Variables of the environment, separated by commas; with `&` the next actions do not wait for this one.
    pub(super) variables: &'static str,
    /// Program, its own name, arguments.
    pub(super) run: &'static str,
    /// Fields of the alert, beside those that follow from `run`: `field=value`, separated by `; `.
    pub(super) says: &'static str,
    /// Other rules that this must match too.
    pub(super) also: &'static [&'static str],
    pub(super) neighbour: &'static str,
    /// What the neighbour has of variables.
    pub(super) neighbour_variables: &'static str,
}

pub(super) const fn on(
    rule: &'static str,
    place: Place,
    run: &'static str,
    says: &'static str,
    neighbour: &'static str,
) -> Action {
    Action { rule, place, user: 0, variables: "", run, says, also: &[], neighbour, neighbour_variables: "" }
}

impl Action {
    pub(super) const fn by(mut self, user: u32) -> Self {
        self.user = user;
        self
    }

    pub(super) const fn with(mut self, variables: &'static str) -> Self {
        self.variables = variables;
        self.neighbour_variables = variables;
        self
    }

    /// The neighbour differs in its variables.
    pub(super) const fn beside(mut self, variables: &'static str) -> Self {
        self.neighbour_variables = variables;
        self
    }

    pub(super) const fn also(mut self, also: &'static [&'static str]) -> Self {
        self.also = also;
        self
    }
}
