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
    /// The most that a process of this machine can be allowed.
    bounding: Cell<u64>,
}

impl Directory {
    pub(crate) fn read() -> Self {
        Self { host: Arc::new(Users::read(Path::new("/"))), ..Self::default() }
    }

    /// Whether containers can be asked: not those of a recording.
    pub(crate) fn asks_containers(&self, asks: bool) {
        self.asks.set(asks);
        self.bounding.set(if asks { crate::process::proc::bounding_of_machine() } else { 0 });
    }

    /// The capabilities that a process of this machine may have at most; 0 when that is not known.
    pub(crate) fn bounding(&self) -> u64 {
        self.bounding.get()
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
        let mut users = Users::read(Path::new(&root));
        let process = Path::new(&root).parent().unwrap_or(Path::new("/"));
        users.user_map = Map::parse(&text(&process.join("uid_map")).unwrap_or_default());
        users.group_map = Map::parse(&text(&process.join("gid_map")).unwrap_or_default());
        let users = Arc::new(users);
        let mut containers = self.containers.borrow_mut();
        if containers.len() >= MAX_CONTAINERS {
            containers.clear();
        }
        containers.insert(id.to_owned(), users.clone());
        users
    }
}

/// Users and groups, by the ids that they have in their user namespace, and what these are on the host.
#[derive(Debug, Default)]
pub(crate) struct Users {
    users: HashMap<u32, User>,
    groups: HashMap<u32, String>,
    user_map: Map,
    group_map: Map,
}

/// How ids of a user namespace stand for ids of the host (user_namespaces(7)). Without lines they are the same.
#[derive(Debug, Default)]
struct Map {
    /// First inside, first on the host, how many.
    lines: Vec<(u32, u32, u32)>,
}

impl Map {
    fn parse(text: &str) -> Self {
        let line = |line: &str| {
            let mut numbers = line.split_whitespace().map(str::parse);
            Some((numbers.next()?.ok()?, numbers.next()?.ok()?, numbers.next()?.ok()?))
        };
        Self { lines: text.lines().filter_map(line).take(MAX_MAP_LINES).collect() }
    }

    /// The id inside for one of the host; `None` for one that nobody has there.
    fn inside(&self, id: u32) -> Option<u32> {
        if self.lines.is_empty() {
            return Some(id);
        }
        self.lines.iter().find_map(|(inside, host, count)| {
            id.checked_sub(*host).filter(|place| place < count).and_then(|place| inside.checked_add(place))
        })
    }
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

    fn user(&self, uid: u32) -> Option<&User> {
        self.users.get(&self.user_map.inside(uid)?)
    }

    /// Name of the user who has an id on the host.
    pub(crate) fn name(&self, uid: u32) -> Option<&str> {
        self.user(uid).map(|user| user.name.as_str())
    }

    pub(crate) fn home(&self, uid: u32) -> Option<&str> {
        self.user(uid).map(|user| user.home.as_str())
    }

    pub(crate) fn shell(&self, uid: u32) -> Option<&str> {
        self.user(uid).map(|user| user.shell.as_str())
    }

    /// Name of the group that has an id on the host.
    pub(crate) fn group(&self, gid: u32) -> Option<&str> {
        self.groups.get(&self.group_map.inside(gid)?).map(String::as_str)
    }

    /// Name of the user who has an id inside, as processes say it.
    pub(crate) fn name_inside(&self, uid: u32) -> Option<&str> {
        self.users.get(&uid).map(|user| user.name.as_str())
    }

    /// Name of the group that has an id inside.
    pub(crate) fn group_inside(&self, gid: u32) -> Option<&str> {
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

/// As many as the kernel takes.
const MAX_MAP_LINES: usize = 340;

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
    fn ids_of_a_user_namespace_stand_for_others_on_the_host() {
        let mut users = Users::parse("root:x:0:0::/:/x\napp:x:7:7::/:/x\n", "app:x:7:\n");
        users.user_map = Map::parse("         0     100000      65536\n     70000       1000          1\n");
        users.group_map = Map::parse("0 200000 10\n");
        let names: Vec<_> = [100_000, 100_007, 0, 7, 99_999, 165_536].into_iter().map(|uid| users.name(uid)).collect();
        assert_eq!(names, [Some("root"), Some("app"), None, None, None, None]);
        assert_eq!((users.group(200_007), users.group(200_010), users.group(7)), (Some("app"), None, None));
        assert_eq!((users.name_inside(7), users.group_inside(7)), (Some("app"), Some("app")));
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
