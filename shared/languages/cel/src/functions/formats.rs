//! Named formats of the Kubernetes library: `format.dns1123Label().validate(text)`.

use base64::Engine as _;
use go_time::Moment;

use super::{Answer, Function, Invocation, global, member};
use crate::net::Url;
use crate::value::Val;

pub(super) const FUNCTIONS: &[Function] = &[
    global("format.named", |_, arguments| match arguments {
        [Val::Text(name)] => {
            let found = NAMES.iter().find(|(_, named)| *named == name.as_str());
            Some(Ok(found.map_or(Val::none(), |(_, named)| Val::some(Val::Format(named)))))
        }
        _ => None,
    }),
    global("format.dns1123Label", named),
    global("format.dns1123Subdomain", named),
    global("format.dns1035Label", named),
    global("format.qualifiedName", named),
    global("format.dns1123LabelPrefix", named),
    global("format.dns1123SubdomainPrefix", named),
    global("format.dns1035LabelPrefix", named),
    global("format.labelValue", named),
    global("format.uri", named),
    global("format.uuid", named),
    global("format.byte", named),
    global("format.date", named),
    global("format.datetime", named),
    member("validate", validate),
];

/// The function of each format, and its name.
const NAMES: [(&str, &str); 13] = [
    ("format.dns1123Label", "dns1123Label"),
    ("format.dns1123Subdomain", "dns1123Subdomain"),
    ("format.dns1035Label", "dns1035Label"),
    ("format.qualifiedName", "qualifiedName"),
    ("format.dns1123LabelPrefix", "dns1123LabelPrefix"),
    ("format.dns1123SubdomainPrefix", "dns1123SubdomainPrefix"),
    ("format.dns1035LabelPrefix", "dns1035LabelPrefix"),
    ("format.labelValue", "labelValue"),
    ("format.uri", "uri"),
    ("format.uuid", "uuid"),
    ("format.byte", "byte"),
    ("format.date", "date"),
    ("format.datetime", "datetime"),
];

