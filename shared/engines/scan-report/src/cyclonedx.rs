//! CycloneDX 1.6 (ECMA-424) in JSON: the bill of material, and the vulnerabilities of its components.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::{ArtifactKind, File, Finding, Package, PackageList, Report, compact, image_purl, license_choices};

/// Renders a report.
#[must_use]
pub fn render(report: &Report) -> Value {
    let mut bill = Bill::default();
    let root = bill.root(report);
    for list in &report.lists {
        bill.list(report, list, &root);
    }
    report.files.iter().for_each(|file| bill.file(file, &root));
    let (name, version) = &report.tool;
    let mut rendered = json!({
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": format!("urn:uuid:{}", report.uuid),
        "version": 1,
        "metadata": {
            "timestamp": report.created.to_string(),
            "tools": { "components": [{ "type": "application", "name": name, "version": version }] },
            "component": bill.root,
        },
        "components": bill.components,
        "dependencies": bill.dependencies.into_iter().map(|(from, to)| json!({ "ref": from, "dependsOn": to })).collect::<Vec<_>>(),
    });
    if let (Some(map), false) = (rendered.as_object_mut(), bill.vulnerabilities.is_empty()) {
        map.insert("vulnerabilities".to_owned(), bill.vulnerabilities.into_values().collect());
    }
    if let (Some(map), true) = (rendered.as_object_mut(), report.is_partial) {
        map.insert("compositions".to_owned(), json!([{ "aggregate": "incomplete" }]));
    }
    rendered
}

#[derive(Default)]
struct Bill {
    root: Value,
    components: Vec<Value>,
    dependencies: BTreeMap<String, BTreeSet<String>>,
    vulnerabilities: BTreeMap<String, Value>,
}

impl Bill {
    fn root(&mut self, report: &Report) -> String {
        let purl = image_purl(&report.repository_digests, &report.architecture).ok().flatten();
        let reference = purl.as_ref().map_or_else(|| "artifact".to_owned(), ToString::to_string);
        let kind = if report.kind == ArtifactKind::ContainerImage { "container" } else { "application" };
        self.root = compact(json!({
            "bom-ref": reference,
            "type": kind,
            "name": report.artifact,
            "purl": purl.map(|purl| purl.to_string()),
        }));
        self.dependencies.insert(reference.clone(), BTreeSet::new());
        reference
    }

    fn list(&mut self, report: &Report, list: &PackageList, root: &str) {
        let home = self.home(report, list, root);
        let mut references: Vec<String> = Vec::with_capacity(list.packages.len());
        for package in &list.packages {
            let reference = self.free(package.purl.as_ref().map_or_else(|| package.name.clone(), ToString::to_string));
            self.components.push(component(package, list, &reference));
            self.dependencies.insert(reference.clone(), BTreeSet::new());
            self.relate(&home, &reference);
            references.push(reference);
        }
        let by_id: BTreeMap<&str, &String> =
            list.packages.iter().map(|package| package.id.as_str()).zip(&references).collect();
        for (package, reference) in list.packages.iter().zip(&references) {
            for needed in package.depends_on.iter().filter_map(|id| by_id.get(id.as_str())) {
                self.relate(reference, needed);
            }
        }
        for finding in &list.findings {
            if let Some(reference) = references.get(finding.package) {
                self.vulnerability(finding, reference);
            }
        }
    }

    /// The component that holds the packages of a list: the operating system, the file, or the artifact itself.
    fn home(&mut self, report: &Report, list: &PackageList, root: &str) -> String {
        let (kind, name, version, class) = match &report.operating_system {
            Some((family, release)) if list.is_system => ("operating-system", family, release.as_str(), "os-pkgs"),
            _ if list.path.is_empty() => return root.to_owned(),
            _ => ("application", &list.path, "", "lang-pkgs"),
        };
        let reference = self.free(format!("{kind}:{name}"));
        self.components.push(compact(json!({
            "bom-ref": reference, "type": kind, "name": name, "version": version,
            "properties": [property("Class", class), property("Type", &list.kind)],
        })));
        self.dependencies.insert(reference.clone(), BTreeSet::new());
        self.relate(root, &reference);
        reference
    }

