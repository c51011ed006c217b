//! Compiles rules into stories, indexed so that an event touches only what may select it.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use model::{Fault, FaultKind, Severity};
use sha2::{Digest as _, Sha256};

use crate::event::Phase;
use crate::facts::ScanFacts;
use crate::fields::{FieldValue, Fields, WantedFields};
use crate::rule::{CorrelationKind, Join, Presence, Rule};
use crate::selection::Test;

/// Rules compiled together; immutable, swapped whole.
#[derive(Debug)]
pub struct RuleSet {
    pub(crate) stories: Vec<Story>,
    types: HashMap<String, TypeIndex>,
    alternatives: Vec<CompiledAlternative>,
    clauses: Vec<Vec<Test>>,
    fact_fields: WantedFields,
    envelope: WantedFields,
}

/// Rules that share an incident per subject.
#[derive(Debug)]
pub(crate) struct Story {
    pub(crate) name: String,
    /// Changes when a rule of the story does: state made under other rules is not read.
    pub(crate) fingerprint: String,
    pub(crate) join: Join,
    pub(crate) rules: Vec<CompiledRule>,
    pub(crate) quiet: Duration,
    pub(crate) resolve_bits: u64,
    /// Phases whose evidence belongs to one window only; that of the others is context and outlives an incident.
    pub(crate) window_phases: [bool; 4],
    /// How long evidence of each phase can matter; `None` is without end.
    pub(crate) horizon: [Option<Duration>; 4],
    pub(crate) max_marks: usize,
    pub(crate) has_facts: bool,
    /// Bits of all facts clauses of the story.
    pub(crate) fact_clauses: u64,
    group_by: Vec<GroupKey>,
    bits: u8,
}

/// One `group-by` name: the field that it means, by selection bit.
#[derive(Debug)]
struct GroupKey {
    name: String,
    fields: Vec<u16>,
}

#[derive(Debug)]
pub(crate) struct CompiledRule {
    pub(crate) name: String,
    pub(crate) title: String,
    pub(crate) severity: Severity,
    pub(crate) tags: Vec<String>,
    pub(crate) responses: Vec<String>,
    pub(crate) bits: u64,
    /// It asks for absence, so only the settled tier can answer.
    pub(crate) settled_only: bool,
    pub(crate) phases: Vec<CompiledPhase>,
    pub(crate) correlation: Option<CompiledCorrelation>,
}

#[derive(Debug)]
pub(crate) struct CompiledPhase {
    pub(crate) phase: usize,
    pub(crate) presence: Presence,
    pub(crate) bits: u64,
    pub(crate) clause: Option<u8>,
    pub(crate) within: Option<Duration>,
}

#[derive(Debug)]
pub(crate) struct CompiledCorrelation {
    pub(crate) kind: CorrelationKind,
    pub(crate) members: Vec<u64>,
    pub(crate) timespan: Duration,
    pub(crate) threshold: usize,
    value_field: Option<u16>,
}

#[derive(Debug)]
struct CompiledAlternative {
    story: u16,
    bit: u8,
    tests: Vec<Test>,
}

/// The alternatives that may select events of one type.
#[derive(Debug)]
struct TypeIndex {
    always: Vec<usize>,
    /// By field number and lower-case value, for alternatives that ask for a tag or a rule name.
    keyed: HashMap<u16, HashMap<String, Vec<usize>>>,
    wanted: WantedFields,
}

/// What selected an event: everything later steps need of its fields.
#[derive(Clone, Debug, Default)]
pub struct Hits {
    pub(crate) stories: Vec<StoryHit>,
}

#[derive(Clone, Debug)]
pub(crate) struct StoryHit {
    pub(crate) story: u16,
    pub(crate) bits: u64,
    /// `name=value` of every group-by field.
    pub(crate) group: String,
    /// Hash of the counted value, by rule of the story.
    pub(crate) values: Vec<(u8, u64)>,
}

impl Default for RuleSet {
    /// No rules.
    fn default() -> Self {
        Self {
            stories: Vec::new(),
            types: HashMap::new(),
            alternatives: Vec::new(),
            clauses: Vec::new(),
            fact_fields: WantedFields::default(),
            envelope: WantedFields::envelope(),
        }
    }
}

