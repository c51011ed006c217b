//! Reads the files that a test or a command line names. A test cannot do without any of them; on a command line the rest goes on.

use model::{Fault, FaultKind};
use serde_json::Value;

use super::ReadError;
use super::run::Runner;
use super::shape::{Shape, shaped};
use crate::yaml::{self, Document, SyntaxError};

/// Where what is wrong with files is told.
pub(super) struct Wrong<'f> {
    pub(super) faults: &'f mut Vec<Fault>,
    /// What cannot be read is set aside; otherwise it ends the work.
    pub(super) spares: bool,
}

impl Wrong<'_> {
    fn tell(&mut self, fault: Fault) -> Result<(), String> {
        if !self.spares && fault.kind != FaultKind::Warning {
            return Err(fault.to_string());
        }
        self.faults.push(fault);
        Ok(())
    }
}

impl Runner<'_> {
    /// The files below the test's folder, each with its text; a folder stands for the files in it.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub(super) fn texts(&self, names: &[String], wrong: &mut Wrong<'_>) -> Result<Vec<(String, String)>, String> {
        let mut out = Vec::new();
        for name in names {
            let path = join(self.folder, name);
            let inside = match self.files.read(&path) {
                Ok(text) => {
                    out.push((path, text));
                    continue;
                }
                Err(error @ ReadError::Unreadable(_)) => {
                    wrong.tell(unreadable(&path, &error))?;
                    continue;
                }
                Err(error) => match self.files.list(&path) {
                    inside if inside.is_empty() => {
                        wrong.tell(unreadable(&path, &error))?;
                        continue;
                    }
                    inside => inside,
                },
            };
            for path in inside {
                match self.files.read(&path) {
                    Ok(text) => out.push((path, text)),
                    Err(error) => wrong.tell(unreadable(&path, &error))?,
                }
            }
        }
        Ok(out)
    }

    /// The documents of files as they are; one that says `null` counts where it is the only one.
    ///
    /// # Errors
    /// A file or document that cannot be read.
    pub(super) fn documents(&self, names: &[String]) -> Result<Vec<Value>, String> {
        let (mut faults, mut out) = (Vec::new(), Vec::new());
        let mut wrong = Wrong { faults: &mut faults, spares: false };
        for (path, text) in self.texts(names, &mut wrong)? {
            if text.trim() == "null" {
                out.push(Value::Null);
            }
            for document in yaml::documents(&text) {
                match document {
                    Ok(document) => out.push(document.value),
                    Err(error) => wrong.tell(broken(&path, &error))?,
                }
            }
        }
        Ok(out)
    }

    /// Kubernetes objects; those in a list one by one.
    ///
    /// # Errors
    /// A file or document that cannot be read, or is no object.
    pub(super) fn objects(&self, names: &[String]) -> Result<Vec<Value>, String> {
        self.objects_telling(names, &mut Wrong { faults: &mut Vec::new(), spares: false })
    }

    /// As [`objects`](Self::objects), telling what is wrong.
    pub(super) fn objects_telling(&self, names: &[String], wrong: &mut Wrong<'_>) -> Result<Vec<Value>, String> {
        let mut out = Vec::new();
        for (path, text) in self.texts(names, wrong)? {
            for document in yaml::documents(&text) {
                match document {
                    Ok(document) => unpack(&path, document, &mut out, wrong)?,
                    Err(error) => wrong.tell(broken(&path, &error))?,
                }
            }
        }
        Ok(out)
    }

    /// The documents of a file, each in its shape.
    ///
    /// # Errors
    /// A file or document that cannot be read or does not fit, or no document at all.
    pub(super) fn shaped(&self, name: &str, shape: &Shape) -> Result<Vec<Value>, String> {
        let mut faults = Vec::new();
        let mut out = Vec::new();
        for (path, text) in self.texts(&[name.to_owned()], &mut Wrong { faults: &mut faults, spares: false })? {
            for document in yaml::documents(&text) {
                let document = document.map_err(|error| broken(&path, &error).to_string())?;
                out.push(shaped(document, shape).map_err(|(line, what)| format!("{path}:{line}: {what}"))?);
            }
            if out.is_empty() {
                return Err(format!("{path} holds nothing: fill it, or do not name it"));
            }
        }
        Ok(out)
    }
}

/// The object of a document, or those of the list that it is.
fn unpack(path: &str, document: Document, out: &mut Vec<Value>, wrong: &mut Wrong<'_>) -> Result<(), String> {
    for (key, line) in &document.twice {
        let fault = Fault::new(FaultKind::Warning, path, format!("the key `{key}` is there twice")).at(*line, 0);
        wrong.tell(fault.cure("remove one of them; as it is, only the last one counts"))?;
    }
    let is_list = document.value.get("kind").and_then(Value::as_str).is_some_and(|kind| kind.ends_with("List"));
    let no_object = |pointer: &str, what: String| {
        let fault = Fault::new(FaultKind::Invalid, path, what).at(document.line_of(pointer), 0);
        fault.cure("give a Kubernetes object, with its kind and metadata")
    };
    match document.value.get("items") {
        Some(Value::Array(items)) if is_list => {
            for (index, item) in items.iter().enumerate() {
                match lacks(item) {
                    None => out.push(item.clone()),
                    Some(what) => wrong.tell(no_object(&format!("/items/{index}"), what.to_owned()))?,
                }
            }
            Ok(())
        }
        Some(Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_)) if is_list => {
            wrong.tell(no_object("/items", "the `items` of a list are no list".to_owned()))
        }
        _ => match lacks(&document.value) {
            None => {
                out.push(document.value);
                Ok(())
            }
            Some(what) => wrong.tell(no_object("", what.to_owned())),
        },
    }
}

/// What a value lacks to be an object of Kubernetes.
fn lacks(value: &Value) -> Option<&'static str> {
    let Value::Object(fields) = value else { return Some("this is no object") };
    match (fields.get("kind"), fields.get("metadata")) {
        (Some(Value::String(kind)), None | Some(Value::Object(_) | Value::Null)) if !kind.is_empty() => None,
        (Some(Value::String(kind)), _) if !kind.is_empty() => Some("the `metadata` of an object is no map"),
        _ => Some("the object has no `kind`"),
    }
}

fn unreadable(path: &str, error: &ReadError) -> Fault {
    let fault = Fault::new(FaultKind::Invalid, path, format!("cannot be read, {error}"));
    fault.cure("correct the path or the file, or do not name it")
}

pub(super) fn broken(path: &str, error: &SyntaxError) -> Fault {
    let fault = Fault::new(FaultKind::Invalid, path, format!("not valid YAML: {error}"));
    fault.at(error.line, error.column).cure("correct the YAML at this place")
}

/// Joins and normalizes: `a/b` and `../c` is `a/c`.
fn join(folder: &str, name: &str) -> String {
    let absolute = name.starts_with('/') || folder.starts_with('/');
    let whole = if name.starts_with('/') { name.to_owned() } else { format!("{folder}/{name}") };
    let mut parts: Vec<&str> = Vec::new();
    for part in whole.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    format!("{}{}", if absolute { "/" } else { "" }, parts.join("/"))
}
