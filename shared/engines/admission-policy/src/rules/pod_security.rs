//! `validate.podSecurity`: the Pod Security Standards.

use serde_json::Value;

use crate::policy::compile::Wrong;

/// A compiled `podSecurity` check.
#[derive(Debug)]
pub(crate) struct PodSecurity {}

impl PodSecurity {
    pub(crate) fn compile(raw: &Value) -> Result<Self, Wrong> {
        let _ = raw;
        Err(Wrong::unsupported("`validate.podSecurity`", "write the controls as patterns"))
    }
}
