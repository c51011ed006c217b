//! A report by a template of the reader's own, in Go's syntax. Dot is the list of results, with the fields that Trivy gives them, and its
//! functions are there too.

use anyhow::Context as _;
use scan_report::{Report, trivy};
use secret_templating::{Environment, Functions, Limits, Template, Value};
use serde_json::{Map, Value as Json, json};

/// Renders by a template: its text, or `@` and its file.
///
/// # Errors
/// When the template cannot be read, parsed or rendered.
pub(super) fn render(given: &str, report: &Report) -> anyhow::Result<String> {
    let (name, text) = match given.strip_prefix('@') {
        Some(path) => {
            (path, std::fs::read_to_string(path).with_context(|| format!("cannot read the template {path}"))?)
        }
        None => ("--template", given.to_owned()),
    };
    let template = Template::parse_with_functions(name, &text, FUNCTIONS)?;
    let limits = Limits { steps: 500_000_000, bytes: 1 << 30, ..Limits::default() };
    let environment = Environment { now_unix_ns: Some(service::now().as_nanos()), ..Environment::default() };
    Ok(template.render_in(&Value::from_json(&results(report)), &environment, limits)?.expose_str().into_owned())
}

/// The results, each with all of its fields: Go's structures have fields also where there is no value.
fn results(report: &Report) -> Json {
    let mut results = trivy::render(report, true).get_mut("Results").map(Json::take).unwrap_or_default();
    for result in results.as_array_mut().into_iter().flatten().filter_map(Json::as_object_mut) {
        complete(result, &RESULT);
        for package in list(result, "Packages") {
            complete(package, &PACKAGE);
        }
        for finding in list(result, "Vulnerabilities") {
            complete(finding, &FINDING);
            scores(finding);
            // An embedded structure can be named as well.
            let own: Map<String, Json> =
                EMBEDDED.iter().filter_map(|key| Some(((*key).to_owned(), finding.get(*key)?.clone()))).collect();
            finding.insert("Vulnerability".to_owned(), Json::Object(own));
        }
    }
    results
}

/// Go's map of scores has a value for each vendor that is asked for, and each has all of its fields. The vendor that templates ask for is
/// the national database.
fn scores(finding: &mut Map<String, Json>) {
    let Some(vendors) = finding.get_mut("CVSS").and_then(Json::as_object_mut) else { return };
    vendors.entry("nvd").or_insert_with(|| json!({}));
    for one in vendors.values_mut().filter_map(Json::as_object_mut) {
        for vector in ["V2Vector", "V3Vector", "V40Vector"] {
            one.entry(vector).or_insert_with(|| json!(""));
        }
        for score in ["V2Score", "V3Score", "V40Score"] {
            one.entry(score).or_insert_with(|| json!(0));
        }
    }
}

fn list<'r>(result: &'r mut Map<String, Json>, key: &str) -> impl Iterator<Item = &'r mut Map<String, Json>> {
    result.get_mut(key).and_then(Json::as_array_mut).into_iter().flatten().filter_map(Json::as_object_mut)
}

/// Adds the fields that are missing: texts, lists and objects, all empty.
fn complete(object: &mut Map<String, Json>, (texts, lists, objects): &Fields) {
    let empty = |keys: &'static [&'static str], value: Json| keys.iter().map(move |key| (*key, value.clone()));
    for (key, value) in empty(texts, json!("")).chain(empty(lists, json!([]))) {
        object.entry(key).or_insert(value);
    }
    for (key, texts) in *objects {
        let inner = object.entry(*key).or_insert_with(|| json!({}));
        if let Some(inner) = inner.as_object_mut() {
            complete(inner, &(texts, &[], &[]));
        }
    }
}

/// Texts, lists, and objects with their texts.
type Fields = (&'static [&'static str], &'static [&'static str], &'static [(&'static str, &'static [&'static str])]);

const RESULT: Fields = (
    &["Target", "Class", "Type"],
    &["Packages", "Vulnerabilities", "Misconfigurations", "Secrets", "Licenses", "CustomResources", "ModifiedFindings"],
    &[("MisconfSummary", &[])],
);

const PACKAGE: Fields = (
    &["ID", "Name", "Version", "Release", "Arch", "SrcName", "SrcVersion", "SrcRelease", "FilePath", "Digest"],
    &["Licenses", "DependsOn"],
    &[("Identifier", &["PURL", "UID", "BOMRef"]), ("Layer", &["Digest", "DiffID", "CreatedBy"])],
);

