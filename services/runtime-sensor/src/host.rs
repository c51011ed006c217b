//! What the host says of users and of itself.

use std::collections::HashMap;

use model::Timestamp;

/// Users and groups by id, read once from the host's files.
#[derive(Debug, Default)]
pub(crate) struct Users {
    users: HashMap<u32, User>,
    groups: HashMap<u32, String>,
}

#[derive(Debug)]
struct User {
    name: String,
    home: String,
    shell: String,
}

impl Users {
    pub(crate) fn read() -> Self {
        let text = |path| std::fs::read_to_string(path).unwrap_or_default();
        Self::parse(&text("/etc/passwd"), &text("/etc/group"))
    }

    /// Reads passwd(5) and group(5). The first of several with an id counts.
    fn parse(passwd: &str, group: &str) -> Self {
        let mut found = Self::default();
        for line in passwd.lines() {
            let fields: Vec<_> = line.split(':').collect();
            let [name, _, uid, _, _, home, shell] = fields[..] else { continue };
            let Ok(uid) = uid.parse() else { continue };
            let user = || User { name: name.to_owned(), home: home.to_owned(), shell: shell.to_owned() };
            found.users.entry(uid).or_insert_with(user);
        }
        for line in group.lines() {
            let mut fields = line.split(':');
            let (Some(name), Some(Ok(gid))) = (fields.next(), fields.nth(1).map(str::parse)) else { continue };
            found.groups.entry(gid).or_insert_with(|| name.to_owned());
        }
        found
    }

    pub(crate) fn name(&self, uid: u32) -> Option<&str> {
        self.users.get(&uid).map(|user| user.name.as_str())
    }

    pub(crate) fn home(&self, uid: u32) -> Option<&str> {
        self.users.get(&uid).map(|user| user.home.as_str())
    }

    pub(crate) fn shell(&self, uid: u32) -> Option<&str> {
        self.users.get(&uid).map(|user| user.shell.as_str())
    }

    pub(crate) fn group(&self, gid: u32) -> Option<&str> {
        self.groups.get(&gid).map(String::as_str)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_and_groups_are_read() {
        let users = Users::parse(
            "root:x:0:0:r:/root:/bin/sh\nbroken\ntoor:x:0:0::/:/x\n",
            "root:x:0:\nwheel:x:10:a,b\nx:y:z\n",
        );
        assert_eq!((users.name(0), users.home(0), users.shell(0)), (Some("root"), Some("/root"), Some("/bin/sh")));
        assert_eq!((users.group(10), users.name(10), users.group(1)), (Some("wheel"), None, None));
    }
}
