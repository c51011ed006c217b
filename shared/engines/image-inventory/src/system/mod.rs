//! Package databases of operating systems.

mod apk;
mod dpkg;

use crate::analyzer::{Analyzer, Run};

pub(crate) static ANALYZERS: &[Analyzer] = &[
    Analyzer { name: "dpkg", wants: dpkg::wants, run: Run::Together(dpkg::analyze) },
    Analyzer {
        name: "apk",
        wants: |path, _| matches!(path, "lib/apk/db/installed" | "usr/lib/apk/db/installed"),
        run: Run::Each(apk::analyze),
    },
];
