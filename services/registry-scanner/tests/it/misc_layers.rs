//! The corpus of layers that are merged, and of language packages that a system package brought.

use std::collections::BTreeSet;

use image_inventory::{
    Application, ApplicationKind, Found, ImageInventory, LayerInventory, LicenseFile, OperatingSystem, Package,
    PackageList, merge,
};
use model::Digest;
use serde_json::{Value, json};

use crate::misc::{structure, text, url_of, without_empty};

pub(crate) fn judge(line: &Value) -> Option<(Value, Value)> {
    let case = &line["case"];
    match line["func"].as_str()? {
        "TestApplyLayers" => {
            let blobs = case["inputLayers"].as_array()?;
            let got = shown(&merged(blobs)?);
            Some((wanted(&case["want"], true), got))
        }
        "Test_systemFileFilterHook_Hook" => {
            let mut blob = case["blob"].clone();
            blob["SystemInstalledFiles"] = case["result"]["SystemInstalledFiles"].clone();
            let mut got = shown(&merged(&[blob])?);
            for row in got["packages"].as_array_mut()?.iter_mut() {
                row.as_object_mut()?.remove("PURL");
            }
            for application in got["applications"].as_array_mut()?.iter_mut() {
                for row in application[2].as_array_mut()?.iter_mut() {
                    row.as_object_mut()?.retain(|key, _| key != "PURL" && key != "Layer");
                }
            }
            Some((wanted(&case["want"], false), got))
        }
        _ => None,
    }
}

fn merged(blobs: &[Value]) -> Option<ImageInventory> {
    let none = Digest::from_sha256(&[0; 32]);
    let digest =
        |blob: &Value| blob["DiffID"].as_str().and_then(|text| text.parse().ok()).unwrap_or_else(|| none.clone());
    let layers: Vec<(Digest, LayerInventory)> =
        blobs.iter().map(|blob| Some((digest(blob), layer(blob)?))).collect::<Option<_>>()?;
    let own: BTreeSet<(String, String, Digest)> = layers
        .iter()
        .flat_map(|(_, layer)| {
            let lists = layer.found.package_lists.iter().flat_map(|list| &list.packages);
            lists.chain(layer.found.applications.iter().flat_map(|one| &one.packages))
        })
        .filter_map(|one| Some((one.name.clone(), one.version.clone(), one.layer.clone()?)))
        .collect();
    let mut inventory = merge(layers.iter().map(|(digest, layer)| (digest, layer)));
    let applications = inventory.applications.iter_mut().flat_map(|one| &mut one.packages);
    for package in inventory.packages.iter_mut().chain(applications).filter(|one| one.layer == Some(none.clone())) {
        // A blob without a layer of its own is a bill of material, whose packages say where they come from.
        let stated = own.iter().find(|(name, version, _)| *name == package.name && *version == package.version);
        package.layer = stated.map(|(_, _, layer)| layer.clone());
    }
    Some(inventory)
}

fn layer(blob: &Value) -> Option<LayerInventory> {
    let strings = |value: &Value| -> Vec<String> {
        value.as_array().into_iter().flatten().filter_map(|one| one.as_str().map(str::to_owned)).collect()
    };
    let of = |value: &'static str| blob[value].as_array().into_iter().flatten();
    let packages = |value: &Value| value["Packages"].as_array().into_iter().flatten().map(package).collect();
    let system = &blob["OS"];
    let found = Found {
        operating_system: (!system.is_null())
            .then(|| OperatingSystem::new(&text(system, "Family"), &text(system, "Name"))),
        package_lists: of("PackageInfos")
            .map(|one| PackageList { file_path: text(one, "FilePath"), packages: packages(one) })
            .collect(),
        applications: of("Applications")
            .map(|one| {
                let kind = ApplicationKind::of_name(&text(one, "Type"))?;
                Some(Application { kind, file_path: text(one, "FilePath"), packages: packages(one) })
            })
            .collect::<Option<_>>()?,
        license_files: of("Licenses")
            .map(|one| LicenseFile {
                file_path: text(one, "FilePath"),
                package: text(one, "PkgName"),
                licenses: one["Findings"].as_array().into_iter().flatten().map(|one| text(one, "Name")).collect(),
            })
            .collect(),
        system_files: strings(&blob["SystemInstalledFiles"]),
        ..Found::default()
    };
    let opaque = strings(&blob["OpaqueDirs"]).into_iter().map(|path| path.trim_end_matches('/').to_owned());
    Some(LayerInventory {
        version: 0,
        found,
        whiteouts: strings(&blob["WhiteoutFiles"]).into_iter().collect(),
        opaque_folders: opaque.collect(),
        replaced: BTreeSet::new(),
        entries: 0,
        partial: false,
    })
}

