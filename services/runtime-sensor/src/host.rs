//! What the host says of users and of itself.

use std::collections::HashMap;

use model::Timestamp;

/// User names by id, read once from the host's files.
#[derive(Debug, Default)]
pub(crate) struct Users {
    by_id: HashMap<u32, String>,
}

impl Users {
    pub(crate) fn read() -> Self {
        let text = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
        let entry = |line: &str| {
            let mut fields = line.split(':');
            let name = fields.next()?.to_owned();
            Some((fields.nth(1)?.parse().ok()?, name))
        };
        Self { by_id: text.lines().filter_map(entry).collect() }
    }

    pub(crate) fn name(&self, id: u32) -> Option<&str> {
        self.by_id.get(&id).map(String::as_str)
    }
}

/// Name of the host.
pub(crate) fn hostname() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname").map(|name| name.trim().to_owned()).unwrap_or_default()
}

/// When this machine started, by both clocks: turns nanoseconds since boot into event time.
pub(crate) fn boot_time() -> Timestamp {
    let uptime = std::fs::read_to_string("/proc/uptime").unwrap_or_default();
    let seconds: f64 = uptime.split_whitespace().next().and_then(|text| text.parse().ok()).unwrap_or(0.0);
    service::now().minus(std::time::Duration::from_secs_f64(seconds))
}
