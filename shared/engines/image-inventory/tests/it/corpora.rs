//! The detection cases of Trivy: parsers and analyzers.

use std::path::{Path, PathBuf};

use crate::outside::Given;
use image_inventory::{Found, Package, Relationship, analyze, analyze_with, parse, wants};
use serde_json::{Map, Value, json};
use testkit::corpus::{Corpus, Verdict};

#[test]
fn corpus_trivy_parsers() {
    let Some(mut corpus) = Corpus::open("trivy-parsers", "trivy") else { return };
    let folder = corpus.folder().to_owned();
    for case in corpus.lines("parsers.jsonl") {
        let id = case["id"].as_str().unwrap().to_owned();
        match parser_case(&folder, &case) {
            Some((expected, got)) => corpus.compare(id, expected, got),
            None => corpus.judge(id, Verdict::Fail, case["case"].clone(), json!("no counterpart")),
        }
    }
    corpus.finish(include_str!("../corpus/trivy-parsers.exceptions"));
}

#[test]
fn corpus_trivy_analyzers() {
    let Some(mut corpus) = Corpus::open("trivy-analyzers", "trivy") else { return };
    let folder = corpus.folder().to_owned();
    for case in corpus.lines("analyzers.jsonl") {
        let id = case["id"].as_str().unwrap().to_owned();
        match analyzer_case(&folder, &case) {
            Some((expected, got)) => corpus.compare(id, expected, got),
            None => corpus.judge(id, Verdict::Fail, case["case"].clone(), json!("no counterpart")),
        }
    }
    corpus.finish(include_str!("../corpus/trivy-analyzers.exceptions"));
}

/// Parser folder upstream, and our name of the format.
const FORMATS: &[(&str, &str)] = &[
    ("c/conan", "conan"),
    ("conda/environment", "conda-environment"),
    ("conda/meta", "conda-pkg"),
    ("dart/pub", "pub"),
    ("dotnet/core_deps", "dotnet-core"),
    ("frameworks/wordpress", "wordpress"),
    ("golang/mod", "gomod"),
    ("golang/sum", "gosum"),
    ("golang/binary", "gobinary"),
    ("gradle/lockfile", "gradle"),
    ("hex/mix", "hex"),
    ("java/jar", "jar"),
    ("julia/manifest", "julia"),
    ("nodejs/bun", "bun"),
    ("nodejs/npm", "npm"),
    ("nodejs/packagejson", "node-pkg"),
    ("nodejs/pnpm", "pnpm"),
    ("nodejs/yarn", "yarn"),
    ("nuget/config", "nuget-config"),
    ("nuget/lock", "nuget"),
    ("nuget/packagesprops", "packages-props"),
    ("php/composer", "composer"),
    ("python/packaging", "python-pkg"),
    ("python/pip", "pip"),
    ("python/pipenv", "pipenv"),
    ("python/poetry", "poetry"),
    ("python/pylock", "pylock"),
    ("python/uv", "uv"),
    ("ruby/bundler", "bundler"),
    ("ruby/gemspec", "gemspec"),
    ("rust/binary", "rustbinary"),
    ("rust/cargo", "cargo"),
    ("sbt/lockfile", "sbt"),
    ("swift/cocoapods", "cocoapods"),
    ("swift/swift", "swift"),
];

