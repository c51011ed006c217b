//! `biotope scan FOLDER`: what the package managers of whoever scans keep outside of a project tells more about it.

use std::collections::BTreeMap;
use std::fs;
use std::process::{Command, Output};

use serde_json::Value;

use crate::scan::Place;

impl Place {
    fn write(&self, path: &str, content: &str) {
        let path = self.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    /// Scans `project` with a home folder of its own, and these variables; `@` in a value stands for the folder of the test.
    fn of_project(&self, variables: &[(&str, &str)], more: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_biotope"));
        command.args(["scan", "project", "-f", "json", "--list-all-pkgs"]).args(more).current_dir(self.path());
        for cleared in [
            "GOPATH",
            "GOMODCACHE",
            "GRADLE_USER_HOME",
            "NUGET_PACKAGES",
            "PUB_CACHE",
            "CONAN_HOME",
            "CONAN_USER_HOME",
            "VIRTUAL_ENV",
        ] {
            command.env_remove(cleared);
        }
        // No Maven of this machine, and no Python.
        command
            .env("HOME", self.path().join("home"))
            .env("MAVEN_HOME", self.path())
            .env("PATH", self.path().join("bin"));
        for (name, value) in variables {
            command.env(name, value.replace('@', self.path().to_str().unwrap()));
        }
        command.output().unwrap()
    }

    /// The packages by name: version, licences, and names and versions of what each needs.
    fn packages(&self, variables: &[(&str, &str)]) -> BTreeMap<String, String> {
        let output = self.of_project(variables, &[]);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{error}");
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        let texts = |value: &Value| -> Vec<String> {
            let texts = value.as_array().into_iter().flatten().filter_map(Value::as_str);
            texts.map(|text| text.split("::").next().unwrap().to_owned()).collect()
        };
        let mut found = BTreeMap::new();
        for one in report["Results"].as_array().unwrap().iter().flat_map(|list| list["Packages"].as_array().unwrap()) {
            let (licenses, needs) = (texts(&one["Licenses"]).join(","), texts(&one["DependsOn"]).join(","));
            let line = format!("{} [{licenses}] {needs}", one["Version"].as_str().unwrap_or_default());
            found.insert(one["Name"].as_str().unwrap().to_owned(), line.trim_end().to_owned());
        }
        found
    }
}

fn expected(lines: &[(&str, &str)]) -> BTreeMap<String, String> {
    lines.iter().map(|(name, line)| ((*name).to_owned(), (*line).to_owned())).collect()
}

fn project(body: &str) -> String {
    format!("<project><modelVersion>4.0.0</modelVersion>{body}</project>")
}

/// `group:artifact:version` as elements.
fn of(coordinates: &str) -> String {
    let names = ["groupId", "artifactId", "version"];
    coordinates.split(':').zip(names).map(|(text, name)| format!("<{name}>{text}</{name}>")).collect()
}

fn needs(all: &[String]) -> String {
    let all: String = all.iter().map(|one| format!("<dependency>{one}</dependency>")).collect();
    format!("<dependencies>{all}</dependencies>")
}

/// A tree of modules whose parent manages versions by a bill of material of the local repository.
fn maven_tree(place: &Place) {
    let bom = format!("{}<type>pom</type><scope>import</scope>", of("own.test:bom:2"));
    let root = format!(
        "{}<packaging>pom</packaging><properties><api>1.4</api></properties><modules><module>one</module><module>two</module></modules>\
         <dependencyManagement>{}</dependencyManagement>",
        of("own.test:root:1"),
        needs(&[of("own.test:api:${api}"), bom]),
    );
    place.write("project/pom.xml", &project(&root));
    let child = |artifact: &str, more: &[String]| {
        project(&format!(
            "<parent>{}</parent><artifactId>{artifact}</artifactId>{}",
            of("own.test:root:1"),
            needs(more)
        ))
    };
    let excluded = format!("{}<exclusions><exclusion>{}</exclusion></exclusions>", of("own.test:api"), of("*:util"));
    place.write("project/one/pom.xml", &child("one", &[of("own.test:api"), of("own.test:hard:[3.0]")]));
    place.write("project/two/pom.xml", &child("two", &[excluded, of("own.test:listed")]));
    // A project apart, whose parent lies elsewhere.
    let apart = format!(
        "<parent>{}<relativePath>../../shared/parent</relativePath></parent><artifactId>apart</artifactId>{}",
        of("own.test:above:7"),
        needs(&[of("own.test:gone:${own.version}")])
    );
    place.write("project/apart/app/pom.xml", &project(&apart));
    let above = format!("{}<properties><own.version>9</own.version></properties>", of("own.test:above:7"));
    place.write("project/shared/parent/pom.xml", &project(&above));
}

/// The repository that `settings.xml` names.
fn maven_repository(place: &Place) {
    let license = "<licenses><license><name>Apache-2.0</name></license></licenses>";
    let published = [
        ("bom", "2", format!("<dependencyManagement>{}</dependencyManagement>", needs(&[of("own.test:listed:5")]))),
        ("api", "1.4", format!("{license}{}", needs(&[of("own.test:util:1"), of("own.test:hard:2.0")]))),
        ("hard", "2.0", String::new()),
        ("hard", "3.0", String::new()),
        ("listed", "5", String::new()),
        ("util", "1", String::new()),
    ];
    for (artifact, version, body) in published {
        let path = format!("repository/own/test/{artifact}/{version}/{artifact}-{version}.pom");
        place.write(&path, &project(&format!("{}{body}", of(&format!("own.test:{artifact}:{version}")))));
    }
    let settings = "<settings><localRepository>${user.home}/../repository</localRepository></settings>";
    place.write("home/.m2/settings.xml", settings);
}

#[test]
fn a_tree_of_maven_is_resolved_with_the_local_repository() {
    let place = Place::new();
    maven_tree(&place);
    maven_repository(&place);
    let output = place.of_project(&[], &[]);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for list in report["Results"].as_array().unwrap() {
        let names = list["Packages"].as_array().unwrap().iter();
        let names = names
            .map(|one| format!("{}@{}", one["Name"], one["Version"]).replace(['"', ' '], "").replace("own.test:", ""));
        let mut names: Vec<String> = names.collect();
        names.sort();
        found.insert(list["Target"].as_str().unwrap().to_owned(), names);
    }
    let expected = [
        ("apart/app/pom.xml", &["apart@7", "gone@9"][..]),
        ("one/pom.xml", &["api@1.4", "hard@3.0", "one@1", "util@1"]),
        ("pom.xml", &["api@1.4", "api@1.4", "hard@2.0", "hard@3.0", "listed@5", "one@1", "root@1", "two@1", "util@1"]),
        ("shared/parent/pom.xml", &["above@7"]),
        ("two/pom.xml", &["api@1.4", "hard@2.0", "listed@5", "two@1"]),
    ];
    let expected: BTreeMap<String, Vec<String>> = expected
        .iter()
        .map(|(path, names)| ((*path).to_owned(), names.iter().map(|name| (*name).to_owned()).collect()))
        .collect();
    assert_eq!(found, expected);
    // What is not there is said, and nobody is asked for it.
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(error.contains("gone-9") && error.contains("--fetch-poms"), "{error}");
    assert_eq!(output.status.code(), Some(0), "that is all that was asked for: {error}");
}

#[test]
fn modules_of_go_have_the_licences_and_needs_of_the_module_cache() {
    let place = Place::new();
    let lines = [
        "module example.org/app",
        "",
        "go 1.21",
        "",
        "require example.org/Upper v1.0.0",
        "require example.org/low v0.2.0 // indirect",
        "",
    ];
    place.write("project/go.mod", &lines.join("\n"));
    let upper = "example.org/!upper@v1.0.0";
    for cache in ["mods", "home/go/pkg/mod", "path/pkg/mod"] {
        place.write(&format!("{cache}/{upper}/go.mod"), "module example.org/Upper\n\nrequire example.org/low v0.1.0\n");
    }
    let license = "This is free and unencumbered software released into the public domain.";
    place.write(&format!("mods/{upper}/LICENSE"), license);
    let found = |license: &str| {
        expected(&[
            ("example.org/app", "[] example.org/Upper@v1.0.0"),
            ("example.org/Upper", &format!("v1.0.0 [{license}] example.org/low@v0.2.0")),
            ("example.org/low", "v0.2.0 []"),
        ])
    };
    let trimmed = |variables: &[(&str, &str)]| -> BTreeMap<String, String> {
        place.packages(variables).into_iter().map(|(name, line)| (name, line.trim_start().to_owned())).collect()
    };
    assert_eq!(trimmed(&[("GOMODCACHE", "@/mods"), ("GOPATH", "@/path")]), found("Unlicense"));
    assert_eq!(trimmed(&[("GOPATH", "@/path")]), found(""));
    assert_eq!(trimmed(&[]), found(""));
    let none = trimmed(&[("GOMODCACHE", "@/nowhere")]);
    assert_eq!(none["example.org/app"], "[] example.org/Upper@v1.0.0,example.org/low@v0.2.0");
}

#[test]
fn python_and_others_are_read_where_the_environment_says() {
    let place = Place::new();
    place.write("project/requirements.txt", "urllib3==2.0\n");
    let metadata = "Metadata-Version: 2.1\nName: urllib3\nVersion: 2.0\nLicense: MIT\n\n";
    for (home, version) in [("venv", "3.9"), ("venv", "3.12"), ("other", "3.11")] {
        let text =
            if (home, version) == ("venv", "3.9") { metadata.replace("MIT", "old") } else { metadata.to_owned() };
        place.write(&format!("{home}/lib/python{version}/site-packages/urllib3-2.0.dist-info/METADATA"), &text);
    }
    place.write("project/packages.config", r#"<packages><package id="Own.Lib" version="1.0.0"/></packages>"#);
    let spec = r#"<package><metadata><license type="expression">ISC</license></metadata></package>"#;
    place.write("nuget/own.lib/1.0.0/own.lib.nuspec", spec);
    let bare = place.packages(&[]);
    assert_eq!(bare, expected(&[("urllib3", "2.0 []"), ("Own.Lib", "1.0.0 []")]));
    let known = place.packages(&[("VIRTUAL_ENV", "@/venv"), ("NUGET_PACKAGES", "@/nuget")]);
    assert_eq!(known, expected(&[("urllib3", "2.0 [MIT]"), ("Own.Lib", "1.0.0 [ISC]")]));
    // Beside the Python that a shell would start.
    place.write("other/bin/python3", "");
    let program = place.path().join("other/bin/python3");
    fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    assert_eq!(place.packages(&[("PATH", "@/other/bin")])["urllib3"], "2.0 [MIT]");
}

#[test]
fn half_a_scan_does_not_pass() {
    let place = Place::new();
    place.write("project/requirements.txt", "urllib3==1.26.4\n");
    place.write("project/Cargo.lock", "[[package");
    for (more, code) in [
        (&[][..], 3),
        (&["--exit-on-partial", "0"], 0),
        (&["--exit-on-partial", "9"], 9),
        (&["--exit-code", "7"], 7),
        (&["--exit-code", "7", "--severity", "CRITICAL"], 3),
    ] {
        let output = place.of_project(&[], more);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{more:?}: {error}");
        assert!(error.contains("Cargo.lock") && error.contains("not complete") == (code == 3 || code == 9), "{error}");
        // The report is there all the same.
        assert!(String::from_utf8_lossy(&output.stdout).contains("\"Partial\": true"));
    }
}
