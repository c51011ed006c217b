//! SPDX 2.3 (ISO/IEC 5962): the bill of material, in JSON and as lines of tags and values.

use std::collections::BTreeMap;

use std::fmt::Write as _;

use serde_json::{Value, json};
use sha1::{Digest as _, Sha1};

use crate::licenses::OtherLicense;
use crate::{ArtifactKind, Package, PackageList, Report, compact, image_purl, spdx_license};

/// Renders the bill of material of a report; findings have no place in it.
#[must_use]
pub fn render(report: &Report) -> Value {
    let mut bill = Bill::default();
    let root = bill.root(report);
    for list in &report.lists {
        bill.list(report, list, &root);
    }
    for file in &report.files {
        let id = bill.file(&file.path, &file.digests);
        bill.relate(&root, "CONTAINS", &id);
    }
    let mut rendered = json!({
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": report.artifact,
        "documentNamespace": format!("urn:uuid:{}", report.uuid),
        "creationInfo": {
            "creators": [format!("Tool: {}-{}", report.tool.0, report.tool.1)],
            // Seconds only: the standard's form of a time has no fraction.
            "created": format!("{}Z", report.created.to_string().get(..19).unwrap_or_default()),
        },
        "packages": bill.packages,
        "relationships": bill.relationships,
    });
    set(&mut rendered, "files", (!bill.files.is_empty()).then(|| json!(bill.files)));
    let others: Vec<Value> = bill.licenses.values().map(OtherLicense::rendered).collect();
    set(&mut rendered, "hasExtractedLicensingInfos", (!others.is_empty()).then(|| json!(others)));
    if let (Some(creation), true) = (rendered.get_mut("creationInfo").and_then(Value::as_object_mut), report.is_partial)
    {
        creation.insert("comment".to_owned(), json!("Not everything could be read: packages may be missing."));
    }
    rendered
}

/// The same bill as lines `Tag: value`.
#[must_use]
pub fn tag_value(report: &Report) -> String {
    let bill = render(report);
    let text = |value: &Value, key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let items = |value: &Value, key: &str| value.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
    let creation = bill.get("creationInfo").cloned().unwrap_or_default();
    let mut lines = Lines::default();
    for (tag, key) in DOCUMENT {
        lines.put(tag, &text(&bill, key));
    }
    for creator in items(&creation, "creators") {
        lines.put("Creator", creator.as_str().unwrap_or_default());
    }
    lines.put("Created", &text(&creation, "created"));
    // Behind a package they would be taken for what is in it; the relationships say where each is.
    for file in items(&bill, "files") {
        lines.gap();
        lines.file(&file);
    }
    for package in items(&bill, "packages") {
        lines.gap();
        for (tag, key) in PACKAGE {
            lines.put(tag, &text(&package, key));
        }
        let code = package.get("packageVerificationCode").cloned().unwrap_or_default();
        let code = text(&code, "packageVerificationCodeValue");
        lines.put("FilesAnalyzed", if code.is_empty() { "false" } else { "true" });
        lines.put("PackageVerificationCode", &code);
        for one in items(&package, "checksums") {
            lines.put("PackageChecksum", &format!("{}: {}", text(&one, "algorithm"), text(&one, "checksumValue")));
        }
        lines.whole("PackageSourceInfo", &text(&package, "sourceInfo"));
        for (tag, key) in LICENSES {
            lines.put(tag, &text(&package, key));
        }
        for one in items(&package, "externalRefs") {
            let [category, kind, place] =
                ["referenceCategory", "referenceType", "referenceLocator"].map(|key| text(&one, key));
            lines.put("ExternalRef", &format!("{category} {kind} {place}"));
        }
        for one in items(&package, "attributionTexts") {
            lines.whole("PackageAttributionText", one.as_str().unwrap_or_default());
        }
    }
    for one in items(&bill, "hasExtractedLicensingInfos") {
        lines.gap();
        lines.put("LicenseID", &text(&one, "licenseId"));
        lines.whole("ExtractedText", &text(&one, "extractedText"));
        lines.put("LicenseName", &text(&one, "name"));
        lines.whole("LicenseComment", &text(&one, "comment"));
    }
    lines.gap();
    for one in items(&bill, "relationships") {
        let [from, kind, to] = ["spdxElementId", "relationshipType", "relatedSpdxElement"].map(|key| text(&one, key));
        lines.put("Relationship", &format!("{from} {kind} {to}"));
    }
    lines.0
}

#[derive(Default)]
struct Lines(String);

impl Lines {
    /// One line; nothing for an empty value.
    fn put(&mut self, tag: &str, value: &str) {
        if !value.is_empty() {
            let value = value.split_whitespace().collect::<Vec<_>>().join(" ");
            // A text is written to without fail.
            let _ = writeln!(self.0, "{tag}: {value}");
        }
    }

