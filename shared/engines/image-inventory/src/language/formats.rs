//! The table of file formats: one parser for each.

use crate::language::java::jar;
use crate::language::javascript::{bun, npm, package_json, pnpm, yarn};
use crate::language::other::{dotnet, golang, lines, ruby, trees};
use crate::language::program;
use crate::language::python::{lock, metadata, requirements};
use crate::package::Package;
use crate::text::ParseError;

/// Parses the text of a lock file or manifest: `npm` is `package-lock.json`, `cargo` is `Cargo.lock`, and so on.
///
/// # Errors
/// When the text breaks its format, or no format has that name.
pub fn parse(format: &str, bytes: &[u8]) -> Result<Vec<Package>, ParseError> {
    match format {
        "bun" => bun::parse(bytes),
        "bundler" => ruby::bundler(bytes),
        "cargo" => trees::cargo(bytes),
        "cocoapods" => trees::cocoapods(bytes),
        "composer" => trees::composer(bytes),
        "conan" => trees::conan(bytes),
        "conda-environment" => trees::conda_environment(bytes),
        "conda-pkg" => trees::conda_package_file(bytes),
        "dotnet-core" => dotnet::deps(bytes),
        "gemspec" => ruby::gemspec(bytes),
        "gobinary" => program::parse_go(bytes),
        "gomod" => golang::module(bytes, true, false).map(|module| module.packages),
        "gomod-unreplaced" => golang::module(bytes, false, false).map(|module| module.packages),
        "gosum" => golang::sum(bytes),
        "gradle" => lines::gradle(bytes),
        "hex" => lines::mix(bytes),
        "jar" => jar::parse("", bytes),
        "julia" => trees::julia(bytes),
        "node-pkg" => package_json::parse(bytes).map(|package| vec![package]),
        "npm" => npm::parse(bytes),
        "nuget" => dotnet::lock(bytes),
        "nuget-config" => dotnet::config(bytes),
        "packages-props" => dotnet::props(bytes),
        "pip" => requirements::parse(bytes, false),
        "pip-minimum" => requirements::parse(bytes, true),
        "pipenv" => lock::pipenv(bytes),
        "pnpm" => pnpm::parse(bytes),
        "poetry" => lock::poetry(bytes),
        "pub" => trees::pub_lock(bytes, false),
        "pub-minimum" => trees::pub_lock(bytes, true),
        "pylock" => lock::pylock(bytes),
        "python-pkg" => metadata::parse(bytes).map(|package| vec![package]),
        "rustbinary" => program::parse_rust(bytes),
        "sbt" => trees::sbt(bytes),
        "swift" => trees::swift(bytes),
        "uv" => lock::uv(bytes),
        "wordpress" => lines::wordpress(bytes),
        "yarn" => yarn::parse(bytes),
        _ => Err(ParseError::new(format!("no format is called `{format}`"))),
    }
}