fn package(value: &Value) -> Package {
    let url = &value["Identifier"]["PURL"];
    Package {
        id: text(value, "ID"),
        name: text(value, "Name"),
        version: text(value, "Version"),
        release: text(value, "Release"),
        arch: text(value, "Arch"),
        source_name: text(value, "SrcName"),
        source_version: text(value, "SrcVersion"),
        source_release: text(value, "SrcRelease"),
        file_path: text(value, "FilePath"),
        purl: (!url.is_null()).then(|| url_of(url)),
        layer: value["Layer"]["DiffID"].as_str().and_then(|layer| layer.parse().ok()),
        ..Package::default()
    }
}

fn row(package: &Package) -> Value {
    without_empty(&json!({
        "ID": package.id, "Name": package.name, "Version": package.version, "Release": package.release, "Arch": package.arch,
        "SrcName": package.source_name, "SrcVersion": package.source_version, "SrcRelease": package.source_release,
        "FilePath": package.file_path, "Licenses": package.licenses, "PURL": package.purl.as_ref().map(structure),
        "Layer": package.layer.as_ref().map(ToString::to_string),
    }))
}

fn shown(inventory: &ImageInventory) -> Value {
    let system = inventory.operating_system.as_ref();
    let rows = |list: &[Package]| sorted(list.iter().map(row).collect());
    let applications = inventory.applications.iter();
    json!({
        "os": system.map(|one| [one.family.clone(), one.release.clone()]),
        "packages": rows(&inventory.packages),
        "applications": sorted(applications.map(|one| json!([one.kind.as_str(), one.file_path, rows(&one.packages)])).collect()),
    })
}

/// What upstream wants, in the same form. A list of packages without a file is one that upstream made of several.
fn wanted(want: &Value, is_image: bool) -> Value {
    let rows = |value: &Value| {
        let rows = value["Packages"].as_array().into_iter().flatten().map(|one| {
            let mut shown = row(&package(one));
            if let Some(object) = shown.as_object_mut() {
                if let Some(layer) = one["Layer"]["DiffID"].as_str().filter(|layer| !layer.is_empty()) {
                    object.insert("Layer".to_owned(), json!(layer));
                }
                if !one["Licenses"].is_null() {
                    object.insert("Licenses".to_owned(), one["Licenses"].clone());
                }
                if let Some(url) = object.get_mut("PURL") {
                    *url = crate::misc::expected_structure(&one["Identifier"]["PURL"]);
                }
            }
            shown
        });
        sorted(rows.collect())
    };
    let lists = if is_image { json!([want]) } else { want["PackageInfos"].clone() };
    let packages: Vec<Value> = lists
        .as_array()
        .into_iter()
        .flatten()
        .flat_map(|list| rows(list).as_array().cloned().unwrap_or_default())
        .collect();
    let applications = want["Applications"].as_array().into_iter().flatten();
    let system = &want["OS"];
    json!({
        "os": (!system.is_null()).then(|| [text(system, "Family"), text(system, "Name")]),
        "packages": sorted(packages),
        "applications": sorted(applications.map(|one| json!([text(one, "Type"), text(one, "FilePath"), rows(one)])).collect()),
    })
}

fn sorted(mut rows: Vec<Value>) -> Value {
    rows.sort_by_key(ToString::to_string);
    Value::Array(rows)
}
