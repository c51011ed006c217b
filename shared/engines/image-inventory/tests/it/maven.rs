//! Projects of Maven: what is inherited, managed, excluded and demanded.

use std::collections::BTreeMap;

use image_inventory::{Package, Relationship, rules};

use crate::outside::Given;

/// A project below `<project>`.
fn project(body: &str) -> Vec<u8> {
    format!("<project xmlns=\"http://maven.apache.org/POM/4.0.0\">{body}</project>").into_bytes()
}

fn of(group: &str, artifact: &str, version: &str) -> String {
    let version = if version.is_empty() { String::new() } else { format!("<version>{version}</version>") };
    format!("<groupId>{group}</groupId><artifactId>{artifact}</artifactId>{version}")
}

fn needs(list: &[String]) -> String {
    let all: String = list.iter().map(|one| format!("<dependency>{one}</dependency>")).collect();
    format!("<dependencies>{all}</dependencies>")
}

/// Resolves `pom.xml` of `files`; `repository` has projects by coordinates.
fn resolve(files: &[(&str, String)], repository: &[(&str, String)]) -> Vec<Package> {
    let files: BTreeMap<&str, Vec<u8>> = files.iter().map(|(path, body)| (*path, project(body))).collect();
    let mut outside = Given::default();
    for (coordinates, body) in repository {
        let [group, artifact, version] = coordinates.split(':').collect::<Vec<_>>()[..] else {
            panic!("{coordinates}")
        };
        let path = format!("{}/{artifact}/{version}/{artifact}-{version}.pom", group.replace('.', "/"));
        outside.files.insert(("maven".to_owned(), path), project(&format!("{}{body}", of(group, artifact, version))));
    }
    rules::maven_project("pom.xml", &|path| files.get(path).cloned(), &outside).unwrap()
}

/// `artifact version` of each package but the root, in order.
fn names(packages: &[Package]) -> Vec<String> {
    let mut names: Vec<String> = packages
        .iter()
        .filter(|one| one.relationship != Relationship::Root)
        .map(|one| format!("{} {}", one.name.rsplit(':').next().unwrap(), one.version))
        .collect();
    names.sort();
    names
}

#[test]
fn versions_come_from_parents_properties_and_bills_of_material() {
    let parent = format!(
        "{}<properties><api>1.5</api></properties><dependencyManagement>{}</dependencyManagement>{}",
        of("g", "parent", "3"),
        needs(&[of("g", "managed", "${api}"), format!("{}<type>pom</type><scope>import</scope>", of("g", "bom", "9"))]),
        needs(&[of("g", "inherited", "${project.version}")]),
    );
    let child = format!(
        "<parent>{}<relativePath>above</relativePath></parent><artifactId>child</artifactId>{}",
        of("g", "parent", "3"),
        needs(&[
            of("g", "managed", ""),
            of("g", "listed", ""),
            format!("{}<scope>test</scope>", of("g", "tested", "1"))
        ]),
    );
    let bom = format!(
        "<properties><v>7</v></properties><dependencyManagement>{}</dependencyManagement>",
        needs(&[of("g", "listed", "${v}")])
    );
    let packages = resolve(&[("pom.xml", child), ("above/pom.xml", parent)], &[("g:bom:9", bom)]);
    assert_eq!(names(&packages), ["inherited 3", "listed 7", "managed 1.5"]);
    let root = packages.iter().find(|one| one.relationship == Relationship::Root).unwrap();
    assert_eq!((root.name.as_str(), root.version.as_str(), root.depends_on.len()), ("g:child", "3", 3));
}

#[test]
fn the_nearest_wish_wins_and_a_demand_beats_it() {
    let root = format!("{}{}", of("g", "root", "1"), needs(&[of("g", "a", "1"), of("g", "b", "1"), of("g", "c", "1")]));
    let repository = [
        ("g:a:1", needs(&[of("g", "c", "2")])),
        ("g:b:1", needs(&[of("g", "d", "1"), of("g", "c", "[3]")])),
        ("g:c:1", String::new()),
        ("g:c:3", needs(&[of("g", "e", "[1,2)")])),
        ("g:d:1", format!("<licenses><license><name>MIT</name></license></licenses>{}", needs(&[of("g", "a", "5")]))),
    ];
    let packages = resolve(&[("pom.xml", root)], &repository);
    assert_eq!(names(&packages), ["a 1", "b 1", "c 3", "d 1", "e "]);
    let one = |name: &str| packages.iter().find(|one| one.name == format!("g:{name}")).unwrap();
    assert_eq!((one("c").relationship, one("d").relationship), (Relationship::Direct, Relationship::Indirect));
    assert_eq!(one("d").licenses, ["MIT"]);
    assert_eq!(one("d").depends_on, [one("a").id.clone()]);
}