fn parser_case(folder: &Path, line: &Value) -> Option<(Value, Value)> {
    let (source, case, function) = (line["source"].as_str()?, &line["case"], line["func"].as_str()?);
    if function.starts_with("TestPom_Parse") {
        return pom_case(folder, source, case);
    }
    if !matches!(function, "TestParse" | "TestParser_Parse" | "TestParseWordPress") || source.contains("/pyproject/") {
        return crate::helpers::helper_case(folder, source, function, case);
    }
    let below = Path::new(source).parent()?.strip_prefix("pkg/dependency/parser").ok()?.to_str()?;
    let format = FORMATS.iter().find(|(name, _)| *name == below)?.1;
    let file = ["inputFile", "file", "input", "filePath"].iter().find_map(|key| case[*key].as_str())?;
    let path = input(folder, source, file);
    let minimum = case["useMinVersion"] == json!(true);
    let format = match format {
        "pip" | "pub" if minimum => format!("{format}-minimum"),
        "gomod" if case["replace"] != json!(true) => "gomod-unreplaced".to_owned(),
        other => other.to_owned(),
    };
    let bytes = std::fs::read(path).ok()?;
    let parsed = match format.as_str() {
        "jar" => {
            let found = analyze("jar", [(file, bytes.as_slice())]);
            let found = with_index(found, case["offline"] == json!(true));
            Ok(found.applications.into_iter().flat_map(|one| one.packages).collect())
        }
        _ => parse(&format, &bytes),
    };
    if must_fail(case) {
        let got = if parsed.is_err() { "error" } else { "success" };
        return Some((json!("error"), json!(got)));
    }
    let packages = match parsed {
        // Upstream's tables for these two leave out the ids.
        Ok(mut packages) if matches!(format.as_str(), "gosum" | "gomod" | "gomod-unreplaced") && !has_ids(case) => {
            packages.iter_mut().for_each(|one| one.id.clear());
            packages
        }
        Ok(packages) => packages,
        Err(error) => return Some((json!("success"), json!(format!("error: {error}")))),
    };
    let wanted = case.get("wantPkgs").or_else(|| case.get("want")).cloned().unwrap_or(Value::Null);
    let wanted = match (format.as_str(), wanted) {
        // What else `package.json` says is about the project, not about the package.
        ("node-pkg", wanted) => Value::Array(vec![wanted["Package"].clone()]),
        ("conda-environment", wanted) => wanted["Packages"].clone(),
        (_, wanted @ Value::Object(_)) => Value::Array(vec![wanted]),
        (_, wanted) => wanted,
    };
    Some(compared(&packages, &wanted, &case["wantDeps"]))
}

/// What the index of Java archives adds, unless the case is about being without.
fn with_index(found: Found, is_offline: bool) -> Found {
    match crate::jars::known().filter(|_| !is_offline) {
        Some(index) => crate::jars::identified(found, &index),
        None => found,
    }
}

/// Upstream lists one id several times where it is installed several times.
fn joined(needs: &Value) -> Value {
    let mut all: std::collections::BTreeMap<String, std::collections::BTreeSet<String>> = Default::default();
    for one in needs.as_array().into_iter().flatten() {
        let ids = one["DependsOn"].as_array().into_iter().flatten().filter_map(|id| id.as_str().map(str::to_owned));
        all.entry(one["ID"].as_str().unwrap_or_default().to_owned()).or_default().extend(ids);
    }
    all.into_iter().map(|(id, needs)| json!({"ID": id, "DependsOn": needs})).collect()
}

fn has_ids(case: &Value) -> bool {
    let wanted = case.get("wantPkgs").or_else(|| case.get("want")).and_then(Value::as_array);
    wanted.into_iter().flatten().any(|one| one["ID"].as_str().is_some_and(|id| !id.is_empty()))
}

/// A project of Maven. What stands for a repository is read from the corpus where the case brings it.
fn pom_case(folder: &Path, source: &str, case: &Value) -> Option<(Value, Value)> {
    let path = case["inputFile"].as_str()?;
    let repository = input(folder, source, "testdata/repository");
    let name = if case["local"] == json!(true) { "maven" } else { "https://repo.maven.apache.org/maven2" };
    let mut outside = Given { folders: vec![(name.to_owned(), repository)], ..Given::default() };
    let mut give = |address: &str, file: &Value| {
        let text = std::fs::read_to_string(input(folder, source, file.as_str()?)).ok()?;
        let files = txtar(&text).into_iter().map(|(path, bytes)| ((address.to_owned(), path), bytes));
        outside.files.extend(files);
        Some(())
    };
    give("REPO_ROOT_URL", &case["rootRepoTxtar"]);
    for (address, file) in case["repos"].as_object().into_iter().flatten() {
        give(address, file);
    }
    let files = |path: &str| std::fs::read(input(folder, source, path)).ok();
    let parsed = image_inventory::rules::maven_project(path, &files, &outside);
    if must_fail(case) {
        return Some((json!("error"), json!(if parsed.is_err() { "error" } else { "success" })));
    }
    let packages = parsed.ok()?;
    if let Some(wanted) = case["wantPackages"].as_object() {
        let licenses = |id: &String| packages.iter().find(|one| one.id == *id).map(|one| json!(one.licenses.first()));
        let got: Map<String, Value> = wanted.keys().map(|id| (id.clone(), licenses(id).unwrap_or_default())).collect();
        return Some((json!(wanted), Value::Object(got)));
    }
    Some(compared(&packages, &case["want"], &case["wantDeps"]))
}

