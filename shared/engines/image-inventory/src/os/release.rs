//! Release files of the distributions.

use crate::analyzer::File;
use crate::found::Found;
use crate::os::{OperatingSystem, Repository};
use crate::text::{ParseError, text};

/// `os-release` (freedesktop.org). Distributions with a more exact file of their own are noted apart.
pub(crate) fn os_release(file: File<'_>, found: &mut Found) -> Result<(), ParseError> {
    let (mut id, mut version, mut name) = (String::new(), String::new(), String::new());
    for line in text(file.bytes).lines() {
        let Some((key, value)) = line.split_once('=') else { continue };
        let value = value.trim().trim_matches(['"', '\'']).to_owned();
        match key.trim() {
            "ID" => id = value,
            "VERSION_ID" => version = value,
            "NAME" => name = value,
            _ => {}
        }
    }
    let family = match id.as_str() {
        "almalinux" => "alma",
        "opensuse" => "opensuse-leap",
        "sles" => "suse linux enterprise server",
        "sle-micro" | "sl-micro" | "suse-microos" | "sle-micro-rancher" => "slem",
        "rhel" => "redhat",
        "mariner" => "cbl-mariner",
        "centos" if name == "CentOS Stream" => "centos-stream",
        "activestate"
        | "alpine"
        | "azurelinux"
        | "bottlerocket"
        | "centos"
        | "chainguard"
        | "coreos"
        | "echo"
        | "fedora"
        | "minimos"
        | "opensuse-leap"
        | "opensuse-tumbleweed"
        | "photon"
        | "rocky"
        | "wolfi" => id.as_str(),
        _ => {
            if !id.is_empty() && !version.is_empty() {
                let family = if id == "ol" { "oracle" } else { id.as_str() };
                let family = if family == "amzn" { "amazon" } else { family };
                found.os_release = Some(OperatingSystem::new(family, &version));
            }
            return Ok(());
        }
    };
    if !version.is_empty() {
        add(found, &OperatingSystem::new(family, &version));
    }
    Ok(())
}

pub(crate) fn alpine(file: File<'_>, found: &mut Found) -> Result<(), ParseError> {
    let release = first_line(file)?;
    add(found, &OperatingSystem::new("alpine", &release));
    Ok(())
}

pub(crate) fn amazon(file: File<'_>, found: &mut Found) -> Result<(), ParseError> {
    for line in text(file.bytes).lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let release = match words.as_slice() {
            ["Amazon", "Linux", "release", rest @ ..] => rest.join(" "),
            ["Amazon", "Linux", rest @ ..] => rest.join(" "),
            _ => continue,
        };
        add(found, &OperatingSystem::new("amazon", &release));
        return Ok(());
    }
    Err(ParseError::new("it names no release of Amazon Linux"))
}

pub(crate) fn debian(file: File<'_>, found: &mut Found) -> Result<(), ParseError> {
    let release = first_line(file)?;
    add(found, &OperatingSystem::new("debian", &release));
    Ok(())
}

pub(crate) fn ubuntu(file: File<'_>, found: &mut Found) -> Result<(), ParseError> {
    let content = text(file.bytes);
    let mut is_ubuntu = false;
    for line in content.lines() {
        is_ubuntu |= line.trim() == "DISTRIB_ID=Ubuntu";
        if let Some(release) = line.strip_prefix("DISTRIB_RELEASE=").filter(|_| is_ubuntu) {
            add(found, &OperatingSystem::new("ubuntu", release.trim()));
            return Ok(());
        }
    }
    Ok(())
}

pub(crate) fn ubuntu_esm(file: File<'_>, found: &mut Found) -> Result<(), ParseError> {
    #[derive(serde::Deserialize)]
    struct Status {
        #[serde(default)]
        services: Vec<Service>,
    }
    #[derive(serde::Deserialize)]
    struct Service {
        #[serde(default)]
        name: String,
        #[serde(default)]
        status: String,
    }
    let status: Status =
        serde_json::from_slice(file.bytes).map_err(|error| ParseError::at(error.to_string(), error.line()))?;
    if status.services.iter().any(|service| service.name == "esm-infra" && service.status == "enabled") {
        add(found, &OperatingSystem { extended: true, ..OperatingSystem::new("ubuntu", "") });
    }
    Ok(())
}

