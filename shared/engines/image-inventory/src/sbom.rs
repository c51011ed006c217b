//! Bills of material as a source of packages: CycloneDX and SPDX in JSON, as they stand in images (Bitnami puts one beside each
//! component) or as they are handed over instead of an image.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr as _;

use model::PackageUrl;

use crate::analyzer::File;
use crate::found::{Application, Found, PackageList};
use crate::os::OperatingSystem;
use crate::package::{ApplicationKind, Package};
use crate::system::dpkg::split_version;
use crate::text::{ParseError, file_name, folder, join};
use crate::tree::{Node, json};

/// Where bills of material stand in images. Those that a Python wheel carries (PEP 770) list what was linked into it, and are left out.
pub(crate) fn wants(path: &str, _mode: u32) -> bool {
    let suffix = [".spdx", ".spdx.json", ".cdx", ".cdx.json"].iter().any(|suffix| path.ends_with(suffix));
    suffix && !path.contains(".dist-info/sboms/")
}

pub(crate) fn analyze(file: File<'_>, found: &mut Found) -> Result<(), ParseError> {
    let mut bill = read(file.bytes)?;
    let home = folder(file.path);
    let is_bitnami = file.path.starts_with("opt/bitnami/");
    for application in &mut bill.applications {
        match application.kind {
            ApplicationKind::Bitnami if is_bitnami => home.clone_into(&mut application.file_path),
            _ if is_bitnami => {
                for package in &mut application.packages {
                    package.file_path =
                        if package.file_path.is_empty() { home.to_owned() } else { join(home, &package.file_path) };
                }
                file.path.clone_into(&mut application.file_path);
            }
            _ if application.file_path.is_empty() => file.path.clone_into(&mut application.file_path),
            _ => {}
        }
    }
    for list in &mut bill.package_lists {
        file.path.clone_into(&mut list.file_path);
    }
    found.applications.extend(bill.applications.into_iter().filter(|one| !one.packages.is_empty()));
    found.package_lists.extend(bill.package_lists);
    Ok(())
}

/// What a bill of material lists.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bill {
    /// Operating system, when the bill names one.
    pub operating_system: Option<OperatingSystem>,
    /// Packages of the operating system.
    pub package_lists: Vec<PackageList>,
    /// Packages of applications; those that belong to no file are listed by their kind, without a file.
    pub applications: Vec<Application>,
}

/// Reads a bill of material; its form is found out.
///
/// # Errors
/// When it is neither CycloneDX nor SPDX in JSON, or broken.
pub fn read(bytes: &[u8]) -> Result<Bill, ParseError> {
    let tree = json(bytes, false)?;
    if tree.get("bomFormat").text() == "CycloneDX" {
        shape(&tree)?;
        return Ok(Components::of_cyclonedx(&tree).bill());
    }
    if tree.get("spdxVersion").text().starts_with("SPDX-") {
        return Ok(Components::of_spdx(&tree).bill());
    }
    // An attestation (in-toto) has the bill as its predicate.
    let predicate = tree.get("predicate");
    let inner = if predicate.get("Data").is_map() { predicate.get("Data") } else { predicate };
    match (inner.get("bomFormat").text(), inner.get("spdxVersion").text()) {
        ("CycloneDX", _) => {
            shape(inner)?;
            Ok(Components::of_cyclonedx(inner).bill())
        }
        (_, version) if version.starts_with("SPDX-") => Ok(Components::of_spdx(inner).bill()),
        _ => Err(ParseError::new("failed to detect the format: it is neither CycloneDX nor SPDX in JSON")),
    }
}

