//! Independent tools on the machine that runs the tests, where they are there: each lists the same packages as we do.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use image_inventory::{ApplicationKind, FolderReader, ImageInventory, Limits, Nothing, Scope, analyze, parse, wants};
use serde_json::Value;

/// Output of a program, or why there is none.
fn said(program: &str, arguments: &[&str], folder: &Path) -> Result<String, String> {
    let output = Command::new(program).args(arguments).current_dir(folder).output();
    let output = output.map_err(|error| format!("`{program}` cannot be started: {error}"))?;
    if output.stdout.is_empty() {
        return Err(format!("`{program}` says nothing: {}", String::from_utf8_lossy(&output.stderr)));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Reads folders as they are.
pub(crate) fn inventory(roots: &[PathBuf], scope: Scope) -> ImageInventory {
    inventory_from(Path::new("/"), roots, scope)
}

/// The same, with paths from `base` on.
pub(crate) fn inventory_from(base: &Path, roots: &[PathBuf], scope: Scope) -> ImageInventory {
    let mut reader = FolderReader::new("test", scope, Limits::default());
    let mut pending: Vec<PathBuf> = roots.to_vec();
    while let Some(folder) = pending.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let (path, metadata) = (entry.path(), entry.metadata().unwrap());
            if metadata.is_dir() {
                pending.push(path);
            } else if metadata.is_file() {
                let mode = std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o7777;
                let mut file = std::fs::File::open(&path).unwrap();
                let shown = path.strip_prefix(base).unwrap().to_str().unwrap();
                reader.offer(shown.as_bytes(), metadata.len(), mode, &mut file).unwrap();
            }
        }
    }
    reader.finish(&Nothing)
}

fn of_kind(inventory: &ImageInventory, kind: ApplicationKind) -> BTreeSet<String> {
    let applications = inventory.applications.iter().filter(|one| one.kind == kind);
    applications.flat_map(|one| &one.packages).map(|one| format!("{}@{}", one.name, one.version)).collect()
}

fn differences<'a>(left: &'a BTreeSet<String>, right: &'a BTreeSet<String>) -> Vec<&'a String> {
    left.symmetric_difference(right).collect()
}

const NONE: Vec<&String> = Vec::new();

#[test]
fn dpkg_query_lists_the_same_packages() {
    let status = Path::new("/var/lib/dpkg/status");
    let format = "${db:Status-Status} ${Package} ${Version} ${source:Package} ${source:Version} ${Architecture}\n";
    let listed = match said("dpkg-query", &["-W", "-f", format], Path::new("/")) {
        Ok(listed) if status.exists() => listed,
        _ => return testkit::require::skip("dpkg", "this machine is not a Debian"),
    };
    let expected: BTreeSet<String> =
        listed.lines().filter_map(|line| line.strip_prefix("installed ")).map(str::to_owned).collect();
    let bytes = std::fs::read(status).unwrap();
    let found = analyze("dpkg", [("var/lib/dpkg/status", bytes.as_slice())]);
    let got: BTreeSet<String> = found.package_lists[0]
        .packages
        .iter()
        .map(|one| {
            let (version, source) = (one.full_version(), one.full_source_version());
            format!("{} {version} {} {source} {}", one.name, one.source_name, one.arch)
        })
        .collect();
    assert!(expected.len() > 10);
    assert_eq!(differences(&got, &expected), NONE);
}

#[test]
fn dpkg_query_lists_the_same_files() {
    let info = Path::new("/var/lib/dpkg/info");
    let Ok(listed) = said("dpkg-query", &["-L", "dpkg"], Path::new("/")) else {
        return testkit::require::skip("dpkg", "this machine is not a Debian");
    };
    let expected: BTreeSet<String> =
        listed.lines().filter(|path| Path::new(path).is_file()).map(str::to_owned).collect();
    let sums = std::fs::read(info.join("dpkg.md5sums")).unwrap();
    let status = std::fs::read("/var/lib/dpkg/status").unwrap();
    let files = [("var/lib/dpkg/status", status.as_slice()), ("var/lib/dpkg/info/dpkg.md5sums", sums.as_slice())];
    let found = analyze("dpkg", files);
    let package = found.package_lists[0].packages.iter().find(|one| one.name == "dpkg").unwrap();
    let got: BTreeSet<String> = package.installed_files.iter().cloned().collect();
    // Configuration files have no sums, and links are followed by the one and not listed by the other.
    let missing: Vec<&String> = got.difference(&expected).filter(|path| Path::new(path).is_file()).collect();
    assert_eq!(missing, NONE);
    assert!(got.len() > 20);
}

