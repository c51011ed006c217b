//! What this machine has of what the sensor needs, looked at before anything is loaded: one line each, with the remedy.

use std::fmt;
use std::fs;
use std::path::Path;

/// One thing that the sensor needs, or is better with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Feature {
    pub(crate) name: &'static str,
    pub(crate) state: State,
}

/// Whether it is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum State {
    There,
    /// The sensor works, but less well.
    Degraded {
        why: &'static str,
    },
    /// The sensor cannot work.
    Missing {
        remedy: String,
    },
}

impl Feature {
    pub(crate) fn there(name: &'static str) -> Self {
        Self { name, state: State::There }
    }

    pub(crate) fn degraded(name: &'static str, why: &'static str) -> Self {
        Self { name, state: State::Degraded { why } }
    }

    fn missing(name: &'static str, remedy: impl Into<String>) -> Self {
        Self { name, state: State::Missing { remedy: remedy.into() } }
    }

    pub(crate) fn is_missing(&self) -> bool {
        matches!(self.state, State::Missing { .. })
    }

    /// One word, for metrics.
    pub(crate) fn state(&self) -> &'static str {
        match self.state {
            State::There => "there",
            State::Degraded { .. } => "degraded",
            State::Missing { .. } => "missing",
        }
    }
}

impl fmt::Display for Feature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.state {
            State::There => write!(f, "{}: there", self.name),
            State::Degraded { why } => write!(f, "{}: absent, {why}", self.name),
            State::Missing { remedy } => write!(f, "{}: missing, {remedy}", self.name),
        }
    }
}

/// Looks at capabilities, BTF, kernel and cgroups, in this order.
pub(crate) fn examine() -> Vec<Feature> {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let mut features = vec![capabilities(&status), kernel(&release)];
    features.push(if Path::new(BTF).exists() {
        Feature::there("BTF")
    } else {
        Feature::missing("BTF", format!("no {BTF}: use a kernel built with CONFIG_DEBUG_INFO_BTF"))
    });
    features.push(if crate::container::mount().is_some() {
        Feature::there("cgroup2")
    } else {
        Feature::degraded("cgroup2", "containers are not told from the host: mount the unified hierarchy")
    });
    features
}

/// Two capabilities load and attach; CAP_SYS_ADMIN has both in it.
fn capabilities(status: &str) -> Feature {
    let set = status.lines().find_map(|line| line.strip_prefix("CapEff:")).and_then(|set| {
        let set = u64::from_str_radix(set.trim(), 16).ok()?;
        Some(move |bit: u32| set & (1 << bit) != 0)
    });
    let Some(has) = set else { return Feature::missing("capabilities", "/proc is not mounted") };
    if has(SYS_ADMIN) {
        return Feature::there("capabilities");
    }
    let lacking: Vec<_> = [(BPF, "CAP_BPF"), (PERFMON, "CAP_PERFMON")]
        .iter()
        .filter(|(bit, _)| !has(*bit))
        .map(|(_, name)| *name)
        .collect();
    if lacking.is_empty() {
        return Feature::there("capabilities");
    }
    let lacking = lacking.join(" and ");
    Feature::missing("capabilities", format!("the process lacks {lacking}: run it as root, or with these"))
}

fn kernel(release: &str) -> Feature {
    let mut numbers = release.split(['.', '-']).map(|part| part.trim().parse::<u32>().unwrap_or(0));
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    if version >= (5, 8) {
        Feature::there("kernel")
    } else {
        Feature::missing("kernel", format!("{} is older than 5.8", release.trim()))
    }
}

const BTF: &str = "/sys/kernel/btf/vmlinux";
const SYS_ADMIN: u32 = 21;
const PERFMON: u32 = 38;
const BPF: u32 = 39;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_the_capability_that_is_lacking() {
        for (set, expected) in [
            ("000001ffffffffff", "capabilities: there"),
            ("0000000000200000", "capabilities: there"),
            ("000000c000000000", "capabilities: there"),
            ("0000008000000000", "capabilities: missing, the process lacks CAP_PERFMON: run it as root, or with these"),
            (
                "0000000000000000",
                "capabilities: missing, the process lacks CAP_BPF and CAP_PERFMON: run it as root, or with these",
            ),
        ] {
            assert_eq!(capabilities(&format!("Name:\tx\nCapEff:\t{set}\n")).to_string(), expected);
        }
    }

    #[test]
    fn old_kernels_are_refused() {
        for (release, is_missing) in
            [("5.7.19-generic\n", true), ("5.8.0", false), ("6.18.44-fc", false), ("4.18.0-553.el8", true)]
        {
            assert_eq!(kernel(release).is_missing(), is_missing, "{release}");
        }
    }
}