impl Default for TypeIndex {
    fn default() -> Self {
        Self { always: Vec::new(), keyed: HashMap::new(), wanted: WantedFields::envelope() }
    }
}

impl Hits {
    /// Whether no rule selects the event.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.stories.is_empty()
    }
}

impl RuleSet {
    /// Compiles `rules`; a rule that does not fit its story is left out with a fault.
    #[must_use]
    pub fn compile(rules: Vec<Rule>) -> (Self, Vec<Fault>) {
        let mut compiler = Compiler::default();
        let mut by_story: BTreeMap<String, Vec<Rule>> = BTreeMap::new();
        let mut names: HashMap<String, (String, u32)> = HashMap::new();
        for rule in rules {
            if let Some((file, line)) = names.insert(rule.name.clone(), (rule.file.clone(), rule.line)) {
                compiler.fault(&rule, format!("the rule at {file}:{line} has the same name"), "rename one of them");
                continue;
            }
            by_story.entry(rule.story.clone()).or_default().push(rule);
        }
        for (name, rules) in by_story {
            compiler.story(name, rules);
        }
        (compiler.set, compiler.faults)
    }

    /// Names of the rules in force, by story.
    pub fn rules(&self) -> impl Iterator<Item = (&str, &str)> {
        self.stories.iter().flat_map(|story| story.rules.iter().map(|rule| (story.name.as_str(), rule.name.as_str())))
    }

    /// Whether some rule selects events of this type.
    #[must_use]
    pub fn wants(&self, event_type: &str) -> bool {
        self.types.contains_key(event_type)
    }

    /// The fields to read from events of this type; id and time are among them.
    #[must_use]
    pub fn fields(&self, event_type: &str) -> &WantedFields {
        self.types.get(event_type).map_or(&self.envelope, |index| &index.wanted)
    }

    /// Which stories select an event of this type with these fields.
    #[must_use]
    pub fn select(&self, event_type: &str, fields: &Fields) -> Hits {
        let mut hits: Vec<(u16, u64)> = Vec::new();
        let Some(index) = self.types.get(event_type) else {
            return Hits::default();
        };
        for alternative in &index.always {
            self.try_alternative(*alternative, fields, &mut hits);
        }
        for (field, by_value) in &index.keyed {
            for value in fields.of(*field) {
                let FieldValue::Text(text) = value else { continue };
                for alternative in by_value.get(&text.to_ascii_lowercase()).into_iter().flatten() {
                    self.try_alternative(*alternative, fields, &mut hits);
                }
            }
        }
        Hits { stories: hits.into_iter().flat_map(|(story, bits)| self.story_hits(story, bits, fields)).collect() }
    }

    fn try_alternative(&self, number: usize, fields: &Fields, hits: &mut Vec<(u16, u64)>) {
        let Some(alternative) = self.alternatives.get(number) else { return };
        if !alternative.tests.iter().all(|test| test.passes(fields)) {
            return;
        }
        let bit = 1_u64.checked_shl(u32::from(alternative.bit)).unwrap_or(0);
        match hits.iter_mut().find(|(story, _)| *story == alternative.story) {
            Some((_, bits)) => *bits |= bit,
            None => hits.push((alternative.story, bit)),
        }
    }

    /// Splits the bits of a story by group-by values (aliases may give each selection its own field) and hashes counted values.
    fn story_hits(&self, number: u16, bits: u64, fields: &Fields) -> Vec<StoryHit> {
        let Some(story) = self.stories.get(usize::from(number)) else {
            return Vec::new();
        };
        let values = story.values(bits, fields);
        if story.group_by.is_empty() {
            return vec![StoryHit { story: number, bits, group: String::new(), values }];
        }
        let mut groups: BTreeMap<String, u64> = BTreeMap::new();
        for bit in (0..story.bits).filter(|bit| bits >> bit & 1 == 1) {
            if let Some(group) = story.group(bit, fields) {
                *groups.entry(group).or_default() |= 1 << bit;
            }
        }
        groups
            .into_iter()
            .map(|(group, bits)| StoryHit { story: number, bits, group, values: values.clone() })
            .collect()
    }

