//! Rendering a target's templates. What a template says of its own failure may hold a secret, so only what cannot is passed on.

use std::collections::BTreeMap;

use ring::rand::{SecureRandom as _, SystemRandom};
use secret_sync::{RenderProblem, SecretBytes, SecretPart, TargetContent, TargetTemplate};
use secret_templating::{Environment, Limits, Template, TemplateError, Text, Value};

/// Renders the templates of a target with the assembled data as dot.
pub(crate) fn render(
    template: &TargetTemplate,
    data: &BTreeMap<String, SecretBytes>,
) -> Result<TargetContent, RenderProblem> {
    let dot = strings(data);
    let is_empty = template.data.is_empty() && template.literals.is_empty();
    let kept = if template.merge || is_empty { data.clone() } else { BTreeMap::new() };
    let mut content = TargetContent { data: kept, ..TargetContent::default() };
    for literal in &template.literals {
        let made = keys_and_values(&one("literal", &literal.text, &dot)?)?;
        part(&mut content, literal.part).extend(made);
    }
    let templates = [
        (SecretPart::Data, &template.data),
        (SecretPart::Labels, &template.labels),
        (SecretPart::Annotations, &template.annotations),
    ];
    for (filled, texts) in templates {
        for (key, text) in texts {
            let rendered = SecretBytes::new(one(key, text, &dot)?.expose().to_vec());
            part(&mut content, filled).insert(key.clone(), rendered);
        }
    }
    Ok(content)
}

fn part(content: &mut TargetContent, part: SecretPart) -> &mut BTreeMap<String, SecretBytes> {
    match part {
        SecretPart::Data => &mut content.data,
        SecretPart::Labels => &mut content.labels,
        SecretPart::Annotations => &mut content.annotations,
    }
}

/// Renders the template of a `rewrite` step: `.value` is the key that it renames.
pub(crate) fn transform(text: &str, key: &str) -> Result<String, String> {
    let template = Template::parse("transform", text).map_err(|error| format!("failed to parse template: {error}"))?;
    let dot = Value::strings([("value".to_owned(), Text::new(key.as_bytes().to_vec()))]);
    let rendered = template.render_in(&dot, &environment(), Limits::default());
    rendered
        .map(|text| text.expose_str().into_owned())
        .map_err(|error| format!("failed to execute template: {}", without_values(&error)))
}

/// Renders one template of a target with the data as dot.
pub(crate) fn single(name: &str, text: &str, data: &BTreeMap<String, SecretBytes>) -> Result<SecretBytes, String> {
    let dot = strings(data);
    let rendered = one(name, text, &dot).map_err(|problem| problem.what)?;
    Ok(SecretBytes::new(rendered.expose().to_vec()))
}

/// Renders a template of a webhook: one level more of data, and what is missing prints as Go prints it.
pub(crate) fn webhook(text: &str, data: &secret_sync::provider::webhook::Data) -> Result<SecretBytes, String> {
    let dot = Value::map(data.iter().map(|(name, values)| (name.clone(), strings(values))));
    let template = Template::parse("webhooktemplate", text).map_err(|error| error.to_string())?;
    let template = template.with_missing_key(secret_templating::MissingKey::Invalid);
    let rendered = template.render_in(&dot, &environment(), Limits::default());
    rendered.map(|text| SecretBytes::new(text.expose().to_vec())).map_err(|error| without_values(&error))
}

fn strings(data: &BTreeMap<String, SecretBytes>) -> Value {
    Value::strings(data.iter().map(|(key, value)| (key.clone(), Text::new(value.expose().to_vec()))))
}

/// The time, and chance that is drawn anew for each rendering.
fn environment() -> Environment {
    let mut entropy = [0_u8; 32];
    let drawn = SystemRandom::new().fill(&mut entropy).is_ok();
    Environment { now_unix_ns: Some(service::now().as_nanos()), entropy: drawn.then_some(entropy) }
}

