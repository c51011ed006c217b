//! Bad input gets one clear line with the remedy.

use std::fs;
use std::process::Command;

use testkit::parts;

use crate::{program, said};

fn check(arguments: &[&str], code: i32, wanted: &str) {
    let Some(biotope) = program("biotope") else { return };
    let output = Command::new(biotope).args(arguments).output().unwrap();
    let text = said(&output);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {text}");
    assert!(text.contains(wanted), "{arguments:?}: {text}");
}

#[test]
fn bad_input_gets_a_clear_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    fs::write(
        path("rules.yaml"),
        "\n- rule: r\n  desc: d\n  condition: proc.nonsense=1\n  output: x\n  priority: INFO\n",
    )
    .unwrap();
    fs::create_dir(path("advisories")).unwrap();
    let port = parts::free_port().unwrap();
    let image = format!("127.0.0.1:{port}/no/such:1");
    check(&["rules", "check", &path("rules.yaml")], 1, "rules.yaml:2");
    check(&["incidents", "list", "--folder", &path("nowhere")], 1, "biotope up");
    check(&["scan", &image, "--advisories", &path("advisories")], 1, &image);
    check(&["scan", "x", "--advisories", &path("nowhere")], 1, "no folder of advisories");
    check(&["policy", "test", &path("nowhere")], 1, "does not exist");
    check(&["nonsense"], 2, "unrecognized subcommand");
}

/// Without a home and without a folder: only what lists packages all the same is made, and says what it lacks.
#[test]
fn only_a_bill_of_material_is_made_without_advisories() {
    let folder = tempfile::tempdir().unwrap();
    let lock = "[[package]]\nname = \"serde\"\nversion = \"1.0.0\"\n";
    fs::create_dir(folder.path().join("project")).unwrap();
    fs::write(folder.path().join("project/Cargo.lock"), lock).unwrap();
    let scan = |form: &str| {
        let mut command = Command::new(program("biotope")?);
        command.args(["scan", "project", "--format", form, "--no-cache"]).env_remove("BIOTOPE_ADVISORIES");
        Some(command.env("HOME", folder.path()).current_dir(folder.path()).output().unwrap())
    };
    let Some(table) = scan("table") else { return };
    assert_eq!(table.status.code(), Some(1), "{}", said(&table));
    assert!(said(&table).contains("biotope db update"), "{}", said(&table));
    let Some(bill) = scan("cyclonedx") else { return };
    assert!(bill.status.success(), "{}", said(&bill));
    assert!(String::from_utf8_lossy(&bill.stderr).contains("there are no advisories"), "{}", said(&bill));
    assert!(String::from_utf8_lossy(&bill.stdout).contains("pkg:cargo/serde@1.0.0"), "{}", said(&bill));
}

#[test]
fn services_refuse_what_they_cannot_work_with() {
    let folder = tempfile::tempdir().unwrap();
    let run = |name: &str, config: &str, arguments: &[&str]| {
        let path = folder.path().join("config.yaml");
        fs::write(&path, config).unwrap();
        let mut command = Command::new(program(name)?);
        Some(command.arg("--config").arg(path).args(arguments).current_dir(folder.path()).output().unwrap())
    };
    for service in ["correlator", "registry-scanner", "secret-broker", "runtime-sensor", "admission-gateway"] {
        let Some(output) = run(service, "cluster: local\nbus:\n  serverz: []\n", &[]) else { return };
        assert_eq!(output.status.code(), Some(64), "{service}: {}", said(&output));
        assert!(said(&output).contains("config.yaml:3:3: unknown field `serverz`"), "{service}: {}", said(&output));
    }
    let Some(good) = run("correlator", "cluster: local\n", &["--check-config"]) else { return };
    assert!(good.status.success(), "{}", said(&good));
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let Some(output) = run("correlator", &format!("admin: {{ listen: \"{address}\" }}\n"), &[]) else { return };
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains(&format!("cannot listen on admin.listen {address}")), "{}", said(&output));
    let Some(nats) = parts::nats_without_jetstream() else { return };
    let Some(output) = run("correlator", &format!("bus: {{ servers: [\"{}\"] }}\n", nats.url()), &[]) else { return };
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("start it with `-js`"), "{}", said(&output));
}