/// Packages and their graph against upstream's two lists.
fn compared(packages: &[Package], wanted: &Value, expects_needs: &Value) -> (Value, Value) {
    let got: Vec<Value> = packages.iter().map(|package| upstream(package, false)).collect();
    let mut needs: Vec<Value> = packages
        .iter()
        .filter(|package| !package.depends_on.is_empty())
        .map(|package| json!({"ID": package.id, "DependsOn": package.depends_on}))
        .collect();
    needs.dedup();
    let expected = json!({"packages": list(wanted, true), "needs": list(&joined(expects_needs), false)});
    (expected, json!({"packages": list(&Value::Array(got), true), "needs": list(&Value::Array(needs), false)}))
}

/// Analyzer folder upstream, and our name.
const ANALYZERS: &[(&str, &str)] = &[
    ("buildinfo/content_manifest", "content-manifest"),
    ("buildinfo/dockerfile", "buildinfo-dockerfile"),
    ("language/c/conan", "conan"),
    ("language/conda/environment", "conda-environment"),
    ("language/conda/meta", "conda-pkg"),
    ("language/dart/pub", "pub"),
    ("language/dotnet/deps", "dotnet-core"),
    ("language/dotnet/nuget", "nuget"),
    ("language/dotnet/packagesprops", "packages-props"),
    ("language/elixir/mix", "hex"),
    ("language/golang/binary", "gobinary"),
    ("language/golang/mod", "gomod"),
    ("language/java/gradle", "gradle"),
    ("language/java/jar", "jar"),
    ("language/java/pom", "pom"),
    ("language/java/sbt", "sbt"),
    ("language/julia/pkg", "julia"),
    ("language/nodejs/bun", "bun"),
    ("language/nodejs/license", "node-pkg"),
    ("language/nodejs/npm", "npm"),
    ("language/nodejs/pkg", "node-pkg"),
    ("language/nodejs/pnpm", "pnpm"),
    ("language/nodejs/yarn", "yarn"),
    ("language/php/composer/composer", "composer"),
    ("language/php/composer/vendor", "composer-vendor"),
    ("language/python/packaging/egg", "python-egg"),
    ("language/python/packaging/packaging", "python-pkg"),
    ("language/python/pip", "pip"),
    ("language/python/pipenv", "pipenv"),
    ("language/python/poetry", "poetry"),
    ("language/python/pylock", "pylock"),
    ("language/python/uv", "uv"),
    ("language/ruby/bundler", "bundler"),
    ("language/ruby/gemspec", "gemspec"),
    ("language/rust/binary", "rustbinary"),
    ("language/rust/cargo", "cargo"),
    ("language/swift/cocoapods", "cocoapods"),
    ("language/swift/swift", "swift"),
    ("os/alpine", "alpine"),
    ("os/amazonlinux", "amazon"),
    ("os/debian", "debian"),
    ("os/redhatbase/alma", "alma"),
    ("os/redhatbase/centos", "centos"),
    ("os/redhatbase/fedora", "fedora"),
    ("os/redhatbase/oracle", "oracle"),
    ("os/redhatbase/rocky", "rocky"),
    ("os/redhatbase/redhatbase", "redhat"),
    ("os/release", "os-release"),
    ("os/ubuntu/esm", "ubuntu-esm"),
    ("os/ubuntu/ubuntu", "ubuntu"),
    ("pkg/apk", "apk"),
    ("pkg/bottlerocket_inventory", "bottlerocket-inventory"),
    ("pkg/dpkg/copyright", "dpkg-license"),
    ("pkg/dpkg/dpkg", "dpkg"),
    ("pkg/rpm/archive", "rpm-archive"),
    ("pkg/rpm/rpmqa", "rpmqa"),
    ("pkg/rpm/rpm", "rpm"),
    ("repo/apk", "apk-repo"),
    ("rapidfort", "rapidfort"),
    ("sbom", "sbom"),
];