#[test]
fn importlib_lists_the_same_distributions() {
    let script = "import importlib.metadata as m\nfor d in m.distributions():\n  p=getattr(d,'_path',None)\n  print(p, d.metadata['Name'], d.version, sep='\\t')";
    let Ok(listed) = said("python3", &["-c", script], Path::new("/")) else { return };
    for line in listed.lines() {
        let [folder, name, version] = line.split('\t').collect::<Vec<_>>()[..] else { continue };
        let path = ["METADATA", "PKG-INFO"].iter().map(|file| Path::new(folder).join(file)).find(|path| path.is_file());
        let path = path.unwrap_or_else(|| Path::new(folder).to_owned());
        let Ok(bytes) = std::fs::read(&path) else { continue };
        let shown = path.to_str().unwrap().trim_start_matches('/');
        assert!(wants("python-pkg", shown, 0o644), "{shown}");
        let found = analyze("python-pkg", [(shown, bytes.as_slice())]);
        let package = &found.applications[0].packages[0];
        assert_eq!((package.name.as_str(), package.version.as_str()), (name, version), "{shown}");
    }
}

#[test]
fn pip_lists_the_same_packages_of_an_environment() {
    let folder = tempfile::tempdir().unwrap();
    let made = Command::new("python3").args(["-m", "venv", "v"]).current_dir(folder.path()).status();
    if !made.is_ok_and(|status| status.success()) {
        return testkit::require::skip("venv", "python3 cannot make an environment");
    }
    let pip = folder.path().join("v/bin/pip");
    let arguments = ["list", "--format", "json", "--disable-pip-version-check"];
    let listed: Value = serde_json::from_str(&said(pip.to_str().unwrap(), &arguments, folder.path()).unwrap()).unwrap();
    let text = |one: &Value, key: &str| one[key].as_str().unwrap().to_owned();
    let expected: BTreeSet<String> = listed
        .as_array()
        .unwrap()
        .iter()
        .map(|one| format!("{}@{}", text(one, "name"), text(one, "version")))
        .collect();
    let found = inventory(&[folder.path().join("v")], Scope::Image);
    // pip carries its own copies of other packages, without metadata.
    assert_eq!(differences(&of_kind(&found, ApplicationKind::PythonPkg), &expected), NONE);
    assert!(!expected.is_empty());
}

#[test]
fn npm_lists_the_same_packages() {
    let (listed, root) = match (
        said("npm", &["ls", "-g", "--all", "--json"], Path::new("/")),
        said("npm", &["root", "-g"], Path::new("/")),
    ) {
        (Ok(listed), Ok(root)) => (listed, PathBuf::from(root.trim())),
        _ => return testkit::require::skip("npm", "npm is not installed"),
    };
    let tree: Value = serde_json::from_str(&listed).unwrap();
    let mut expected = BTreeSet::new();
    let mut pending = vec![&tree];
    while let Some(node) = pending.pop() {
        for (name, one) in node["dependencies"].as_object().into_iter().flatten() {
            expected.extend(one["version"].as_str().map(|version| format!("{name}@{version}")));
            pending.push(one);
        }
    }
    let got = of_kind(&inventory(&[root], Scope::Image), ApplicationKind::NodePkg);
    let missing: Vec<&String> = expected.difference(&got).collect();
    assert_eq!(missing, NONE, "npm lists what we do not");
    assert!(expected.len() > 50, "{expected:?}");
    // Folders within packages may hold a manifest of their own, which npm does not install by.
    let more: Vec<&String> = got.difference(&expected).collect();
    assert!(more.len() * 10 < expected.len(), "{more:?}");
}

#[test]
fn go_tells_the_same_modules_of_a_program() {
    let folder = tempfile::tempdir().unwrap();
    let write = |path: &str, content: &str| {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    };
    write(
        "go.mod",
        "module example.org/app\n\ngo 1.18\n\nrequire example.org/lib v1.2.3\n\nreplace example.org/lib v1.2.3 => ./lib\n",
    );
    write("main.go", "package main\n\nimport \"example.org/lib\"\n\nfunc main() { println(lib.Name()) }\n");
    write("lib/go.mod", "module example.org/lib\n\ngo 1.18\n");
    write("lib/lib.go", "package lib\n\nfunc Name() string { return \"lib\" }\n");
    let built = Command::new("go")
        .args(["build", "-o", "app", "-ldflags", "-X main.version=1.5.0", "."])
        .env("GOFLAGS", "-mod=mod")
        .env("GOTOOLCHAIN", "local")
        .env("CGO_ENABLED", "0")
        .current_dir(folder.path())
        .status();
    if !built.is_ok_and(|status| status.success()) {
        return testkit::require::skip("go", "go cannot build");
    }
    let mut programs = vec![folder.path().join("app")];
    let goroot = said("go", &["env", "GOROOT"], folder.path()).unwrap();
    programs.extend(
        ["bin/go", "bin/gofmt"]
            .map(|program| Path::new(goroot.trim()).join(program))
            .into_iter()
            .filter(|path| path.is_file()),
    );
    for program in programs {
        let told = said("go", &["version", "-m", program.to_str().unwrap()], folder.path()).unwrap();
        let mut expected: Vec<String> = Vec::new();
        for line in told.lines() {
            let fields: Vec<&str> = line.trim_start().split('\t').collect();
            match fields.as_slice() {
                ["dep", name, version, ..] => expected.push(format!("{name}@{version}")),
                ["=>", name, rest @ ..] => {
                    let version = rest.first().copied().unwrap_or_default().trim_start_matches("(devel)");
                    let shown = if version.is_empty() { (*name).to_owned() } else { format!("{name}@{version}") };
                    *expected.last_mut().unwrap() = shown;
                }
                _ => {}
            }
        }
        let go =
            told.lines().next().unwrap().rsplit(": go").next().unwrap().split([' ', '-']).next().unwrap().to_owned();
        expected.push(format!("stdlib@v{go}"));
        let bytes = std::fs::read(&program).unwrap();
        let packages = parse("gobinary", &bytes).unwrap();
        let got: BTreeSet<String> = packages
            .iter()
            .filter(|one| one.relationship != image_inventory::Relationship::Root)
            .map(|one| one.id.clone())
            .collect();
        assert_eq!(differences(&got, &expected.into_iter().collect()), NONE, "{}", program.display());
    }
}

