//! The corpus of what lies between the parts: package URLs, severities, filters, versions, skip lists.

use std::borrow::Cow;
use std::collections::BTreeMap;

use image_inventory::{ApplicationKind, OperatingSystem, Package, purl};
use model::{PackageUrl, Severity};
use serde_json::{Map, Value, json};
use testkit::corpus::{Corpus, Verdict};
use vulnerability_matching::assess::assess;
use vulnerability_matching::database::{Buckets, DataSource, detail};
use vulnerability_matching::detect::{Detection, Version};
use vulnerability_matching::filter::{Filtered, unique};
use vulnerability_matching::ignore::{Ignorable, IgnoreFile};

pub(crate) fn text(value: &Value, key: &str) -> String {
    value[key].as_str().unwrap_or_default().to_owned()
}

/// The `vulnerability` bucket of a fixture.
struct Details(Map<String, Value>);

impl Buckets for Details {
    fn entries(&self, _: &[&str]) -> Vec<(String, Cow<'_, [u8]>)> {
        Vec::new()
    }

    fn value(&self, path: &[&str], key: &str) -> Option<Cow<'_, [u8]>> {
        (path == ["vulnerability"]).then_some(())?;
        self.0.get(key).map(|value| Cow::Owned(value.to_string().into_bytes()))
    }

    fn buckets(&self, _: &str) -> Vec<String> {
        Vec::new()
    }
}

pub(crate) fn without_empty(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let kept = map.iter().map(|(key, value)| (key.clone(), without_empty(value)));
            let is_empty = |value: &Value| {
                value.is_null()
                    || value.as_str().is_some_and(str::is_empty)
                    || value.as_array().is_some_and(Vec::is_empty)
                    || value.as_object().is_some_and(Map::is_empty)
            };
            Value::Object(kept.filter(|(_, value)| !is_empty(value)).collect())
        }
        Value::Array(list) => Value::Array(list.iter().map(without_empty).collect()),
        other => other.clone(),
    }
}

/// A package URL as upstream's structure; its qualifiers sorted, for their order is that of printing.
pub(crate) fn structure(url: &PackageUrl) -> Value {
    let qualifiers: Vec<Value> =
        url.qualifiers.iter().map(|(key, value)| json!({ "Key": key, "Value": value })).collect();
    without_empty(&json!({
        "Type": url.kind, "Namespace": url.namespace, "Name": url.name, "Version": url.version, "Subpath": url.subpath,
        "Qualifiers": qualifiers,
    }))
}

pub(crate) fn expected_structure(value: &Value) -> Value {
    let mut value = without_empty(value);
    if let Some(list) = value["Qualifiers"].as_array_mut() {
        list.sort_by_key(|qualifier| text(qualifier, "Key"));
    } else if let Some(map) = value.as_object_mut() {
        map.remove("Qualifiers");
    }
    value
}

pub(crate) fn url_of(value: &Value) -> PackageUrl {
    let mut url =
        PackageUrl::new(&text(value, "Type"), &text(value, "Namespace"), &text(value, "Name"), &text(value, "Version"));
    url.subpath = text(value, "Subpath");
    url
}

fn new_url(case: &Value) -> Option<(Value, Value)> {
    let (kind, pkg, system) = (text(case, "typ"), &case["pkg"], &case["metadata"]["OS"]);
    if kind == "oci" {
        return None;
    }
    let package = Package {
        name: text(pkg, "Name"),
        version: text(pkg, "Version"),
        release: text(pkg, "Release"),
        epoch: u32::try_from(pkg["Epoch"].as_u64().unwrap_or(0)).unwrap(),
        arch: text(pkg, "Arch"),
        ..Package::default()
    };
    let url = if system.is_null() {
        let kind = match kind.as_str() {
            "gomod" => ApplicationKind::GoModule,
            "rustbinary" => ApplicationKind::RustBinary,
            other => serde_json::from_value(json!(other)).ok()?,
        };
        purl::language(&package, kind)
    } else {
        purl::system(&package, Some(&OperatingSystem::new(&text(system, "Family"), &text(system, "Name"))))
    };
    let got = url.as_ref().map_or(Value::Null, structure);
    let expected = if case["want"].is_null() { Value::Null } else { expected_structure(&case["want"]) };
    Some((expected, got))
}

