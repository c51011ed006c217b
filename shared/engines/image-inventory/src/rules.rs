//! Single rules of the package managers, for whoever wants to ask them apart from a whole file.

use std::collections::BTreeMap;

use crate::analyzer::Files;
use crate::language::java::{gradle, jar, manifest, pom, project};
use crate::language::{graph, javascript, other, program, python, rust};
use crate::outside::Outside;
use crate::package::Package;
use crate::system::{dpkg, red_hat};
use crate::text::ParseError;

pub use crate::language::python::pyproject::PythonProject;

/// Name, version and reference of a key of `pnpm-lock.yaml`.
#[must_use]
pub fn pnpm_key(key: &str, lock_version: f64) -> (String, String, String) {
    javascript::pnpm::key(key, lock_version)
}

/// Version that a dependency in `pnpm-lock.yaml` states; empty where it is an address.
#[must_use]
pub fn pnpm_version(text: &str, lock_version: f64) -> String {
    javascript::pnpm::stated_version(text, lock_version)
}

/// Name, protocol and range of one pattern of `yarn.lock`.
#[must_use]
pub fn yarn_pattern(text: &str) -> Option<(String, String, String)> {
    javascript::yarn::pattern_of(text)
}

/// Name, protocol and all patterns of a header of `yarn.lock`.
#[must_use]
pub fn yarn_header(text: &str) -> Option<(String, String, Vec<String>)> {
    javascript::yarn::patterns_of(text)
}

/// Name, range and protocol of a line of `dependencies` in `yarn.lock`.
#[must_use]
pub fn yarn_dependency(line: &str) -> Option<(String, String, String)> {
    javascript::yarn::need_of(line)
}

/// Name of the npm package that is installed at a path.
#[must_use]
pub fn npm_name_of(path: &str) -> &str {
    javascript::npm::name_of(path)
}

/// Whether npm takes a name.
#[must_use]
pub fn npm_is_valid_name(name: &str) -> bool {
    javascript::package_json::is_valid_name(name)
}

/// Whether a `package.json` is that of a package, not of a folder inside of one.
#[must_use]
pub fn npm_is_package_root(path: &str) -> bool {
    javascript::package_json::is_package_root(path)
}

/// Version of Go's standard library, by the go and toolchain lines of `go.mod`.
#[must_use]
pub fn go_toolchain_version(go: &str, toolchain: &str) -> String {
    other::golang::toolchain_version(go, toolchain)
}

/// Version of Go's standard library, as a program states it.
#[must_use]
pub fn go_stdlib_version(go: &str) -> String {
    program::stdlib_version(go)
}

/// Version of a main module, of what is stated, set by linker flags, and found in a symbol.
#[must_use]
pub fn go_main_version(stated: &str, flags: &str, symbol: &str) -> String {
    program::main_version(stated, flags, symbol)
}

/// Version that linker flags set.
#[must_use]
pub fn go_version_of_flags(module: &str, flags: &[String]) -> String {
    program::version_of_flags(module, flags)
}

/// A Python name in normal form (PEP 503), in lower case if asked.
#[must_use]
pub fn python_name(name: &str, lower: bool) -> String {
    python::normal_name(name, lower)
}

/// Id that a dependency in `poetry.lock` names.
#[must_use]
pub fn poetry_dependency(name: &str, range: &str, versions: &BTreeMap<String, Vec<&str>>) -> Option<String> {
    python::lock::poetry_dependency(name, range, versions)
}

/// Packages of one id made one.
#[must_use]
pub fn unique_packages(packages: Vec<Package>) -> Vec<Package> {
    graph::unique(packages)
}

/// Group and artifact, `group:artifact`, of a `pom.xml` inside of a Java archive.
#[must_use]
pub fn jar_pom_of(member: &str) -> Option<String> {
    jar::pom_of(member)
}

/// Names of the licences that a `pom.xml` states itself.
#[must_use]
pub fn pom_licenses(pom: &str) -> Vec<String> {
    jar::licenses_in(pom.as_bytes())
}

/// Whether a member of a Java archive is the licence of the archive itself.
#[must_use]
pub fn jar_is_license(member: &str) -> bool {
    jar::is_license(member)
}