/// Whether the fields of a CycloneDX bill have the kinds of values that its schema gives them: a bill in which they do not was not made by
/// a program that knows the form, and nothing of it can be relied on.
fn shape(bill: &Node) -> Result<(), ParseError> {
    let check = |node: &Node, fields: &[&str], is_fit: fn(&Node) -> bool, kind: &str| {
        let odd = fields.iter().find(|field| !node.get(field).is_null() && !is_fit(node.get(field)));
        let line = |field: &str| usize::try_from(node.get(field).lines.start).unwrap_or_default();
        odd.map_or(Ok(()), |field| {
            Err(ParseError::at(format!("CycloneDX decode error: `{field}` is not {kind}"), line(field)))
        })
    };
    check(bill, &["serialNumber", "specVersion", "$schema"], Node::is_text, "a text")?;
    check(bill, &["version"], Node::is_number, "a number")?;
    check(bill, &["components", "dependencies", "services", "vulnerabilities", "properties"], Node::is_list, "a list")?;
    check(bill, &["metadata"], Node::is_map, "an object")?;
    let mut pending: Vec<&Node> = bill.get("components").items().iter().collect();
    while let Some(node) = pending.pop() {
        check(node, &["type", "bom-ref", "group", "name", "version", "purl"], Node::is_text, "a text")?;
        check(node, &["components", "licenses", "hashes", "properties"], Node::is_list, "a list")?;
        pending.extend(node.get("components").items());
    }
    Ok(())
}

/// One component of either form.
#[derive(Default)]
struct Component {
    is_system: bool,
    /// Kind of application, when the component is the file that lists packages.
    lists: Option<ApplicationKind>,
    group: String,
    name: String,
    version: String,
    purl: Option<PackageUrl>,
    licenses: Vec<String>,
    digest: String,
    properties: BTreeMap<String, String>,
}

#[derive(Default)]
struct Components {
    by_reference: BTreeMap<String, Component>,
    needs: BTreeMap<String, Vec<String>>,
}

impl Components {
    fn of_cyclonedx(bill: &Node) -> Self {
        let mut found = Self::default();
        let mut pending: Vec<&Node> = bill.get("components").items().iter().collect();
        while let Some(node) = pending.pop() {
            pending.extend(node.get("components").items());
            let reference =
                [node.get("bom-ref").text(), node.get("purl").text()].into_iter().find(|text| !text.is_empty());
            let reference = reference.map_or_else(|| format!("#{}", found.by_reference.len()), str::to_owned);
            found.by_reference.insert(reference, cyclonedx_component(node));
        }
        for node in bill.get("dependencies").items() {
            let needs = node.get("dependsOn").items().iter().map(|need| need.text().to_owned());
            found.needs.entry(node.get("ref").text().to_owned()).or_default().extend(needs);
        }
        found
    }

    fn of_spdx(bill: &Node) -> Self {
        let mut found = Self::default();
        let files: BTreeMap<&str, &Node> =
            bill.get("files").items().iter().map(|file| (file.get("SPDXID").text(), file)).collect();
        for node in bill.get("packages").items() {
            let mut one = spdx_component(node);
            for file in node.get("hasFiles").items().iter().filter_map(|id| files.get(id.text())) {
                note_file(&mut one, file);
            }
            found.by_reference.insert(node.get("SPDXID").text().to_owned(), one);
        }
        for node in bill.get("relationships").items() {
            let (from, to) = (node.get("spdxElementId").text(), node.get("relatedSpdxElement").text());
            match node.get("relationshipType").text() {
                "CONTAINS" | "DEPENDS_ON" | "DESCRIBES" => {
                    if let (Some(file), Some(one)) = (files.get(to), found.by_reference.get_mut(from)) {
                        note_file(one, file);
                    }
                    found.needs.entry(from.to_owned()).or_default().push(to.to_owned());
                }
                "DEPENDENCY_OF" | "CONTAINED_BY" | "DESCRIBED_BY" => {
                    found.needs.entry(to.to_owned()).or_default().push(from.to_owned());
                }
                _ => {}
            }
        }
        found
    }

