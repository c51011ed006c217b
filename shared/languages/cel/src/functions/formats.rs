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
    let complaint = complaint(format, text.as_str());
    Some(Ok(complaint.map_or(Val::none(), |what| Val::some(Val::list(vec![Val::text(what)])))))
}

/// What is wrong with `text` in this format.
fn complaint(format: &str, text: &str) -> Option<&'static str> {
    let masked = text.strip_suffix('-').map_or_else(|| text.to_owned(), |stem| format!("{stem}a"));
    let (fits, what) = match format {
        "dns1123Label" => (
            is_label(text, 63, false),
            "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character",
        ),
        "dns1123LabelPrefix" => (
            is_label(&masked, 63, false),
            "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character",
        ),
        "dns1123Subdomain" => (
            is_subdomain(text),
            "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character",
        ),
        "dns1123SubdomainPrefix" => (
            is_subdomain(&masked),
            "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character",
        ),
        "dns1035Label" => (
            is_label(text, 63, true),
            "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character",
        ),
        "dns1035LabelPrefix" => (
            is_label(&masked, 63, true),
            "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character",
        ),
        "qualifiedName" => (
            is_qualified_name(text),
            "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character",
        ),
        "labelValue" => (
            text.is_empty() || is_name(text),
            "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character",
        ),
        "uri" => (Url::parse(text).is_ok(), "invalid URI"),
        "uuid" => (is_uuid(text), "does not match the UUID format"),
        "byte" => (base64::engine::general_purpose::STANDARD.decode(text).is_ok(), "invalid base64"),
        "date" => (Moment::parse("2006-01-02", text).is_ok(), "invalid date"),
        _ => (Moment::parse_rfc3339(text).is_ok(), "invalid datetime"),
    };
    (!fits).then_some(what)
}

fn is_label(text: &str, most: usize, letter_first: bool) -> bool {
    let alphanumeric = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    text.len() <= most
        && text.starts_with(|c: char| c.is_ascii_lowercase() || (!letter_first && c.is_ascii_digit()))
        && text.ends_with(alphanumeric)
        && text.chars().all(|c| alphanumeric(c) || c == '-')
}

fn is_subdomain(text: &str) -> bool {
    text.len() <= 253 && text.split('.').all(|label| is_label(label, 253, false))
}

fn is_name(text: &str) -> bool {
    let alphanumeric = |c: char| c.is_ascii_alphanumeric();
    (1..=63).contains(&text.len())
        && text.starts_with(alphanumeric)
        && text.ends_with(alphanumeric)
        && text.chars().all(|c| alphanumeric(c) || "-_.".contains(c))
}

fn is_qualified_name(text: &str) -> bool {
    match text.split_once('/') {
        Some((prefix, name)) => is_subdomain(prefix) && is_name(name),
        None => is_name(text),
    }
}

fn is_uuid(text: &str) -> bool {
    let groups: Vec<&str> = text.split('-').collect();
    let hex = |text: &str| text.bytes().all(|byte| byte.is_ascii_hexdigit());
    match groups.as_slice() {
        [whole] => whole.len() == 32 && hex(whole),
        groups => groups.iter().map(|group| group.len()).eq([8, 4, 4, 4, 12]) && groups.iter().all(|group| hex(group)),
    }
}
