//! Folders that are no image.

use registry_scanner::scan_once;

use crate::images::options;

#[tokio::test]
async fn a_project_is_scanned_by_its_lock_files() {
    let folder = tempfile::tempdir().unwrap();
    let project = folder.path().join("project");
    std::fs::create_dir_all(project.join("web/node_modules/a")).unwrap();
    std::fs::create_dir_all(project.join(".git")).unwrap();
    std::fs::write(project.join("requirements.txt"), "requests==2.19.1\n").unwrap();
    let lock =
        r#"{"lockfileVersion":3,"packages":{"":{"dependencies":{"a":"1"}},"node_modules/a":{"version":"1.0.0"}}}"#;
    std::fs::write(project.join("web/package-lock.json"), lock).unwrap();
    std::fs::write(
        project.join("web/node_modules/a/package.json"),
        r#"{"name":"a","version":"1.0.0","license":"MIT"}"#,
    )
    .unwrap();
    std::fs::write(project.join("web/broken.txt"), "x").unwrap();
    std::fs::write(project.join("Cargo.lock"), "[[package").unwrap();
    std::os::unix::fs::symlink("/etc", project.join("link")).unwrap();
    std::os::unix::fs::symlink(&project, project.join("web/loop")).unwrap();
    let report = scan_once(project.to_str().unwrap(), &options(folder.path())).await.unwrap();
    let names: Vec<String> =
        report.inventory.all_packages().map(|one| format!("{}@{} {:?}", one.name, one.version, one.licenses)).collect();
    assert_eq!(names, ["requests@2.19.1 []", "a@1.0.0 [\"MIT\"]"]);
    assert!(report.partial);
    let faults = report.faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    assert!(faults.contains("Cargo.lock"), "{faults}");
    assert!(report.inventory.all_packages().all(|one| one.layer.is_none()));
}

#[tokio::test]
async fn the_root_of_a_system_is_scanned_by_what_is_installed() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("root");
    std::fs::create_dir_all(root.join("etc")).unwrap();
    std::fs::create_dir_all(root.join("var/lib/dpkg")).unwrap();
    std::fs::write(root.join("etc/os-release"), "ID=debian\nVERSION_ID=\"12\"\n").unwrap();
    std::fs::write(root.join("etc/debian_version"), "12.5\n").unwrap();
    std::fs::write(
        root.join("var/lib/dpkg/status"),
        "Package: a\nStatus: install ok installed\nVersion: 1\nArchitecture: amd64\n",
    )
    .unwrap();
    std::fs::write(root.join("requirements.txt"), "requests==2.19.1\n").unwrap();
    let report = scan_once(root.to_str().unwrap(), &options(folder.path())).await.unwrap();
    assert_eq!(report.packages(), 1);
    assert_eq!(report.inventory.operating_system.as_ref().unwrap().release, "12.5");
}
