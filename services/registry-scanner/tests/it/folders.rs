//! Folders that are no image.

use registry_scanner::{Maven, Options, Pull, Report, scan_once};

use crate::hostile_registry::{Server, body, plain};
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
    // What lies there without being installed counts when it is asked for.
    std::fs::write(project.join("old.rpm"), "no rpm").unwrap();
    for (uninstalled, is_read) in [(false, false), (true, true)] {
        let options = Options { uninstalled, ..options(folder.path()) };
        let report = scan_once(project.to_str().unwrap(), &options).await.unwrap();
        let faults = report.faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
        assert_eq!(faults.contains("old.rpm"), is_read, "{faults}");
    }
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

/// Scans a project of Maven that needs `g:a`; the repository at `address` stands for the central one.
async fn maven(address: &str, fetch: bool) -> Report {
    let folder = tempfile::tempdir().unwrap();
    let project = folder.path().join("project");
    std::fs::create_dir_all(&project).unwrap();
    let need = |artifact: &str| {
        format!(
            "<dependencies><dependency><groupId>own.test</groupId><artifactId>{artifact}</artifactId><version>1</version></dependency></dependencies>"
        )
    };
    let pom = format!(
        "<project><groupId>own.test</groupId><artifactId>app</artifactId><version>1</version>{}</project>",
        need("a")
    );
    std::fs::write(project.join("pom.xml"), pom).unwrap();
    let central = "https://repo.maven.apache.org/maven2/".to_owned();
    let maven = Maven { fetch, mirrors: [(central, vec![format!("http://{address}/m2")])].into() };
    let options = Options { pull: Pull { maven, ..Pull::default() }, ..options(folder.path()) };
    scan_once(project.to_str().unwrap(), &options).await.unwrap()
}

fn named(report: &Report) -> Vec<String> {
    let mut names: Vec<String> =
        report.inventory.all_packages().map(|one| format!("{}@{}", one.name, one.version)).collect();
    names.sort();
    names
}

#[tokio::test(flavor = "multi_thread")]
async fn projects_of_maven_are_fetched_when_that_is_wanted() {
    let a = b"<project><groupId>own.test</groupId><artifactId>a</artifactId><version>1</version><licenses><license><name>MIT</name></license></licenses>\
        <dependencies><dependency><groupId>own.test</groupId><artifactId>b</artifactId><version>2</version></dependency></dependencies></project>";
    let server = Server::start(move |asked, _| {
        Some(if asked.path == "/m2/own/test/a/1/a-1.pom" { body(a) } else { plain(404) })
    })
    .await;
    let asked = || server.asked.lock().unwrap().iter().map(|one| one.path.clone()).collect::<Vec<_>>();
    let report = maven(&server.address, false).await;
    assert_eq!((named(&report).join(" "), asked().len()), ("own.test:a@1 own.test:app@1".to_owned(), 0));
    let report = maven(&server.address, true).await;
    assert_eq!(named(&report).join(" "), "own.test:a@1 own.test:app@1 own.test:b@2");
    assert_eq!((report.partial, asked().len()), (false, 2), "each project is asked for once: {:?}", asked());

    // Who asks too much, and who is not there: the result says that it is not complete.
    let busy = Server::start(|_, _| Some(plain(429))).await;
    let report = maven(&busy.address, true).await;
    let said = report.faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    assert!(report.partial && said.contains("pom.xml") && said.contains("429 Too Many Requests"), "{said}");
    let gone = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().to_string();
    let report = maven(&gone, true).await;
    let said = report.faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    assert!(report.partial && said.contains(&gone) && said.contains("cannot be asked"), "{said}");
    assert_eq!(named(&report).join(" "), "own.test:a@1 own.test:app@1");
}
