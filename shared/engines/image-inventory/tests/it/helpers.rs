//! Cases about rules that our engine has under a name of its own.

use std::collections::BTreeMap;

use image_inventory::rules::{self, PythonProject};
use image_inventory::{LineRange, Package};
use serde_json::{Value, json};

/// Judges a case about a helper of upstream; `None` when it has no counterpart here.
pub(crate) fn helper_case(
    folder: &std::path::Path,
    source: &str,
    function: &str,
    case: &Value,
) -> Option<(Value, Value)> {
    let text = |key: &str| case[key].as_str().unwrap_or_default();
    let three = |found: Option<(String, String, String)>| found.unwrap_or_default();
    Some(match function {
        "Test_parsePnpmKey" => {
            let (name, version, reference) = rules::pnpm_key(text("pkg"), case["lockFileVer"].as_f64()?);
            (json!([text("wantName"), text("wantVersion"), text("wantRef")]), json!([name, version, reference]))
        }
        "Test_parseVersion" => {
            (json!(text("wantVer")), json!(rules::pnpm_version(text("ver"), case["lockVer"].as_f64()?)))
        }
        "TestParsePattern" => {
            let (name, protocol, range) = three(rules::yarn_pattern(text("target")));
            (json!([text("expectName"), text("expectProtocol"), text("expactVersion")]), json!([name, protocol, range]))
        }
        "TestParsePackagePatterns" => {
            let (name, protocol, patterns) = rules::yarn_header(text("target"))?;
            let expected = json!([text("expectName"), text("expectProtocol"), case["expactPatterns"]]);
            (expected, json!([name, protocol, patterns]))
        }
        "TestGetDependency" => {
            let (name, range, _) = three(rules::yarn_dependency(text("target")));
            (json!([text("expectName"), text("expactVersion")]), json!([name, range]))
        }
        "TestPkgNameFromPath" => (json!(text("expected")), json!(rules::npm_name_of(text("path")))),
        "TestIsValidName" => (json!(case["want"] == json!(true)), json!(rules::npm_is_valid_name(text("name")))),
        "TestIsPackageRoot" => (json!(case["want"] == json!(true)), json!(rules::npm_is_package_root(text("path")))),
        "TestToolchainVersion" => {
            let go = case["modFile"]["Go"]["Version"].as_str().unwrap_or_default();
            let chain = case["modFile"]["Toolchain"]["Name"].as_str().unwrap_or_default();
            (json!(text("want")), json!(rules::go_toolchain_version(go, chain)))
        }
        "TestParseStdlibVersion" => (json!(text("want")), json!(rules::go_stdlib_version(text("goVersion")))),
        "TestParser_ChooseMainVersion" => {
            let got = rules::go_main_version(text("version"), text("ldflagsVersion"), text("elfVersion"));
            (json!(text("want")), json!(got))
        }
        "TestParser_ParseLDFlags" => {
            let flags: Vec<String> = serde_json::from_value(case["args"]["flags"].clone()).ok()?;
            (json!(text("want")), json!(rules::go_version_of_flags(case["args"]["name"].as_str()?, &flags)))
        }
        "TestPomLicenseName" => (json!(text("want")), json!(rules::pom_license_name(text("licName"), text("licURL")))),
        "TestIsJarLicenseFile" => (json!(case["want"] == json!(true)), json!(rules::jar_is_license(text("path")))),
        "TestParsePluginLicenseName" => (json!(text("want")), json!(rules::jar_plugin_license(text("line")))),
        "TestParseBundleLicense" => {
            let wanted = case["want"].as_array().cloned().unwrap_or_default();
            (json!(wanted), json!(rules::jar_bundle_licenses(text("header"))))
        }
        "TestManifestProperties" => {
            let wanted = &case["want"];
            let name = format!(
                "{}:{}",
                wanted["GroupID"].as_str().unwrap_or_default(),
                wanted["ArtifactID"].as_str().unwrap_or_default()
            );
            let expected = wanted["Version"].as_str().map(|version| json!([name, version]));
            let got = rules::jar_manifest_package(text("manifest")).map(|one| json!([one.name, one.version]));
            (json!(expected), json!(got))
        }
        "Test_evaluateVariable" => {
            let properties: BTreeMap<String, String> =
                serde_json::from_value(case["args"]["props"].clone()).unwrap_or_default();
            let value = case["args"]["s"].as_str()?;
            // The test upstream sets this one variable.
            let variable = |name: &str| (name == "TEST_GO_DEP_PARSER").then(|| "1.2.3".to_owned());
            (json!(text("want")), json!(rules::pom_value(value, &properties, &variable)))
        }
        "Test_parsePom" => {
            let bytes = std::fs::read(crate::corpora::input(folder, source, text("inputFile"))).ok()?;
            let (got, needs) = rules::gradle_project(text("inputPath"), &bytes).ok()?;
            let wanted = &case["want"];
            let names = |list: &Value, key: &str| -> Vec<Value> {
                list.as_array().into_iter().flatten().map(|one| one[key].clone()).collect()
            };
            let coordinates = |one: &Value, keys: [&str; 3]| {
                let [group, artifact, version] = keys.map(|key| one[key].as_str().unwrap_or_default().to_owned());
                json!([format!("{group}:{artifact}"), version])
            };
            let wanted_needs = wanted["Dependencies"]["Dependency"].as_array().cloned().unwrap_or_default();
            let wanted_needs: Vec<Value> =
                wanted_needs.iter().map(|one| coordinates(one, ["GroupID", "ArtifactID", "Version"])).collect();
            let own = coordinates(wanted, ["GroupId", "ArtifactId", "Version"]);
            let expected = json!([own, names(&wanted["Licenses"]["License"], "Name"), wanted_needs]);
            let needs: Vec<Value> = needs.iter().map(|one| json!([one.name, one.version])).collect();
            (expected, json!([[got.name, got.version], got.licenses, needs]))
        }
        "Test_detectAttribute" => (json!(text("want")), json!(rules::conan_attribute(text("attrName"), text("line")))),
        "TestMatchVersion" => {
            let got = rules::cargo_matches(text("version"), text("constraint"));
            (json!(case["want"] == json!(true)), json!(got))
        }
        "Test_IsLicenseRefToFile" => {
            let licenses: Vec<String> = serde_json::from_value(case["input"].clone()).ok()?;
            let expected = (case["wantOk"] == json!(true)).then(|| text("wantFileName"));
            (json!(expected), json!(rules::npm_license_file(&licenses)))
        }
        "Test_ParseLicenses" => {
            let files = crate::corpora::all_files(&crate::corpora::input(folder, source, text("dir")));
            let wanted = case["want"].as_object().cloned().unwrap_or_default();
            (json!(wanted), json!(rules::npm_installed_licenses(&files)))
        }
        "TestParser_ELFSymbolVersion" => {
            let bytes = std::fs::read(crate::corpora::input(folder, source, text("inputFile"))).ok()?;
            (json!(text("want")), json!(rules::go_symbol_version(&bytes, text("moduleName"))))
        }
        "TestParseManifestFolding" => {
            // The case names the end of lines only: a folded name and a folded licence must come out whole.
            let lines = [
                "Implementation-Title: app",
                "Implementation-Version: 1.",
                " 2",
                "Bundle-SymbolicName: org.a",
                " bc.app",
                "Bundle-License: https://opensource.org/lice",
                " nses/MIT",
                "",
                "Implementation-Version: 9",
            ];
            let manifest = lines.join(text("eol"));
            let got = rules::jar_manifest_package(&manifest).map(|one| json!([one.name, one.version]));
            (json!([["org.abc:app", "1.2"], ["MIT"]]), json!([got, rules::jar_manifest_licenses(&manifest)]))
        }
        "Test_NormalizePkgName" => {
            (json!(text("expected")), json!(rules::python_name(text("pkgName"), case["lowerCase"] == json!(true))))
        }
        "TestParseDependency" => {
            let versions: BTreeMap<String, Vec<&str>> = case["pkgsVersions"]
                .as_object()?
                .iter()
                .map(|(name, all)| {
                    (name.clone(), all.as_array().into_iter().flatten().filter_map(Value::as_str).collect())
                })
                .collect();
            let range =
                case["versionRange"].as_str().or_else(|| case["versionRange"]["version"].as_str()).unwrap_or("*");
            let got = rules::poetry_dependency(text("packageName"), range, &versions).unwrap_or_default();
            (json!(text("want")), json!(got))
        }
        "TestPyProject_MainDeps" => {
            let bytes = std::fs::read(crate::corpora::input(folder, source, text("file"))).ok()?;
            (case["want"].clone(), json!(PythonProject::parse(&bytes).ok()?.main()))
        }
        "TestParser_Parse" if source.contains("/pyproject/") => {
            let bytes = std::fs::read(crate::corpora::input(folder, source, text("file"))).ok()?;
            match (PythonProject::parse(&bytes), crate::corpora::must_fail(case)) {
                (parsed, true) => (json!("error"), json!(if parsed.is_err() { "error" } else { "success" })),
                (Ok(project), false) => (python_project_wanted(&case["want"]), python_project(&project)),
                (Err(error), false) => (json!("success"), json!(error.to_string())),
            }
        }
        "TestDecodePomLicenses" => {
            let wanted = case["want"].as_array().cloned().unwrap_or_default();
            (json!(wanted), json!(rules::pom_licenses(text("xml"))))
        }
        "TestEmbeddedPomGAV" => {
            let wanted = (case["wantOK"] == json!(true)).then(|| format!("{}:{}", text("wantGroup"), text("wantArt")));
            (json!(wanted), json!(rules::jar_pom_of(text("path"))))
        }
        "TestUniqueLibraries" => {
            let packages = case["pkgs"].as_array()?.iter().map(package).collect();
            let expected: Vec<Package> = case["wantPkgs"].as_array()?.iter().map(package).collect();
            (json!(expected), json!(rules::unique_packages(packages)))
        }
        "Test_isThirdPartyPackage" => {
            (json!(case["want"] == json!(true)), json!(rules::dpkg_is_third_party(text("maintainer"))))
        }
        "Test_splitFileName" => {
            let (name, version, release) = rules::rpm_source(text("filename")).unwrap_or_default();
            (json!([text("wantName"), text("wantVer"), text("wantRel")]), json!([name, version, release]))
        }
        _ => return crate::repositories::judge(folder, source, function, case),
    })
}

