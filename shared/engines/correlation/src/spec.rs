//! Reads the YAML of rules: one function per block, every fault with its place.

use std::time::Duration;

use model::{Fault, FaultKind, Severity};

use crate::event::Phase;
use crate::rule::{Correlation, CorrelationKind, Join, PhaseClause, Presence, Rule};
use crate::selection::{Alternative, Comparison, Selection, Test};
use crate::yaml::{self, Key, Kind, Node};

pub(crate) fn read(file: &str, text: &str) -> (Vec<Rule>, Vec<Fault>) {
    let documents = match yaml::documents(file, text) {
        Ok(documents) => documents,
        Err(fault) => return (Vec::new(), vec![*fault]),
    };
    let (mut rules, mut faults) = (Vec::new(), Vec::new());
    for document in &documents {
        let is_ours = document.entry("kind").and_then(Node::as_text).is_some_and(|kind| kind == "IncidentRule");
        if !is_ours {
            continue;
        }
        let mut reader = Reader { file, subject: String::new(), faults: Vec::new() };
        let rule = reader.rule(document);
        match rule.filter(|_| reader.faults.iter().all(|fault| fault.kind == FaultKind::Warning)) {
            Some(rule) if rules.iter().any(|other: &Rule| other.name == rule.name) => {
                reader.invalid((rule.line, 1), "another rule of this file has the same name", "rename one of them");
            }
            Some(rule) => rules.push(rule),
            None => {}
        }
        faults.append(&mut reader.faults);
    }
    (rules, faults)
}

/// Reads one rule and gathers what is wrong with it.
struct Reader<'a> {
    file: &'a str,
    subject: String,
    faults: Vec<Fault>,
}

type Place = (u32, u32);

