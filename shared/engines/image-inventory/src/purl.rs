//! Package URLs of what was found (purl specification, type definitions).

use model::PackageUrl;

use crate::os::OperatingSystem;
use crate::package::{ApplicationKind, Package, full_version};

/// The URL of a package of the operating system; `None` without a system.
#[must_use]
pub fn system(package: &Package, system: Option<&OperatingSystem>) -> Option<PackageUrl> {
    let system = system?;
    let family = system.family.as_str();
    if family == "bottlerocket" {
        let url = PackageUrl::new("bottlerocket", "", &package.name, &package.full_version_without_epoch());
        let epoch = if package.epoch > 0 { package.epoch.to_string() } else { String::new() };
        let distro = format!("bottlerocket-{}", system.release);
        return Some(url.with("arch", &package.arch).with("epoch", &epoch).with("distro", &distro));
    }
    let (kind, namespace) = match family {
        "debian" | "ubuntu" | "echo" => ("deb", family),
        "alpine" | "wolfi" | "chainguard" | "minimos" | "postmarketos" => ("apk", family),
        "opensuse-leap" | "opensuse-tumbleweed" | "opensuse" => ("rpm", "opensuse"),
        "sles" | "slem" | "suse linux enterprise server" => ("rpm", "suse"),
        _ => ("rpm", family),
    };
    let name = if kind == "rpm" { package.name.clone() } else { package.name.to_ascii_lowercase() };
    let version = match kind {
        "rpm" => full_version(0, &package.version, &package.release),
        _ => package.full_version(),
    };
    let version = if kind == "deb" { full_version(0, &package.version, &package.release) } else { version };
    let epoch = if package.epoch > 0 && kind != "apk" { package.epoch.to_string() } else { String::new() };
    let url = PackageUrl::new(kind, namespace, &name, &version).with("arch", &package.arch).with("epoch", &epoch);
    let url = if kind == "rpm" { url.with("modularitylabel", &package.modularity) } else { url };
    // Releases of what uses apk are named without the family.
    let distro = if kind == "apk" { system.release.clone() } else { format!("{family}-{}", system.release) };
    Some(if system.release.is_empty() { url } else { url.with("distro", &distro) })
}

/// The URL of a package of an application; `None` for kinds without a type, and for folders that stand for packages.
#[must_use]
pub fn language(package: &Package, kind: ApplicationKind) -> Option<PackageUrl> {
    use ApplicationKind as K;
    let (name, version) = (package.name.as_str(), package.version.as_str());
    let url = match kind {
        K::Npm | K::NodePkg | K::Yarn | K::Pnpm | K::Bun => {
            let lower = name.to_ascii_lowercase();
            split(&lower, '/', |namespace, name| PackageUrl::new("npm", namespace, name, version))
        }
        K::PythonPkg | K::Pip | K::Pipenv | K::Poetry | K::Uv | K::Pylock => {
            PackageUrl::new("pypi", "", &name.to_ascii_lowercase().replace('_', "-"), version)
        }
        K::Jar | K::Pom | K::Gradle | K::Sbt => {
            split(name, ':', |namespace, name| PackageUrl::new("maven", namespace, name, version))
        }
        // A module that is replaced by a folder has no address of its own.
        K::GoBinary | K::GoModule if name.starts_with(['.', '/']) => return None,
        K::GoBinary | K::GoModule => {
            let lower = name.to_ascii_lowercase();
            split(&lower, '/', |namespace, name| PackageUrl::new("golang", namespace, name, version))
        }
        K::Composer | K::ComposerVendor => {
            split(name, '/', |namespace, name| PackageUrl::new("composer", namespace, name, version))
        }
        K::Swift => split(name, '/', |namespace, name| PackageUrl::new("swift", namespace, name, version)),
        K::Cocoapods => {
            let (name, subpath) = name.split_once('/').unwrap_or((name, ""));
            PackageUrl { subpath: subpath.to_owned(), ..PackageUrl::new("cocoapods", "", name, version) }
        }
        K::Bundler | K::GemSpec => PackageUrl::new("gem", "", name, version),
        K::Cargo | K::RustBinary => PackageUrl::new("cargo", "", name, version),
        K::Conan => PackageUrl::new("conan", "", name, version),
        K::CondaEnvironment | K::CondaPkg => PackageUrl::new("conda", "", name, version),
        K::DotnetCore | K::Nuget | K::PackagesProps => PackageUrl::new("nuget", "", name, version),
        K::Hex => PackageUrl::new("hex", "", &name.to_ascii_lowercase(), version),
        K::Julia => PackageUrl::new("julia", "", name, version),
        K::Pub => PackageUrl::new("pub", "", name, version),
        K::Bitnami => PackageUrl::new("bitnami", "", name, version),
        K::Wordpress => return None,
    };
    (!name.is_empty()).then_some(url)
}

