//! Evaluation on events given as data.

use std::collections::BTreeMap;

use model::FaultKind;
use runtime_rules::{
    Event, EventType, Field, FieldArgument, FieldId, LoadOptions, Loaded, Matching, RuleSet, Scratch, SourceFile, Value,
};

/// An event given as data: fields by the name that outputs use.
pub(crate) struct Sample(pub(crate) &'static str, pub(crate) BTreeMap<&'static str, Value<'static>>);

impl Event for Sample {
    fn event_type(&self) -> EventType {
        EventType::named(self.0).unwrap()
    }

    fn timestamp_ns(&self) -> u64 {
        1_767_275_611_726_060_287
    }

    fn field(&self, field: FieldId, argument: Option<&FieldArgument>) -> Option<Value<'_>> {
        let field = Field { id: field, argument: argument.cloned() };
        self.1.get(field.to_string().as_str()).cloned()
    }
}

pub(crate) fn load(yaml: &str) -> Loaded {
    let options = LoadOptions { append_output: Vec::new(), ..LoadOptions::default() };
    RuleSet::load(&[SourceFile { name: "r.yaml", text: yaml }], &options)
}

fn check(condition: &str, expected: bool) {
    let yaml = format!(
        "- rule: r\n  desc: d\n  condition: >\n    {condition}\n  output: '%proc.name %user.name'\n  priority: INFO\n"
    );
    let loaded = load(&yaml);
    let faults: Vec<_> = loaded.faults.iter().filter(|fault| fault.kind != FaultKind::Warning).collect();
    assert!(faults.is_empty(), "{condition}: {faults:?}");
    let event = Sample(
        "openat",
        BTreeMap::from([
            ("proc.name", Value::text("cat")),
            ("proc.pid", Value::Number(42)),
            ("fd.name", Value::text("/etc/shadow")),
            ("proc.aname", Value::Any(vec![Value::text("sh"), Value::text("containerd-shim")])),
            ("proc.aname[2]", Value::text("containerd-shim")),
            (
                "fd.ip",
                Value::Any(vec![
                    Value::Address("10.1.2.3".parse().unwrap()),
                    Value::Address("192.0.2.7".parse().unwrap()),
                ]),
            ),
            ("evt.arg.flags", Value::text("O_RDONLY|O_CLOEXEC")),
            ("container.privileged", Value::Boolean(true)),
        ]),
    );
    assert_eq!(
        loaded.rules.evaluate(&event, Matching::First, &mut Scratch::default()).len() == 1,
        expected,
        "{condition}"
    );
}

#[test]
fn words_that_need_no_blank_behind_them_have_none() {
    check("proc.name existsand fd.name=/etc/shadow", true);
    check("proc.name in(cat) and proc.pid >= 42and fd.name pmatch(/etc)", true);
    check("proc.name incat and proc.name intersects(cat, dog)", true);
    check("not proc.name in\t(dog)", true);
}

#[test]
fn operators_and_missing_values() {
    for (condition, expected) in [
        ("evt.type=openat and proc.name=cat", true),
        ("evt.type=execve and proc.name=cat", false),
        ("evt.type in (open, openat) and fd.name startswith /etc/", true),
        ("proc.name in (cat, dog)", true),
        ("fd.name pmatch (/etc, /var)", true),
        ("fd.name pmatch (/et)", false),
        ("fd.name glob /etc/sha*", true),
        ("fd.name regex .*shad.w", true),
        ("fd.name regex shad.w", false),
        ("fd.name icontains SHADOW", true),
        ("fd.name bcontains 2f736861", true),
        ("fd.name endswith oneof (passwd, shadow)", true),
        ("fd.name contains allof (etc, passwd)", false),
        ("proc.pid >= 0x2a and proc.pid < 43", true),
        ("proc.aname in (bash, sh)", true),
        ("proc.aname[2] = containerd-shim", true),
        ("fd.ip = 10.0.0.0/8", true),
        ("fd.ip != 10.1.2.3", false),
        ("fd.ip != 10.9.9.9", true),
        ("fd.net in (192.0.2.0/24)", false),
        ("container.privileged = true", true),
        ("user.name != root", false),
        ("not user.name != root", true),
        ("user.name exists", false),
        ("evt.arg.flags contains O_CLOEXEC", true),
        ("toupper(proc.name) = CAT", true),
        ("len(proc.name) = 3", true),
        ("basename(fd.name) = shadow", true),
        ("proc.name = val(proc.aname[2])", false),
        ("evt.num=0", false),
    ] {
        check(condition, expected);
    }
}