/// A project of Python under upstream's names: sets as sorted lists, what is not there as null.
fn python_project(project: &PythonProject) -> Value {
    let by_name = |all: &BTreeMap<String, std::collections::BTreeSet<String>>| json!(all);
    json!({
        "dependencies": project.dependencies,
        "optional": project.optional.as_ref().map(by_name),
        "poetry": project.poetry,
        "groups": by_name(&project.groups),
    })
}

fn python_project_wanted(want: &Value) -> Value {
    let set = |one: &Value| {
        let items = one.get("Set").and_then(|set| set.as_array().cloned().or_else(|| set["items"].as_array().cloned()));
        items.map(|mut items| {
            items.sort_by_key(ToString::to_string);
            Value::Array(items)
        })
    };
    let (project, poetry) = (&want["Project"], &want["Tool"]["Poetry"]);
    let optional = project["OptionalDependencies"].as_object();
    let groups = poetry["Groups"].as_object().into_iter().flatten();
    let groups: serde_json::Map<String, Value> =
        groups.map(|(name, group)| (name.clone(), json!(set(&group["Dependencies"]).unwrap_or_default()))).collect();
    json!({
        "dependencies": set(&project["Dependencies"]),
        "optional": optional.map(|all| all.iter().map(|(name, one)| (name.clone(), json!(set(one)))).collect::<serde_json::Map<_, _>>()),
        "poetry": set(&poetry["Dependencies"]),
        "groups": groups,
    })
}

fn package(value: &Value) -> Package {
    let text = |key: &str| value[key].as_str().unwrap_or_default().to_owned();
    let number = |value: &Value| u32::try_from(value.as_u64().unwrap_or(0)).unwrap_or(0);
    let place = |one: &Value| LineRange { start: number(&one["StartLine"]), end: number(&one["EndLine"]) };
    Package {
        id: text("ID"),
        name: text("Name"),
        version: text("Version"),
        development: value["Dev"] == json!(true),
        locations: value["Locations"].as_array().into_iter().flatten().map(place).collect(),
        ..Package::default()
    }
}
