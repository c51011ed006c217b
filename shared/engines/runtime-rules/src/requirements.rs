//! What a rules file asks of the engine: versions of the engine and of plugins.

use crate::items::required;
use crate::yaml::Node;

/// The version of upstream's rule engine whose language this is.
const ENGINE_VERSION: Version = Version { major: 0, minor: 63, patch: 0 };

/// Upstream's plugins whose fields are built in, with the version that they correspond to.
const PLUGINS: [(&str, Version); 1] = [("container", Version { major: 0, minor: 9, patch: 0 })];

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Version {
    major: u32,
    minor: u32,
    patch: u32,
}

impl Version {
    /// Reads `x.y.z`; what follows a dash or a plus does not count.
    fn parse(text: &str) -> Option<Self> {
        let core = text.split(['-', '+']).next().unwrap_or_default();
        let numbers: Vec<u32> = core.split('.').map(|number| number.parse().ok()).collect::<Option<_>>()?;
        match numbers.as_slice() {
            [major, minor, patch] => Some(Self { major: *major, minor: *minor, patch: *patch }),
            _ => None,
        }
    }

    /// Whether what was made for `wanted` works with this.
    fn is_compatible_with(self, wanted: Self) -> bool {
        self.major == wanted.major && self >= wanted
    }
}

/// Checks `required_engine_version`: `x.y.z`, or `y` short for `0.y.0`.
pub(crate) fn engine_version(item: &Node) -> Result<(), String> {
    let wanted = required(item, "required_engine_version")?;
    let short = wanted.parse().ok().map(|minor| Version { major: 0, minor, patch: 0 });
    let Some(version) = short.or_else(|| Version::parse(&wanted)) else {
        return Err(format!(
            "Unable to parse engine version '{wanted}' as a semver string. Expected \"x.y.z\" semver format."
        ));
    };
    if ENGINE_VERSION.is_compatible_with(version) {
        return Ok(());
    }
    let shown = |version: Version| format!("{}.{}.{}", version.major, version.minor, version.patch);
    Err(format!("Rules require engine version {}, but engine version is {}", shown(version), shown(ENGINE_VERSION)))
}

/// Checks `required_plugin_versions`: one of the alternatives of each entry must be built in.
pub(crate) fn plugin_versions(item: &Node) -> Result<(), String> {
    let plugins = item.get("required_plugin_versions").and_then(Node::items);
    let Some(plugins) = plugins else { return Err("Value of required_plugin_versions must be a sequence".to_owned()) };
    for plugin in plugins {
        if plugin.entries().is_none() {
            return Err("Plugin version must be a mapping".to_owned());
        }
        let mut wanted = vec![requirement(plugin)?];
        if let Some(alternatives) = plugin.get("alternatives") {
            let Some(alternatives) = alternatives.items() else {
                return Err("Value of plugin version alternatives must be a sequence".to_owned());
            };
            for alternative in alternatives {
                if alternative.entries().is_none() {
                    return Err("Plugin version alternative must be a mapping".to_owned());
                }
                wanted.push(requirement(alternative)?);
            }
        }
        met(&wanted)?;
    }
    Ok(())
}

fn requirement(plugin: &Node) -> Result<(String, Version), String> {
    let name = required(plugin, "name")?;
    let version = required(plugin, "version")?;
    match Version::parse(&version) {
        Some(version) => Ok((name, version)),
        None => Err(format!("Invalid required version '{version}' for plugin '{name}'")),
    }
}

fn met(wanted: &[(String, Version)]) -> Result<(), String> {
    for (place, (name, _)) in wanted.iter().enumerate() {
        if wanted.iter().skip(place + 1).any(|(other, _)| other == name) {
            return Err(format!("Defined multiple alternative version requirements for plugin '{name}'"));
        }
    }
    let has =
        |name: &str, version| PLUGINS.iter().any(|(known, ours)| *known == name && ours.is_compatible_with(version));
    if wanted.iter().any(|(name, version)| has(name, *version)) {
        return Ok(());
    }
    let names: Vec<_> = wanted
        .iter()
        .map(|(name, version)| format!("{name} (>= {}.{}.{})", version.major, version.minor, version.patch))
        .collect();
    Err(format!("Plugin requirement not satisfied, must load one of: {}", names.join(", ")))
}