    fn file(&mut self, file: &File, root: &str) {
        let reference = self.free(format!("file:{}", file.path));
        let hashes: Vec<Value> = file.digests.iter().filter_map(|digest| hash(digest)).collect();
        self.components.push(json!({ "bom-ref": reference, "type": "file", "name": file.path, "hashes": hashes }));
        self.dependencies.insert(reference.clone(), BTreeSet::new());
        self.relate(root, &reference);
    }

    fn relate(&mut self, from: &str, to: &str) {
        self.dependencies.entry(from.to_owned()).or_default().insert(to.to_owned());
    }

    /// A reference that is not given out yet.
    fn free(&self, wanted: String) -> String {
        if !self.dependencies.contains_key(&wanted) {
            return wanted;
        }
        let mut number = self.dependencies.len();
        loop {
            let numbered = format!("{wanted}#{number}");
            if !self.dependencies.contains_key(&numbered) {
                return numbered;
            }
            number = number.saturating_add(1);
        }
    }

    fn vulnerability(&mut self, finding: &Finding, reference: &str) {
        let affected =
            json!({ "ref": reference, "versions": [{ "version": finding.installed_version, "status": "affected" }] });
        let known = self.vulnerabilities.entry(finding.id.clone()).or_insert_with(|| vulnerability(finding));
        if let Some(affects) = known.get_mut("affects").and_then(Value::as_array_mut) {
            affects.push(affected);
        }
    }
}

fn vulnerability(finding: &Finding) -> Value {
    let cwes: Vec<u32> = finding.cwe_ids.iter().filter_map(|id| id.strip_prefix("CWE-")?.parse().ok()).collect();
    let source = (!finding.primary_url.is_empty()).then(|| json!({ "url": finding.primary_url }));
    let recommendation =
        (!finding.fixed_version.is_empty()).then(|| format!("Upgrade to version {}", finding.fixed_version));
    let mut vulnerability = compact(json!({
        "id": finding.id,
        "source": source,
        "ratings": [{ "severity": finding.severity.to_string().to_lowercase() }],
        "cwes": cwes,
        "description": if finding.description.is_empty() { &finding.title } else { &finding.description },
        "recommendation": recommendation,
        "advisories": finding.references.iter().map(|url| json!({ "url": url })).collect::<Vec<_>>(),
        "published": finding.published,
        "updated": finding.last_modified,
    }));
    if let Some(map) = vulnerability.as_object_mut() {
        map.insert("affects".to_owned(), json!([]));
    }
    vulnerability
}

fn component(package: &Package, list: &PackageList, reference: &str) -> Value {
    let source = &package.source;
    let epoch = if source.epoch == 0 { String::new() } else { source.epoch.to_string() };
    let layer = package.layer.as_ref().map(ToString::to_string).unwrap_or_default();
    let properties: Vec<Value> = [
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
    .map(|(name, value)| property(name, value))
    .collect();
    let mut component = compact(json!({
        "bom-ref": reference,
        "type": "library",
        "licenses": license_choices(&package.licenses),
        "hashes": hash(&package.digest).into_iter().collect::<Vec<_>>(),
        "purl": package.purl.as_ref().map(ToString::to_string),
        "properties": properties,
    }));
    if let Some(map) = component.as_object_mut() {
        map.insert("name".to_owned(), json!(package.name));
        map.insert("version".to_owned(), json!(package.version));
    }
    component
}

fn hash(digest: &str) -> Option<Value> {
    let (algorithm, content) = digest.split_once(':')?;
    let algorithm = match algorithm {
        "md5" => "MD5",
        "sha1" => "SHA-1",
        "sha256" => "SHA-256",
        "sha512" => "SHA-512",
        _ => return None,
    };
    Some(json!({ "alg": algorithm, "content": content }))
}

/// A fact under the name that Trivy reads it by.
fn property(name: &str, value: &str) -> Value {
    json!({ "name": format!("aquasecurity:trivy:{name}"), "value": value })
}
