//! Package databases of operating systems.

mod apk;
mod copyright;
pub(crate) mod dpkg;
pub(crate) mod red_hat;
mod rpm;

use crate::analyzer::{Analyzer, Run};

pub(crate) static ANALYZERS: &[Analyzer] = &[
    Analyzer { name: "dpkg", wants: dpkg::wants, run: Run::Together(dpkg::analyze) },
    Analyzer {
        name: "apk",
        wants: |path, _| matches!(path, "lib/apk/db/installed" | "usr/lib/apk/db/installed"),
        run: Run::Each(apk::analyze),
    },
    Analyzer { name: "dpkg-license", wants: copyright::wants, run: Run::Each(copyright::analyze) },
    Analyzer { name: "content-manifest", wants: red_hat::wants_manifest, run: Run::Each(red_hat::content_manifest) },
    Analyzer { name: "buildinfo-dockerfile", wants: red_hat::wants_dockerfile, run: Run::Each(red_hat::dockerfile) },
    Analyzer {
        name: "rpmqa",
        wants: |path, _| path == "var/lib/rpmmanifest/container-manifest-2",
        run: Run::Each(red_hat::rpm_list),
    },
    Analyzer {
        name: "bottlerocket-inventory",
        wants: |path, _| path.ends_with("usr/share/bottlerocket/application-inventory.json"),
        run: Run::Each(red_hat::bottlerocket),
    },
    Analyzer { name: "rpm", wants: rpm::wants, run: Run::Each(rpm::analyze) },
];

/// Of packages that lie there without being installed; only looked for when asked.
pub(crate) static UNINSTALLED: &[Analyzer] =
    &[Analyzer { name: "rpm-archive", wants: rpm::archive::wants, run: Run::Each(rpm::archive::analyze) }];