pub(crate) fn alma(file: File<'_>, found: &mut Found) -> Result<(), ParseError> {
    red_hat_base(file, found, &["alma"])
}

pub(crate) fn centos(file: File<'_>, found: &mut Found) -> Result<(), ParseError> {
    red_hat_base(file, found, &["centos", "centos linux"])
}

pub(crate) fn fedora(file: File<'_>, found: &mut Found) -> Result<(), ParseError> {
    red_hat_base(file, found, &["fedora", "fedora linux"])
}

pub(crate) fn oracle(file: File<'_>, found: &mut Found) -> Result<(), ParseError> {
    red_hat_base(file, found, &["oracle"])
}

pub(crate) fn rocky(file: File<'_>, found: &mut Found) -> Result<(), ParseError> {
    red_hat_base(file, found, &["rocky"])
}

/// `redhat-release` is also there in derivatives, with their name.
pub(crate) fn redhat(file: File<'_>, found: &mut Found) -> Result<(), ParseError> {
    red_hat_base(file, found, &[])
}

/// `NAME release 9.3 (Code)`: the release stands before the code name.
fn red_hat_base(file: File<'_>, found: &mut Found, _names: &[&str]) -> Result<(), ParseError> {
    for line in text(file.bytes).lines() {
        let Some((name, rest)) = line.trim().split_once(" release ") else { continue };
        let release: String = rest.trim().chars().take_while(|c| c.is_ascii_digit() || *c == '.').collect();
        let name = name.to_ascii_lowercase();
        let family = match name.as_str() {
            "centos" | "centos linux" => "centos",
            "centos stream" => "centos-stream",
            "rocky" | "rocky linux" => "rocky",
            "almalinux" | "alma" => "alma",
            "oracle" | "oracle linux" | "oracle linux server" => "oracle",
            "fedora" | "fedora linux" => "fedora",
            _ => "redhat",
        };
        if release.is_empty() {
            continue;
        }
        add(found, &OperatingSystem::new(family, &release));
        return Ok(());
    }
    Err(ParseError::new("it names no release"))
}

/// Repositories of apk: the release is a part of their URL.
pub(crate) fn apk_repositories(file: File<'_>, found: &mut Found) -> Result<(), ParseError> {
    for line in text(file.bytes).lines() {
        if let Some(repository) = repository_of(line) {
            let known = found.repository.get_or_insert_with(|| repository.clone());
            if is_newer(&repository.release, &known.release) {
                *known = repository;
            }
        }
    }
    Ok(())
}

fn repository_of(line: &str) -> Option<Repository> {
    let (scheme, rest) = line.trim().split_once("://")?;
    if !matches!(scheme, "http" | "https" | "ftp") {
        return None;
    }
    let segments: Vec<&str> = rest.split('/').collect();
    let family = ["alpine", "chainguard", "wolfi", "minimos"].into_iter().find(|name| rest.contains(name))?;
    if family != "alpine" {
        return Some(Repository { family: family.to_owned(), release: String::new() });
    }
    let mut after = segments.iter().skip_while(|segment| **segment != "alpine").skip(1);
    let release = after.next()?;
    let is_release = *release == "edge"
        || release
            .strip_prefix('v')
            .is_some_and(|number| !number.is_empty() && number.chars().all(|c| c.is_ascii_digit() || c == '.'));
    is_release.then(|| Repository { family: family.to_owned(), release: release.trim_start_matches('v').to_owned() })
}

fn is_newer(a: &str, b: &str) -> bool {
    fn key(release: &str) -> (bool, Vec<u64>) {
        (release == "edge", release.split('.').map(|part| part.parse().unwrap_or(0)).collect())
    }
    key(a) > key(b)
}

fn first_line(file: File<'_>) -> Result<String, ParseError> {
    let content = text(file.bytes);
    let line = content.lines().map(str::trim).find(|line| !line.is_empty());
    line.map(str::to_owned).ok_or_else(|| ParseError::new("it names no release"))
}

fn add(found: &mut Found, system: &OperatingSystem) {
    match &mut found.operating_system {
        Some(known) => known.merge(system),
        none @ None => *none = Some(system.clone()),
    }
}
