//! From a cgroup to the container and the pod that it belongs to.

use std::collections::{HashMap, HashSet};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use model::{ContainerId, PodUid};

use crate::cri::ContainerFacts;
use crate::hash::ByNumber;

/// A container, as its cgroup path tells.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Container {
    pub(crate) id: ContainerId,
    pub(crate) pod: Option<PodUid>,
    pub(crate) cgroup: String,
    /// What its runtime says of it, once that is known.
    pub(crate) facts: Option<Arc<ContainerFacts>>,
}

/// Finds containers by cgroup id and remembers them.
#[derive(Debug)]
pub(crate) struct Cgroups {
    mount: Option<PathBuf>,
    known: HashMap<u64, Option<Container>, ByNumber>,
    /// How often a cgroup was looked for in vain.
    misses: HashMap<u64, u8, ByNumber>,
    /// Those that are taken for none of a container because they could not be found.
    unfound: HashSet<u64, ByNumber>,
}

/// Where the cgroup2 tree is mounted.
pub(crate) fn mount() -> Option<PathBuf> {
    let mounts = ["/sys/fs/cgroup/unified", "/sys/fs/cgroup"].map(PathBuf::from);
    mounts.into_iter().find(|path| path.join("cgroup.controllers").exists())
}

impl Cgroups {
    pub(crate) fn new() -> Self {
        Self { mount: mount(), known: HashMap::default(), misses: HashMap::default(), unfound: HashSet::default() }
    }

    /// The container of a cgroup id (an inode number of the cgroup2 tree). Programs that start tell their cgroup themselves; for
    /// others the process is asked first, for it is cheap; the tree is walked when it is already gone.
    pub(crate) fn container(&mut self, cgroup: u64, tgid: u32) -> Option<&Container> {
        if !self.known.contains_key(&cgroup) {
            self.look_for(cgroup, tgid);
        }
        self.known.get(&cgroup).and_then(Option::as_ref)
    }

    /// The same, and whether it is certain: a cgroup that could not be found may yet be a container's.
    pub(crate) fn placed(&mut self, cgroup: u64, tgid: u32) -> (Option<&Container>, bool) {
        if !self.known.contains_key(&cgroup) {
            self.look_for(cgroup, tgid);
        }
        match self.known.get(&cgroup) {
            Some(found) => (found.as_ref(), self.unfound.is_empty() || !self.unfound.contains(&cgroup)),
            None => (None, false),
        }
    }

    /// The container of a cgroup id that is known already.
    pub(crate) fn known(&mut self, cgroup: u64) -> Option<&mut Container> {
        self.known.get_mut(&cgroup).and_then(Option::as_mut)
    }

    fn look_for(&mut self, cgroup: u64, tgid: u32) {
        match self.path(cgroup, tgid) {
            Some(path) => self.learn(cgroup, &path),
            None => {
                if self.misses.len() >= MAX_CGROUPS {
                    self.misses.clear();
                }
                let misses = self.misses.entry(cgroup).or_default();
                *misses = misses.saturating_add(1);
                // The next event may find it; but not each of thousands walks the tree.
                if *misses >= MAX_MISSES {
                    self.remember(cgroup, None);
                    self.unfound.insert(cgroup);
                }
            }
        }
    }

    /// Whether a cgroup is known as that of a container. That one could not be found out says nothing: it may have been gone already.
    pub(crate) fn knows(&self, cgroup: u64) -> bool {
        self.known.get(&cgroup).is_some_and(Option::is_some)
    }

    /// Learns the path of a cgroup from an event or a recording.
    pub(crate) fn learn(&mut self, cgroup: u64, path: &str) {
        self.remember(cgroup, parse(path));
    }

    fn remember(&mut self, cgroup: u64, container: Option<Container>) {
        if self.known.len() >= MAX_CGROUPS {
            self.known.clear();
            self.unfound.clear();
        }
        self.misses.remove(&cgroup);
        self.unfound.remove(&cgroup);
        self.known.insert(cgroup, container);
    }

