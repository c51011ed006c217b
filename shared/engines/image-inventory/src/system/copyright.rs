//! Licences of Debian packages: `usr/share/doc/*/copyright`, in machine-readable form or by mention of `common-licenses`.

use crate::analyzer::File;
use crate::found::{Found, LicenseFile};
use crate::license;
use crate::text::{ParseError, text};

pub(crate) fn wants(path: &str, _mode: u32) -> bool {
    package_of(path).is_some()
}

fn package_of(path: &str) -> Option<&str> {
    let package = path.strip_prefix("usr/share/doc/")?.strip_suffix("/copyright")?;
    (!package.contains('/')).then_some(package)
}

pub(crate) fn analyze(file: File<'_>, found: &mut Found) -> Result<(), ParseError> {
    let Some(package) = package_of(file.path) else { return Ok(()) };
    let mut licenses: Vec<String> = Vec::new();
    for line in text(file.bytes).lines() {
        let stated = line.strip_prefix("License:").map(|field| license::split(field.trim().trim_end_matches(',')));
        let names = stated.unwrap_or_else(|| common_license(line).into_iter().collect());
        for name in names.iter().filter(|name| !name.is_empty()).map(|name| license::normal(name)) {
            if !licenses.contains(&name) {
                licenses.push(name);
            }
        }
    }
    if !licenses.is_empty() {
        let (file_path, package) = (file.path.to_owned(), package.to_owned());
        found.license_files.push(LicenseFile { file_path, package, licenses });
    }
    Ok(())
}

/// `/usr/share/common-licenses/GPL-2'.` is a mention of GPL-2.
fn common_license(line: &str) -> Option<String> {
    let (_, rest) = line.split_once("/usr/share/common-licenses/")?;
    let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '+'))).unwrap_or(rest.len());
    let name = rest.get(..end)?.trim_end_matches('.');
    (!name.is_empty()).then(|| name.to_owned())
}
