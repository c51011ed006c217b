//! Independent tools on the machine that runs the tests, where they are there.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use image_inventory::{analyze, wants};

#[test]
fn dpkg_query_lists_the_same_packages() {
    let status = Path::new("/var/lib/dpkg/status");
    let output = Command::new("dpkg-query")
        .args([
            "-W",
            "-f",
            "${db:Status-Status} ${Package} ${Version} ${source:Package} ${source:Version} ${Architecture}\n",
        ])
        .output();
    let (Ok(output), true) = (output, status.exists()) else {
        testkit::require::skip("dpkg", "this machine is not a Debian");
        return;
    };
    let expected: BTreeSet<String> = String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .filter_map(|line| line.strip_prefix("installed "))
        .map(str::to_owned)
        .collect();
    let bytes = std::fs::read(status).unwrap();
    let found = analyze("dpkg", [("var/lib/dpkg/status", bytes.as_slice())]);
    let got: BTreeSet<String> = found.package_lists[0]
        .packages
        .iter()
        .map(|one| {
            format!(
                "{} {} {} {} {}",
                one.name,
                one.full_version(),
                one.source_name,
                one.full_source_version(),
                one.arch
            )
        })
        .collect();
    assert!(expected.len() > 10);
    assert_eq!(got.symmetric_difference(&expected).collect::<Vec<_>>(), Vec::<&String>::new());
}

#[test]
fn pip_lists_the_same_distributions() {
    let script = "import importlib.metadata as m\nfor d in m.distributions():\n  p=getattr(d,'_path',None)\n  print(p, d.metadata['Name'], d.version, sep='\\t')";
    let Ok(output) = Command::new("python3").args(["-c", script]).output() else { return };
    for line in String::from_utf8_lossy(&output.stdout).lines() {
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