#[test]
fn cargo_resolves_the_same_packages() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..");
    let cargo = option_env!("CARGO").unwrap_or("cargo");
    // What other platforms need was not downloaded to build this.
    let platform = said("rustc", &["-vV"], &root)
        .ok()
        .and_then(|text| text.lines().find_map(|line| Some(line.strip_prefix("host: ")?.to_owned())));
    let platform = platform.as_deref().unwrap_or("x86_64-unknown-linux-gnu");
    let asked = ["metadata", "--locked", "--offline", "--format-version", "1", "--filter-platform", platform];
    let listed = match said(cargo, &asked, &root) {
        Ok(listed) => listed,
        Err(why) => return testkit::require::skip("cargo", &why),
    };
    let metadata: Value = serde_json::from_str(&listed).unwrap();
    let mut names = std::collections::BTreeMap::new();
    for one in metadata["packages"].as_array().unwrap() {
        names.insert(
            one["id"].as_str().unwrap(),
            format!("{}@{}", one["name"].as_str().unwrap(), one["version"].as_str().unwrap()),
        );
    }
    let lock = parse("cargo", &std::fs::read(root.join("Cargo.lock")).unwrap()).unwrap();
    let by_id: std::collections::BTreeMap<&str, BTreeSet<&str>> =
        lock.iter().map(|one| (one.id.as_str(), one.depends_on.iter().map(String::as_str).collect())).collect();
    for node in metadata["resolve"]["nodes"].as_array().unwrap() {
        let id = &names[node["id"].as_str().unwrap()];
        let needs = by_id.get(id.as_str()).unwrap_or_else(|| panic!("{id} is not in our list"));
        for need in node["dependencies"].as_array().unwrap() {
            let need = &names[need.as_str().unwrap()];
            assert!(needs.contains(need.as_str()), "{id} needs {need}; we have {needs:?}");
        }
    }
    assert!(names.len() > 100);
}

#[test]
fn jars_of_a_maven_repository_are_what_their_path_says() {
    let root = Path::new("/usr/share/maven-repo");
    let mut jars = Vec::new();
    let mut pending = vec![root.to_owned()];
    while let Some(folder) = pending.pop() {
        for path in std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()) {
            if path.is_dir() {
                pending.push(path);
            } else if path.extension().is_some_and(|extension| extension == "jar") {
                jars.push(path);
            }
        }
    }
    if jars.is_empty() {
        return testkit::require::skip("maven", "no repository of Maven is installed");
    }
    let (mut checked, mut known) = (0, 0);
    for jar in jars {
        let below = jar.strip_prefix(root).unwrap().to_str().unwrap();
        let parts: Vec<&str> = below.rsplitn(4, '/').collect();
        let [_, version, artifact, group] = parts[..] else { continue };
        // Debian repeats each artifact under the version `debian`.
        if version == "debian" {
            continue;
        }
        let name = format!("{}:{artifact}", group.replace('/', "."));
        let found = analyze("jar", [(below, std::fs::read(&jar).unwrap().as_slice())]);
        assert!(found.faults.is_empty(), "{below}: {:?}", found.faults);
        let packages: Vec<_> = found.applications.iter().flat_map(|one| &one.packages).collect();
        checked += 1;
        known += usize::from(packages.iter().any(|one| one.name == name && one.version == version));
        // An archive either says what it is, or is kept with its SHA-1.
        assert!(!packages.is_empty() || !found.unidentified.is_empty(), "{below}");
    }
    assert!(checked > 10 && known * 2 > checked, "{known} of {checked} archives say what they are");
}
