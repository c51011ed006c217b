//! What the host says of users and of itself.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::fs::OpenOptions;
use std::io::Read as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::Arc;

use model::Timestamp;

/// Users of the host and of each container, read when they are asked for.
#[derive(Debug, Default)]
pub(crate) struct Directory {
    host: Arc<Users>,
    containers: RefCell<HashMap<String, Arc<Users>>>,
    asks: Cell<bool>,
}

impl Directory {
    pub(crate) fn read() -> Self {
        Self { host: Arc::new(Users::read(Path::new("/"))), ..Self::default() }
    }

    /// Whether containers can be asked: not those of a recording.
    pub(crate) fn asks_containers(&self, asks: bool) {
        self.asks.set(asks);
    }

    pub(crate) fn host(&self) -> Arc<Users> {
        self.host.clone()
    }

    /// The users that a container's own files name, read through the first of its processes that is still there. What the files say
    /// later is not seen.
    pub(crate) fn of_container(&self, id: &str, pids: impl Iterator<Item = u32>) -> Arc<Users> {
        if let Some(users) = self.containers.borrow().get(id) {
            return users.clone();
        }
        let roots = pids.filter(|_| self.asks.get()).map(|pid| format!("/proc/{pid}/root"));
        let Some(root) = roots.into_iter().find(|root| Path::new(root).join("etc").exists()) else {
            return Arc::default();
        };
        let users = Arc::new(Users::read(Path::new(&root)));
        let mut containers = self.containers.borrow_mut();
        if containers.len() >= MAX_CONTAINERS {
            containers.clear();
        }
        containers.insert(id.to_owned(), users.clone());
        users
    }
}

/// Users and groups by id.
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
    /// Reads the files below a root, which may be that of a container.
    fn read(root: &Path) -> Self {
        let text = |name| text(&root.join(name)).unwrap_or_default();
        Self::parse(&text("etc/passwd"), &text("etc/group"))
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

/// The text of a file that may have been laid out to harm the reader: no link is followed, for it would lead out of the container, and
/// neither a device nor a pipe is read.
fn text(path: &Path) -> Option<String> {
    let file = OpenOptions::new().read(true).custom_flags(O_NOFOLLOW | O_NONBLOCK).open(path).ok()?;
    let mut bytes = Vec::new();
    file.metadata().ok().filter(std::fs::Metadata::is_file)?;
    file.take(MAX_BYTES).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// open(2)
const O_NOFOLLOW: i32 = 0o400_000;
const O_NONBLOCK: i32 = 0o4000;

const MAX_BYTES: u64 = 1 << 20;

const MAX_CONTAINERS: usize = 4_096;

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
    fn a_container_cannot_harm_who_reads_its_users() {
        let folder = tempfile::tempdir().unwrap();
        let etc = folder.path().join("etc");
        std::fs::create_dir(&etc).unwrap();
        assert!(std::process::Command::new("mkfifo").arg(etc.join("passwd")).status().unwrap().success());
        std::os::unix::fs::symlink("/etc/group", etc.join("group")).unwrap();
        let users = Users::read(folder.path());
        assert_eq!((users.name(0), users.group(0)), (None, None));
        std::fs::remove_file(etc.join("passwd")).unwrap();
        std::fs::write(etc.join("passwd"), "app:x:7:7::/:/bin/sh\n").unwrap();
        assert_eq!(Users::read(folder.path()).name(7), Some("app"));
    }

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