    fn bill(self) -> Bill {
        let mut bill = Bill::default();
        let mut packages: BTreeMap<&String, (Package, Class)> = BTreeMap::new();
        for (reference, one) in &self.by_reference {
            if one.is_system && bill.operating_system.is_none() {
                bill.operating_system = Some(OperatingSystem::new(&one.name, &one.version));
            }
            packages.extend(one.package().map(|package| (reference, package)));
        }
        let ids: BTreeMap<&String, String> = packages.iter().map(|(key, (one, _))| (*key, one.id.clone())).collect();
        for (reference, (package, _)) in &mut packages {
            let needs = self.needs.get(*reference).into_iter().flatten();
            package.depends_on = needs.filter_map(|need| ids.get(need).cloned()).collect();
        }
        let mut taken: BTreeSet<&String> = BTreeSet::new();
        for (reference, one) in self.by_reference.iter().filter(|(_, one)| one.lists.is_some()) {
            let Some(kind) = one.lists else { continue };
            let members: Vec<&String> = self.needs.get(reference).into_iter().flatten().collect();
            let own = members.iter().filter(|member| taken.insert(member)).filter_map(|member| packages.get(member));
            let own: Vec<Package> = own.map(|(package, _)| package.clone()).collect();
            bill.applications.push(Application { kind, file_path: one.name.clone(), packages: own });
        }
        let mut system = Vec::new();
        let mut loose: BTreeMap<ApplicationKind, Vec<Package>> = BTreeMap::new();
        for (reference, (package, class)) in packages {
            match class {
                _ if taken.contains(reference) => {}
                Class::System => system.push(package),
                Class::Language(kind) => loose.entry(kind).or_default().push(package),
            }
        }
        if !system.is_empty() {
            bill.package_lists.push(PackageList { file_path: String::new(), packages: system });
        }
        let apart = loose.into_iter().map(|(kind, packages)| Application { kind, file_path: String::new(), packages });
        bill.applications.extend(apart);
        bill.applications.sort_by(|a, b| (a.kind.as_str(), &a.file_path).cmp(&(b.kind.as_str(), &b.file_path)));
        bill
    }
}

#[derive(Clone, Copy)]
enum Class {
    System,
    Language(ApplicationKind),
}

impl Component {
    fn package(&self) -> Option<(Package, Class)> {
        let url = self.purl.clone()?;
        let class = class_of(&url, self.properties.get("PkgType").map_or("", String::as_str))?;
        let property = |name: &str| self.properties.get(name).cloned().unwrap_or_default();
        let number = |name: &str| self.properties.get(name).and_then(|text| text.parse().ok()).unwrap_or(0);
        let mut package = Package {
            name: self.package_name(&url),
            version: url.version.clone(),
            licenses: self.licenses.clone(),
            digest: self.digest.clone(),
            file_path: property("FilePath"),
            source_name: property("SrcName"),
            source_version: property("SrcVersion"),
            source_release: property("SrcRelease"),
            source_epoch: number("SrcEpoch"),
            modularity: property("Modularitylabel"),
            layer: property("LayerDiffID").parse().ok(),
            ..Package::default()
        };
        if matches!(class, Class::System) {
            of_system(&mut package, &url);
        }
        package.id = property("PkgID");
        if package.id.is_empty() {
            let separator = if matches!(url.kind.as_str(), "maven" | "gradle") { ":" } else { "@" };
            let separator = if url.kind == "conan" { "/" } else { separator };
            let full = if matches!(class, Class::System) { package.full_version() } else { package.version.clone() };
            package.id =
                if full.is_empty() { package.name.clone() } else { format!("{}{separator}{full}", package.name) };
        }
        package.purl = Some(url);
        Some((package, class))
    }

