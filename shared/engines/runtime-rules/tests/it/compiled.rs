//! The compiled program means what the conditions mean.

use std::borrow::Cow;
use std::net::IpAddr;

use proptest::prelude::*;
use runtime_rules::{
    Event, EventType, Field, FieldArgument, FieldId, FieldType, Known, LoadOptions, Matching, RuleSet, Scratch,
    SourceFile, Value,
};

/// An event made of a number: each field's value follows from it, few of each kind so that comparisons hold often.
#[derive(Debug)]
struct Made {
    event_type: EventType,
    seed: u64,
}

const TEXTS: [&str; 10] = ["", "a", "ab", "abc", "b", "bc", "/etc/a", "/etc/ab", "ETC", "x y"];

impl Made {
    fn number(&self, field: FieldId, argument: Option<&FieldArgument>, salt: u64) -> u64 {
        let bytes = argument.map_or(0, |argument| argument.text().bytes().map(u64::from).sum());
        let mixed = (self.seed ^ (field as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (bytes << 32) ^ (salt << 48))
            .wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed >> 40
    }

    fn text(&self, number: u64) -> Value<'static> {
        Value::Text(Cow::Borrowed(TEXTS[number as usize % TEXTS.len()].as_bytes()))
    }
}

impl Event for Made {
    fn event_type(&self) -> EventType {
        self.event_type
    }

    fn timestamp_ns(&self) -> u64 {
        self.seed
    }

    fn field(&self, field: FieldId, argument: Option<&FieldArgument>) -> Option<Value<'_>> {
        let number = self.number(field, argument, 0);
        if field == FieldId::EvtNum {
            return Some(Value::Number(7)); // events are counted from 1
        }
        if number.is_multiple_of(5) {
            return None;
        }
        let address = |number: u64| Value::Address(IpAddr::from([10, 0, 0, number as u8 % 4]));
        let both = matches!(field, FieldId::FdIp | FieldId::FdNet | FieldId::FdPort);
        let many = matches!(field, FieldId::ProcAname) && argument.is_none();
        let one = |salt| {
            let number = self.number(field, argument, salt);
            match field.field_type() {
                FieldType::Number | FieldType::Decimal => Value::Number(number as i64 % 4),
                FieldType::Boolean => Value::Boolean(number.is_multiple_of(2)),
                FieldType::Address => address(number),
                FieldType::TextList => Value::List(vec![self.text(number), self.text(number / 16)]),
                FieldType::Text | FieldType::Path => self.text(number),
            }
        };
        Some(if both || many { Value::Any((1..=number % 3 + u64::from(both)).map(one).collect()) } else { one(1) })
    }
}

fn leaf() -> impl Strategy<Value = String> {
    let text =
        prop::sample::select(vec!["a", "ab", "bc", "/etc", "/etc/a", "\"\"", "\"x y\"", "etc", "ETC", "c/a", "/"]);
    let field = prop::sample::select(vec!["proc.name", "fd.name", "proc.aname", "proc.aname[2]", "evt.arg.flags"]);
    let operator =
        prop::sample::select(vec!["=", "!=", "contains", "icontains", "startswith", "endswith", "glob", "regex"]);
    let quantifier = prop::sample::select(vec!["oneof", "allof"]);
    let list_operator = prop::sample::select(vec!["in", "intersects", "pmatch"]);
    prop_oneof![
        4 => (field.clone(), operator.clone(), text.clone()).prop_map(|(f, o, t)| format!("{f} {o} {t}")),
        2 => (field.clone(), operator, quantifier, text.clone(), text.clone())
            .prop_map(|(f, o, q, a, b)| format!("{f} {o} {q} ({a}, {b})")),
        3 => (field.clone(), list_operator, text.clone(), text).prop_map(|(f, o, a, b)| format!("{f} {o} ({a}, {b})")),
        1 => field.clone().prop_map(|f| format!("{f} exists")),
        1 => field.prop_map(|f| format!("toupper({f}) = val(proc.pname)")),
        3 => prop::sample::select(vec![
            "evt.type = open", "evt.type in (open, execve)", "evt.type != connect", "evt.type startswith exec",
            "evt.num = 0", "evt.dir = <", "evt.is_open_write = true", "proc.pid >= 2", "proc.pid in (1, 3)",
            "fd.ip = 10.0.0.1", "fd.ip != 10.0.0.1", "fd.net in (10.0.0.0/31)", "fd.port != 2", "fd.port = 2",
            "fd.types in (a, ab, abc)", "fd.types intersects (b, bc)", "len(proc.name) > 2", "container.id exists",
        ]).prop_map(str::to_owned),
    ]
}

fn condition() -> impl Strategy<Value = String> {
    leaf().prop_recursive(4, 32, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 2..5).prop_map(|parts| format!("({})", parts.join(" and "))),
            prop::collection::vec(inner.clone(), 2..5).prop_map(|parts| format!("({})", parts.join(" or "))),
            inner.prop_map(|part| format!("not ({part})")),
        ]
    })
}

