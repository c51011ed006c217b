//! Semantic versions.

use std::sync::Arc;

use super::{Entry, Returned, text};
use crate::value::{IntKind, Value};
use crate::version::{Version, satisfies};

pub(super) const TABLE: &[Entry] = &[
    ("semver", "s", |call| {
        let version = Version::parse(&call.text(0)).ok_or("invalid version")?;
        Ok(Value::Version(Arc::new(version)))
    }),
    ("semverCompare", "ss", |call| {
        let version = Version::parse(&call.text(1));
        let holds = satisfies(version.as_ref().unwrap_or(&Version::default()), &call.text(0));
        let holds = holds.ok_or("invalid version constraint")?;
        version.map(|_| Value::Bool(holds)).ok_or_else(|| "invalid version".to_owned())
    }),
];

pub(super) const METHODS: &[&str] = &[
    "Major",
    "Minor",
    "Patch",
    "Prerelease",
    "Metadata",
    "Original",
    "String",
    "Compare",
    "Equal",
    "LessThan",
    "GreaterThan",
];

pub(super) fn method(version: &Version, name: &str, arguments: &[Value]) -> Returned {
    let number = |number: u64| Ok(Value::Int(IntKind::Uint64, number.into()));
    match (name, arguments) {
        ("Major", []) => number(version.major),
        ("Minor", []) => number(version.minor),
        ("Patch", []) => number(version.patch),
        ("Prerelease", []) => text(version.prerelease.as_str()),
        ("Metadata", []) => text(version.metadata.as_str()),
        ("Original", []) => text(version.original.as_str()),
        ("String", []) => text(version.to_string()),
        ("Compare", [Value::Version(other)]) => Ok(Value::int(version.compare(other) as i64)),
        ("Equal", [Value::Version(other)]) => Ok(Value::Bool(version.compare(other).is_eq())),
        ("LessThan", [Value::Version(other)]) => Ok(Value::Bool(version.compare(other).is_lt())),
        ("GreaterThan", [Value::Version(other)]) => Ok(Value::Bool(version.compare(other).is_gt())),
        _ => {
            let want = usize::from(matches!(name, "Compare" | "Equal" | "LessThan" | "GreaterThan"));
            Err(format!("wrong number of args for {name}: want {want} got {}", arguments.len()))
        }
    }
}