    /// A package URL loses the case of some names; the component has kept it. Bitnami's components have names for people.
    fn package_name(&self, url: &PackageUrl) -> String {
        let joined = |namespace: &str, name: &str| {
            let separator = if matches!(url.kind.as_str(), "maven" | "gradle") { ":" } else { "/" };
            if namespace.is_empty() { name.to_owned() } else { format!("{namespace}{separator}{name}") }
        };
        let is_system = matches!(url.kind.as_str(), "deb" | "rpm" | "apk");
        if is_system || url.kind == "bitnami" || self.name.is_empty() {
            return if is_system { url.name.clone() } else { joined(&url.namespace, &url.name) };
        }
        if url.kind == "cocoapods" {
            return if url.subpath.is_empty() { url.name.clone() } else { format!("{}/{}", url.name, url.subpath) };
        }
        if self.group.is_empty() && !url.namespace.is_empty() && self.name.eq_ignore_ascii_case(&url.name) {
            return joined(&url.namespace, &self.name);
        }
        joined(&self.group, &self.name)
    }
}

/// Version, release, epoch and source of a package of the system.
fn of_system(package: &mut Package, url: &PackageUrl) {
    let qualifier = |name: &str| url.qualifiers.get(name).cloned().unwrap_or_default();
    package.arch = qualifier("arch");
    package.epoch = qualifier("epoch").parse().unwrap_or(0);
    match url.kind.as_str() {
        "deb" => {
            if let Some((epoch, version, release)) = split_version(&url.version) {
                package.epoch = package.epoch.max(epoch);
                (package.version, package.release) = (version.to_owned(), release.to_owned());
            }
        }
        "rpm" => {
            if let Some((version, release)) = url.version.split_once('-') {
                (package.version, package.release) = (version.to_owned(), release.to_owned());
            }
            if package.modularity.is_empty() {
                package.modularity = qualifier("modularitylabel");
            }
        }
        _ => {}
    }
    if package.source_name.is_empty() {
        package.source_name.clone_from(&package.name);
    }
    if package.source_version.is_empty() {
        package.source_version.clone_from(&package.version);
        package.source_release.clone_from(&package.release);
        package.source_epoch = package.epoch;
    }
}

/// What a package URL is about; `stated` is the kind that a bill of our own or of upstream names.
fn class_of(url: &PackageUrl, stated: &str) -> Option<Class> {
    if matches!(url.kind.as_str(), "deb" | "rpm" | "apk") {
        return Some(Class::System);
    }
    let by_url = match url.kind.as_str() {
        "bitnami" => ApplicationKind::Bitnami,
        "cargo" => ApplicationKind::Cargo,
        "cocoapods" => ApplicationKind::Cocoapods,
        "composer" => ApplicationKind::Composer,
        "conan" => ApplicationKind::Conan,
        "conda" => ApplicationKind::CondaPkg,
        "gem" => ApplicationKind::GemSpec,
        "golang" => ApplicationKind::GoBinary,
        "gradle" => ApplicationKind::Gradle,
        "hex" => ApplicationKind::Hex,
        "julia" => ApplicationKind::Julia,
        "maven" => ApplicationKind::Jar,
        "npm" => ApplicationKind::NodePkg,
        "nuget" => ApplicationKind::Nuget,
        "pub" => ApplicationKind::Pub,
        "pypi" => ApplicationKind::PythonPkg,
        "swift" => ApplicationKind::Swift,
        _ => return None,
    };
    Some(Class::Language(ApplicationKind::of_name(stated).unwrap_or(by_url)))
}

fn cyclonedx_component(node: &Node) -> Component {
    let mut one = Component {
        group: node.get("group").text().to_owned(),
        name: node.get("name").text().to_owned(),
        version: node.get("version").text().to_owned(),
        purl: PackageUrl::from_str(node.get("purl").text()).ok(),
        is_system: node.get("type").text() == "operating-system",
        ..Component::default()
    };
    for property in node.get("properties").items() {
        let name = property.get("name").text();
        let name = name.strip_prefix("aquasecurity:trivy:").or_else(|| name.strip_prefix("biotope:"));
        one.properties.extend(name.map(|name| (name.to_owned(), property.get("value").text().to_owned())));
    }
    for choice in node.get("licenses").items() {
        let license = choice.get("license");
        let texts = [choice.get("expression").text(), license.get("id").text(), license.get("name").text()];
        one.licenses.extend(texts.into_iter().find(|text| !text.is_empty()).map(str::to_owned));
    }
    if let Some(hash) = node.get("hashes").items().first() {
        let algorithm = hash.get("alg").text().to_ascii_lowercase().replacen('-', "", 1);
        one.digest = format!("{algorithm}:{}", hash.get("content").text());
    }
    if node.get("type").text() == "application" {
        let stated = one.properties.get("Type").or_else(|| one.properties.get("PkgType"));
        one.lists = stated.and_then(|kind| ApplicationKind::of_name(kind));
    }
    one
}