fn analyzer_case(folder: &Path, line: &Value) -> Option<(Value, Value)> {
    let (source, case, function) = (line["source"].as_str()?, &line["case"], line["func"].as_str()?);
    let below = source.strip_prefix("pkg/fanal/analyzer/")?.strip_suffix("_test.go")?;
    let parent = Path::new(below).parent()?.to_str()?;
    let name = ANALYZERS.iter().find(|(known, _)| *known == below || *known == parent)?.1;
    if !image_inventory::analyzers().any(|known| known == name) {
        return None;
    }
    if function.ends_with("Required") && case.get("filePath").is_some() {
        let path = case["filePath"].as_str()?;
        let mode = if path.ends_with("0755") { 0o755 } else { 0o644 };
        return Some((json!(case["want"] == json!(true)), json!(wants(name, path.trim_start_matches('/'), mode))));
    }
    if !(function.contains("Analyze")
        || matches!(
            function,
            "TestParseApkInfo"
                | "TestAlpineReleaseOSAnalyzer_Required"
                | "TestParseApplicationInventory"
                | "TestParseMarinerDistrolessManifest"
                | "Test_sbtDependencyLockAnalyzer"
        ))
        || function == "TestAnalyzerGroup_AnalyzeFile"
    {
        return crate::helpers::helper_case(folder, source, function, case);
    }
    let files = files_of(folder, source, case, name)?;
    let outside = outside_of(folder, source, case);
    let files = files.iter().map(|(path, bytes)| (path.as_str(), bytes.as_slice()));
    let found = analyze_with(name, files, &outside, case["includeChecksum"] == json!(true));
    let found = if name == "jar" && found.faults.is_empty() { with_index(found, false) } else { found };
    if must_fail(case) {
        return Some((json!("error"), json!(if found.faults.is_empty() { "success" } else { "error" })));
    }
    if matches!(function, "TestParseApkInfo" | "TestParseApplicationInventory" | "TestParseMarinerDistrolessManifest") {
        let got: Vec<Value> = found.package_lists.first()?.packages.iter().map(|one| upstream(one, true)).collect();
        return Some((list(&case["wantPkgs"], true), list(&Value::Array(got), true)));
    }
    let wanted = case.get("want").or_else(|| case.get("wantResult")).cloned().unwrap_or(Value::Null);
    Some((result(&wanted), result(&result_of(&found))))
}

/// Caches that a case brings.
fn outside_of(folder: &Path, source: &str, case: &Value) -> Given {
    let mut given = Given::default();
    let mut give = |name: &str, path: &Value, below: &str| {
        let path = path.as_str().map(|path| input(folder, source, path).join(below));
        given.folders.extend(path.map(|path| (name.to_owned(), path)));
    };
    give("pub", &case["pubCacheEnv"], "");
    give("nuget", &case["env"]["HOME"], ".nuget/packages");
    give("conan", &case["cacheDir"]["v1"], ".conan/data");
    give("conan", &case["cacheDir"]["v2"], "p");
    for version in 6..14 {
        give("python", &case["venv"], &format!("lib/python3.{version}/site-packages"));
    }
    if case["gopath"] == json!(true) {
        give("go", &json!("testdata"), "pkg/mod");
    }
    given
}

/// All files of a folder, by their path in it.
pub(crate) fn all_files(root: &Path) -> std::collections::BTreeMap<String, Vec<u8>> {
    let mut files = std::collections::BTreeMap::new();
    let mut pending = vec![root.to_owned()];
    while let Some(one) = pending.pop() {
        for entry in std::fs::read_dir(one).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                pending.push(path);
            } else if let (Ok(shown), Ok(bytes)) = (path.strip_prefix(root), std::fs::read(&path)) {
                files.insert(shown.to_string_lossy().into_owned(), bytes);
            }
        }
    }
    files
}

/// The files of a case: a text, a file, a folder, or a txtar archive.
fn files_of(folder: &Path, source: &str, case: &Value, name: &str) -> Option<Vec<(String, Vec<u8>)>> {
    if let Some(text) = case["input"]["Content"].as_str() {
        let path = case["input"]["FilePath"].as_str().unwrap_or("x");
        return Some(vec![(path.to_owned(), text.as_bytes().to_vec())]);
    }
    if let Some(text) = case["content"].as_str() {
        return Some(vec![("x".to_owned(), text.as_bytes().to_vec())]);
    }
    if let (Some(dir), Some(file)) = (case["inputDir"].as_str(), case["inputFile"].as_str()) {
        let bytes = std::fs::read(input(folder, source, dir).join(file)).ok()?;
        return Some(vec![(file.to_owned(), bytes)]);
    }
    let keys = ["txtar", "testFile", "inputFile", "file", "input", "dir", "inputDir", "path"];
    let given = keys.iter().find_map(|key| case[*key].as_str())?;
    let path = input(folder, source, given);
    if path.is_dir() {
        let mut files = Vec::new();
        let mut pending = vec![path.clone()];
        while let Some(one) = pending.pop() {
            for entry in std::fs::read_dir(one).ok()?.flatten() {
                let entry = entry.path();
                if entry.is_dir() {
                    pending.push(entry);
                    continue;
                }
                let shown = entry.strip_prefix(&path).ok()?.to_str()?.to_owned();
                if wants(name, &shown, 0o755) {
                    files.push((shown, std::fs::read(entry).ok()?));
                }
            }
        }
        files.sort();
        return Some(files);
    }
    let bytes = std::fs::read(&path).ok()?;
    if given.ends_with(".txtar") {
        return Some(txtar(&String::from_utf8_lossy(&bytes)));
    }
    let shown = case["filePath"].as_str().or_else(|| case["inputPath"].as_str()).unwrap_or(given);
    Some(vec![(shown.to_owned(), bytes)])
}

