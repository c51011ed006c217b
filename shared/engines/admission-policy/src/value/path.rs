//! Fields of manifests by their path, without the allocations of JSON pointers.

use serde_json::Value;

/// The value at a path of field names.
pub(crate) fn at<'v>(value: &'v Value, path: &[&str]) -> Option<&'v Value> {
    path.iter().try_fold(value, |value, part| jmespath::field(value.as_object()?, part))
}

/// The text at a path of field names; empty when there is none.
pub(crate) fn text<'v>(value: &'v Value, path: &[&str]) -> &'v str {
    at(value, path).and_then(Value::as_str).unwrap_or_default()
}