#[test]
fn broken_rules_are_set_aside_by_line_and_the_rest_works() {
    let yaml = "- macro: m\n  condition: evt.type=open\n\n- rule: unknown field\n  desc: d\n  condition: m and proc.nonsense=1\n  output: x\n  priority: INFO\n\n- rule: good\n  desc: d\n  condition: m\n  output: \"%proc.name did %%\"\n  priority: WARNING\n- rule: cyclic\n  desc: d\n  condition: nowhere\n  output: x\n  priority: INFO\n";
    let loaded = load(yaml);
    let said: Vec<String> = loaded.faults.iter().map(ToString::to_string).collect();
    assert_eq!(
        said,
        [
            "invalid: filter_check called with nonexistent field proc.nonsense at r.yaml:4:3 (rule unknown field): see `biotope rules fields` for the fields there are",
            "invalid: Undefined macro 'nowhere' used in filter. at r.yaml:15:3 (rule cyclic): define it, or load the file that does before this one",
        ]
    );
    assert_eq!(loaded.rules.rules().len(), 1);
    assert!(
        loaded.rules.wants(EventType::named("open").unwrap())
            && !loaded.rules.wants(EventType::named("execve").unwrap())
    );
}

#[test]
fn names_of_lists_that_there_are_not_are_told_of() {
    let with = |condition: &str| {
        let lists = "- list: shell_binaries\n  items: [sh]\n- macro: shell_binary\n  condition: (proc.name=sh)\n";
        let rule = format!("- rule: r\n  desc: d\n  condition: {condition}\n  output: x\n  priority: INFO\n");
        let loaded = load(&format!("{lists}{rule}"));
        assert_eq!(loaded.rules.rules().len(), 1, "{condition}");
        loaded.faults.iter().map(|fault| fault.what.clone()).collect::<Vec<_>>()
    };
    let nothing: [&str; 0] = [];
    assert_eq!(with("evt.type=open and proc.name in (shell_binaries) and shell_binary"), nothing);
    assert_eq!(with("evt.type in (open) and proc.name in shell_binaries"), nothing);
    assert_eq!(with("evt.type=open and proc.name in ('shell_binarie', dash) and proc.name = val(proc.pname)"), nothing);
    assert_eq!(
        with("evt.type=open and proc.name in (dash, shell_binarys)"),
        ["'shell_binarys' is no list and is taken as a text: is 'shell_binaries' meant?"]
    );
    assert_eq!(with("evt.type=open and proc.name in nowhere"), ["'nowhere' is no list and is taken as a text"]);
    for name in ["user_known_shells", "my_shells", "some_list", "nolist"] {
        assert_eq!(
            with(&format!("evt.type=open and not proc.name in (sh, {name}) and fd.name exists")),
            [format!("'{name}' is no list and is taken as a text")]
        );
    }
    assert_eq!(
        with("evt.type in (open, process_vm_readv) and proc.name in (erl_child_setup, my_shell, _as, K_8_s, ls)"),
        nothing
    );
}

#[test]
fn outputs_show_what_is_missing() {
    let yaml = "- rule: r\n  desc: d\n  condition: evt.type=open\n  output: \"file=%fd.name user=%user.name by %proc.name.\"\n  priority: INFO\n";
    let loaded = load(yaml);
    let event =
        Sample("open", BTreeMap::from([("fd.name", Value::text("/a\u{1b}[2J")), ("proc.name", Value::text("x"))]));
    let matches = loaded.rules.evaluate(&event, Matching::All, &mut Scratch::default());
    assert_eq!(matches[0].output.render(&event), "file=/a\u{1b}[2J user=<NA> by x.");
}

