//! What an evaluation may know besides its input.

use std::cell::Cell;
use std::fmt;
use std::net::IpAddr;

use model::Timestamp;
use serde_json::Value;

use crate::error::EvalError;

/// Facts and functions that the caller lends to an evaluation. Every method has a default that knows nothing.
pub trait Environment {
    /// Calls a function that this crate does not have; `None` when the caller has none of that name either.
    fn call(&self, name: &str, arguments: &[Value]) -> Option<Result<Value, EvalError>> {
        let _ = (name, arguments);
        None
    }

    /// The addresses of a host, for `is_external_url`.
    fn addresses_of(&self, host: &str) -> Option<Vec<IpAddr>> {
        let _ = host;
        None
    }

    /// Reads one YAML document, for `parse_yaml`.
    fn parse_yaml(&self, text: &str) -> Option<Result<Value, String>> {
        let _ = text;
        None
    }

    /// The registry of images that name none, for `image_normalize`.
    fn default_registry(&self) -> &str {
        "docker.io"
    }
}

/// An environment that knows nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoEnvironment;

impl Environment for NoEnvironment {}

/// How far an evaluation may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Nodes evaluated, elements visited and values copied. Default 1,000,000.
    pub max_steps: u64,
    /// Bytes of text that functions may produce. Default 16 MiB.
    pub max_text_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_steps: 1_000_000, max_text_bytes: 16 * 1024 * 1024 }
    }
}

/// Everything an evaluation gets besides its input.
pub struct Context<'c> {
    /// The time that `time_now`, `time_now_utc` and `time_since` see.
    pub now: Timestamp,
    /// The caller's facts and functions.
    pub environment: &'c dyn Environment,
    /// Limits of one [`search`](crate::Expression::search).
    pub limits: Limits,
    random: Option<Cell<u64>>,
}

impl<'c> Context<'c> {
    /// A context at `now` with no facts, no random source and the default limits.
    #[must_use]
    pub fn new(now: Timestamp) -> Self {
        Self { now, environment: &NoEnvironment, limits: Limits::default(), random: None }
    }

    /// Lends facts and functions.
    #[must_use]
    pub fn with_environment(mut self, environment: &'c dyn Environment) -> Self {
        self.environment = environment;
        self
    }

    /// Sets the limits.
    #[must_use]
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Gives `random` its source: the same seed gives the same texts in the same order.
    #[must_use]
    pub fn with_random_seed(mut self, seed: u64) -> Self {
        self.random = Some(Cell::new(seed));
        self
    }

    /// The next random number (splitmix64), when there is a source.
    pub(crate) fn next_random(&self) -> Option<u64> {
        let state = self.random.as_ref()?;
        let next = state.get().wrapping_add(0x9E37_79B9_7F4A_7C15);
        state.set(next);
        let mut mixed = next;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        Some(mixed ^ (mixed >> 31))
    }
}

impl fmt::Debug for Context<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context").field("now", &self.now).field("limits", &self.limits).finish_non_exhaustive()
    }
}
