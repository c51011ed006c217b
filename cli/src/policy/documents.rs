//! Whole objects, printed or written to files.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use anyhow::Context as _;
use serde_json::Value;

use super::args::{DocumentForm, Shown};
use crate::args::Output;
use crate::print;

/// The form that is asked for.
pub(super) fn form(shown: &Shown, output: Output) -> DocumentForm {
    shown.output_format.unwrap_or(match output {
        Output::Json => DocumentForm::Json,
        Output::Table => DocumentForm::Yaml,
    })
}

/// Prints objects one after the other.
pub(super) fn print<'d>(documents: impl IntoIterator<Item = &'d Value>, form: DocumentForm) -> anyhow::Result<()> {
    for document in documents {
        match form {
            DocumentForm::Json => print::json(document)?,
            DocumentForm::Yaml => print::text(&format!("---\n{}", print::yaml(document)?)),
        }
    }
    Ok(())
}

/// Writes objects as YAML, into one file or each into a file of the folder. The same object twice is written once.
pub(super) fn write<'d>(path: &Path, documents: impl IntoIterator<Item = &'d Value>) -> anyhow::Result<()> {
    let is_folder = path.is_dir() || path.to_string_lossy().ends_with('/');
    let mut files: BTreeMap<_, String> = BTreeMap::new();
    if !is_folder {
        files.insert(path.to_owned(), String::new());
    }
    let mut written = HashSet::new();
    for document in documents {
        let file = if is_folder { path.join(file_name(document)) } else { path.to_owned() };
        let text = format!("---\n{}", print::yaml(&as_authored(document))?);
        let file = files.entry(file).or_default();
        if written.insert(text.clone()) {
            file.push_str(&text);
        }
    }
    if is_folder {
        std::fs::create_dir_all(path).with_context(|| format!("cannot make the folder {}", path.display()))?;
    }
    for (file, text) in files {
        std::fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(())
}

/// The object without who wrote which field of it, which is no part of what it is to be.
fn as_authored(document: &Value) -> Value {
    let mut document = document.clone();
    if let Some(metadata) = document.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
    }
    document
}

/// `kind-namespace-name.yaml`, whatever the names hold.
fn file_name(document: &Value) -> String {
    let text = |pointer: &str| document.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let parts = [text("/kind"), text("/metadata/namespace"), text("/metadata/name")];
    let known: Vec<String> =
        parts.into_iter().filter(|part| !part.is_empty()).map(|part| plain(&part.to_lowercase())).collect();
    format!("{}.yaml", if known.is_empty() { "object".to_owned() } else { known.join("-") })
}

/// A text of letters, digits, dots and hyphens, as names of objects and files are.
pub(super) fn plain(text: &str) -> String {
    let one = |letter: char| if letter.is_ascii_alphanumeric() || letter == '.' { letter } else { '-' };
    text.chars().map(one).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn files_are_called_as_the_objects_and_stay_in_the_folder() {
        for (object, expected) in [
            (json!({"kind": "Pod", "metadata": {"name": "web", "namespace": "shop"}}), "pod-shop-web.yaml"),
            (json!({"kind": "Node", "metadata": {"name": "a:b"}}), "node-a-b.yaml"),
            (json!({"kind": "X", "metadata": {"name": "../../etc/x"}}), "x-..-..-etc-x.yaml"),
            (json!({}), "object.yaml"),
        ] {
            assert_eq!(file_name(&object), expected);
        }
    }
}