fn named<'a>(invocation: Invocation<'_, '_, 'a>, arguments: &[Val<'a>]) -> Answer<'a> {
    let found = NAMES.iter().find(|(function, _)| *function == invocation.call.name);
    found.filter(|_| arguments.is_empty()).map(|(_, name)| Ok(Val::Format(name)))
}

fn validate<'a>(_: Invocation<'_, '_, 'a>, arguments: &[Val<'a>]) -> Answer<'a> {
    let [Val::Format(format), Val::Text(text)] = arguments else { return None };
    let found = complaints(format, text.as_str());
    let found = found.into_iter().map(Val::text).collect::<Vec<_>>();
    Some(Ok(if found.is_empty() { Val::none() } else { Val::some(Val::list(found)) }))
}

/// What is wrong with `text` in this format.
fn complaints(format: &str, text: &str) -> Vec<String> {
    let masked = text.strip_suffix('-').map_or_else(|| text.to_owned(), |stem| format!("{stem}a"));
    match format {
        "dns1123Label" => shaped(text, (63, "characters"), &LABEL, |text| is_label(text, false)),
        "dns1123LabelPrefix" => shaped(&masked, (63, "characters"), &LABEL, |text| is_label(text, false)),
        "dns1123Subdomain" => shaped(text, (253, "characters"), &SUBDOMAIN, is_subdomain),
        "dns1123SubdomainPrefix" => shaped(&masked, (253, "characters"), &SUBDOMAIN, is_subdomain),
        "dns1035Label" => shaped(text, (63, "characters"), &LABEL_1035, |text| is_label(text, true)),
        "dns1035LabelPrefix" => shaped(&masked, (63, "characters"), &LABEL_1035, |text| is_label(text, true)),
        "qualifiedName" => qualified_name(text),
        "labelValue" => shaped(text, (63, "bytes"), &LABEL_VALUE, |text| text.is_empty() || is_name(text)),
        "uri" => Url::parse(text).err().into_iter().collect(),
        "uuid" => plain(is_uuid(text), "does not match the UUID format"),
        "byte" => {
            plain(!text.is_empty() && base64::engine::general_purpose::STANDARD.decode(text).is_ok(), "invalid base64")
        }
        "date" => plain(Moment::parse("2006-01-02", text).is_ok(), "invalid date"),
        _ => plain(Moment::parse_rfc3339(text).is_ok(), "invalid datetime"),
    }
}

fn plain(fits: bool, what: &str) -> Vec<String> {
    if fits { Vec::new() } else { vec![what.to_owned()] }
}

/// A shape of names: what it asks for, examples, and the pattern behind it, as Kubernetes tells them.
struct Shape {
    what: &'static str,
    examples: &'static [&'static str],
    pattern: &'static str,
}

const LABEL: Shape = Shape {
    what: "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character",
    examples: &["my-name", "123-abc"],
    pattern: "[a-z0-9]([-a-z0-9]*[a-z0-9])?",
};
const SUBDOMAIN: Shape = Shape {
    what: "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character",
    examples: &["example.com"],
    pattern: "[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*",
};
const LABEL_1035: Shape = Shape {
    what: "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character",
    examples: &["my-name", "abc-123"],
    pattern: "[a-z]([-a-z0-9]*[a-z0-9])?",
};
const LABEL_VALUE: Shape = Shape {
    what: "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character",
    examples: &["MyValue", "my_value", "12345"],
    pattern: "(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?",
};
const NAME: Shape = Shape {
    what: "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character",
    examples: &["MyName", "my.name", "123-abc"],
    pattern: "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]",
};

impl Shape {
    fn complaint(&self) -> String {
        let examples: Vec<String> = self.examples.iter().map(|example| format!("'{example}', ")).collect();
        let (what, pattern) = (self.what, self.pattern);
        format!("{what} (e.g. {}regex used for validation is '{pattern}')", examples.join(" or "))
    }
}

fn shaped(text: &str, (most, unit): (usize, &str), shape: &Shape, fits: impl Fn(&str) -> bool) -> Vec<String> {
    let mut found = Vec::new();
    if text.len() > most {
        found.push(format!("must be no more than {most} {unit}"));
    }
    if !fits(text) {
        found.push(shape.complaint());
    }
    found
}

/// A name, with a subdomain and a slash before it where it belongs to somebody.
fn qualified_name(text: &str) -> Vec<String> {
    let (prefix, name) = match text.split_once('/') {
        Some((_, name)) if name.contains('/') => {
            let what = NAME.complaint();
            let tail = "with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')";
            return vec![format!("a valid label key {what} {tail}")];
        }
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, text),
    };
    let mut found = Vec::new();
    match prefix {
        Some("") => found.push("prefix part must be non-empty".to_owned()),
        Some(prefix) => {
            let about = shaped(prefix, (253, "characters"), &SUBDOMAIN, is_subdomain);
            found.extend(about.into_iter().map(|what| format!("prefix part {what}")));
        }
        None => {}
    }
    if name.is_empty() {
        found.push("name part must be non-empty".to_owned());
    }
    found.extend(shaped(name, (63, "bytes"), &NAME, is_name).into_iter().map(|what| format!("name part {what}")));
    found
}

fn is_label(text: &str, letter_first: bool) -> bool {
    let alphanumeric = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    text.starts_with(|c: char| c.is_ascii_lowercase() || (!letter_first && c.is_ascii_digit()))
        && text.ends_with(alphanumeric)
        && text.chars().all(|c| alphanumeric(c) || c == '-')
}

fn is_subdomain(text: &str) -> bool {
    text.split('.').all(|label| is_label(label, false))
}

fn is_name(text: &str) -> bool {
    let alphanumeric = |c: char| c.is_ascii_alphanumeric();
    text.starts_with(alphanumeric)
        && text.ends_with(alphanumeric)
        && text.chars().all(|c| alphanumeric(c) || "-_.".contains(c))
}

fn is_uuid(text: &str) -> bool {
    let groups: Vec<&str> = text.split('-').collect();
    let hex = |text: &str| text.bytes().all(|byte| byte.is_ascii_hexdigit());
    match groups.as_slice() {
        [whole] => whole.len() == 32 && hex(whole),
        groups => groups.iter().map(|group| group.len()).eq([8, 4, 4, 4, 12]) && groups.iter().all(|group| hex(group)),
    }
}