    /// Bits of the facts clauses that the scan satisfies: one finding must pass all tests of a clause.
    pub(crate) fn clause_bits(&self, facts: &ScanFacts) -> u64 {
        if self.clauses.is_empty() {
            return 0;
        }
        let mut bits = 0;
        for finding in facts.for_tests() {
            let fields = self.fact_fields.read(&finding);
            for (number, tests) in self.clauses.iter().enumerate() {
                if tests.iter().all(|test| test.passes(&fields)) {
                    bits |= 1 << number;
                }
            }
        }
        bits
    }
}

impl Story {
    /// Evidence against a rule (`absent`) must be remembered for longer than the anchors that it speaks against.
    fn outlast_anchors(&mut self) {
        let anchors = self.horizon.iter().zip(self.window_phases).filter(|(_, is_window)| *is_window);
        let longest = anchors
            .map(|(horizon, _)| *horizon)
            .try_fold(Duration::ZERO, |longest, horizon| Some(longest.max(horizon?)));
        let absent = self.rules.iter().flat_map(|rule| &rule.phases).filter(|phase| phase.presence == Presence::Absent);
        for phase in absent {
            let within = phase
                .within
                .zip(longest)
                .map(|(within, longest)| within.saturating_add(longest).saturating_add(longest));
            widen(&mut self.horizon, phase.phase, within);
        }
    }

    /// `name=value` of all group-by fields; `None` when one is missing, as in Sigma.
    fn group(&self, bit: u8, fields: &Fields) -> Option<String> {
        let mut group = String::new();
        for key in &self.group_by {
            let field = *key.fields.get(usize::from(bit))?;
            let value = fields.of(field).find_map(text_of)?;
            group.push('|');
            group.push_str(&key.name);
            group.push('=');
            group.extend(value.chars().filter(|c| !c.is_control()).take(MAX_GROUP_CHARS));
        }
        Some(group)
    }

    fn values(&self, bits: u64, fields: &Fields) -> Vec<(u8, u64)> {
        let counted = |(number, rule): (usize, &CompiledRule)| {
            let correlation = rule.correlation.as_ref()?;
            let field =
                correlation.value_field.filter(|_| correlation.members.iter().any(|member| member & bits != 0))?;
            Some((u8::try_from(number).ok()?, hash(&fields.of(field).find_map(text_of)?)))
        };
        self.rules.iter().enumerate().filter_map(counted).collect()
    }
}

fn text_of(value: &FieldValue) -> Option<String> {
    match value {
        FieldValue::Text(text) => Some(text.to_string()),
        FieldValue::Number(number) => Some(number.to_string()),
        FieldValue::Bool(truth) => Some(truth.to_string()),
        FieldValue::Null => None,
    }
}

/// FNV-1a, 64 bits: stable between builds, for it is part of saved state.
fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// Builds a set story by story.
#[derive(Default)]
struct Compiler {
    set: RuleSet,
    fields: HashMap<String, u16>,
    faults: Vec<Fault>,
}

impl Compiler {
    fn story(&mut self, name: String, rules: Vec<Rule>) {
        let Ok(number) = u16::try_from(self.set.stories.len()) else { return };
        let Some(first) = rules.first() else { return };
        let (join, group_by) = (first.join, group_names(first));
        let mut story = Story {
            fingerprint: String::new(),
            join,
            rules: Vec::new(),
            quiet: Duration::ZERO,
            resolve_bits: 0,
            window_phases: [false; 4],
            horizon: [Some(Duration::ZERO); 4],
            max_marks: 0,
            has_facts: false,
            fact_clauses: 0,
            group_by: group_by.iter().map(|name| GroupKey { name: name.clone(), fields: Vec::new() }).collect(),
            bits: 0,
            name,
        };
        let mut hasher = Sha256::new();
        for rule in &rules {
            if rule.join != join || group_names(rule) != group_by {
                let what = format!("join or group-by differ from another rule of story `{}`", story.name);
                self.fault(rule, what, "give all rules of a story the same join and group-by");
                continue;
            }
            if rule.selections.len().saturating_add(usize::from(story.bits)) > MAX_BITS {
                let what = format!("story `{}` has more than {MAX_BITS} selections", story.name);
                self.fault(rule, what, "move the rule to another story");
                continue;
            }
            self.rule(number, &mut story, rule);
            hasher.update(rule.name.as_bytes());
            hasher.update([0]);
            hasher.update(rule.source.as_bytes());
            hasher.update([0]);
        }
        story.outlast_anchors();
        story.fingerprint = hex::encode(hasher.finalize().get(..8).unwrap_or_default());
        self.set.stories.push(story);
    }