fn load(conditions: &[String]) -> RuleSet {
    let mut text = String::new();
    for (number, condition) in conditions.iter().enumerate() {
        text +=
            &format!("- rule: r{number}\n  desc: d\n  condition: >-\n    {condition}\n  output: o\n  priority: INFO\n");
    }
    let loaded = RuleSet::load(&[SourceFile { name: "r", text: &text }], &LoadOptions::default());
    assert_eq!(loaded.rules.rules().len(), conditions.len(), "{:?}", loaded.faults);
    loaded.rules
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn compiled_rules_match_what_their_conditions_say(
        conditions in prop::collection::vec(condition(), 1..6),
        seeds in prop::collection::vec(any::<u64>(), 12),
    ) {
        let rules = load(&conditions);
        let mut scratch = Scratch::default();
        for (seed, name) in seeds.iter().zip(["open", "execve", "connect", "close"].iter().cycle()) {
            let event = Made { event_type: EventType::named(name).unwrap(), seed: *seed };
            let expected: Vec<_> = rules.rules().iter().filter(|rule| rule.holds(&event)).map(|rule| &rule.name).collect();
            let all: Vec<_> = rules.evaluate(&event, Matching::All, &mut scratch).iter().map(|rule| &rule.name).collect();
            prop_assert_eq!(&all, &expected, "{:?}", event);
            let first: Vec<_> = rules.evaluate(&event, Matching::First, &mut scratch).iter().map(|rule| &rule.name).collect();
            prop_assert_eq!(&first[..], &expected[..expected.len().min(1)]);
            prop_assert!(expected.is_empty() || rules.wants(event.event_type));
            for rule in rules.rules() {
                let steps = rule.steps(&event);
                prop_assert_eq!(steps[0].holds && rule.types.contains(event.event_type), rule.holds(&event));
            }
        }
    }
}

/// One event with the fields of another in part.
struct Mixed<'a> {
    known: &'a Made,
    rest: Made,
    knows: fn(FieldId) -> bool,
}

impl Event for Mixed<'_> {
    fn event_type(&self) -> EventType {
        self.known.event_type
    }

    fn timestamp_ns(&self) -> u64 {
        self.rest.timestamp_ns()
    }

    fn field(&self, field: FieldId, argument: Option<&FieldArgument>) -> Option<Value<'_>> {
        let from = if (self.knows)(field) { self.known } else { &self.rest };
        from.field(field, argument)
    }
}

fn is_of_file(field: FieldId) -> bool {
    matches!(field, FieldId::FdName | FieldId::EvtIsOpenWrite | FieldId::EvtArg | FieldId::FdTypes)
}

/// How many events of these rules could be left out, of so many; none of them is one that a rule matches.
fn left_out(rules: &RuleSet, events: impl Iterator<Item = Made>) -> usize {
    let mut scratch = Scratch::default();
    let known = |field: &Field| if is_of_file(field.id) { Known::Value } else { Known::Nothing };
    let nothing_may = |event: &Made| !rules.may_match(event, &mut scratch, &known);
    let unwanted: Vec<Made> = events.filter(nothing_may).collect();
    for event in &unwanted {
        for seed in 0..50 {
            let rest = Made { event_type: event.event_type, seed };
            let mixed = Mixed { known: event, rest, knows: is_of_file };
            let holds = rules.rules().iter().find(|rule| rule.holds(&mixed));
            assert!(holds.is_none(), "{event:?} {seed} {:?}", holds.map(|rule| &rule.condition_text));
        }
    }
    unwanted.len()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn what_may_not_match_does_not_whatever_else_is_true(conditions in prop::collection::vec(condition(), 1..4)) {
        let rules = load(&conditions);
        left_out(&rules, (0..24).map(|seed| Made { event_type: EventType::named("open").unwrap(), seed }));
        // Who knows every field knows what holds.
        let event = Made { event_type: EventType::named("open").unwrap(), seed: 5 };
        let holds = rules.rules().iter().any(|rule| rule.holds(&event));
        prop_assert_eq!(rules.may_match(&event, &mut Scratch::default(), &|_| Known::Value), holds);
    }

    #[test]
    fn what_may_not_match_in_a_folder_does_not_whatever_its_name(conditions in prop::collection::vec(condition(), 1..4)) {
        left_out_by_folder(&load(&conditions));
    }
}

/// An event whose file has another name in the same folder, and of which nothing else is known.
struct Renamed<'a> {
    known: &'a Made,
    rest: Made,
    name: &'static str,
}

