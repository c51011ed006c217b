//! The rules in force, compiled and indexed.

use std::collections::BTreeSet;

use model::Fault;

use crate::append::{AppendOutput, ExtraOutput};
use crate::ast::Condition;
use crate::collect::Collected;
use crate::event::Event;
use crate::event_type::EventType;
use crate::fields::Field;
use crate::output::Output;
use crate::possible::Known;
use crate::priority::Priority;
use crate::program::{Program, Scratch};
use crate::resolve::Resolver;
use crate::typed::Node;
use crate::types::EventTypes;

/// One rule, ready to be judged.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Name.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// Priority.
    pub priority: Priority,
    /// Tags.
    pub tags: Vec<String>,
    /// The source of the events that it is about: `syscall`.
    pub source: String,
    /// The condition as written, appends and overrides applied.
    pub condition_text: String,
    /// The condition, lists and macros and exceptions expanded.
    pub condition: Condition,
    /// The output format as written.
    pub output_text: String,
    /// The output format.
    pub output: Output,
    /// What alerts have in `output_fields` beside the fields of the output.
    pub extra_outputs: Vec<ExtraOutput>,
    /// Event types for which it can be true.
    pub types: EventTypes,
    /// Names of its exceptions.
    pub exceptions: Vec<String>,
    /// Whether a match asks for a capture.
    pub capture: bool,
    /// How long that capture lasts, in milliseconds.
    pub capture_duration_ms: Option<u32>,
    /// File and line that it stands at.
    pub place: (String, u32),
    pub(crate) node: Node,
}

impl Rule {
    /// Whether its condition holds, leaf by leaf as written: slow, and the reference for [`RuleSet::evaluate`].
    #[must_use]
    pub fn holds<E: Event + ?Sized>(&self, event: &E) -> bool {
        self.types.contains(event.event_type()) && self.node.holds(event)
    }
}

/// One rules file.
#[derive(Clone, Copy, Debug)]
pub struct SourceFile<'a> {
    /// Its name in faults.
    pub name: &'a str,
    /// Its content.
    pub text: &'a str,
}

/// How rules files are read.
#[derive(Clone, Debug)]
pub struct LoadOptions {
    /// The first fault of a file gives up loading, as upstream does. Otherwise what is broken is set aside and the rest works.
    pub all_or_nothing: bool,
    /// Warn of lists and macros that nothing refers to.
    pub warn_unused: bool,
    /// Warn of files that define nothing, of which upstream says nothing.
    pub warn_empty: bool,
    /// What is added to outputs. Default: the container's and the pod's fields to every one.
    pub append_output: Vec<AppendOutput>,
    /// Rules less urgent than this are not loaded.
    pub least_priority: Priority,
    /// Files larger than this many bytes are refused.
    pub max_file_bytes: usize,
    /// A condition may have this many comparisons once its macros are expanded.
    pub max_comparisons: usize,
}

impl Default for LoadOptions {
    fn default() -> Self {
        Self {
            all_or_nothing: false,
            warn_unused: false,
            warn_empty: true,
            append_output: vec![AppendOutput { suggested_output: true, ..AppendOutput::default() }],
            least_priority: Priority::Debug,
            max_file_bytes: 16 << 20,
            max_comparisons: 100_000,
        }
    }
}

/// How many rules may match one event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Matching {
    /// The first in the order of the files.
    #[default]
    First,
    /// Every one.
    All,
}

/// The rules in force. Immutable: load a new set and swap it.
#[derive(Clone, Debug, Default)]
pub struct RuleSet {
    rules: Vec<Rule>,
    program: Program,
}

/// What loading gave.
#[derive(Clone, Debug, Default)]
pub struct Loaded {
    /// The rules that are good.
    pub rules: RuleSet,
    /// What was set aside, and warnings.
    pub faults: Vec<Fault>,
    /// Names of rules that are switched off.
    pub disabled: Vec<String>,
    /// Those of them that would be good if they were switched on.
    pub switched_off: Vec<Rule>,
}

impl RuleSet {
    /// Loads rules files in order. What is broken is set aside with its place; the rest goes on.
    #[must_use]
    pub fn load(files: &[SourceFile<'_>], options: &LoadOptions) -> Loaded {
        let mut collected = Collected::default();
        for file in files {
            if collected.has_errors && options.all_or_nothing {
                break;
            }
            collected.file(file.name, file.text, options);
        }
        Resolver::new(&collected, options).rules()
    }

    pub(crate) fn new(rules: Vec<Rule>) -> Self {
        let program = Program::of(&rules);
        Self { rules, program }
    }

    /// The rules in the order of the files.
    #[must_use]
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// Whether any rule can be true for a type: events of other types need not be made.
    #[must_use]
    pub fn wants(&self, event_type: EventType) -> bool {
        self.program.wants(event_type)
    }

    /// The types for which any rule can be true: the interest of the kernel side.
    #[must_use]
    pub fn event_types(&self) -> EventTypes {
        EventType::all().filter(|event_type| self.wants(*event_type)).collect()
    }

    /// Every field that a condition or an output asks for: what the kernel side has to capture.
    #[must_use]
    pub fn fields(&self) -> BTreeSet<Field> {
        let mut found = Vec::new();
        for rule in &self.rules {
            rule.node.fields(&mut found);
            found.extend(rule.output.fields());
            found.extend(rule.extra_outputs.iter().flat_map(|extra| extra.format.fields()));
        }
        found.into_iter().cloned().collect()
    }

    /// The rules that match an event, in the order of the files. `scratch` is working memory that is kept between calls.
    pub fn evaluate<'a, E: Event + ?Sized>(
        &'a self,
        event: &E,
        matching: Matching,
        scratch: &mut Scratch,
    ) -> Vec<&'a Rule> {
        let mut matches = Vec::new();
        self.program.evaluate(event, scratch, |place| {
            matches.extend(self.rules.get(place));
            matching == Matching::All
        });
        matches
    }

    /// Whether any rule may match an event that agrees with this one in its type and in what is `known` of its fields, whatever else
    /// is true of it. False says that such events need not be made.
    #[must_use]
    pub fn may_match<E: Event + ?Sized>(
        &self,
        event: &E,
        scratch: &mut Scratch,
        known: &dyn Fn(&Field) -> Known,
    ) -> bool {
        self.program.may_match(event, scratch, known)
    }
}
