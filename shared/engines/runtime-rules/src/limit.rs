//! How many alerts a rule may raise: one bucket of tokens per rule, filled as time passes. Time is passed in.

use std::collections::HashMap;

/// A limit of alerts per rule. `handle` every match before it is sent.
#[derive(Clone, Debug)]
pub struct RateLimit {
    per_second: f64,
    burst: f64,
    buckets: HashMap<String, Bucket>,
}

#[derive(Clone, Copy, Debug)]
struct Bucket {
    tokens: f64,
    filled_ns: u64,
    suppressed: u64,
}

/// What comes of a match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Send it. So many matches of the rule were suppressed since the last one that was sent.
    Send {
        /// How many.
        suppressed_before: u64,
    },
    /// Do not send it.
    Suppress,
}

impl RateLimit {
    /// At most `per_second` alerts of a rule in the long run, and `burst` at once. A rate of zero or less means no limit.
    #[must_use]
    pub fn new(per_second: f64, burst: u32) -> Self {
        Self { per_second, burst: f64::from(burst.max(1)), buckets: HashMap::new() }
    }

    /// A rule matched at `now_ns`, nanoseconds since 1970. Time that goes back fills nothing.
    pub fn handle(&mut self, rule: &str, now_ns: u64) -> Verdict {
        if self.per_second <= 0.0 {
            return Verdict::Send { suppressed_before: 0 };
        }
        let full = Bucket { tokens: self.burst, filled_ns: now_ns, suppressed: 0 };
        let bucket = match self.buckets.get_mut(rule) {
            Some(bucket) => bucket,
            None => self.buckets.entry(rule.to_owned()).or_insert(full),
        };
        let passed = now_ns.saturating_sub(bucket.filled_ns) as f64 / 1e9;
        bucket.tokens = (bucket.tokens + passed * self.per_second).min(self.burst);
        bucket.filled_ns = bucket.filled_ns.max(now_ns);
        if bucket.tokens < 1.0 {
            bucket.suppressed = bucket.suppressed.saturating_add(1);
            return Verdict::Suppress;
        }
        bucket.tokens -= 1.0;
        Verdict::Send { suppressed_before: std::mem::take(&mut bucket.suppressed) }
    }

    /// Forgets rules that are no longer in force, so that reloads do not add up.
    pub fn keep(&mut self, is_in_force: impl Fn(&str) -> bool) {
        self.buckets.retain(|rule, _| is_in_force(rule));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn a_burst_passes_then_the_rate() {
        let mut limit = RateLimit::new(2.0, 3);
        let send = |suppressed_before| Verdict::Send { suppressed_before };
        for (now_ns, expected) in [
            (0, send(0)),
            (0, send(0)),
            (0, send(0)),
            (0, Verdict::Suppress),
            (SECOND / 4, Verdict::Suppress),
            (SECOND / 2, send(2)),
            (SECOND / 2, Verdict::Suppress),
            (SECOND / 4, Verdict::Suppress),
            (100 * SECOND, send(2)),
        ] {
            assert_eq!(limit.handle("r", now_ns), expected, "at {now_ns}");
        }
        assert_eq!(limit.handle("other", 0), send(0), "each rule has its own bucket");
    }

    #[test]
    fn no_rate_is_no_limit() {
        let mut limit = RateLimit::new(0.0, 0);
        assert!((0..1000).all(|_| limit.handle("r", 0) == Verdict::Send { suppressed_before: 0 }));
    }
}
