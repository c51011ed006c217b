//! The corpus of bills of material that are read, of the forms that they come in, and of names of images.

use image_inventory::{ImageInventory, Package};
use registry_scanner::{BillForm, Wrapping, bill_form, read_bill};
use scan_report::{artifact_id, image_purl};
use serde_json::{Value, json};
use testkit::corpus::Corpus;

use crate::misc::{expected_structure, structure, text, without_empty};

pub(crate) fn judge(line: &Value, corpus: &Corpus) -> Option<(Value, Value)> {
    let (case, source, func) = (&line["case"], text(line, "source"), text(line, "func"));
    match func.as_str() {
        "TestUnmarshaler_Unmarshal" => Some(read(case, corpus, &source)),
        "TestDetectFormat" => Some((case["want"].clone(), json!(name(text(case, "input").as_bytes())))),
        "TestDecode" => {
            let refused = name(text(case, "input").as_bytes()) != case["format"].as_str().unwrap_or_default()
                || read_bill(text(case, "input").as_bytes()).is_err();
            Some((json!(case["wantErr"].as_bool().unwrap_or(false)), json!(refused)))
        }
        "TestIsCycloneDXJSON" | "TestIsSPDXJSON" => {
            let wanted = if func == "TestIsSPDXJSON" { BillForm::Spdx } else { BillForm::CycloneDx };
            let form = bill_form(text(case, "input").as_bytes());
            Some((json!(case["want"].as_bool().unwrap_or(false)), json!(form.is_some_and(|(form, _)| form == wanted))))
        }
        "TestService_generateArtifactID" => {
            let info = &case["artifactInfo"];
            if text(info, "Type") == "repository" && !text(&info["RepoMetadata"], "Commit").is_empty() {
                return None;
            }
            let got = artifact_id(&text(&info["ImageMetadata"], "ID"), &text(&info["ImageMetadata"], "Reference"));
            Some((json!(text(case, "want")), json!(got)))
        }
        "TestMarshaler_Licenses" => {
            let licenses: Vec<String> = serde_json::from_value(case["licenses"].clone()).ok()?;
            let choice = |one: &Value| match one["Expression"].as_str() {
                Some(expression) => json!({ "expression": expression }),
                None => {
                    json!({ "license": without_empty(&json!({ "id": one["License"]["ID"], "name": one["License"]["Name"] })) })
                }
            };
            let wanted: Vec<Value> = case["want"].as_array().into_iter().flatten().map(choice).collect();
            Some((json!(wanted), json!(scan_report::license_choices(&licenses))))
        }
        "TestMarshaler_normalizeLicenses" => {
            let licenses: Vec<String> = serde_json::from_value(case["input"].clone()).ok()?;
            let (got, others) = scan_report::spdx_license(&licenses);
            let others = others.iter().map(|one| json!([one.id, one.name, one.text, one.comment])).collect();
            let wanted = case["wantOtherLicenses"].as_array().into_iter().flatten().map(|one| {
                json!(["LicenseIdentifier", "LicenseName", "ExtractedText", "LicenseComment"].map(|key| text(one, key)))
            });
            let wanted = sorted(wanted.collect());
            Some((json!([text(case, "wantLicenseName"), wanted]), json!([got, sorted(others)])))
        }
        "TestNewPackageURL" if text(case, "typ") == "oci" => Some(image(case)),
        _ => None,
    }
}

fn name(bytes: &[u8]) -> String {
    let Some((form, wrapping)) = bill_form(bytes) else { return "unknown".to_owned() };
    let wrapping = match wrapping {
        Wrapping::None => "",
        Wrapping::Attestation => "attest-",
        Wrapping::SigstoreBundle => "sigstore-bundle-",
    };
    let form = match form {
        BillForm::CycloneDx => "cyclonedx",
        BillForm::Spdx => "spdx",
    };
    format!("{wrapping}{form}-json")
}

