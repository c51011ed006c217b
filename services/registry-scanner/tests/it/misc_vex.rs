//! The corpus of VEX: which findings statements take away.

use std::collections::BTreeMap;
use std::path::Path;

use model::PackageUrl;
use registry_scanner::{AttestationError, attached_documents, scan_once};
use scan_report::image_purl;
use serde_json::{Value, json};
use testkit::corpus::Corpus;
use vulnerability_matching::vex::{Component, Document, Graph, Repositories, Repository, Statement};

use crate::misc::{text, url_of};

pub(crate) fn judge(line: &Value, corpus: &Corpus) -> Option<(Value, Value)> {
    let (case, source, func) = (&line["case"], text(line, "source"), text(line, "func"));
    let folder = corpus.folder().join("inputs").join(source.rsplit_once('/').map_or("", |(folder, _)| folder));
    match func.as_str() {
        "TestFilter" if source.starts_with("pkg/vex") => Some(filter(case, &folder)),
        "TestDiscoverInvalidPURL" => {
            let purl = (!case["purl"].is_null()).then(|| full_url(&case["purl"]));
            Some(refusal(case, registry_scanner::attested_image(purl.as_ref()).map(drop)))
        }
        "TestDecodeInTotoPredicate" => {
            Some(refusal(case, registry_scanner::predicate(text(case, "blob").as_bytes()).map(drop)))
        }
        "TestNewOCI" if text(&case["report"], "ArtifactType") == "container_image" => {
            // An image without a place in a registry: one in a folder.
            let is_local = case["report"]["Metadata"]["RepoDigests"].as_array().is_none_or(Vec::is_empty);
            is_local.then(|| refusal(case, attached_to_a_layout()))
        }
        "TestRepositorySet_NotAffected" => Some(repositories(case, &folder)),
        _ => None,
    }
}

fn attached_to_a_layout() -> Result<(), AttestationError> {
    let folder = tempfile::tempdir().unwrap();
    let image = folder.path().join("image");
    crate::images::layout(&image, &crate::images::story());
    let options = crate::images::options(folder.path());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let report = scan_once(&image.display().to_string(), &options).await.unwrap();
        attached_documents(&report, &options.pull).await.map(drop)
    })
}

/// A case that is about what is refused.
fn refusal(case: &Value, got: Result<(), AttestationError>) -> (Value, Value) {
    let wanted = text(case, "wantErr");
    match got {
        Ok(()) => (json!(wanted), json!("")),
        Err(error) => (json!(true), json!(!wanted.is_empty() && error.to_string().contains(&wanted))),
    }
}

fn component(package: &Value, identifier: &str) -> Component {
    let url = &package[identifier]["PURL"];
    Component { purl: (!url.is_null()).then(|| full_url(url)), reference: text(&package[identifier], "BOMRef") }
}

fn full_url(value: &Value) -> PackageUrl {
    let qualifiers = value["Qualifiers"].as_array().into_iter().flatten();
    qualifiers.fold(url_of(value), |url, one| url.with(&text(one, "Key"), &text(one, "Value")))
}

fn told(id: &str, statement: Option<Statement>) -> Value {
    match statement {
        Some(one) => json!([id, one.status, one.justification, one.source]),
        None => json!([id]),
    }
}

fn filter(case: &Value, folder: &Path) -> (Value, Value) {
    let report = &case["args"]["report"];
    let bill = &report["BOM"];
    let bill = (!bill.is_null()).then(|| vulnerability_matching::vex::ScannedBill {
        serial_number: text(bill, "SerialNumber"),
        version: bill["Version"].as_u64().unwrap_or(1),
    });
    let sources = case["args"]["opts"]["Sources"].as_array().into_iter().flatten();
    let documents: Result<Vec<Document>, String> = sources
        .map(|one| {
            let name = text(one, "FilePath");
            let bytes = std::fs::read(folder.join(&name)).map_err(|error| error.to_string())?;
            Document::parse(&name, &bytes, bill.as_ref()).map_err(|error| error.to_string())
        })
        .collect();
    let documents = match documents {
        Ok(documents) => documents,
        Err(error) => {
            let wanted = case["wantErr"].as_str().unwrap_or("no error");
            return (json!(wanted), json!(if error.contains(wanted) { wanted } else { &error }));
        }
    };
    let places: Vec<String> = report["Metadata"]["RepoDigests"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect();
    let root = image_purl(&places, &text(&report["Metadata"]["ImageConfig"], "Architecture")).unwrap();
    let mut graph = Graph::new(Component { purl: root, reference: String::new() });
    let (mut got, mut wanted) = (Vec::new(), Vec::new());
    for (result, want) in report["Results"].as_array().unwrap().iter().zip(case["want"]["Results"].as_array().unwrap())
    {
        let packages: Vec<&Value> = result["Packages"].as_array().into_iter().flatten().collect();
        let by_id: BTreeMap<String, usize> = packages.iter().map(|one| text(one, "ID")).zip(0..).collect();
        let needs: Vec<Vec<usize>> = packages
            .iter()
            .map(|one| {
                let needs = one["DependsOn"].as_array().into_iter().flatten();
                needs.filter_map(|id| by_id.get(id.as_str()?).copied()).collect()
            })
            .collect();
        let components: Vec<_> = packages.iter().map(|one| component(one, "Identifier")).collect();
        let first = graph.add_list(components.into_iter().zip(needs.iter().map(Vec::as_slice)));
        for finding in result["Vulnerabilities"].as_array().into_iter().flatten() {
            let id = text(finding, "VulnerabilityID");
            let uid = |one: &Value, key: &str| text(&one[key], "UID");
            let place = packages.iter().position(|one| uid(one, "Identifier") == uid(finding, "PkgIdentifier"));
            let statement = place.and_then(|place| {
                graph.cut(first + place, |product, part| {
                    documents.iter().find_map(|one| one.verdict(&id, product, part))
                })
            });
            got.push(told(&id, statement));
        }
        for finding in want["Vulnerabilities"].as_array().into_iter().flatten() {
            wanted.push(json!([finding["VulnerabilityID"]]));
        }
        for one in want["ModifiedFindings"].as_array().into_iter().flatten() {
            wanted.push(json!([one["Finding"]["VulnerabilityID"], one["Status"], one["Statement"], one["Source"]]));
        }
    }
    got.sort_by_key(ToString::to_string);
    wanted.sort_by_key(ToString::to_string);
    (Value::Array(wanted), Value::Array(got))
}

fn repositories(case: &Value, folder: &Path) -> (Value, Value) {
    let home = folder.join(text(case, "cacheDir")).join("vex/repositories");
    let configured = Repositories::configured(&text(case, "configContent")).unwrap();
    let of = |name: &str| home.join(name).join("0.1");
    let known = configured
        .iter()
        .filter_map(|(name, url)| Repository::parse(name, url, &std::fs::read(of(name).join("index.json")).ok()?).ok());
    let repositories = Repositories(known.collect());
    let (product, id) = (component(&case["product"], "PkgIdentifier"), text(&case["vuln"], "VulnerabilityID"));
    let statement = repositories.verdict(&id, (&product, None), |repository, location| {
        let bytes = std::fs::read(of(repository.name()).join(location)).ok()?;
        Document::parse(&repository.label(), &bytes, None).ok()
    });
    let modified = &case["wantModified"];
    let wanted = if case["wantNotAffected"].as_bool().unwrap_or(false) {
        json!([id, modified["Status"], modified["Statement"], modified["Source"]])
    } else {
        json!([id])
    };
    (wanted, told(&id, statement))
}
