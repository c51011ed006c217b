//! How far an evaluation may go.

/// Bounds of one evaluation. Beyond them a rule ends in an error, and the policy's `failurePolicy` decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Elements that one `foreach` may visit. Default 10,000.
    pub max_foreach_elements: usize,
    /// Objects that one generate rule may make. Default 1,000.
    pub max_generated_objects: usize,
    /// Bytes of text that the variables in one value may produce. Default 4 MiB.
    pub max_text_bytes: usize,
    /// Steps of one JMESPath query: nodes evaluated and values copied. Default 1,000,000.
    pub max_query_steps: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_foreach_elements: 10_000,
            max_generated_objects: 1_000,
            max_text_bytes: 4 << 20,
            max_query_steps: 1_000_000,
        }
    }
}