fn image(case: &Value) -> (Value, Value) {
    let places: Vec<String> = case["metadata"]["RepoDigests"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect();
    let got = match image_purl(&places, &text(&case["metadata"]["ImageConfig"], "Architecture")) {
        Ok(url) => url.as_ref().map_or(Value::Null, structure),
        Err(error) => json!(error.to_string().contains(case["wantErr"].as_str().unwrap_or("no error"))),
    };
    let expected = match (&case["wantErr"], &case["want"]) {
        (Value::Null, Value::Null) => Value::Null,
        (Value::Null, want) => expected_structure(want),
        _ => json!(true),
    };
    (expected, got)
}

fn read(case: &Value, corpus: &Corpus, source: &str) -> (Value, Value) {
    let folder = source.rsplit_once('/').map_or("", |(folder, _)| folder);
    let path = corpus.folder().join("inputs").join(folder).join(text(case, "inputFile"));
    let read = read_bill(&std::fs::read(path).unwrap());
    let is_refused = !case["wantErr"].is_null();
    match read {
        Err(_) => (json!(is_refused), json!(true)),
        Ok(_) if is_refused => (json!("an error"), json!("none")),
        Ok((_, inventory)) => (expected(&case["want"]), got(&inventory)),
    }
}

const FIELDS: [&str; 14] = [
    "ID",
    "Name",
    "Version",
    "Release",
    "Epoch",
    "Arch",
    "SrcName",
    "SrcVersion",
    "SrcRelease",
    "SrcEpoch",
    "FilePath",
    "Digest",
    "Licenses",
    "DependsOn",
];

fn expected(want: &Value) -> Value {
    let packages = |list: &Value| {
        let rows = list.as_array().into_iter().flatten().map(|package| {
            let mut row: serde_json::Map<String, Value> =
                FIELDS.iter().map(|field| ((*field).to_owned(), package[field].clone())).collect();
            row.insert("PURL".to_owned(), expected_structure(&package["Identifier"]["PURL"]));
            row.insert("Layer".to_owned(), package["Layer"]["DiffID"].clone());
            // A key that is absent has the zero value.
            row.retain(|_, value| *value != 0);
            without_empty(&Value::Object(row))
        });
        sorted(rows.collect())
    };
    let system = &want["Metadata"]["OS"];
    let lists = want["Packages"].as_array().into_iter().flatten().map(|list| packages(&list["Packages"]));
    let applications = want["Applications"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|one| json!([one["Type"], text(one, "FilePath"), packages(&one["Packages"])]));
    json!({
        "os": [text(system, "Family"), text(system, "Name")],
        "packages": lists.collect::<Vec<_>>(), "applications": sorted(applications.collect()),
    })
}

fn got(inventory: &ImageInventory) -> Value {
    let packages = |list: &[Package]| {
        let rows = list.iter().map(|package| {
            let zero = |number: u32| if number == 0 { Value::Null } else { json!(number) };
            let mut needs = package.depends_on.clone();
            needs.sort();
            without_empty(&json!({
                "ID": package.id, "Name": package.name, "Version": package.version, "Release": package.release,
                "Epoch": zero(package.epoch), "Arch": package.arch, "SrcName": package.source_name, "SrcVersion": package.source_version,
                "SrcRelease": package.source_release, "SrcEpoch": zero(package.source_epoch), "FilePath": package.file_path,
                "Digest": package.digest, "Licenses": package.licenses, "DependsOn": needs,
                "PURL": package.purl.as_ref().map(structure),
                "Layer": package.layer.as_ref().map(ToString::to_string),
            }))
        });
        sorted(rows.collect())
    };
    let system = inventory.operating_system.as_ref();
    let lists = if inventory.packages.is_empty() { Vec::new() } else { vec![packages(&inventory.packages)] };
    let applications =
        inventory.applications.iter().map(|one| json!([one.kind.as_str(), one.file_path, packages(&one.packages)]));
    json!({
        "os": [system.map_or("", |one| one.family.as_str()), system.map_or("", |one| one.release.as_str())],
        "packages": lists, "applications": sorted(applications.collect()),
    })
}

fn sorted(mut rows: Vec<Value>) -> Value {
    rows.sort_by_key(ToString::to_string);
    Value::Array(rows)
}
