//! `imageExtractors`: where the images of other kinds are.

use serde::Deserialize;
use serde_json::Value;

use crate::context::{Context, EvaluationError, ImageInfo};
use crate::policy::compile::{Wrong, decode};

/// One extractor of a kind.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Extractor {
    path: String,
    value: Option<String>,
    name: Option<String>,
    key: Option<String>,
    jmes_path: Option<String>,
}

/// Compiles the extractors of a rule, kind by kind.
pub(crate) fn compile(raw: Option<&Value>) -> Result<Vec<(String, Extractor)>, Wrong> {
    let mut out = Vec::new();
    for (kind, list) in raw.and_then(Value::as_object).into_iter().flatten() {
        for one in list.as_array().into_iter().flatten() {
            out.push((kind.clone(), decode(one).map_err(|(_, what)| Wrong::invalid(what))?));
        }
    }
    Ok(out)
}

/// The images that the extractors of the object's kind find; `None` when there is no extractor for it.
pub(crate) fn images(
    extractors: &[(String, Extractor)],
    (object, kind): (&Value, &str),
    context: &mut Context<'_>,
) -> Result<Option<Vec<ImageInfo>>, EvaluationError> {
    let mine: Vec<&Extractor> = extractors.iter().filter(|(own, _)| own == kind).map(|(_, one)| one).collect();
    if mine.is_empty() {
        return Ok(None);
    }
    let mut out = Vec::new();
    for extractor in mine {
        let mut path: Vec<&str> = extractor.path.split('/').filter(|part| !part.is_empty()).collect();
        if let Some(value) = extractor.value.as_deref().filter(|value| !value.is_empty()) {
            path.push(value);
        }
        let mut found = Vec::new();
        walk(object, &path, (String::new(), None), extractor, &mut found);
        for (pointer, key, value) in found {
            let value = match extractor.jmes_path.as_deref().filter(|query| !query.is_empty()) {
                Some(query) => context.search(query, &value)?,
                None => value,
            };
            let text =
                value.as_str().ok_or_else(|| EvaluationError::new(format!("the image at {pointer} is no text")))?;
            let mut image = ImageInfo::parse(text)
                .ok_or_else(|| EvaluationError::new(format!("`{text}` is not an image reference")))?;
            image.group = extractor.name.clone().unwrap_or_else(|| "custom".to_owned());
            image.container = key.unwrap_or_else(|| pointer.clone());
            image.pointer = pointer;
            out.push(image);
        }
    }
    Ok(Some(out))
}

type Found = (String, Option<String>, Value);

fn walk(
    value: &Value,
    path: &[&str],
    (pointer, key): (String, Option<String>),
    extractor: &Extractor,
    out: &mut Vec<Found>,
) {
    let own = extractor.key.as_deref().and_then(|name| value.get(name)).and_then(Value::as_str).map(str::to_owned);
    let key = own.or(key);
    let Some((first, rest)) = path.split_first() else {
        out.push((pointer, key, value.clone()));
        return;
    };
    match (value, *first) {
        (Value::Array(items), "*") => {
            for (index, item) in items.iter().enumerate() {
                walk(item, rest, (format!("{pointer}/{index}"), key.clone()), extractor, out);
            }
        }
        (Value::Object(fields), "*") => {
            for (name, item) in fields {
                walk(item, rest, (format!("{pointer}/{}", escape(name)), key.clone()), extractor, out);
            }
        }
        (Value::Array(items), part) => {
            if let Some(item) = part.parse::<usize>().ok().and_then(|index| items.get(index)) {
                walk(item, rest, (format!("{pointer}/{part}"), key), extractor, out);
            }
        }
        (Value::Object(fields), part) => {
            if let Some(item) = fields.get(part) {
                walk(item, rest, (format!("{pointer}/{}", escape(part)), key), extractor, out);
            }
        }
        (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_), _) => {}
    }
}

fn escape(part: &str) -> String {
    part.replace('~', "~0").replace('/', "~1")
}
