//! How far an evaluation may go.

/// Bounds of one evaluation. Beyond them a rule ends in an error, and the policy's `failurePolicy` decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Elements that one list of a `foreach` may have. Default 10,000.
    pub max_foreach_elements: usize,
    /// Elements that all `foreach` of a rule may visit together, those of lists within lists counted. Default 100,000.
    pub max_visited_elements: usize,
    /// Size of everything that the context entries of a rule hold at a time: values, and every 64 bytes of a text once more.
    /// Default 2,000,000.
    pub max_variable_size: u64,
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
            max_visited_elements: 100_000,
            max_variable_size: 2_000_000,
            max_generated_objects: 1_000,
            max_text_bytes: 4 << 20,
            max_query_steps: 1_000_000,
        }
    }
}