fn spdx_component(node: &Node) -> Component {
    let mut one = Component {
        name: node.get("name").text().to_owned(),
        version: node.get("versionInfo").text().to_owned(),
        is_system: node.get("primaryPackagePurpose").text() == "OPERATING-SYSTEM"
            || node.get("SPDXID").text().starts_with("SPDXRef-OperatingSystem"),
        ..Component::default()
    };
    for reference in node.get("externalRefs").items().iter().filter(|one| one.get("referenceType").text() == "purl") {
        one.purl = PackageUrl::from_str(reference.get("referenceLocator").text()).ok();
    }
    let license = node.get("licenseDeclared").text();
    if !matches!(license, "" | "NONE" | "NOASSERTION") {
        one.licenses = license.split(" AND ").map(|part| part.trim_matches(['(', ')', ' ']).to_owned()).collect();
    }
    if let Some(checksum) = node.get("checksums").items().first() {
        let algorithm = checksum.get("algorithm").text().to_ascii_lowercase();
        one.digest = format!("{algorithm}:{}", checksum.get("checksumValue").text());
    }
    // Facts that SPDX has no field for stand in annotations and attribution texts: `Name: value`.
    let texts = node.get("attributionTexts").items().iter().map(Node::text);
    let comments = node.get("annotations").items().iter().map(|one| one.get("comment").text());
    for (name, value) in texts.chain(comments).filter_map(|text| text.split_once(": ")) {
        one.properties.insert(name.to_owned(), value.to_owned());
    }
    if let Some(source) = node.get("sourceInfo").text().strip_prefix("built package from: ") {
        of_source(&mut one, source);
    }
    let is_application = node.get("primaryPackagePurpose").text() == "APPLICATION"
        || node.get("SPDXID").text().starts_with("SPDXRef-Application");
    if is_application && one.purl.is_none() {
        let stated = [one.properties.get("Type").cloned().unwrap_or_default(), one.name.clone()];
        one.lists = stated.iter().find_map(|kind| ApplicationKind::of_name(kind));
        let source = node.get("sourceInfo").text();
        if !source.is_empty() {
            source.trim_start_matches("application: ").clone_into(&mut one.name);
        }
    }
    one
}

/// `name version`, the version with epoch and release.
fn of_source(one: &mut Component, source: &str) {
    let Some((name, version)) = source.rsplit_once(' ') else { return };
    let (epoch, rest) = version.split_once(':').unwrap_or(("0", version));
    let (version, release) = rest.rsplit_once('-').unwrap_or((rest, ""));
    let facts = [("SrcName", name), ("SrcEpoch", epoch), ("SrcVersion", version), ("SrcRelease", release)];
    one.properties.extend(facts.map(|(key, value)| (key.to_owned(), value.to_owned())));
}

fn note_file(one: &mut Component, file: &Node) {
    let name = file.get("fileName").text();
    if !file_name(name).is_empty() {
        one.properties.insert("FilePath".to_owned(), name.to_owned());
    }
    if let Some(checksum) = file.get("checksums").items().first() {
        let algorithm = checksum.get("algorithm").text().to_ascii_lowercase();
        one.digest = format!("{algorithm}:{}", checksum.get("checksumValue").text());
    }
}