fn one(key: &str, text: &str, dot: &Value) -> Result<Text, RenderProblem> {
    let problem = |what: String| RenderProblem {
        what: format!("template of `{key}`: {what}"),
        remedy: "correct `spec.target.template`".to_owned(),
    };
    // A template that cannot be parsed has met no value yet.
    let template = Template::parse(key, text).map_err(|error| problem(error.to_string()))?;
    template.render_in(dot, &environment(), Limits::default()).map_err(|error| problem(without_values(&error)))
}

/// The rendered text of a literal is YAML: texts by key.
fn keys_and_values(rendered: &Text) -> Result<BTreeMap<String, SecretBytes>, RenderProblem> {
    let map: Result<BTreeMap<String, String>, _> = serde_saphyr::from_str(&rendered.expose_str());
    let pairs = map.map_err(|_| RenderProblem {
        what: "template of `literal`: what it makes is no map of texts".to_owned(),
        remedy: "let it make a line `key: value` for each key, with quotation marks around what is no text".to_owned(),
    })?;
    Ok(pairs.into_iter().map(|(key, text)| (key, SecretBytes::from(text.as_str()))).collect())
}

/// Place and kind of a failure. `executing "x" at <.y>` quotes the template; what follows may quote data, so only the beginnings that
/// are known to hold none are kept.
fn without_values(error: &TemplateError) -> String {
    let text = error.to_string();
    let Some((place, said)) = text.split_once(">: ") else {
        // Limits, named by us.
        return if LIMITS.iter().any(|words| text.contains(words)) { text } else { "it cannot be rendered".to_owned() };
    };
    if TOO_LARGE.iter().any(|words| said.contains(words)) {
        return format!("{place}>: the result would be too large");
    }
    let kind = SAFE.iter().find(|start| said.starts_with(**start));
    let detail = match kind {
        Some(&"error calling ") => said.split(':').next().unwrap_or_default().to_owned(),
        Some(&"map has no entry for key ") => said.lines().next().unwrap_or_default().to_owned(),
        Some(start) => start.trim_end().to_owned(),
        None => "it cannot be rendered".to_owned(),
    };
    format!("{place}>: {detail}")
}

/// How messages begin that hold no data behind it, or whose data is cut off.
const SAFE: [&str; 6] = [
    "map has no entry for key ",
    "error calling ",
    "wrong number of args",
    "wrong type for value",
    "nil data",
    "exceeded maximum template depth",
];

/// The engine's words for the limits of a whole template, and of one call in it.
const LIMITS: [&str; 2] = [": stopped after ", ": output exceeds "];
const TOO_LARGE: [&str; 2] = [" returned more than ", ": the result would be too large"];

#[cfg(test)]
mod tests {
    use secret_sync::Literal;

    use super::*;

    fn template(data: &[(&str, &str)], literals: &[&str], merge: bool) -> TargetTemplate {
        let data = data.iter().map(|(key, text)| ((*key).to_owned(), (*text).to_owned())).collect();
        let literal = |text: &&str| Literal { part: SecretPart::Data, text: (*text).to_owned() };
        TargetTemplate { data, literals: literals.iter().map(literal).collect(), merge, ..TargetTemplate::default() }
    }

    fn rendered(template: &TargetTemplate) -> Result<Vec<(String, String)>, String> {
        let data = BTreeMap::from([
            ("user".to_owned(), SecretBytes::from("ada")),
            ("password".to_owned(), SecretBytes::from("s3cret-canary")),
        ]);
        let content = render(template, &data).map_err(|problem| problem.what)?;
        Ok(content.data.into_iter().map(|(key, value)| (key, value.expose_str().unwrap().to_owned())).collect())
    }

    fn pairs(expected: &[(&str, &str)]) -> Result<Vec<(String, String)>, String> {
        Ok(expected.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect())
    }

    #[test]
    fn time_and_chance_are_new_each_time() {
        let texts = [("word", "{{ randAlphaNum 24 }}"), ("year", "{{ now | date \"2006\" }}")];
        let wanted = template(&texts, &[], false);
        let (first, second) = (rendered(&wanted).unwrap(), rendered(&wanted).unwrap());
        assert_eq!((first[0].1.len(), first[1].1.len()), (24, 4));
        assert_ne!(first[0].1, second[0].1);
    }