/// Name of the licence that a line of the manifest of a Jenkins plugin states; empty when it states none.
#[must_use]
pub fn jar_plugin_license(line: &str) -> &str {
    manifest::plugin_license(line)
}

/// SPDX identifiers of a `Bundle-License` header of OSGi.
#[must_use]
pub fn jar_bundle_licenses(header: &str) -> Vec<String> {
    manifest::bundle_licenses(header)
}

/// What the manifest of a Java archive says that the archive is.
#[must_use]
pub fn jar_manifest_package(manifest: &str) -> Option<Package> {
    manifest::Manifest::parse(manifest).package()
}

/// Licences that the manifest of a Java archive states.
#[must_use]
pub fn jar_manifest_licenses(manifest: &str) -> Vec<String> {
    manifest::Manifest::parse(manifest).licenses()
}

/// Name of a licence in a `pom.xml`, by its name or else by its address.
#[must_use]
pub fn pom_license_name(name: &str, address: &str) -> String {
    pom::license_name(name, address)
}

/// A text of a `pom.xml` with the values of its properties; `variable` is the environment.
#[must_use]
pub fn pom_value(
    text: &str,
    properties: &BTreeMap<String, String>,
    variable: &dyn Fn(&str) -> Option<String>,
) -> String {
    pom::evaluate(text, properties, variable)
}

/// The packages of the Maven project of `path`; `files` reads the folder that it lies in.
///
/// # Errors
/// When the project cannot be read.
pub fn maven_project(
    path: &str,
    files: &dyn Fn(&str) -> Option<Vec<u8>>,
    outside: &dyn Outside,
) -> Result<Vec<Package>, ParseError> {
    project::resolve(path, files, outside)
}

/// A project in the module cache of Gradle: itself, with its licences, and what it asks for.
///
/// # Errors
/// When the file is broken.
pub fn gradle_project(path: &str, bytes: &[u8]) -> Result<(Package, Vec<Package>), ParseError> {
    let one = gradle::of_cache(path, bytes)?;
    let package = |group: &str, artifact: &str, version: &str| Package {
        name: format!("{group}:{artifact}"),
        version: version.to_owned(),
        ..Package::default()
    };
    let needs = one.dependencies.iter().map(|need| package(&need.group, &need.artifact, &need.version)).collect();
    Ok((Package { licenses: one.licenses, ..package(&one.group, &one.artifact, &one.version) }, needs))
}

/// Whether a dpkg package of this maintainer comes from outside of the distributions.
#[must_use]
pub fn dpkg_is_third_party(maintainer: &str) -> bool {
    dpkg::is_third_party(maintainer)
}

/// Value of an attribute in a line of a recipe of Conan; empty when the line is another.
#[must_use]
pub fn conan_attribute<'a>(name: &str, line: &'a str) -> &'a str {
    other::beside::recipe_attribute(name, line)
}

/// Whether a version meets a requirement in `Cargo.toml`.
#[must_use]
pub fn cargo_matches(version: &str, requirement: &str) -> bool {
    rust::matches(version, requirement)
}

/// The file that the licence field of a `package.json` points to.
#[must_use]
pub fn npm_license_file(licenses: &[String]) -> Option<&str> {
    javascript::licenses::file_of(licenses)
}

/// Licences of the npm packages below `node_modules` folders, by id.
#[must_use]
pub fn npm_installed_licenses(files: &BTreeMap<String, Vec<u8>>) -> BTreeMap<String, Vec<String>> {
    let own = files.iter().map(|(path, bytes)| (path.clone(), std::sync::Arc::from(bytes.as_slice()))).collect();
    javascript::licenses::installed(&Files { own: &own, outside: &crate::outside::Nothing, checksums: false })
}

/// Version of a Go program's main module in a variable of its symbol table; empty when it is not an ELF program or has none.
#[must_use]
pub fn go_symbol_version(program: &[u8], module: &str) -> String {
    program::symbol_version(program, module)
}

/// Name, version and release of the file name of a source rpm.
#[must_use]
pub fn rpm_source(file_name: &str) -> Option<(&str, &str, &str)> {
    red_hat::source_of(file_name)
}