impl Reader<'_> {
    fn rule(&mut self, document: &Node) -> Option<Rule> {
        self.known(document, &["apiVersion", "kind", "metadata", "spec"]);
        let name =
            document.entry("metadata").and_then(|node| node.entry("name")).and_then(Node::as_text).unwrap_or_default();
        self.subject = format!("IncidentRule {name}");
        if name.is_empty() || name.len() > 128 {
            self.invalid(document.place(), "the rule has no name", "set metadata.name");
        }
        let version = document.entry("apiVersion").and_then(Node::as_text).unwrap_or_default();
        if version != "biotope.dev/v1" {
            let what = format!("apiVersion `{version}`");
            self.unsupported(document.place(), what, "use biotope.dev/v1");
        }
        let Some(spec) = document.entry("spec") else {
            self.invalid(document.place(), "the rule has no spec", "add spec");
            return None;
        };
        self.known(spec, SPEC_KEYS);
        let lifecycle = spec.entry("lifecycle");
        if let Some(node) = lifecycle {
            self.known(node, &["quiet", "resolve-when"]);
        }
        let rule = Rule {
            file: self.file.to_owned(),
            line: document.line,
            title: self.text(spec, "title").unwrap_or_else(|| name.clone()),
            severity: self.level(spec),
            tags: self.texts(spec.entry("tags")),
            story: self.text(spec, "story").unwrap_or_else(|| name.clone()),
            join: self.join(spec),
            selections: self.selections(spec),
            correlation: spec.entry("correlation").and_then(|node| self.correlation(node)),
            phases: self.phases(spec),
            quiet: lifecycle.and_then(|node| self.duration(node, "quiet")).unwrap_or(DEFAULT_QUIET),
            resolve_when: self.texts(lifecycle.and_then(|node| node.entry("resolve-when"))),
            respond: self.responses(spec),
            source: spec.canonical(),
            name,
        };
        self.check(&rule, spec);
        Some(rule)
    }

    /// What only the whole rule can tell.
    fn check(&mut self, rule: &Rule, spec: &Node) {
        let required =
            rule.phases.iter().any(|clause| clause.presence == Presence::Required && !clause.select.is_empty());
        if rule.correlation.is_none() && !required {
            let remedy = "add a correlation, or a required phase with `select`";
            self.invalid(spec.place(), "the rule has nothing that can open an incident", remedy);
        }
        let named = rule.phases.iter().flat_map(|clause| clause.select.iter().map(|name| (clause.line, name)));
        let counted = rule.correlation.iter().flat_map(|c| c.rules.iter().map(|name| (c.line, name)));
        let ending = rule.resolve_when.iter().map(|name| (spec.line, name));
        let missing: Vec<(u32, String)> = named
            .chain(counted)
            .chain(ending)
            .filter(|(_, name)| !rule.selections.iter().any(|selection| selection.name == **name))
            .map(|(line, name)| (line, name.clone()))
            .collect();
        for (line, name) in missing {
            if name.contains(' ') {
                self.unsupported(
                    (line, 1),
                    format!("the expression `{name}`"),
                    "list the names of selections; any of them counts",
                );
            } else {
                self.invalid((line, 1), format!("`{name}` is not a selection of this rule"), "add it to `selections`");
            }
        }
        for clause in &rule.phases {
            if clause.select.is_empty() == clause.facts.is_empty() {
                self.invalid((clause.line, 1), "a phase needs either `select` or `facts`", "keep one of them");
            }
        }
    }

    fn level(&mut self, spec: &Node) -> Severity {
        let Some(node) = spec.entry("level") else {
            return Severity::Medium;
        };
        let word = node.as_text().unwrap_or_default();
        if word.eq_ignore_ascii_case("informational") {
            return Severity::Low;
        }
        word.parse().unwrap_or_else(|_| {
            let remedy = "use informational, low, medium, high or critical";
            self.invalid(node.place(), format!("level `{word}`"), remedy);
            Severity::Medium
        })
    }

    fn join(&mut self, spec: &Node) -> Join {
        let Some(node) = spec.entry("join") else {
            return Join::Pod;
        };
        match node.as_text().as_deref() {
            Some("pod") => Join::Pod,
            Some("workload") => Join::Workload,
            Some("image") => Join::Image,
            Some("node") => Join::Node,
            other => {
                let what = format!("join `{}`", other.unwrap_or_default());
                self.invalid(node.place(), what, "use pod, workload, image or node");
                Join::Pod
            }
        }
    }

    fn selections(&mut self, spec: &Node) -> Vec<Selection> {
        let Some(node) = spec.entry("selections") else {
            return Vec::new();
        };
        node.entries().iter().map(|(key, node)| self.selection(key, node)).collect()
    }

    fn selection(&mut self, key: &Key, node: &Node) -> Selection {
        let alternatives = node.items().iter().map(|item| self.alternative(item)).collect();
        Selection { name: key.text.clone(), alternatives }
    }

    fn alternative(&mut self, node: &Node) -> Alternative {
        let (mut types, mut tests) = (Vec::new(), Vec::new());
        for (key, value) in node.entries() {
            if key.text == "type" {
                types = self.texts(Some(value));
                self.check_types(&types, value.place());
                continue;
            }
            if let Some(test) = self.test(key, value) {
                tests.push(test);
            }
        }
        if types.is_empty() {
            self.invalid(node.place(), "a selection without an event type", "add `type`, such as run.rule.matched");
        }
        Alternative { types, tests }
    }

    fn check_types(&mut self, types: &[String], place: Place) {
        for event_type in types {
            if event_type.contains('*') {
                self.unsupported(place, format!("wildcard in the type `{event_type}`"), "list the types");
            } else if Phase::of_type(event_type).is_none() || event_type.split('.').count() != 3 {
                self.invalid(
                    place,
                    format!("`{event_type}` is not an event type"),
                    "use phase.noun.participle, such as run.rule.matched",
                );
            } else if event_type.starts_with("build.") {
                let remedy = "use `facts` in a phase entry: scan results join by image digest, whenever the scan was";
                self.unsupported(place, format!("selecting `{event_type}`"), remedy);
            }
        }
    }

    fn test(&mut self, key: &Key, value: &Node) -> Option<Test> {
        match Test::parse(&key.text, value) {
            Ok(test) => Some(test),
            Err(error) if error.unsupported => {
                self.unsupported((key.line, key.column), error.what, "write the selection without it");
                None
            }
            Err(error) => {
                self.invalid((key.line, key.column), error.what, "correct the selection");
                None
            }
        }
    }

    fn correlation(&mut self, node: &Node) -> Option<Correlation> {
        self.known(node, &["type", "rules", "group-by", "timespan", "condition", "aliases", "generate"]);
        let word = self.text(node, "type").unwrap_or_default();
        let kind = match word.as_str() {
            "event_count" => CorrelationKind::EventCount,
            "value_count" => CorrelationKind::ValueCount,
            "temporal" => CorrelationKind::Temporal,
            "temporal_ordered" => CorrelationKind::TemporalOrdered,
            "value_sum" | "value_avg" | "value_percentile" | "value_median" => {
                self.unsupported(node.place(), format!("correlation type `{word}`"), "use event_count or value_count");
                return None;
            }
            _ => {
                let remedy = "use event_count, value_count, temporal or temporal_ordered";
                self.invalid(node.place(), format!("correlation type `{word}`"), remedy);
                return None;
            }
        };
        let rules = self.texts(node.entry("rules"));
        if rules.is_empty() {
            self.invalid(node.place(), "a correlation without `rules`", "name the selections that it counts");
        }
        let timespan = self.duration(node, "timespan");
        if timespan.is_none() && node.entry("timespan").is_none() {
            self.invalid(node.place(), "a correlation without `timespan`", "add it, such as 5m");
        }
        let (threshold, field) = self.condition(node, kind, rules.len())?;
        let (group_by, aliases) = (self.texts(node.entry("group-by")), self.aliases(node.entry("aliases")));
        Some(Correlation { line: node.line, kind, rules, group_by, timespan: timespan?, threshold, field, aliases })
    }

    /// `condition: {gte: 5, field: user}`; for the temporal kinds it counts different selections and defaults to all of them.
    fn condition(&mut self, node: &Node, kind: CorrelationKind, rules: usize) -> Option<(u32, Option<String>)> {
        let temporal = matches!(kind, CorrelationKind::Temporal | CorrelationKind::TemporalOrdered);
        let Some(condition) = node.entry("condition") else {
            if temporal {
                return Some((u32::try_from(rules).unwrap_or(u32::MAX), None));
            }
            self.invalid(node.place(), "a count without `condition`", "add it, such as {gte: 5}");
            return None;
        };
        self.known(condition, &["gt", "gte", "lt", "lte", "eq", "neq", "field"]);
        let mut found = None;
        for (key, value) in condition.entries().iter().filter(|(key, _)| key.text != "field") {
            let number =
                value.as_text().and_then(|text| text.parse::<u32>().ok()).filter(|number| *number <= MAX_THRESHOLD);
            match (Comparison::parse(&key.text), number) {
                (Some(comparison @ (Comparison::Gt | Comparison::Gte)), Some(number)) => {
                    found = Some((comparison, number))
                }
                (Some(_), Some(_)) => {
                    let remedy = "use gt or gte: fewer events than a bound is what `presence: absent` is for";
                    self.unsupported((key.line, key.column), format!("condition `{}`", key.text), remedy);
                }
                _ => {
                    let what = format!("`{}` needs a whole number up to {MAX_THRESHOLD}", key.text);
                    self.invalid((key.line, key.column), what, "correct the condition");
                }
            }
        }
        let field = self.text(condition, "field");
        if kind == CorrelationKind::ValueCount && field.is_none() {
            self.invalid(condition.place(), "value_count without `field`", "name the field whose values are counted");
        }
        let (comparison, number) = found?;
        let least = if comparison == Comparison::Gt { number.saturating_add(1) } else { number };
        Some((least.max(1), field))
    }

    fn aliases(&mut self, node: Option<&Node>) -> Vec<(String, String, String)> {
        let entries = node.map(Node::entries).unwrap_or_default();
        let one = |(alias, by_rule): &(Key, Node)| {
            let pair = |(rule, field): &(Key, Node)| Some((alias.text.clone(), rule.text.clone(), field.as_text()?));
            by_rule.entries().iter().filter_map(pair).collect::<Vec<_>>()
        };
        entries.iter().flat_map(one).collect()
    }

    fn phases(&mut self, spec: &Node) -> Vec<PhaseClause> {
        let Some(node) = spec.entry("phases") else {
            return Vec::new();
        };
        node.items().iter().filter_map(|item| self.phase(item)).collect()
    }

    fn phase(&mut self, node: &Node) -> Option<PhaseClause> {
        self.known(node, &["phase", "select", "facts", "presence", "within"]);
        let word = self.text(node, "phase").unwrap_or_default();
        let Some(phase) = Phase::ALL.into_iter().find(|phase| phase.as_str() == word) else {
            self.invalid(node.place(), format!("phase `{word}`"), "use build, deploy, start or run");
            return None;
        };
        let presence = match self.text(node, "presence").as_deref() {
            None | Some("required") => Presence::Required,
            Some("optional") => Presence::Optional,
            Some("absent") => Presence::Absent,
            Some(other) => {
                self.invalid(node.place(), format!("presence `{other}`"), "use required, optional or absent");
                return None;
            }
        };
        let facts = node.entry("facts").map(|facts| self.facts(facts)).unwrap_or_default();
        if !facts.is_empty() && phase != Phase::Build {
            self.invalid(node.place(), "`facts` are of phase build", "set `phase: build`");
        }
        let (select, within) = (self.texts(node.entry("select")), self.duration(node, "within"));
        Some(PhaseClause { line: node.line, phase, presence, select, facts, within })
    }

    fn facts(&mut self, node: &Node) -> Vec<Test> {
        let mut tests = Vec::new();
        for (key, value) in node.entries() {
            let field = key.text.split('|').next().unwrap_or_default();
            let scope = match field {
                "severity" | "fixable" | "advisory" | "package" => "finding",
                "reference" | "packages" | "partial" | "findings" => "image",
                _ => {
                    let remedy = "use severity, fixable, advisory, package (of one finding), reference, packages, partial, findings";
                    self.invalid((key.line, key.column), format!("`{field}` is not a scan fact"), remedy);
                    continue;
                }
            };
            let scoped = Key { text: format!("{scope}.{}", key.text), ..key.clone() };
            tests.extend(self.test(&scoped, value));
        }
        tests
    }

    fn responses(&mut self, spec: &Node) -> Vec<String> {
        let kinds = self.texts(spec.entry("respond"));
        for kind in &kinds {
            if !RESPONSES.contains(&kind.as_str()) {
                let what = format!("response `{kind}`");
                self.unsupported(
                    spec.entry("respond").map_or((0, 0), Node::place),
                    what,
                    "use block-digest, quarantine, rotate or evict",
                );
            }
        }
        kinds
    }

    fn text(&mut self, node: &Node, key: &str) -> Option<String> {
        let value = node.entry(key)?;
        let text = value.as_text();
        if text.is_none() {
            self.invalid(value.place(), format!("`{key}` is not a text"), "write a text");
        }
        text
    }

    fn texts(&mut self, node: Option<&Node>) -> Vec<String> {
        let Some(node) = node else {
            return Vec::new();
        };
        let texts: Vec<String> = node.items().iter().filter_map(Node::as_text).collect();
        if texts.len() != node.items().len() {
            self.invalid(node.place(), "not a list of texts", "write a text or a list of texts");
        }
        texts
    }

    /// Sigma's durations: a whole number and `s`, `m`, `h` or `d`.
    fn duration(&mut self, node: &Node, key: &str) -> Option<Duration> {
        let value = node.entry(key)?;
        let text = value.as_text().unwrap_or_default();
        let seconds = text.char_indices().next_back().and_then(|(at, unit)| {
            let number: u64 = text.get(..at)?.parse().ok()?;
            number.checked_mul(match unit {
                's' => 1,
                'm' => 60,
                'h' => 3_600,
                'd' => 86_400,
                _ => return None,
            })
        });
        let duration = seconds.filter(|seconds| (1..=MAX_SECONDS).contains(seconds)).map(Duration::from_secs);
        if duration.is_none() {
            self.invalid(
                value.place(),
                format!("`{text}` is not a duration"),
                "write a number and s, m, h or d, from 1s to 400d",
            );
        }
        duration
    }

    fn known(&mut self, node: &Node, keys: &[&str]) {
        if !matches!(node.kind, Kind::Map(_)) {
            self.invalid(node.place(), "not a map", "write keys and values");
        }
        for (key, _) in node.entries() {
            if !keys.contains(&key.text.as_str()) {
                let remedy = format!("use one of {}", keys.join(", "));
                self.invalid((key.line, key.column), format!("unknown key `{}`", key.text), &remedy);
            }
        }
    }

    fn invalid(&mut self, place: Place, what: impl Into<String>, remedy: &str) {
        self.fault(FaultKind::Invalid, place, what.into(), remedy);
    }

    fn unsupported(&mut self, place: Place, what: impl Into<String>, remedy: &str) {
        self.fault(FaultKind::Unsupported, place, what.into(), remedy);
    }

    fn fault(&mut self, kind: FaultKind, place: Place, what: String, remedy: &str) {
        let fault = Fault::new(kind, self.file, what).at(place.0, place.1).about(self.subject.clone()).cure(remedy);
        self.faults.push(fault);
    }
}

impl Node {
    fn place(&self) -> Place {
        (self.line, self.column)
    }
}

const SPEC_KEYS: &[&str] = &[
    "title",
    "description",
    "level",
    "tags",
    "story",
    "join",
    "selections",
    "correlation",
    "phases",
    "lifecycle",
    "respond",
];
const RESPONSES: &[&str] = &["block-digest", "quarantine", "rotate", "evict"];
const DEFAULT_QUIET: Duration = Duration::from_secs(30 * 60);
const MAX_SECONDS: u64 = 400 * 86_400;
const MAX_THRESHOLD: u32 = 4_096;
