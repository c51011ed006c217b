//! Templates of a target: what is rendered goes into data, labels, annotations, or any place of a manifest.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use serde_json::{Map, Value as Json};

use crate::{Environment, Limits, Template, TemplateError, Text, Value};

/// What a template makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The value of its key.
    Values,
    /// YAML of keys and values, or of whatever belongs to the place.
    KeysAndValues,
}

/// How rendered values are decoded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Decoding {
    /// Not at all.
    #[default]
    None,
    /// From Base64.
    Base64,
    /// From the Base64 of addresses.
    Base64Url,
    /// From either, where it is one.
    Auto,
}

/// Where templates go, and how.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// `Data`, `Labels`, `Annotations`, or a path like `spec.rules[0].from`.
    pub path: &'a str,
    /// What each template makes.
    pub scope: Scope,
    /// How its values are decoded.
    pub decoding: Decoding,
    /// Delimiters of actions; an empty one stands for its default.
    pub delimiters: (&'a str, &'a str),
}

/// Templates cannot be applied.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// A template cannot be parsed.
    #[error("unable to parse template at key {key}: {error}")]
    Parse {
        /// Its key.
        key: String,
        /// Why.
        error: TemplateError,
    },
    /// A template cannot be rendered.
    #[error("unable to execute template at key {key}: {error}")]
    Execute {
        /// Its key.
        key: String,
        /// Why.
        error: TemplateError,
    },
    /// What was rendered is not what the scope asks for.
    #[error("could not unmarshal template: {0}")]
    Content(String),
    /// The path names no place.
    #[error("failed to apply to target: {0}")]
    Path(String),
    /// A value cannot be decoded.
    #[error("failed to decode the value of key {0}")]
    Decoding(String),
}

/// One step of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Key(String),
    Index(usize),
}

/// Renders templates with `data` as dot and puts what they make into `object`, a manifest. Data of a Secret is in Base64 there.
///
/// # Errors
/// Names the template, or the part of the path.
pub fn apply(
    templates: &BTreeMap<String, String>,
    (data, environment, limits): (&Value, &Environment, Limits),
    target: &Target<'_>,
    object: &mut Json,
) -> Result<(), TargetError> {
    for (key, template) in templates {
        let rendered = render((key, template), (data, environment, limits), target)?;
        match target.scope {
            Scope::Values => put_value(object, target, key, rendered)?,
            Scope::KeysAndValues => put_all(object, target, &rendered)?,
        }
    }
    Ok(())
}

fn render(
    (key, template): (&str, &str),
    (data, environment, limits): (&Value, &Environment, Limits),
    target: &Target<'_>,
) -> Result<Text, TargetError> {
    let parsed = Template::parse_with(key, template, target.delimiters);
    let parsed = parsed.map_err(|error| TargetError::Parse { key: key.to_owned(), error })?;
    let rendered = parsed.render_in(data, environment, limits);
    rendered.map_err(|error| TargetError::Execute { key: key.to_owned(), error })
}

/// The places that hold texts by key.
fn place(path: &str) -> Option<&'static str> {
    ["annotations", "labels", "data"].into_iter().find(|place| path.eq_ignore_ascii_case(place))
}

fn put_value(object: &mut Json, target: &Target<'_>, key: &str, value: Text) -> Result<(), TargetError> {
    let value = decoded(key, value, target.decoding)?;
    if let Some(place) = place(target.path) {
        return put_text(object, place, key, &value);
    }
    if target.path.eq_ignore_ascii_case("spec") {
        return put_text(object, "spec", key, &value);
    }
    let steps = steps(target.path)?;
    *find(object, &steps)? = parse_yaml_or_text(&value.expose_str());
    Ok(())
}

fn put_text(object: &mut Json, place: &str, key: &str, value: &Text) -> Result<(), TargetError> {
    let is_secret = place == "data" && object.get("kind").and_then(Json::as_str) == Some("Secret");
    let text = if is_secret { STANDARD.encode(value.expose()) } else { value.expose_str().into_owned() };
    let mut steps = vec![Step::Key(place.to_owned()), Step::Key(key.to_owned())];
    if matches!(place, "annotations" | "labels") {
        steps.insert(0, Step::Key("metadata".to_owned()));
    }
    *find(object, &steps)? = Json::String(text);
    Ok(())
}