fn fill(case: &Value, files: &BTreeMap<String, Value>, source: &str) -> (Value, Value) {
    let folder = source.rsplit_once('/').map_or("", |(folder, _)| folder);
    let mut details = Map::new();
    for fixture in case["fixtures"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        let found = files.get(&format!("{folder}/{fixture}")).and_then(|file| file["vulnerability"].as_object());
        details.extend(found.into_iter().flatten().map(|(key, value)| (key.clone(), value.clone())));
    }
    let details = Details(details);
    let listed: Vec<String> = case["vulnSeveritySources"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect();
    let order: Vec<&str> = if listed.is_empty() { vec!["auto"] } else { listed.iter().map(String::as_str).collect() };
    let filled = case["vulns"].as_array().into_iter().flatten().map(|vulnerability| {
        let detection = Detection {
            id: text(vulnerability, "VulnerabilityID"),
            fixed_version: text(vulnerability, "FixedVersion"),
            severity: vulnerability["Vulnerability"]["Severity"].as_str().map(|word| word.parse().unwrap()),
            severity_source: text(vulnerability, "SeveritySource"),
            source: serde_json::from_value::<DataSource>(vulnerability["DataSource"].clone()).ok().map(std::sync::Arc::new),
            ..Detection::default()
        };
        let detail = detail(&details, &detection.id).unwrap();
        let assessed = assess(&detection, detail.as_ref(), &order);
        json!({ "severity": assessed.severity.to_string().to_uppercase(), "source": assessed.severity_source, "status": assessed.status,
            "url": assessed.primary_url, "title": detail.map(|detail| detail.title).unwrap_or_default() })
    });
    let wanted = case["expectedVulnerabilities"].as_array().into_iter().flatten().map(|wanted| {
        json!({ "severity": wanted["Vulnerability"]["Severity"], "source": text(wanted, "SeveritySource"), "status": wanted["Status"],
            "url": text(wanted, "PrimaryURL"), "title": text(&wanted["Vulnerability"], "Title") })
    });
    (Value::Array(wanted.collect()), Value::Array(filled.collect()))
}

struct Row(Value);

impl Filtered for Row {
    fn id(&self) -> &str {
        self.0["VulnerabilityID"].as_str().unwrap_or_default()
    }
    fn package(&self) -> &str {
        self.0["PkgName"].as_str().unwrap_or_default()
    }
    fn installed_version(&self) -> &str {
        self.0["InstalledVersion"].as_str().unwrap_or_default()
    }
    fn fixed_version(&self) -> &str {
        self.0["FixedVersion"].as_str().unwrap_or_default()
    }
    fn path(&self) -> &str {
        self.0["PkgPath"].as_str().unwrap_or_default()
    }
    fn severity(&self) -> Severity {
        self.0["Vulnerability"]["Severity"].as_str().and_then(|word| word.parse().ok()).unwrap_or_default()
    }
}

/// The vulnerabilities of a report that are left; policies in Rego are not for us.
fn filter(case: &Value, corpus: &Corpus, source: &str) -> Option<(Value, Value)> {
    let args = &case["args"];
    if !args["policyFile"].is_null() {
        return None;
    }
    let folder = source.rsplit_once('/').map_or("", |(folder, _)| folder);
    let ignored = args["ignoreFile"].as_str().map(|file| {
        let path = corpus.folder().join("inputs").join(folder).join(file);
        IgnoreFile::parse(file, &std::fs::read_to_string(path).unwrap(), "2026-08-21").0
    });
    let severities: Vec<&str> = args["severities"].as_array()?.iter().filter_map(Value::as_str).collect();
    let results = args["report"]["Results"].as_array()?.iter().map(|result| {
        let rows = result["Vulnerabilities"].as_array().into_iter().flatten().map(|row| {
            let mut row = row.clone();
            if row["Vulnerability"]["Severity"] == "" {
                row["Vulnerability"]["Severity"] = json!("UNKNOWN");
            }
            Row(row)
        });
        let is_left = |row: &Row| {
            let ignorable = Ignorable { id: row.id(), aliases: &[], path: row.path(), purl: None };
            severities.contains(&row.severity().to_string().to_uppercase().as_str())
                && ignored.as_ref().is_none_or(|file| file.matching(&ignorable).is_none())
        };
        Value::Array(unique(rows.filter(is_left).collect()).into_iter().map(|row| row.0).collect())
    });
    let wanted = case["want"]["Results"].as_array()?.iter();
    let wanted = wanted.map(|result| json!(result["Vulnerabilities"].as_array().cloned().unwrap_or_default()));
    Some((Value::Array(wanted.collect()), Value::Array(results.collect())))
}

fn judge(line: &Value, corpus: &Corpus, files: &BTreeMap<String, Value>) -> Option<(Value, Value)> {
    let elsewhere = crate::misc_sbom::judge(line, corpus)
        .or_else(|| crate::misc_vex::judge(line, corpus))
        .or_else(|| crate::misc_layers::judge(line));
    if elsewhere.is_some() {
        return elsewhere;
    }
    let (case, source, func) = (&line["case"], text(line, "source"), text(line, "func"));
    match func.as_str() {
        "TestFromString" => {
            let got = text(case, "purl").parse::<PackageUrl>().map_or(Value::Null, |url| structure(&url));
            Some((expected_structure(&case["want"]), got))
        }
        "TestNewPackageURL" => new_url(case),
        "TestPackageURL_Match" => {
            let (constraint, target): (PackageUrl, PackageUrl) =
                (text(case, "constraint").parse().ok()?, text(case, "target").parse().ok()?);
            Some((json!(case["want"].as_bool().unwrap_or(false)), json!(constraint.matches(&target))))
        }
        "TestPackageURL_Package" => {
            let (_, package) = purl::package_of(&url_of(&case["pkgURL"]))?;
            let want = &case["wantPkg"];
            let expected = json!([want["ID"], want["Name"], want["Version"]]);
            Some((expected, json!([package.id, package.name, package.version])))
        }
        "TestPackageURL_LangType" => {
            let (kind, _) = purl::package_of(&url_of(&case["purl"]))?;
            Some((case["want"].clone(), json!(kind.as_str())))
        }
        "TestFormatVersion" | "TestFormatSrcVersion" => {
            let side = if func == "TestFormatVersion" { "" } else { "Src" };
            let version = Version {
                epoch: case["pkg"][format!("{side}Epoch")].as_u64().unwrap_or(0),
                version: text(&case["pkg"], &format!("{side}Version")),
                release: text(&case["pkg"], &format!("{side}Release")),
            };
            Some((json!(text(case, "want")), json!(version.to_string())))
        }
        "TestClient_FillInfo" => Some(fill(case, files, &source)),
        "TestFilter" if source.starts_with("pkg/result") => filter(case, corpus, &source),
        "TestOS_Merge" => {
            let system = |value: &Value| OperatingSystem::new(&text(value, "Family"), &text(value, "Name"));
            // Suppliers are told by packages here, so that they do not get lost in a merge.
            let mut merged = system(&case["os"]);
            merged.merge(&system(&case["newOS"]));
            let want = system(&case["want"]);
            Some((json!([want.family, want.release]), json!([merged.family, merged.release])))
        }
        "TestFS_BuildSkipPaths" if case["oses"].as_array()?.contains(&json!("linux")) => {
            let paths: Vec<String> = serde_json::from_value(case["paths"].clone()).ok()?;
            let working = std::env::current_dir().ok()?;
            let got = registry_scanner::paths_below(std::path::Path::new(&text(case, "base")), &paths, &working);
            Some((case["want"].clone(), json!(got)))
        }
        "TestSkipFile" | "TestSkipDir" => {
            let patterns: Vec<&str> = case["skipFiles"]
                .as_array()
                .or(case["skipDirs"].as_array())?
                .iter()
                .filter_map(Value::as_str)
                .collect();
            let got: Map<String, Value> = case["wants"]
                .as_object()?
                .keys()
                .map(|path| {
                    let skips = patterns.iter().any(|pattern| vulnerability_matching::glob::matches(pattern, path));
                    (path.clone(), json!(skips))
                })
                .collect();
            Some((case["wants"].clone(), Value::Object(got)))
        }
        _ => None,
    }
}

#[test]
fn corpus_trivy_misc() {
    let Some(mut corpus) = Corpus::open("trivy-misc", "trivy") else { return };
    let files = corpus.lines("db.jsonl");
    let files: BTreeMap<String, Value> =
        files.into_iter().map(|file| (text(&file, "file"), file["buckets"].clone())).collect();
    for line in corpus.lines("misc.jsonl") {
        match judge(&line, &corpus, &files) {
            Some((expected, got)) => corpus.compare(text(&line, "id"), expected, got),
            None => corpus.judge(text(&line, "id"), Verdict::Fail, Value::Null, json!("no answer")),
        }
    }
    corpus.finish(include_str!("../corpus/trivy-misc.exceptions"));
}