    fn rule(&mut self, number: u16, story: &mut Story, rule: &Rule) {
        let mut bit_of: HashMap<&str, u64> = HashMap::new();
        for selection in &rule.selections {
            let bit = story.bits;
            story.bits = story.bits.saturating_add(1);
            bit_of.insert(&selection.name, 1 << bit);
            self.groups(
                story,
                rule,
                &selection.name,
                &selection.alternatives.iter().flat_map(|a| a.types.clone()).collect::<Vec<_>>(),
            );
            for alternative in &selection.alternatives {
                self.alternative((number, bit), &alternative.types, alternative.tests.clone());
            }
        }
        let bits_of =
            |names: &[String]| names.iter().filter_map(|name| bit_of.get(name.as_str())).fold(0, |all, bit| all | bit);
        let phases = self.phases(story, rule, &bits_of);
        let correlation = self.correlation(story, rule, &bits_of);
        let bits =
            phases.iter().map(|phase| phase.bits).chain(correlation.iter().flat_map(|c| c.members.iter().copied()));
        story.quiet = story.quiet.max(rule.quiet);
        story.resolve_bits |= bits_of(&rule.resolve_when);
        story.rules.push(CompiledRule {
            name: rule.name.clone(),
            title: rule.title.clone(),
            severity: rule.severity,
            tags: rule.tags.clone(),
            responses: rule.respond.clone(),
            bits: bits.fold(0, |all, bits| all | bits),
            settled_only: phases.iter().any(|phase| phase.presence == Presence::Absent),
            phases,
            correlation,
        });
    }

    fn phases(&mut self, story: &mut Story, rule: &Rule, bits_of: &dyn Fn(&[String]) -> u64) -> Vec<CompiledPhase> {
        let anchor = rule.phases.iter().rposition(|c| c.presence == Presence::Required && !c.select.is_empty());
        let mut phases = Vec::new();
        for (place, clause) in rule.phases.iter().enumerate() {
            let at = clause.phase as usize;
            // Evidence of the anchor's own phase can matter for as long as an incident may stay open without it.
            let within = if Some(place) == anchor { Some(clause.within.unwrap_or(rule.quiet)) } else { clause.within };
            widen(&mut story.horizon, at, within);
            if Some(place) == anchor
                && let Some(flag) = story.window_phases.get_mut(at)
            {
                *flag = true;
            }
            let clause_number = if clause.facts.is_empty() { None } else { self.clause(rule, &clause.facts) };
            story.has_facts |= clause_number.is_some();
            story.fact_clauses |= clause_number.map_or(0, |number| 1 << number);
            story.max_marks = story.max_marks.max(1);
            phases.push(CompiledPhase {
                phase: at,
                presence: clause.presence,
                bits: bits_of(&clause.select),
                clause: clause_number,
                within: clause.within,
            });
        }
        phases
    }

    fn correlation(
        &mut self,
        story: &mut Story,
        rule: &Rule,
        bits_of: &dyn Fn(&[String]) -> u64,
    ) -> Option<CompiledCorrelation> {
        let correlation = rule.correlation.as_ref()?;
        let counted: Vec<_> =
            rule.selections.iter().filter(|selection| correlation.rules.contains(&selection.name)).collect();
        let types: Vec<String> =
            counted.iter().flat_map(|s| s.alternatives.iter().flat_map(|a| a.types.clone())).collect();
        for phase in types.iter().filter_map(|event_type| Phase::of_type(event_type)) {
            widen(&mut story.horizon, phase as usize, Some(correlation.timespan));
            if let Some(flag) = story.window_phases.get_mut(phase as usize) {
                *flag = true;
            }
        }
        let threshold = usize::try_from(correlation.threshold).unwrap_or(usize::MAX);
        story.max_marks = story.max_marks.max(threshold.saturating_mul(2));
        let value_field =
            correlation.field.as_deref().map(|field| self.field(&crate::selection::normal_path(field), &types));
        Some(CompiledCorrelation {
            kind: correlation.kind,
            members: correlation.rules.iter().map(|name| bits_of(std::slice::from_ref(name))).collect(),
            timespan: correlation.timespan,
            threshold,
            value_field,
        })
    }