impl Event for Renamed<'_> {
    fn event_type(&self) -> EventType {
        self.known.event_type
    }

    fn timestamp_ns(&self) -> u64 {
        self.rest.timestamp_ns()
    }

    fn field(&self, field: FieldId, argument: Option<&FieldArgument>) -> Option<Value<'_>> {
        if field != FieldId::FdName {
            return if is_of_file(field) {
                self.known.field(field, argument)
            } else {
                self.rest.field(field, argument)
            };
        }
        let Value::Text(text) = self.known.field(field, argument)? else { return None };
        let slash = text.iter().rposition(|byte| *byte == b'/').map_or(0, |slash| slash + 1);
        Some(Value::Text([&text[..slash], self.name.as_bytes()].concat().into()))
    }
}

/// How many events of these rules could be left out by their folder; none of them is one that a rule matches.
fn left_out_by_folder(rules: &RuleSet) -> usize {
    let known = |field: &Field| match field.id {
        FieldId::FdName => Known::Folder,
        id if is_of_file(id) => Known::Value,
        _ => Known::Nothing,
    };
    let (mut scratch, mut left_out) = (Scratch::default(), 0);
    for seed in 0..24 {
        let event = Made { event_type: EventType::named("open").unwrap(), seed };
        if rules.may_match(&event, &mut scratch, &known) {
            continue;
        }
        left_out += 1;
        for (name, seed) in ["a", "ab", "abc", "bc", "ETC", "x y", "a.b", "xetc"]
            .into_iter()
            .flat_map(|name| (0..12).map(move |seed| (name, seed)))
        {
            let renamed = Renamed { known: &event, rest: Made { event_type: event.event_type, seed }, name };
            let holds = rules.rules().iter().find(|rule| rule.holds(&renamed));
            assert!(holds.is_none(), "{event:?} {name} {seed} {:?}", holds.map(|rule| &rule.condition_text));
        }
    }
    left_out
}

#[test]
fn opens_that_no_rule_can_want_are_known_by_their_folder() {
    // Events without any file name, some one in five, are never left out.
    for (condition, expected) in [
        ("evt.type = open and fd.name startswith /usr/", 12..=24),
        ("evt.type = open and fd.name contains ../", 12..=24),
        ("evt.type = open and fd.name endswith /.ab", 12..=24),
        ("evt.type = open and fd.name glob /usr/*", 12..=24),
        ("evt.type = open and fd.name = a", 1..=12),
        ("evt.type = open and fd.name endswith key", 0..=0),
        ("evt.type = open and not fd.name in (/usr/a, /usr/b)", 0..=0),
    ] {
        let left = left_out_by_folder(&load(&[condition.to_owned()]));
        assert!(expected.contains(&left), "{condition}: {left}");
    }
}

/// The peers' rules, with values that hit their literals.
#[test]
fn the_peers_rules_mean_the_same_when_compiled() {
    let Some(corpus) = testkit::corpus::Corpus::open("falco-rules-compiled", "falco/rules") else { return };
    let mut texts = Vec::new();
    for entry in std::fs::read_dir(corpus.folder()).unwrap() {
        texts.push(std::fs::read_to_string(entry.unwrap().path()).unwrap());
    }
    let files: Vec<_> = texts.iter().map(|text| SourceFile { name: "rules", text }).collect();
    let rules = RuleSet::load(&files, &LoadOptions::default()).rules;
    let mut scratch = Scratch::default();
    for event_type in rules.event_types().iter() {
        for seed in 0..200 {
            let event = Made { event_type, seed };
            let expected: Vec<_> =
                rules.rules().iter().filter(|rule| rule.holds(&event)).map(|rule| &rule.name).collect();
            let all: Vec<_> =
                rules.evaluate(&event, Matching::All, &mut scratch).iter().map(|rule| &rule.name).collect();
            assert_eq!(all, expected, "{event:?}");
        }
    }
}

/// More rules than fit into one word of bits, with shared parts and beginnings of many letters.
#[test]
fn many_rules_of_one_type_match_what_their_conditions_say() {
    let shared = ["evt.is_open_write = true", "proc.name != a", "fd.name startswith /etc", "proc.pid >= 2"];
    let own = ["proc.name in (a, b, c, d, e, f, g, h, ab)", "fd.name contains bc", "evt.arg.flags endswith b"];
    let conditions: Vec<String> = (0..200)
        .map(|at| format!("evt.type = open and {} and {}", shared[at % shared.len()], own[at / 8 % own.len()]))
        .collect();
    let (rules, mut scratch, mut matched) = (load(&conditions), Scratch::default(), 0);
    for seed in 0..500 {
        let event = Made { event_type: EventType::named("open").unwrap(), seed };
        let expected: Vec<_> = rules.rules().iter().filter(|rule| rule.holds(&event)).map(|rule| &rule.name).collect();
        let all: Vec<_> = rules.evaluate(&event, Matching::All, &mut scratch).iter().map(|rule| &rule.name).collect();
        assert_eq!(all, expected, "{event:?}");
        matched += all.len();
    }
    assert!(matched > 1_000, "{matched}");
}