const FINDING: Fields = (
    &[
        "VulnerabilityID",
        "PkgID",
        "PkgName",
        "PkgPath",
        "InstalledVersion",
        "FixedVersion",
        "Status",
        "SeveritySource",
        "PrimaryURL",
        "Title",
        "Description",
        "Severity",
        "PublishedDate",
        "LastModifiedDate",
    ],
    &["VendorIDs", "CweIDs", "References"],
    &[
        ("PkgIdentifier", &["PURL", "UID", "BOMRef"]),
        ("Layer", &["Digest", "DiffID", "CreatedBy"]),
        ("DataSource", &["ID", "Name", "URL", "BaseID"]),
        ("VendorSeverity", &[]),
        ("CVSS", &[]),
    ],
);

/// Fields that are not the finding's own, but the vulnerability's.
const EMBEDDED: [&str; 9] = [
    "Title",
    "Description",
    "Severity",
    "CweIDs",
    "VendorSeverity",
    "CVSS",
    "References",
    "PublishedDate",
    "LastModifiedDate",
];

/// Functions that Trivy adds to those of Go and sprig.
const FUNCTIONS: Functions = &[
    ("escapeXML", 1, |given| Ok(Value::text(escaped(&text(given)?, XML)))),
    ("escapeString", 1, |given| Ok(Value::text(escaped(&text(given)?, HTML)))),
    ("endWithPeriod", 1, |given| {
        let text = text(given)?;
        Ok(Value::text(if text.ends_with('.') { text } else { format!("{text}.") }))
    }),
    ("toLower", 1, |given| Ok(Value::text(text(given)?.to_lowercase()))),
    ("toPathUri", 1, |given| Ok(Value::text(path_of(&text(given)?)))),
    ("sourceID", 1, |given| Ok(Value::text(text(given)?))),
    ("getCurrentTime", 0, |_| Ok(Value::text(service::now().to_string()))),
    ("appVersion", 0, |_| Ok(Value::text(env!("CARGO_PKG_VERSION")))),
    ("getEnv", 1, |given| Ok(Value::text(environment(&text(given)?)))),
    ("env", 1, |given| Ok(Value::text(environment(&text(given)?)))),
];

fn text(given: &[Value]) -> Result<String, String> {
    match given {
        [Value::Text(text)] => Ok(text.expose_str().into_owned()),
        _ => Err("wrong type for value; expected string".to_owned()),
    }
}

fn escaped(text: &str, table: &[(char, &str)]) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match table.iter().find(|(from, _)| *from == character) {
            Some((_, to)) => escaped.push_str(to),
            None => escaped.push(character),
        }
    }
    escaped
}

/// As Go's `html.EscapeString`.
const HTML: &[(char, &str)] = &[('&', "&amp;"), ('<', "&lt;"), ('>', "&gt;"), ('"', "&#34;"), ('\'', "&#39;")];

/// As Go's `xml.EscapeText`.
const XML: &[(char, &str)] = &[
    ('&', "&amp;"),
    ('<', "&lt;"),
    ('>', "&gt;"),
    ('"', "&#34;"),
    ('\'', "&#39;"),
    ('\t', "&#x9;"),
    ('\n', "&#xA;"),
    ('\r', "&#xD;"),
];

/// A target without the system in brackets, and of an image its repository only.
fn path_of(target: &str) -> String {
    let path = target.split(" (").next().unwrap_or_default();
    let reference = path.parse::<model::ImageReference>();
    let is_path = path.starts_with('/') || path.contains('\\');
    match reference {
        Ok(reference) if !is_path => reference.repository().to_owned(),
        _ => path.replace('\\', "/"),
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "templates of Trivy may read the environment of whoever runs the command"
)]
fn environment(name: &str) -> String {
    std::env::var(name).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_of_the_peer_are_there() {
        for (template, expected) in [
            ("{{ escapeXML \"a<\\\"b\\\">\\n\" }}", "a&lt;&#34;b&#34;&gt;&#xA;"),
            ("{{ escapeString \"it's\" }}", "it&#39;s"),
            ("{{ endWithPeriod \"a\" }}{{ endWithPeriod \"b.\" }}", "a.b."),
            ("{{ toPathUri \"registry.example/a/b:1 (debian 12)\" }}", "a/b"),
            ("{{ getEnv \"BIOTOPE_NO_SUCH_VARIABLE\" }}", ""),
        ] {
            let parsed = Template::parse_with_functions("t", template, FUNCTIONS).unwrap();
            assert_eq!(parsed.render(&Value::Nil, Limits::default()).unwrap().expose_str(), expected, "{template}");
        }
        assert!(Template::parse_with_functions("t", "{{ noSuch 1 }}", FUNCTIONS).is_err());
    }
}