    /// The field that each group-by name means for one selection: its alias, or the name itself.
    fn groups(&mut self, story: &mut Story, rule: &Rule, selection: &str, types: &[String]) {
        for key in &mut story.group_by {
            let aliases = rule.correlation.iter().flat_map(|correlation| &correlation.aliases);
            let alias = aliases.into_iter().find(|(alias, of, _)| *alias == key.name && of == selection);
            let path = alias.map_or(key.name.as_str(), |(_, _, field)| field.as_str());
            let field = self.field(&crate::selection::normal_path(path), types);
            key.fields.push(field);
        }
    }

    fn alternative(&mut self, place: (u16, u8), types: &[String], mut tests: Vec<Test>) {
        for test in &mut tests {
            test.field = self.field(&test.path, types);
        }
        let number = self.set.alternatives.len();
        let indexed = tests.iter().filter(|test| test.path.ends_with(".tags") || test.path.ends_with(".rule"));
        let keys = indexed.filter_map(|test| Some((test.field, test.index_keys()?))).next();
        for event_type in types {
            let index = self.set.types.entry(event_type.clone()).or_default();
            match &keys {
                Some((field, keys)) => {
                    let by_value = index.keyed.entry(*field).or_default();
                    keys.iter().for_each(|key| by_value.entry(key.clone()).or_default().push(number));
                }
                None => index.always.push(number),
            }
        }
        self.set.alternatives.push(CompiledAlternative { story: place.0, bit: place.1, tests });
    }

    fn clause(&mut self, rule: &Rule, tests: &[Test]) -> Option<u8> {
        if self.set.clauses.len() >= MAX_BITS {
            self.fault(rule, format!("more than {MAX_BITS} `facts` clauses in all rules"), "remove some");
            return None;
        }
        let mut tests = tests.to_vec();
        for test in &mut tests {
            test.field = self.number(&test.path);
            self.set.fact_fields.want(&test.path, test.field);
        }
        self.set.clauses.push(tests);
        u8::try_from(self.set.clauses.len().saturating_sub(1)).ok()
    }

    /// Numbers a field and asks for it in events of the given types.
    fn field(&mut self, path: &str, types: &[String]) -> u16 {
        let number = self.number(path);
        for event_type in types {
            self.set.types.entry(event_type.clone()).or_default().wanted.want(path, number);
        }
        number
    }

    fn number(&mut self, path: &str) -> u16 {
        let next = u16::try_from(self.fields.len()).unwrap_or(u16::MAX);
        *self.fields.entry(path.to_owned()).or_insert(next)
    }

    fn fault(&mut self, rule: &Rule, what: String, remedy: &str) {
        let fault = Fault::new(FaultKind::Invalid, &rule.file, what).at(rule.line, 1);
        self.faults.push(fault.about(format!("IncidentRule {}", rule.name)).cure(remedy));
    }
}

fn group_names(rule: &Rule) -> Vec<String> {
    rule.correlation.as_ref().map(|correlation| correlation.group_by.clone()).unwrap_or_default()
}

/// Raises the horizon of a phase; `None`, which is without end, wins.
fn widen(horizon: &mut [Option<Duration>; 4], phase: usize, within: Option<Duration>) {
    if let Some(slot) = horizon.get_mut(phase) {
        *slot = match (*slot, within) {
            (Some(a), Some(b)) => Some(a.max(b)),
            _ => None,
        };
    }
}

const MAX_BITS: usize = 64;
const MAX_GROUP_CHARS: usize = 128;