    fn file(&mut self, file: &Value) {
        let text = |value: &Value, key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        self.put("FileName", &text(file, "fileName"));
        self.put("SPDXID", &text(file, "SPDXID"));
        for one in file.get("checksums").and_then(Value::as_array).into_iter().flatten() {
            self.put("FileChecksum", &format!("{}: {}", text(one, "algorithm"), text(one, "checksumValue")));
        }
        self.put("LicenseConcluded", &text(file, "licenseConcluded"));
        self.put("LicenseInfoInFile", NOT_SAID);
        self.put("FileCopyrightText", &text(file, "copyrightText"));
    }

    /// A value that may have several lines. The mark of its end cannot stand in it.
    fn whole(&mut self, tag: &str, value: &str) {
        if !value.is_empty() {
            let _ = writeln!(self.0, "{tag}: <text>{}</text>", value.replace("</text>", "< /text>"));
        }
    }

    fn gap(&mut self) {
        self.0.push('\n');
    }
}

/// How the standard says that something is not said.
const NOT_SAID: &str = "NOASSERTION";
/// Tags and the names that their values have in JSON.
const DOCUMENT: [(&str, &str); 5] = [
    ("SPDXVersion", "spdxVersion"),
    ("DataLicense", "dataLicense"),
    ("SPDXID", "SPDXID"),
    ("DocumentName", "name"),
    ("DocumentNamespace", "documentNamespace"),
];
const PACKAGE: [(&str, &str); 5] = [
    ("PackageName", "name"),
    ("SPDXID", "SPDXID"),
    ("PackageVersion", "versionInfo"),
    ("PackageDownloadLocation", "downloadLocation"),
    ("PrimaryPackagePurpose", "primaryPackagePurpose"),
];
const LICENSES: [(&str, &str); 3] = [
    ("PackageLicenseConcluded", "licenseConcluded"),
    ("PackageLicenseDeclared", "licenseDeclared"),
    ("PackageCopyrightText", "copyrightText"),
];

#[derive(Default)]
struct Bill {
    /// Licences that are not on the SPDX licence list.
    licenses: BTreeMap<String, OtherLicense>,
    packages: Vec<Value>,
    files: Vec<Value>,
    /// By path and digests: several packages may be in one file.
    file_ids: BTreeMap<(String, String), String>,
    relationships: Vec<Value>,
}

impl Bill {
    fn root(&mut self, report: &Report) -> String {
        let purl = image_purl(&report.repository_digests, &report.architecture).ok().flatten();
        let is_image = report.kind == ArtifactKind::ContainerImage;
        let id = if is_image { "SPDXRef-ContainerImage" } else { "SPDXRef-Source" }.to_owned();
        let mut package = bare(&id, &report.artifact, if is_image { "CONTAINER" } else { "SOURCE" });
        set(&mut package, "externalRefs", purl.map(|purl| json!([external(&purl.to_string())])));
        self.packages.push(package);
        self.relate("SPDXRef-DOCUMENT", "DESCRIBES", &id);
        id
    }

    fn list(&mut self, report: &Report, list: &PackageList, root: &str) {
        let home = self.home(report, list, root);
        let mut ids: BTreeMap<&str, String> = BTreeMap::new();
        let mut all: Vec<String> = Vec::with_capacity(list.packages.len());
        for package in &list.packages {
            let id = format!("SPDXRef-Package-{}", self.packages.len());
            let mut rendered = library(package, list, &id);
            let (license, others) = spdx_license(&package.licenses);
            if !license.is_empty() {
                set(&mut rendered, "licenseConcluded", Some(json!(license)));
                set(&mut rendered, "licenseDeclared", Some(json!(license)));
                self.licenses.extend(others.into_iter().map(|other| (other.id.clone(), other)));
            }
            let file = self.file_of(package, &mut rendered);
            self.packages.push(rendered);
            self.relate(&home, "CONTAINS", &id);
            if let Some(file) = file {
                self.relate(&id, "CONTAINS", &file);
            }
            ids.insert(&package.id, id.clone());
            all.push(id);
        }
        for (package, id) in list.packages.iter().zip(&all) {
            for needed in package.depends_on.iter().filter_map(|needed| ids.get(needed.as_str())) {
                self.relate(id, "DEPENDS_ON", needed);
            }
        }
    }

