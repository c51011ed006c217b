//! `verifyImages`: who signed the images, from facts.

use serde_json::Value;

use crate::policy::compile::Wrong;

/// A compiled entry of `verifyImages`.
#[derive(Debug)]
pub(crate) struct ImageVerification {}

impl ImageVerification {
    pub(crate) fn compile_all(raw: &[Value]) -> Result<Vec<Self>, Wrong> {
        let _ = raw;
        Err(Wrong::unsupported("`verifyImages`", "check the images' references with a pattern"))
    }
}