#[test]
fn numbers_may_have_fractions_and_raw_arguments_the_type_of_their_argument() {
    let fault = |condition: &str| {
        let text = format!(
            "- rule: r\n  desc: d\n  condition: evt.type = open and {condition}\n  output: o\n  priority: INFO\n"
        );
        let loaded = RuleSet::load(&[SourceFile { name: "r.yaml", text: &text }], &LoadOptions::default());
        loaded.faults.first().map(ToString::to_string).unwrap_or_default()
    };
    for good in [
        "proc.fdusage > 0.85",
        "thread.cpu.user >= 12.5",
        "thread.cpu = 50",
        "evt.rawarg.path contains /etc",
        "evt.rawarg.name in (a, b)",
        "evt.rawarg.flags > 1",
        "evt.rawarg.mode != 0x1ff",
    ] {
        assert_eq!(fault(good), "", "{good}");
    }
    for (bad, why) in [
        ("proc.fdusage = much", "'much' is not a valid number"),
        ("proc.pid > 1.5", "'1.5' is not a valid number"),
        ("thread.cpu contains 5", "'contains' operator not supported for decimal fields"),
        ("evt.rawarg.fd contains 5", "'contains' operator not supported for number fields"),
    ] {
        assert!(fault(bad).contains(why), "{bad}: {}", fault(bad));
    }
}

#[test]
fn arguments_stand_in_brackets_or_behind_a_dot() {
    for (name, argument, shown) in [
        ("evt.arg.flags", None, "evt.arg.flags"),
        ("evt.arg", Some("0"), "evt.arg[0]"),
        ("evt.rawarg.fd", None, "evt.rawarg.fd"),
        ("evt.type.is.openat", None, "evt.type.is.openat"),
        ("thread.cgroup.cpuacct", None, "thread.cgroup.cpuacct"),
        ("thread.cgroup", Some("cpuacct"), "thread.cgroup[cpuacct]"),
        ("k8s.pod.label.app.kubernetes.io/name", None, "k8s.pod.label.app.kubernetes.io/name"),
        ("k8s.ns.label", Some("team"), "k8s.ns.label[team]"),
        ("container.label.maintainer", None, "container.label.maintainer"),
        ("proc.pgid.exepath", None, "proc.pgid.exepath"),
        ("thread.pfmajor", None, "thread.pfmajor"),
        ("container.mount.dest", Some("/lib/*"), "container.mount.dest[/lib/*]"),
    ] {
        let field = Field::resolve(name, argument).unwrap();
        assert_eq!(field.to_string(), shown);
    }
    for (name, argument) in [
        ("evt.arg.flags", Some("1")),
        ("evt.arg", None),
        ("thread.cgroup", None),
        ("thread.cgroup.", None),
        ("proc.name.x", None),
        ("k8s.pod.labels", Some("app")),
    ] {
        assert!(Field::resolve(name, argument).is_err(), "{name}");
    }
}

#[test]
fn every_part_of_a_condition_tells_what_it_saw() {
    let loaded = load(
        "- rule: r\n  desc: d\n  condition: evt.type = openat and (proc.name = sh or user.name = root)\n  output: o\n  priority: INFO\n",
    );
    let event = Sample("openat", BTreeMap::from([("proc.name", Value::text("c\u{1b}at"))]));
    let steps = loaded.rules.rule("r").unwrap().steps(&event);
    let lines: Vec<_> = steps.iter().map(ToString::to_string).collect();
    assert_eq!(
        lines,
        [
            "- and",
            "  + evt.type = openat   [evt.type: openat]",
            "  - or",
            "    - proc.name = sh   [proc.name: c\\u{1b}at]",
            "    - user.name = root   [user.name: <NA>]",
        ]
    );
}