/// Go's txtar format: `-- name --` lines before each file.
fn txtar(text: &str) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<(String, Vec<u8>)> = Vec::new();
    for line in text.split_inclusive('\n') {
        let name = line.trim_end().strip_prefix("-- ").and_then(|rest| rest.strip_suffix(" --"));
        match (name, files.last_mut()) {
            (Some(name), _) => files.push((name.to_owned(), Vec::new())),
            (None, Some((_, bytes))) => bytes.extend_from_slice(line.as_bytes()),
            (None, None) => {}
        }
    }
    files
}

pub(crate) fn input(folder: &Path, source: &str, file: &str) -> PathBuf {
    let home = Path::new(source).parent().unwrap_or(Path::new(""));
    folder.join("inputs").join(home).join(file.trim_start_matches("./"))
}

pub(crate) fn must_fail(case: &Value) -> bool {
    match &case["wantErr"] {
        Value::String(text) => !text.is_empty(),
        Value::Bool(flag) => *flag,
        Value::Object(object) => object.get("$assert") != Some(&json!("NoError")),
        _ => false,
    }
}

fn result_of(found: &Found) -> Value {
    let mut result = Map::new();
    if let Some(system) = &found.operating_system {
        let mut os = json!({"Family": system.family, "Name": system.release});
        if system.extended {
            os["Extended"] = json!(true);
        }
        result.insert("OS".to_owned(), os);
    }
    if let Some(repository) = &found.repository {
        result.insert("Repository".to_owned(), json!({"Family": repository.family, "Release": repository.release}));
    }
    let lists: Vec<Value> = found
        .package_lists
        .iter()
        .map(|list| json!({"FilePath": list.file_path, "Packages": list.packages.iter().map(|one| upstream(one, true)).collect::<Vec<_>>()}))
        .collect();
    let applications: Vec<Value> = found
        .applications
        .iter()
        .map(|one| json!({"Type": one.kind.as_str(), "FilePath": one.file_path, "Packages": one.packages.iter().map(|one| upstream(one, true)).collect::<Vec<_>>()}))
        .collect();
    result.insert("PackageInfos".to_owned(), Value::Array(lists));
    result.insert("Applications".to_owned(), Value::Array(applications));
    result.insert("SystemInstalledFiles".to_owned(), json!(found.system_files));
    let build = found.build.as_ref().map(|(nvr, arch)| json!({"Nvr": nvr, "Arch": arch}));
    let sets = (!found.content_sets.is_empty()).then(|| json!({"ContentSets": found.content_sets}));
    result.insert("BuildInfo".to_owned(), build.or(sets).unwrap_or(Value::Null));
    let licenses: Vec<Value> = found
        .license_files
        .iter()
        .map(|file| json!({"FilePath": file.file_path, "PkgName": file.package, "Names": file.licenses}))
        .collect();
    result.insert("Licenses".to_owned(), Value::Array(licenses));
    Value::Object(result)
}