fn put_all(object: &mut Json, target: &Target<'_>, rendered: &Text) -> Result<(), TargetError> {
    let parsed = crate::functions::read_yaml(&rendered.expose_str()).map_err(TargetError::Content)?;
    if let Some(place) = place(target.path) {
        for (key, value) in texts(parsed)? {
            let value = decoded(&key, Text::from(value.as_str()), target.decoding)?;
            put_text(object, place, &key, &value)?;
        }
        return Ok(());
    }
    let steps = steps(target.path)?;
    let is_top = steps.len() == 1;
    let slot = find(object, &steps)?;
    match (slot, parsed) {
        // A map joins the map that is there, but below the top only.
        (Json::Object(fields), Json::Object(new)) if !is_top => fields.extend(new),
        (slot, parsed) => *slot = parsed,
    }
    Ok(())
}

/// A map of scalars as texts.
fn texts(parsed: Json) -> Result<Vec<(String, String)>, TargetError> {
    let fields = match parsed {
        Json::Null => Map::new(),
        Json::Object(fields) => fields,
        _ => return Err(TargetError::Content("it is no map of texts".to_owned())),
    };
    let text = |(key, value)| match value {
        Json::String(text) => Ok((key, text)),
        Json::Null => Ok((key, String::new())),
        Json::Bool(flag) => Ok((key, flag.to_string())),
        Json::Number(number) => {
            let text = if number.is_f64() {
                crate::format::shortest(number.as_f64().unwrap_or_default())
            } else {
                number.to_string()
            };
            Ok((key, text))
        }
        Json::Array(_) | Json::Object(_) => Err(TargetError::Content(format!("the value of key {key} is no text"))),
    };
    fields.into_iter().map(text).collect()
}

fn decoded(key: &str, value: Text, decoding: Decoding) -> Result<Text, TargetError> {
    let standard = || crate::functions::decode_base64(value.expose()).ok();
    let of_address = || URL_SAFE.decode(value.expose()).ok();
    let bytes = match decoding {
        Decoding::None => return Ok(value),
        Decoding::Base64 => standard(),
        Decoding::Base64Url => of_address(),
        Decoding::Auto => return Ok(standard().or_else(of_address).map_or_else(|| value.clone(), Text::new)),
    };
    bytes.map(Text::new).ok_or_else(|| TargetError::Decoding(key.to_owned()))
}

/// What a text is as YAML; the text itself where it is none.
#[must_use]
pub fn parse_yaml_or_text(text: &str) -> Json {
    crate::functions::read_yaml(text).unwrap_or_else(|_| Json::String(text.to_owned()))
}

/// The most items that an index may make a list grow to.
const MAX_INDEX: usize = 1_000;

fn steps(path: &str) -> Result<Vec<Step>, TargetError> {
    let fault = |what: String| TargetError::Path(format!("invalid path {path:?}: {what}"));
    let mut steps = Vec::new();
    for part in path.split('.') {
        let (key, mut rest) = part.split_at(part.find('[').unwrap_or(part.len()));
        if key.is_empty() {
            return Err(fault("each segment must start with a key".to_owned()));
        }
        steps.push(Step::Key(key.to_owned()));
        while !rest.is_empty() {
            let inner = rest.strip_prefix('[').and_then(|rest| rest.split_once(']'));
            let (index, after) = inner.ok_or_else(|| fault(format!("bad index in {part:?}")))?;
            let number = index.parse::<usize>().ok().filter(|number| *number <= MAX_INDEX);
            steps.push(Step::Index(number.ok_or_else(|| fault(format!("bad index {index:?}")))?));
            rest = after;
        }
    }
    Ok(steps)
}

/// The place that a path names; maps and lists on the way are made.
fn find<'a>(object: &'a mut Json, steps: &[Step]) -> Result<&'a mut Json, TargetError> {
    let mut slot = object;
    for step in steps {
        if slot.is_null() {
            *slot = match step {
                Step::Key(_) => Json::Object(Map::new()),
                Step::Index(_) => Json::Array(Vec::new()),
            };
        }
        slot = match (step, slot) {
            (Step::Key(key), Json::Object(fields)) => fields.entry(key.clone()).or_insert(Json::Null),
            (Step::Index(index), Json::Array(items)) => {
                if items.len() <= *index {
                    items.resize(index.saturating_add(1), Json::Null);
                }
                items.get_mut(*index).ok_or_else(|| TargetError::Path("bad index".to_owned()))?
            }
            (Step::Key(key), _) => return Err(TargetError::Path(format!("path is not a map at segment {key}"))),
            (Step::Index(index), _) => return Err(TargetError::Path(format!("path is not a list at index {index}"))),
        };
    }
    Ok(slot)
}
