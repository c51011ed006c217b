//! Package URLs of what was found (purl specification, type definitions).

use model::PackageUrl;

use crate::os::OperatingSystem;
use crate::package::{ApplicationKind, Package, full_version};

/// The URL of a package of the operating system.
pub(crate) fn system(package: &Package, system: Option<&OperatingSystem>) -> Option<PackageUrl> {
    let system = system?;
    let family = system.family.as_str();
    let distro = format!("{family}-{}", system.release);
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
    Some(if system.release.is_empty() { url } else { url.with("distro", &distro) })
}

/// The URL of a package of an application.
pub(crate) fn language(package: &Package, kind: ApplicationKind) -> Option<PackageUrl> {
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