/// A result in one order, without zero values.
fn result(value: &Value) -> Value {
    let mut result = Map::new();
    for key in ["OS", "Repository", "BuildInfo"] {
        result.insert(key.to_owned(), value[key].clone());
    }
    for key in ["PackageInfos", "Applications"] {
        let lists = value[key].as_array().cloned().unwrap_or_default();
        let one = |one: &Value| json!({"Type": one["Type"], "FilePath": one["FilePath"], "Packages": list(&one["Packages"], true)});
        let mut lists: Vec<Value> = lists.iter().map(one).collect();
        lists.sort_by_key(ToString::to_string);
        result.insert(key.to_owned(), Value::Array(lists));
    }
    let mut files = value["SystemInstalledFiles"].as_array().cloned().unwrap_or_default();
    files.sort_by_key(ToString::to_string);
    result.insert("SystemInstalledFiles".to_owned(), Value::Array(files));
    let names = |file: &Value| {
        let findings =
            file["Findings"].as_array().map(|all| all.iter().map(|one| one["Name"].clone()).collect::<Vec<_>>());
        let mut names = findings.or_else(|| file["Names"].as_array().cloned()).unwrap_or_default();
        names.sort_by_key(ToString::to_string);
        json!({"FilePath": file["FilePath"], "PkgName": file["PkgName"], "Names": names})
    };
    let licenses = value["Licenses"].as_array().map(|all| all.iter().map(names).collect::<Vec<_>>());
    result.insert("Licenses".to_owned(), json!(licenses.unwrap_or_default()));
    without_zeros(&Value::Object(result))
}

/// A package under upstream's names.
fn upstream(package: &Package, needs: bool) -> Value {
    let relationship = match package.relationship {
        Relationship::Unknown => "",
        Relationship::Root => "root",
        Relationship::Workspace => "workspace",
        Relationship::Direct => "direct",
        Relationship::Indirect => "indirect",
    };
    let class = package.third_party.map(|third| if third { "third-party" } else { "official" });
    json!({
        "ID": package.id, "Name": package.name, "Version": package.version, "Release": package.release,
        "Epoch": package.epoch, "Arch": package.arch, "SrcName": package.source_name,
        "SrcVersion": package.source_version, "SrcRelease": package.source_release, "SrcEpoch": package.source_epoch,
        "Licenses": package.licenses, "Maintainer": package.maintainer, "Modularitylabel": package.modularity,
        "Repository": class.map(|class| json!({"Class": class})),
        "DependsOn": if needs { json!(package.depends_on) } else { Value::Null },
        "Relationship": relationship, "Dev": package.development,
        "Locations": package.locations.iter().map(|one| json!({"StartLine": one.start, "EndLine": one.end})).collect::<Vec<_>>(),
        "ExternalReferences": package.references.iter().map(|one| json!({"Type": one.kind, "URL": one.url})).collect::<Vec<_>>(),
        "Digest": package.digest, "FilePath": package.file_path, "InstalledFiles": package.installed_files,
    })
}

/// A list in one order, without zero values; `Indirect` is what `Relationship` says.
fn list(value: &Value, packages: bool) -> Value {
    let mut items: Vec<Value> = value.as_array().cloned().unwrap_or_default();
    for item in &mut items {
        if let Some(object) = item.as_object_mut() {
            if packages {
                object.remove("Indirect");
                object.remove("Identifier");
                if object.get("Relationship") == Some(&json!("unknown")) {
                    object.remove("Relationship");
                }
            }
            // What could not be found has no name upstream.
            if let Some(Value::Array(needs)) = object.get_mut("DependsOn") {
                needs.retain(|need| *need != json!(""));
                needs.sort_by_key(ToString::to_string);
            }
            if let Some(Value::Array(references)) = object.get_mut("ExternalReferences") {
                references.retain(|one| one["URL"].as_str().is_some_and(|url| !url.is_empty()));
            }
            object.sort_keys();
        }
        *item = without_zeros(item);
    }
    let says_nothing = |item: &Value| item.as_object().is_some_and(|all| all.keys().all(|key| key == "ID"));
    items.retain(|item| !(item.is_null() || item == &json!({}) || !packages && says_nothing(item)));
    items.sort_by_key(ToString::to_string);
    Value::Array(items)
}

pub(crate) fn without_zeros(value: &Value) -> Value {
    match value {
        Value::Object(object) => {
            let kept = object.iter().map(|(key, value)| (key.clone(), without_zeros(value)));
            let mut kept: Map<String, Value> = kept.filter(|(_, value)| !is_zero(value)).collect();
            kept.sort_keys();
            Value::Object(kept)
        }
        Value::Array(items) => Value::Array(items.iter().map(without_zeros).collect()),
        other => other.clone(),
    }
}

fn is_zero(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(flag) => !flag,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(object) => object.is_empty(),
    }
}