    #[test]
    fn templates_replace_or_join_the_data() {
        let url = [("url", "db://{{ .user }}:{{ .password | b64enc }}@host")];
        let whole = "db://ada:czNjcmV0LWNhbmFyeQ==@host";
        assert_eq!(rendered(&template(&url, &[], false)), pairs(&[("url", whole)]));
        let joined = [("password", "s3cret-canary"), ("url", whole), ("user", "ada")];
        assert_eq!(rendered(&template(&url, &[], true)), pairs(&joined));
        assert_eq!(rendered(&template(&[], &[], false)), pairs(&[("password", "s3cret-canary"), ("user", "ada")]));
        let literal = "{{ range $key, $value := . }}x-{{ $key }}: {{ $value | quote }}\n{{ end }}";
        assert_eq!(
            rendered(&template(&[], &[literal], false)),
            pairs(&[("x-password", "s3cret-canary"), ("x-user", "ada")])
        );
    }

    #[test]
    fn templates_make_labels_and_annotations() {
        let texts = |key: &str, text: &str| BTreeMap::from([(key.to_owned(), text.to_owned())]);
        let literal = Literal {
            part: SecretPart::Labels,
            text: "{{ range $key, $_ := . }}has-{{ $key }}: 'yes'\n{{ end }}".to_owned(),
        };
        let wanted = TargetTemplate {
            literals: vec![literal],
            labels: texts("user", "{{ .user | upper }}"),
            annotations: texts("note", "for {{ .user }}"),
            ..TargetTemplate::default()
        };
        let data = BTreeMap::from([("user".to_owned(), SecretBytes::from("ada"))]);
        let made = render(&wanted, &data).unwrap();
        let said = |part: &BTreeMap<String, SecretBytes>| -> Vec<String> {
            part.iter().map(|(key, value)| format!("{key}={}", value.expose_str().unwrap())).collect()
        };
        assert_eq!(said(&made.labels), ["has-user=yes", "user=ADA"]);
        assert_eq!(said(&made.annotations), ["note=for ada"]);
        assert!(made.data.is_empty(), "a template of another part replaces the data as well");
    }

    #[test]
    fn no_message_holds_a_value() {
        for text in [
            "{{ fail .password }}",
            "{{ .password | fromJson | toJson }}{{ index .password 99 }}",
            "{{ .missing }}",
            "{{ template .password }}",
            "{{ .password.x }}",
            "{{ printf .password | required .password | mustFromJson }}",
            "{{ nonsense .password }}",
            "{{ required .password \"\" }}",
        ] {
            if let Err(what) = rendered(&template(&[("key", text)], &[], false)) {
                assert!(!what.contains("canary"), "{text}: {what}");
                assert!(what.starts_with("template of `key`: "), "{what}");
            }
        }
        let what = rendered(&template(&[("key", "{{ .missing }}")], &[], false)).unwrap_err();
        assert!(what.contains("map has no entry for key \"missing\""), "{what}");
        let what = rendered(&template(&[], &["{{ .password }}"], false)).unwrap_err();
        assert!(!what.contains("canary"), "{what}");
    }

    #[test]
    fn limits_are_named() {
        let render = |text: &str| one("x", text, &strings(&BTreeMap::new())).map_err(|problem| problem.what);
        let said = |text: &str| render(text).err().unwrap_or_default();
        let loops = said("{{ range untilStep 0 10000 1 }}{{ range untilStep 0 10000 1 }}{{ . }}{{ end }}{{ end }}");
        assert!(loops.contains("stopped after") || loops.contains("output exceeds"), "{loops}");
        let large = said(r#"{{ repeat 1000000000 "x" }}"#);
        assert!(large.contains("the result would be too large"), "{large}");
        let doubling = said(r#"{{ $x := "xxxxxxxx" }}{{ range untilStep 0 60 1 }}{{ $x = print $x $x }}{{ end }}"#);
        assert!(doubling.contains("the result would be too large"), "{doubling}");
        let endless = said(r#"{{ define "y" }}{{ template "y" . }}{{ end }}{{ template "y" . }}"#);
        assert!(endless.contains("exceeded maximum template depth"), "{endless}");
    }
}
