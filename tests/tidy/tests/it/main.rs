//! The invariants of ARCHITECTURE.md, checked from `cargo metadata` and the sources.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

mod sources;

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;
use testkit::corpus::workspace_root;

/// Every crate of the workspace with its folder and the names of its normal dependencies.
fn crates() -> BTreeMap<String, (String, BTreeSet<String>)> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps"])
        .current_dir(workspace_root())
        .output()
        .unwrap();
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let root = metadata["workspace_root"].as_str().unwrap().to_owned() + "/";
    let one = |package: &Value| {
        let folder = package["manifest_path"]
            .as_str()
            .unwrap()
            .strip_prefix(&root)
            .unwrap()
            .trim_end_matches("/Cargo.toml")
            .to_owned();
        let normal =
            package["dependencies"].as_array().unwrap().iter().filter(|dependency| dependency["kind"].is_null());
        (
            package["name"].as_str().unwrap().to_owned(),
            (folder, normal.map(|dependency| dependency["name"].as_str().unwrap().to_owned()).collect()),
        )
    };
    metadata["packages"].as_array().unwrap().iter().map(one).collect()
}

/// How far down a crate stands; it may depend on what stands lower.
fn level(folder: &str) -> u32 {
    match folder {
        "shared/model" => 0,
        "shared/languages/asn1" | "shared/languages/go-time" => 1,
        // Quantities and patterns of Kubernetes live with the first language; the second uses them.
        "shared/languages/jmespath" => 2,
        folder if folder.starts_with("shared/languages/") => 3,
        "schemas" => 4,
        folder if folder.starts_with("shared/engines/") => 4,
        "shared/bus" | "shared/kubernetes" | "shared/parts" | "shared/registry-logins" => 5,
        "shared/service" | "shared/testkit" => 6,
        folder if folder.starts_with("services/") => 7,
        _ => 8,
    }
}

#[test]
fn dependencies_point_down() {
    let crates = crates();
    for (name, (folder, dependencies)) in &crates {
        for dependency in dependencies.iter().filter_map(|dependency| crates.get(dependency)) {
            assert!(level(&dependency.0) < level(folder), "{name} ({folder}) must not depend on {}", dependency.0);
            assert!(dependency.0 != "shared/testkit", "{name} depends on testkit: make it a dev-dependency");
        }
    }
}

#[test]
fn each_dependency_has_one_door() {
    let doors = [
        ("async-nats", "bus"),
        ("rmp-serde", "bus"),
        ("vaultrs", "secret-broker"),
        ("oci-client", "registry-scanner"),
        ("aya", "runtime-sensor"),
        ("opentelemetry-otlp", "service"),
        ("redb", "correlator"),
    ];
    for (name, (_, dependencies)) in crates() {
        for (dependency, door) in doors {
            assert!(
                name == door || !dependencies.contains(dependency),
                "{name} depends on {dependency}: only {door} may"
            );
        }
    }
}

#[test]
fn engines_are_pure() {
    let impure = [
        "tokio",
        "futures",
        "reqwest",
        "axum",
        "async-nats",
        "kube",
        "tempfile",
        "uuid",
        "libc",
        "rustix",
        "bus",
        "service",
    ];
    for (name, (folder, dependencies)) in crates().into_iter().filter(|(_, (folder, _))| level(folder) <= 4) {
        // The newtype of event ids wraps a UUID that was made elsewhere.
        let found = impure.iter().find(|crate_name| {
            dependencies.contains(**crate_name) && !(folder == "shared/model" && **crate_name == "uuid")
        });
        assert!(found.is_none(), "{name} ({folder}) depends on {found:?}: gather facts outside and pass them in");
    }
}

#[test]
fn every_crate_is_named_in_the_architecture() {
    let text = std::fs::read_to_string(workspace_root().join("ARCHITECTURE.md")).unwrap();
    for (name, (folder, _)) in crates() {
        assert!(
            text.contains(&folder) || text.contains(&format!("`{name}`")),
            "{folder} is not named in ARCHITECTURE.md"
        );
    }
}

#[test]
fn banned_crates_stay_out() {
    let lock = std::fs::read_to_string(workspace_root().join("Cargo.lock")).unwrap();
    for banned in ["openssl-sys", "native-tls", "aws-lc-sys", "serde_yaml"] {
        assert!(
            !lock.contains(&format!("name = \"{banned}\"\n")),
            "{banned} is in Cargo.lock: TLS is rustls with ring, YAML is serde-saphyr"
        );
    }
}