    fn home(&mut self, report: &Report, list: &PackageList, root: &str) -> String {
        let number = self.packages.len();
        let (id, package) = match &report.operating_system {
            Some((family, release)) if list.is_system => {
                let id = format!("SPDXRef-OperatingSystem-{number}");
                let mut package = bare(&id, family, "OPERATING-SYSTEM");
                set(&mut package, "versionInfo", Some(json!(release)));
                (id, package)
            }
            _ if list.path.is_empty() => return root.to_owned(),
            _ => {
                let id = format!("SPDXRef-Application-{number}");
                let mut package = bare(&id, &list.path, "APPLICATION");
                set(
                    &mut package,
                    "attributionTexts",
                    Some(json!(["Class: lang-pkgs", format!("Type: {}", list.kind)])),
                );
                (id, package)
            }
        };
        self.packages.push(package);
        self.relate(root, "CONTAINS", &id);
        id
    }

    /// The file that a package is, with its digest; a digest of a package that is no file stays with the package.
    fn file_of(&mut self, package: &Package, rendered: &mut Value) -> Option<String> {
        let Some(sha1) = package.digest.strip_prefix("sha1:").filter(|_| !package.path.is_empty()) else {
            set(rendered, "checksums", checksum(&package.digest).map(|one| json!([one])));
            return None;
        };
        // The standard's code of a package: the hash of the hashes of its files, here of one.
        let code = hex::encode(Sha1::digest(sha1));
        set(rendered, "filesAnalyzed", Some(json!(true)));
        set(rendered, "packageVerificationCode", Some(json!({ "packageVerificationCodeValue": code })));
        Some(self.file(&package.path, std::slice::from_ref(&package.digest)))
    }

    fn file(&mut self, path: &str, digests: &[String]) -> String {
        let id = format!("SPDXRef-File-{}", self.files.len());
        let key = (path.to_owned(), digests.join(" "));
        if let Some(known) = self.file_ids.get(&key) {
            return known.clone();
        }
        self.file_ids.insert(key, id.clone());
        self.files.push(json!({
            "SPDXID": id, "fileName": path,
            "checksums": digests.iter().filter_map(|digest| checksum(digest)).collect::<Vec<_>>(),
            "licenseConcluded": NOT_SAID, "licenseInfoInFiles": [NOT_SAID], "copyrightText": NOT_SAID,
        }));
        id
    }

    fn relate(&mut self, from: &str, kind: &str, to: &str) {
        self.relationships.push(json!({ "spdxElementId": from, "relationshipType": kind, "relatedSpdxElement": to }));
    }
}

fn bare(id: &str, name: &str, purpose: &str) -> Value {
    json!({
        "SPDXID": id, "name": name, "downloadLocation": "NONE", "filesAnalyzed": false, "primaryPackagePurpose": purpose,
        "licenseConcluded": NOT_SAID, "licenseDeclared": NOT_SAID, "copyrightText": NOT_SAID,
    })
}

fn library(package: &Package, list: &PackageList, id: &str) -> Value {
    let source = &package.source;
    let layer = package.layer.as_ref().map(ToString::to_string).unwrap_or_default();
    let epoch = if source.epoch == 0 { String::new() } else { source.epoch.to_string() };
    let facts: Vec<String> = [
        ("FilePath", package.path.as_str()),
        ("LayerDiffID", &layer),
        ("Modularitylabel", &package.modularity),
        ("PkgID", &package.id),
        ("PkgType", &list.kind),
        ("SrcEpoch", &epoch),
        ("SrcName", &source.name),
        ("SrcRelease", &source.release),
        ("SrcVersion", &source.version),
    ]
    .into_iter()
    .filter(|(_, value)| !value.is_empty())
    .map(|(name, value)| format!("{name}: {value}"))
    .collect();
    let mut rendered = bare(id, &package.name, "LIBRARY");
    set(&mut rendered, "versionInfo", Some(json!(package.version)));
    set(&mut rendered, "attributionTexts", Some(json!(facts)));
    set(&mut rendered, "externalRefs", package.purl.as_ref().map(|purl| json!([external(&purl.to_string())])));
    if !source.name.is_empty() {
        let text = format!("built package from: {} {}", source.name, source.full_version());
        set(&mut rendered, "sourceInfo", Some(json!(text)));
    }
    compact(rendered)
}

fn external(purl: &str) -> Value {
    json!({ "referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": purl })
}

fn checksum(digest: &str) -> Option<Value> {
    let (algorithm, value) = digest.split_once(':')?;
    let is_known = matches!(algorithm, "md5" | "sha1" | "sha256" | "sha512");
    is_known.then(|| json!({ "algorithm": algorithm.to_uppercase(), "checksumValue": value }))
}

fn set(package: &mut Value, key: &str, value: Option<Value>) {
    if let (Some(map), Some(value)) = (package.as_object_mut(), value) {
        map.insert(key.to_owned(), value);
    }
}
