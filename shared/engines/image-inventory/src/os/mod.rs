//! Which operating system an image holds.

mod release;

use serde::{Deserialize, Serialize};

use crate::analyzer::{Analyzer, Run};

/// An operating system.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperatingSystem {
    /// Family: `debian`, `alpine`, `redhat`, ...
    pub family: String,
    /// Release: `12.14`, `3.20.3`, `9.4`.
    pub release: String,
    /// Whether extended support is active (Ubuntu ESM).
    #[serde(default)]
    pub extended: bool,
}

impl OperatingSystem {
    /// A family and its release.
    #[must_use]
    pub fn new(family: &str, release: &str) -> Self {
        Self { family: family.to_owned(), release: release.to_owned(), extended: false }
    }

    /// Takes in what another file says. Derivatives keep the release file of their origin, so `redhat` and `debian` give way.
    pub fn merge(&mut self, other: &Self) {
        if matches!(self.family.as_str(), "redhat" | "debian") {
            let extended = self.extended || other.extended;
            *self = if other.family.is_empty() { self.clone() } else { other.clone() };
            self.extended = extended;
            return;
        }
        if self.family.is_empty() || (self.family == other.family && !other.release.is_empty()) {
            self.family.clone_from(&other.family);
            self.release.clone_from(&other.release);
        } else if self.release.is_empty() {
            self.release.clone_from(&other.release);
        }
        self.extended |= other.extended;
    }
}

/// The package repository that an image uses; it can be of another release than the image.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Repository {
    /// Family.
    pub family: String,
    /// Release; `edge` for Alpine's rolling one.
    pub release: String,
}

pub(crate) static ANALYZERS: &[Analyzer] = &[
    Analyzer {
        name: "os-release",
        wants: |path, _| {
            matches!(
                path,
                "etc/os-release"
                    | "usr/lib/os-release"
                    | "aarch64-bottlerocket-linux-gnu/sys-root/usr/lib/os-release"
                    | "x86_64-bottlerocket-linux-gnu/sys-root/usr/lib/os-release"
            )
        },
        run: Run::Each(release::os_release),
    },
    Analyzer { name: "alpine", wants: |path, _| path == "etc/alpine-release", run: Run::Each(release::alpine) },
    Analyzer {
        name: "amazon",
        wants: |path, _| matches!(path, "etc/system-release" | "usr/lib/system-release"),
        run: Run::Each(release::amazon),
    },
    Analyzer { name: "debian", wants: |path, _| path == "etc/debian_version", run: Run::Each(release::debian) },
    Analyzer { name: "ubuntu", wants: |path, _| path == "etc/lsb-release", run: Run::Each(release::ubuntu) },
    Analyzer {
        name: "ubuntu-esm",
        wants: |path, _| path == "var/lib/ubuntu-advantage/status.json",
        run: Run::Each(release::ubuntu_esm),
    },
    Analyzer { name: "alma", wants: |path, _| path == "etc/almalinux-release", run: Run::Each(release::alma) },
    Analyzer { name: "centos", wants: |path, _| path == "etc/centos-release", run: Run::Each(release::centos) },
    Analyzer {
        name: "fedora",
        wants: |path, _| matches!(path, "etc/fedora-release" | "usr/lib/fedora-release"),
        run: Run::Each(release::fedora),
    },
    Analyzer { name: "oracle", wants: |path, _| path == "etc/oracle-release", run: Run::Each(release::oracle) },
    Analyzer { name: "rocky", wants: |path, _| path == "etc/rocky-release", run: Run::Each(release::rocky) },
    Analyzer { name: "redhat", wants: |path, _| path == "etc/redhat-release", run: Run::Each(release::redhat) },
    Analyzer {
        name: "rapidfort",
        wants: |path, _| path == "usr/share/rapidfort/curated.json",
        run: Run::Each(|_, found| {
            "rapidfort".clone_into(&mut found.supplier);
            Ok(())
        }),
    },
    Analyzer {
        name: "apk-repo",
        wants: |path, _| path == "etc/apk/repositories",
        run: Run::Each(release::apk_repositories),
    },
];
