//! Conditions: those of rules, of `deny`, and of the elements of lists.

use serde_json::Value;

use super::{Adviser, list, text};

/// The operations of the API.
const OPERATIONS: [&str; 4] = ["CREATE", "UPDATE", "DELETE", "CONNECT"];

impl Adviser {
    /// Every condition of a rule.
    pub(super) fn conditions_of(&mut self, rule: &Value, pointer: &str) {
        self.conditions(rule.get("preconditions"), &format!("{pointer}/preconditions"));
        for key in ["validate", "mutate", "generate"] {
            let Some(action) = rule.get(key) else { continue };
            self.conditions_below(action, &format!("{pointer}/{key}"), 0);
        }
    }

    fn conditions_below(&mut self, part: &Value, pointer: &str, depth: usize) {
        self.conditions(part.get("preconditions"), &format!("{pointer}/preconditions"));
        self.conditions(part.pointer("/deny/conditions"), &format!("{pointer}/deny/conditions"));
        for (index, item) in list(part, "foreach").iter().enumerate().filter(|_| depth < DEEP) {
            self.conditions_below(item, &format!("{pointer}/foreach/{index}"), depth + 1);
        }
    }

    fn conditions(&mut self, conditions: Option<&Value>, pointer: &str) {
        match conditions {
            Some(Value::Array(items)) => self.each(items, pointer),
            Some(block @ Value::Object(_)) => {
                for key in ["any", "all"] {
                    self.each(list(block, key), &format!("{pointer}/{key}"));
                }
            }
            _ => {}
        }
    }

    fn each(&mut self, conditions: &[Value], pointer: &str) {
        for (index, condition) in conditions.iter().enumerate() {
            let pointer = format!("{pointer}/{index}");
            let missing = ["key", "operator", "value"]
                .into_iter()
                .find(|field| condition.is_object() && condition.get(field).is_none_or(Value::is_null));
            // A block of `any` and `all` in a list is no condition.
            let is_block = condition.get("any").is_some() || condition.get("all").is_some();
            if let Some(field) = missing.filter(|_| !is_block) {
                self.tell(pointer.clone(), format!("the condition has no `{field}`"), format!("give it a `{field}`"));
            }
            if text(condition, "key").replace(' ', "") == "{{request.operation}}" {
                self.operation(condition.get("value").unwrap_or(&Value::Null), &format!("{pointer}/value"));
            }
        }
    }

    /// What the operation of the request is compared with.
    fn operation(&mut self, value: &Value, pointer: &str) {
        let words = match value {
            Value::Array(items) => items.iter().collect(),
            other => vec![other],
        };
        for word in words.into_iter().filter_map(Value::as_str) {
            if !OPERATIONS.contains(&word) && !word.contains("{{") {
                let what = format!("there is no operation `{word}`");
                self.tell(pointer, what, "write CREATE, UPDATE, DELETE or CONNECT");
            }
        }
    }
}

/// How deep lists of lists are followed.
const DEEP: usize = 8;
