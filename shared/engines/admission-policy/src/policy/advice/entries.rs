//! Context entries.

use serde_json::Value;

use super::{Adviser, is_there, list, text};

/// Names that are taken.
const TAKEN: [&str; 6] =
    ["images", "request", "serviceAccountName", "serviceAccountNamespace", "element", "elementIndex"];
/// What an entry may come from.
const SOURCES: [&str; 5] = ["configMap", "apiCall", "globalReference", "imageRegistry", "variable"];

impl Adviser {
    /// The context of a rule.
    pub(super) fn entries(&mut self, rule: &Value, pointer: &str) {
        let entries = list(rule, "context");
        if !entries.is_empty() && rule.pointer("/validate/cel").is_some_and(|cel| !cel.is_null()) {
            let remedy = "use `variables` of the rule, or write a ValidatingPolicy";
            self.tell(format!("{pointer}/context"), "expressions in CEL do not see the context", remedy);
        }
        for (index, entry) in entries.iter().enumerate() {
            self.entry(entry, &format!("{pointer}/context/{index}"));
        }
    }

    fn entry(&mut self, entry: &Value, pointer: &str) {
        let name = text(entry, "name");
        let hides = |word: &str| name == word || name.strip_prefix(word).is_some_and(|rest| rest.starts_with('.'));
        if name.is_empty() {
            self.tell(pointer, "the entry has no name", "give it a `name`: no variable can mean it");
        } else if let Some(word) = TAKEN.into_iter().find(|word| hides(word)) {
            self.tell(pointer, format!("the name `{name}` hides the variable `{word}`"), "give it another name");
        }
        let sources: Vec<&str> = SOURCES.into_iter().filter(|source| is_there(entry, source)).collect();
        let [source] = sources.as_slice() else {
            let remedy = "keep one of configMap, apiCall, globalReference, imageRegistry and variable";
            self.tell(pointer, format!("the entry has {} sources", sources.len()), remedy);
            return;
        };
        let of = entry.get(source).unwrap_or(&Value::Null);
        let pointer = format!("{pointer}/{source}");
        let needed: &[&str] = match *source {
            "configMap" => &["name", "namespace"],
            "globalReference" => &["name"],
            "imageRegistry" => &["reference"],
            _ => &[],
        };
        for field in needed.iter().filter(|field| text(of, field).is_empty()) {
            self.tell(pointer.clone(), format!("`{source}` has no `{field}`"), format!("give it a `{field}`"));
        }
        if *source == "apiCall" && !text(of, "urlPath").is_empty() && is_there(of, "service") {
            let remedy = "keep `urlPath` for the API of the cluster, or `service` for another";
            self.tell(pointer.clone(), "the call goes to the cluster and to a service", remedy);
        }
        if *source == "variable" && text(of, "jmesPath").is_empty() {
            if is_there(of, "default") {
                let what = "a `default` is for a `jmesPath` that finds nothing";
                self.tell(pointer.clone(), what, "write it as the `value`");
            }
            if !is_there(of, "value") {
                self.tell(pointer, "the variable has neither `value` nor `jmesPath`", "give it one of them");
            }
        }
    }
}
