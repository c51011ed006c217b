//! Package databases that the package managers themselves write, from packages that their own tools build: each lists the same as we do.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use image_inventory::{Found, Package, analyze};

/// Runs a program; what it said, or nothing when it is not there or fails.
fn run(program: &str, arguments: &[&str], folder: &Path) -> Option<String> {
    let output = Command::new(program).args(arguments).current_dir(folder).env("LC_ALL", "C").output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

fn files_below(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let (mut pending, mut files) = (vec![folder.to_owned()], Vec::new());
    while let Some(one) = pending.pop() {
        for path in std::fs::read_dir(one).into_iter().flatten().flatten().map(|entry| entry.path()) {
            if path.is_dir() {
                pending.push(path);
            } else if path.extension().is_some_and(|one| one == extension) {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}

/// A source with three packages: an epoch, needs among them, files, a module, and a package that needs nothing.
const SPEC: &str = "
Name: widget
Epoch: 3
Version: 1.2.3
Release: 4.el9
Summary: of a test
License: MIT AND (GPL-2.0-or-later)
Vendor: Red Hat, Inc.
BuildArch: noarch
ModularityLabel: widget:1:9040020240301:rhel9
Requires: widget-libs = 3:1.2.3-4.el9
%description
of a test
%package libs
Summary: of a test
License: BSD-3-Clause
%description libs
of a test
%package -n gadget
Version: 9~rc1
Summary: of a test
Requires: widget
%description -n gadget
of a test
%install
mkdir -p %{buildroot}/usr/share/widget/deep %{buildroot}/usr/share/gadget
echo a > %{buildroot}/usr/share/widget/a
echo b > %{buildroot}/usr/share/widget/deep/b
echo c > %{buildroot}/usr/share/gadget/c
%files
/usr/share/widget/a
%files libs
/usr/share/widget/deep
%files -n gadget
/usr/share/gadget
";

/// Builds the packages, and says where they lie; nothing when this machine cannot.
fn built(folder: &Path) -> Option<Vec<PathBuf>> {
    let spec = folder.join("widget.spec");
    std::fs::write(&spec, SPEC).unwrap();
    let define = |name: &str, below: &str| format!("{name} {}", folder.join(below).display());
    let top = define("_topdir", "build");
    run("rpmbuild", &["-bb", "--quiet", "--define", &top, spec.to_str()?], folder)?;
    let packages = files_below(folder, "rpm");
    (packages.len() == 3).then_some(packages)
}

/// What is asked of rpm, and what we say of the same.
const FORMAT: &str =
    "%{NAME} %{EPOCHNUM} %{VERSION} %{RELEASE} %{ARCH} %{SOURCERPM} <%{LICENSE}> <%{VENDOR}> <%{MODULARITYLABEL}>\n";

fn line(one: &Package) -> String {
    let source = format!("{}-{}-{}.src.rpm", one.source_name, one.source_version, one.source_release);
    let modularity = if one.modularity.is_empty() { "(none)" } else { &one.modularity };
    format!(
        "{} {} {} {} {} {source} <{}> <{}> <{modularity}>",
        one.name,
        one.epoch,
        one.version,
        one.release,
        one.arch,
        one.licenses.join(" "),
        one.maintainer
    )
}

fn packages(found: &Found) -> &[Package] {
    assert_eq!(found.faults, []);
    &found.package_lists[0].packages
}

fn lines(text: &str) -> BTreeSet<String> {
    text.lines().map(str::to_owned).collect()
}

#[test]
fn rpm_lists_the_same_packages_of_a_database_that_it_wrote() {
    let folder = tempfile::tempdir().unwrap();
    let Some(built) = built(folder.path()) else {
        return testkit::require::skip("rpm", "this machine cannot build packages of rpm");
    };
    let db = folder.path().join("db");
    let db_path = db.to_str().unwrap().to_owned();
    let rpm = |more: &[&str]| run("rpm", &[&["--dbpath", db_path.as_str()], more].concat(), folder.path());
    let mut install = vec!["-i", "--justdb", "--nodeps", "--nosignature", "--ignorearch"];
    install.extend(built.iter().map(|path| path.to_str().unwrap()));
    rpm(&install).unwrap();
    let expected = lines(&rpm(&["-qa", "--qf", FORMAT]).unwrap());
    let bytes = std::fs::read(db.join("rpmdb.sqlite")).unwrap();
    let found = analyze("rpm", [("var/lib/rpm/rpmdb.sqlite", bytes.as_slice())]);
    assert_eq!(packages(&found).iter().map(line).collect::<BTreeSet<_>>(), expected);

    let named = |name: &str| packages(&found).iter().find(|one| one.name == name).unwrap();
    assert_eq!(named("widget").depends_on, [named("widget-libs").id.clone()]);
    assert_eq!(named("gadget").depends_on, [named("widget").id.clone()]);
    for one in packages(&found) {
        let listed = rpm(&["-ql", &one.name]).unwrap();
        let listed: BTreeSet<&str> = listed.lines().collect();
        assert_eq!(one.installed_files.iter().map(String::as_str).collect::<BTreeSet<_>>(), listed, "{}", one.name);
    }

    for path in built {
        let bytes = std::fs::read(&path).unwrap();
        let found = analyze("rpm-archive", [("mirror/one.rpm", bytes.as_slice())]);
        let query = run("rpm", &["-qp", "--nosignature", "--qf", FORMAT, path.to_str().unwrap()], folder.path());
        assert_eq!(lines(&line(&packages(&found)[0])), lines(&query.unwrap()));
    }
}

/// Packages for dpkg: an epoch, a source of another name and version, another architecture of the same name, a virtual need.
const CONTROLS: [&str; 4] = [
    "Package: widget\nVersion: 2:1.0-3\nArchitecture: all\nMaintainer: A <a@example.org>\nDepends: libwidget1 (>= 1.0), gadget | other\nDescription: d\n",
    "Package: libwidget1\nSource: widget-src (1.0-3)\nVersion: 1.0-3+b1\nArchitecture: all\nMulti-Arch: foreign\nMaintainer: A <a@example.org>\nDescription: d\n more\n",
    "Package: gadget\nVersion: 0~git20240101.abc\nArchitecture: all\nMaintainer: A <a@example.org>\nProvides: other\nDescription: d\n",
    "Package: left-over\nVersion: 1\nArchitecture: all\nMaintainer: A <a@example.org>\nDescription: d\n",
];

#[test]
fn dpkg_lists_the_same_packages_of_a_root_that_it_filled() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("root");
    for place in ["var/lib/dpkg/info", "var/lib/dpkg/updates", "var/log"] {
        std::fs::create_dir_all(root.join(place)).unwrap();
    }
    std::fs::write(root.join("var/lib/dpkg/status"), "").unwrap();
    std::fs::write(root.join("var/lib/dpkg/available"), "").unwrap();
    let mut archives = Vec::new();
    for (number, control) in CONTROLS.iter().enumerate() {
        let source = folder.path().join(format!("source{number}"));
        std::fs::create_dir_all(source.join("DEBIAN")).unwrap();
        std::fs::create_dir_all(source.join("usr/share")).unwrap();
        std::fs::write(source.join("DEBIAN/control"), control).unwrap();
        std::fs::write(source.join(format!("usr/share/file{number}")), "x").unwrap();
        let archive = folder.path().join(format!("{number}.deb"));
        let made = run(
            "dpkg-deb",
            &["--root-owner-group", "-b", source.to_str().unwrap(), archive.to_str().unwrap()],
            folder.path(),
        );
        if made.is_none() {
            return testkit::require::skip("dpkg-deb", "this machine cannot build packages of dpkg");
        }
        archives.push(archive);
    }
    let root_text = root.to_str().unwrap().to_owned();
    let admin = format!("{root_text}/var/lib/dpkg");
    let dpkg = |more: &[&str]| {
        let common = ["--root", root_text.as_str(), "--force-not-root", "--force-depends", "--force-bad-path"];
        run("dpkg", &[&common, more].concat(), folder.path())
    };
    let mut install = vec!["-i"];
    install.extend(archives.iter().map(|path| path.to_str().unwrap()));
    if dpkg(&install).is_none() {
        return testkit::require::skip("dpkg", "this user may not fill a root with dpkg");
    }
    // What is removed leaves an entry that is no package.
    dpkg(&["-r", "left-over"]).unwrap();
    let format = "${db:Status-Status} ${Package} ${Version} ${source:Package} ${source:Version} ${Architecture}\n";
    let listed = run("dpkg-query", &["--admindir", &admin, "-W", "-f", format], folder.path()).unwrap();
    let expected: BTreeSet<String> =
        listed.lines().filter_map(|line| line.strip_prefix("installed ")).map(str::to_owned).collect();
    assert_eq!(expected.len(), 3, "{listed}");
    let mut files = vec![("var/lib/dpkg/status".to_owned(), std::fs::read(root.join("var/lib/dpkg/status")).unwrap())];
    for path in files_below(&root.join("var/lib/dpkg/info"), "list") {
        let name = path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
        files.push((name, std::fs::read(&path).unwrap()));
    }
    let found = analyze("dpkg", files.iter().map(|(path, bytes)| (path.as_str(), bytes.as_slice())));
    let line = |one: &Package| {
        let (version, source) = (one.full_version(), one.full_source_version());
        format!("{} {version} {} {source} {}", one.name, one.source_name, one.arch)
    };
    assert_eq!(packages(&found).iter().map(line).collect::<BTreeSet<_>>(), expected);
    let widget = packages(&found).iter().find(|one| one.name == "widget").unwrap();
    assert_eq!(widget.depends_on.len(), 2, "{widget:?}");
}