#[test]
fn exclusions_hold_below_the_dependency_that_has_them() {
    let exclude = |what: &str| format!("<exclusions><exclusion>{what}</exclusion></exclusions>");
    let root = format!(
        "{}{}",
        of("g", "root", "1"),
        needs(&[
            format!("{}{}", of("g", "a", "1"), exclude("<groupId>g</groupId><artifactId>x</artifactId>")),
            format!("{}{}", of("g", "b", "1"), exclude("<groupId>*</groupId><artifactId>*</artifactId>")),
            format!("{}<optional>true</optional>", of("g", "o", "1")),
        ])
    );
    let repository = [
        ("g:a:1", needs(&[of("g", "x", "1"), of("g", "m", "1")])),
        ("g:m:1", needs(&[of("g", "x", "1"), of("g", "y", "1")])),
        ("g:b:1", needs(&[of("g", "z", "1")])),
    ];
    assert_eq!(names(&resolve(&[("pom.xml", root)], &repository)), ["a 1", "b 1", "m 1", "y 1"]);
}

#[test]
fn modules_are_resolved_apart() {
    let root = format!(
        "{}<packaging>pom</packaging><modules><module>one</module><module>two</module><module>none</module></modules>",
        of("g", "root", "1")
    );
    let module = |name: &str, version: &str| {
        format!(
            "<parent>{}</parent><artifactId>{name}</artifactId>{}",
            of("g", "root", "1"),
            needs(&[of("g", "api", version)])
        )
    };
    let packages =
        resolve(&[("pom.xml", root), ("one/pom.xml", module("one", "1")), ("two/pom.xml", module("two", "2"))], &[]);
    assert_eq!(names(&packages), ["api 1", "api 2", "one 1", "two 1"]);
    let root = packages.iter().find(|one| one.relationship == Relationship::Root).unwrap();
    assert_eq!(root.depends_on.len(), 2);
    assert!(packages.iter().filter(|one| one.name == "g:one").all(|one| one.relationship == Relationship::Workspace));
}

#[test]
fn projects_that_lead_back_to_themselves_end() {
    let own = format!(
        "{}<parent>{}<relativePath>pom.xml</relativePath></parent><modules><module>.</module><module>../pom.xml</module></modules>",
        of("g", "root", "1"),
        of("g", "root", "1")
    );
    assert!(resolve(&[("pom.xml", own)], &[]).len() <= 2);
    let root = format!("{}{}", of("g", "root", "1"), needs(&[of("g", "a", "1")]));
    let import = format!(
        "<dependencyManagement>{}</dependencyManagement>{}",
        needs(&[format!("{}<scope>import</scope>", of("g", "a", "1"))]),
        needs(&[of("g", "a", "1")])
    );
    assert_eq!(names(&resolve(&[("pom.xml", root)], &[("g:a:1", import)])), ["a 1"]);
}

#[test]
fn what_a_project_says_twice_counts_once() {
    let test = |one: String| format!("{one}<scope>test</scope>");
    let root = format!(
        "{}<dependencyManagement>{}</dependencyManagement>{}",
        of("g", "root", "1"),
        needs(&[of("g", "b", "4"), of("g", "b", "5")]),
        needs(&[test(of("g", "a", "1")), of("g", "a", "[2]"), of("g", "b", ""), of("${project.groupId}", "b", "")]),
    );
    let packages = resolve(&[("pom.xml", root)], &[("g:a:2", String::new()), ("g:b:4", String::new())]);
    assert_eq!(names(&packages), ["b 4"], "without a parent, too");
    let root = packages.iter().find(|one| one.relationship == Relationship::Root).unwrap();
    assert_eq!(root.depends_on.len(), 1, "{root:?}");
}

#[test]
fn the_version_of_a_parent_is_no_property_of_its_children() {
    // Nobody knows the version of the parent, so the child has none: its own property must not be put into what the parent says.
    let child = format!(
        "<parent>{}<relativePath>above</relativePath></parent><artifactId>child</artifactId><properties><own>9</own></properties>{}",
        of("g", "parent", "1"),
        needs(&[of("g", "a", "${project.version}")]),
    );
    let packages = resolve(&[("pom.xml", child), ("above/pom.xml", of("g", "parent", "${own}"))], &[]);
    assert_eq!(names(&packages), ["a "]);
}