    /// The path of a cgroup of this machine.
    pub(crate) fn path(&self, cgroup: u64, tgid: u32) -> Option<String> {
        let mount = self.mount.as_deref()?;
        let of_process = std::fs::read_to_string(format!("/proc/{tgid}/cgroup")).ok().and_then(|text| unified(&text));
        let is_it =
            |path: &str| mount.join(path.trim_start_matches('/')).metadata().is_ok_and(|meta| meta.ino() == cgroup);
        of_process.filter(|path| is_it(path)).or_else(|| find(mount, mount, cgroup, 8))
    }
}

/// The path in the cgroup2 tree: the line `0::`.
fn unified(text: &str) -> Option<String> {
    text.lines().find_map(|line| line.strip_prefix("0::")).map(str::to_owned)
}

fn find(mount: &Path, folder: &Path, inode: u64, depth: u32) -> Option<String> {
    for entry in folder.read_dir().ok()?.flatten() {
        let path = entry.path();
        let Ok(meta) = path.symlink_metadata() else { continue };
        if !meta.is_dir() {
            continue;
        }
        if meta.ino() == inode {
            return Some(format!("/{}", path.strip_prefix(mount).ok()?.display()));
        }
        let below = if depth > 0 { find(mount, &path, inode, depth.saturating_sub(1)) } else { None };
        if below.is_some() {
            return below;
        }
    }
    None
}

/// Reads container id and pod uid from a cgroup path. `None` for a path that is no container's.
///
/// The id is 64 hex digits at the end of a component, which may carry a runtime's prefix and `.scope`; a container may have cgroups of
/// its own below. The pod's component is `pod<uid>`, in systemd's form with `_` for `-` and `.slice`.
pub(crate) fn parse(path: &str) -> Option<Container> {
    let id = path.split('/').rev().find_map(id)?;
    let pod = path.split(['/', ':']).find_map(|part| {
        let part = part.strip_suffix(".slice").unwrap_or(part);
        let uid = part.strip_prefix("pod").or_else(|| part.split_once("-pod").map(|(_, uid)| uid))?;
        uid.replace('_', "-").parse::<PodUid>().ok()
    });
    Some(Container { id, pod, cgroup: path.to_owned(), facts: None })
}

fn id(component: &str) -> Option<ContainerId> {
    if component.starts_with("crio-conmon-") {
        return None;
    }
    let name = component.strip_suffix(".scope").unwrap_or(component).rsplit(['-', ':']).next()?;
    let is_id = name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
    name.parse().ok().filter(|_| is_id)
}

const MAX_CGROUPS: usize = 65_536;

const MAX_MISSES: u8 = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_the_paths_of_all_drivers() {
        let id = "0123456789abcdef".repeat(4);
        let uid = "0b1f9c6e-2d8f-4a5e-9d27-0c7a3c1f2b3a";
        let under = uid.replace('-', "_");
        for (path, pod) in [
            (format!("/kubepods/burstable/pod{uid}/{id}"), Some(uid)),
            (format!("/kubepods/pod{uid}/{id}"), Some(uid)),
            (
                format!(
                    "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{under}.slice/cri-containerd-{id}.scope"
                ),
                Some(uid),
            ),
            (format!("/kubepods.slice/kubepods-pod{under}.slice/crio-{id}.scope"), Some(uid)),
            (format!("/system.slice/containerd.service/kubepods-pod{under}.slice:cri-containerd:{id}"), Some(uid)),
            (format!("/kubepods/burstable/pod{uid}/{id}/init.scope/deeper"), Some(uid)),
            (format!("/docker/{id}"), None),
            (format!("/system.slice/docker-{id}.scope"), None),
            (format!("/kubepods/besteffort/pod{}/{id}", "ab".repeat(16)), Some("abababababababababababababababab")),
        ] {
            let container = parse(&path).unwrap_or_else(|| panic!("{path}"));
            assert_eq!(container.id.as_str(), id);
            if let Some(pod) = pod {
                assert_eq!(container.pod.unwrap().as_str(), pod, "{path}");
            }
        }
        for path in ["/", "/user.slice/session-1.scope", "/kubepods/burstable", "/x/crio-conmon-0123.scope", ""] {
            assert!(parse(path).is_none(), "{path}");
        }
    }
}