/// The package that a URL names, and the kind of application whose packages have such URLs; `None` for URLs of system packages and of
/// types that are not known.
#[must_use]
pub fn package_of(url: &PackageUrl) -> Option<(ApplicationKind, Package)> {
    use ApplicationKind as K;
    let (kind, separator) = match url.kind.as_str() {
        "composer" => (K::Composer, '/'),
        "maven" => (K::Jar, ':'),
        "gem" => (K::GemSpec, '/'),
        "conda" => (K::CondaPkg, '/'),
        "pypi" => (K::PythonPkg, '/'),
        "golang" => (K::GoBinary, '/'),
        "npm" => (K::NodePkg, '/'),
        "cargo" => (K::Cargo, '/'),
        "nuget" => (K::Nuget, '/'),
        "swift" => (K::Swift, '/'),
        "cocoapods" => (K::Cocoapods, '/'),
        "hex" => (K::Hex, '/'),
        "conan" => (K::Conan, '/'),
        "pub" => (K::Pub, '/'),
        "bitnami" => (K::Bitnami, '/'),
        "julia" => (K::Julia, '/'),
        _ => return None,
    };
    let mut name = url.name.clone();
    if !url.namespace.is_empty() {
        name = format!("{}{separator}{name}", url.namespace);
    }
    if !url.subpath.is_empty() && kind == K::Cocoapods {
        name = format!("{name}/{}", url.subpath);
    }
    let id = if separator == ':' { format!("{name}:{}", url.version) } else { format!("{name}@{}", url.version) };
    let package = Package { id, name, version: url.version.clone(), purl: Some(url.clone()), ..Package::default() };
    Some((kind, package))
}

/// Splits at the last separator into namespace and name.
fn split(name: &str, separator: char, make: impl FnOnce(&str, &str) -> PackageUrl) -> PackageUrl {
    let (namespace, name) = name.rsplit_once(separator).unwrap_or(("", name));
    make(namespace, name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_by_kind() {
        let package = |name: &str, version: &str| Package {
            name: name.to_owned(),
            version: version.to_owned(),
            ..Package::default()
        };
        let check = |kind, name: &str, expected: &str| {
            let url = language(&package(name, "1.0"), kind).unwrap();
            assert_eq!(url.to_string(), expected);
        };
        check(ApplicationKind::Npm, "@babel/core", "pkg:npm/%40babel/core@1.0");
        check(ApplicationKind::PythonPkg, "Typing_Extensions", "pkg:pypi/typing-extensions@1.0");
        check(ApplicationKind::Jar, "org.a:b", "pkg:maven/org.a/b@1.0");
        check(ApplicationKind::GoBinary, "example.com/A/b", "pkg:golang/example.com/a/b@1.0");
        let debian = OperatingSystem::new("debian", "12.5");
        let dpkg = Package { epoch: 1, release: "3".to_owned(), arch: "amd64".to_owned(), ..package("passwd", "4.13") };
        let url = system(&dpkg, Some(&debian)).unwrap().to_string();
        assert_eq!(url, "pkg:deb/debian/passwd@4.13-3?arch=amd64&distro=debian-12.5&epoch=1");
    }
}
