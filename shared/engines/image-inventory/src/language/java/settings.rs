//! `settings.xml` of Maven (Maven Settings Reference): where repositories are, who may read them, and what stands for them. Maven 4 has
//! repositories at the top of it, too, and a file for each project.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::hash::Hash;

use crate::language::java::address::Address;
use crate::language::java::pom::{self, RemoteRepository};
use crate::text::ParseError;
use crate::xml::{self, Element};

/// The settings of a user, a project or an installation, or all of them together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// Folder of the local repository; empty for the usual one.
    pub local_repository: String,
    /// Credentials.
    pub servers: Vec<Server>,
    /// What stands for repositories.
    pub mirrors: Vec<Mirror>,
    /// Profiles.
    pub profiles: Vec<Profile>,
    /// Ids of the profiles that are on.
    pub active_profiles: Vec<String>,
    /// Proxies.
    pub proxies: Vec<Proxy>,
    /// Repositories outside of profiles.
    pub repositories: Vec<SettingsRepository>,
}

/// Credentials for the repository or mirror of the same id.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Server {
    /// Id.
    pub id: String,
    /// User.
    pub username: String,
    /// Password.
    pub password: String,
}

/// A repository that stands for others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mirror {
    /// Id.
    pub id: String,
    /// Name for people.
    pub name: String,
    /// Address.
    pub url: String,
    /// For which repositories it stands, as patterns with commas between them.
    pub mirror_of: String,
}

/// Repositories that are used when the profile is on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Profile {
    /// Id.
    pub id: String,
    /// Whether it is on without being named.
    pub active_by_default: bool,
    /// Its repositories.
    pub repositories: Vec<SettingsRepository>,
}

/// A repository as settings have it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SettingsRepository {
    /// Id.
    pub id: String,
    /// Name for people.
    pub name: String,
    /// Address.
    pub url: String,
    /// `true`, or empty, which means the same; anything else is off.
    pub releases_enabled: String,
    /// The same of snapshots.
    pub snapshots_enabled: String,
}

/// A proxy.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Proxy {
    /// Id.
    pub id: String,
    /// `true`, or empty, which means the same.
    pub active: String,
    /// Protocol of the requests that go through it.
    pub protocol: String,
    /// Its host.
    pub host: String,
    /// Its port.
    pub port: String,
    /// User.
    pub username: String,
    /// Password.
    pub password: String,
    /// Hosts that are asked without it, as patterns with `|` between them.
    pub non_proxy_hosts: String,
}

impl Settings {
    /// Reads a file; `variable` is the environment that `${env.NAME}` stands for, and `${user.home}`.
    ///
    /// # Errors
    /// When it is no XML.
    pub fn parse(bytes: &[u8], variable: &dyn Fn(&str) -> Option<String>) -> Result<Self, ParseError> {
        let root = xml::parse(bytes)?;
        let home = variable("HOME").map(|home| ("user.home".to_owned(), home));
        let properties: BTreeMap<String, String> = home.into_iter().collect();
        let value = |text: &str| pom::evaluate(text, &properties, variable);
        let field = |one: &Element, name: &str| value(one.field(name));
        let repositories = |home: &Element| -> Vec<SettingsRepository> {
            let repository = |one: &Element| SettingsRepository {
                id: field(one, "id"),
                name: field(one, "name"),
                url: field(one, "url"),
                releases_enabled: one.child("releases").field("enabled").to_owned(),
                snapshots_enabled: one.child("snapshots").field("enabled").to_owned(),
            };
            home.child("repositories").all("repository").map(repository).collect()
        };
        let profile = |one: &Element| Profile {
            id: field(one, "id"),
            active_by_default: one.child("activation").field("activeByDefault") == "true",
            repositories: repositories(one),
        };
        let server = |one: &Element| Server {
            id: field(one, "id"),
            username: field(one, "username"),
            password: field(one, "password"),
        };
        let mirror = |one: &Element| Mirror {
            id: field(one, "id"),
            name: field(one, "name"),
            url: field(one, "url"),
            mirror_of: field(one, "mirrorOf"),
        };
        let proxy = |one: &Element| Proxy {
            id: field(one, "id"),
            active: field(one, "active"),
            protocol: field(one, "protocol"),
            host: field(one, "host"),
            port: field(one, "port"),
            username: field(one, "username"),
            password: field(one, "password"),
            non_proxy_hosts: field(one, "nonProxyHosts"),
        };
        Ok(Self {
            local_repository: field(&root, "localRepository"),
            servers: root.child("servers").all("server").map(server).collect(),
            mirrors: root.child("mirrors").all("mirror").map(mirror).collect(),
            profiles: root.child("profiles").all("profile").map(profile).collect(),
            active_profiles: root.child("activeProfiles").all("activeProfile").map(|one| value(&one.text)).collect(),
            proxies: root.child("proxies").all("proxy").map(proxy).collect(),
            repositories: repositories(&root),
        })
    }

    /// Adds what settings of less weight have: what is known by its id already stays as it is. The user's go before the project's, and
    /// those before the installation's.
    pub fn merge(&mut self, lower: Self) {
        if self.local_repository.is_empty() {
            self.local_repository = lower.local_repository;
        }
        add(&mut self.servers, lower.servers, |one| one.id.clone());
        add(&mut self.mirrors, lower.mirrors, |one| one.id.clone());
        add(&mut self.profiles, lower.profiles, |one| one.id.clone());
        add(&mut self.active_profiles, lower.active_profiles, Clone::clone);
        add(&mut self.proxies, lower.proxies, |one| one.id.clone());
        add(&mut self.repositories, lower.repositories, |one| one.id.clone());
    }

    /// The repositories that projects may use beside their own, in the order in which Maven asks them: the last comes first.
    #[must_use]
    pub fn effective_repositories(&self) -> Vec<RemoteRepository> {
        let is_on = |profile: &&Profile| profile.active_by_default || self.active_profiles.contains(&profile.id);
        let mut all: Vec<&SettingsRepository> =
            self.profiles.iter().filter(is_on).flat_map(|profile| &profile.repositories).collect();
        all.extend(&self.repositories);
        let mut known = BTreeSet::new();
        all.retain(|one| known.insert(&one.id));
        all.reverse();
        all.into_iter().filter_map(|one| self.repository(one)).collect()
    }

    fn repository(&self, one: &SettingsRepository) -> Option<RemoteRepository> {
        let enabled = |text: &str| matches!(text, "" | "true");
        let address = Address::parse(&one.url)?.to_string();
        let (releases, snapshots) = (enabled(&one.releases_enabled), enabled(&one.snapshots_enabled));
        (releases || snapshots)
            .then(|| self.with_credentials(&RemoteRepository { id: one.id.clone(), address, releases, snapshots }))
    }

    /// A repository with the credentials that are kept for its id.
    pub(crate) fn with_credentials(&self, one: &RemoteRepository) -> RemoteRepository {
        let allowed = credentials(&self.servers, &one.id).and_then(|server| {
            Some(Address::parse(&one.address)?.with_credentials(&server.username, &server.password))
        });
        let address = allowed.map_or_else(|| one.address.clone(), |address| address.to_string());
        RemoteRepository { address, ..one.clone() }
    }

    /// The proxies that a request goes through, the first to be used; `host` may be empty when it is not known.
    #[must_use]
    pub fn proxies_for(&self, protocol: &str, host: &str) -> Vec<&Proxy> {
        let is_fit = |proxy: &&Proxy| {
            matches!(proxy.active.as_str(), "" | "true")
                && proxy.protocol.eq_ignore_ascii_case(protocol)
                && (host.is_empty() || !proxy.leaves_out(host))
        };
        self.proxies.iter().filter(is_fit).collect()
    }
}

impl Proxy {
    fn leaves_out(&self, host: &str) -> bool {
        let host = host.to_lowercase();
        let patterns = self.non_proxy_hosts.split('|').map(str::trim).filter(|pattern| !pattern.is_empty());
        patterns.map(str::to_lowercase).any(|pattern| matches_host(&pattern, &host))
    }
}

/// The credentials for an id. A user without a password is none.
pub(crate) fn credentials<'s>(servers: &'s [Server], id: &str) -> Option<&'s Server> {
    servers.iter().find(|server| server.id == id && !server.username.is_empty() && !server.password.is_empty())
}

/// `*` stands for any characters, `?` for one.
fn matches_host(pattern: &str, host: &str) -> bool {
    let (pattern, host): (Vec<char>, Vec<char>) = (pattern.chars().collect(), host.chars().collect());
    let mut reached = vec![false; host.len().saturating_add(1)];
    if let Some(first) = reached.first_mut() {
        *first = true;
    }
    for sign in pattern {
        let mut next = vec![false; reached.len()];
        let mut before = false;
        for (at, slot) in next.iter_mut().enumerate() {
            let here = reached.get(at).is_some_and(|is| *is);
            let stepped = at.checked_sub(1).is_some_and(|last| {
                reached.get(last).is_some_and(|is| *is) && (sign == '?' || host.get(last) == Some(&sign))
            });
            *slot = if sign == '*' { here || before } else { stepped };
            before = *slot;
        }
        reached = next;
    }
    reached.last().is_some_and(|is| *is)
}

fn add<T, K: Eq + Hash>(own: &mut Vec<T>, lower: Vec<T>, key: impl Fn(&T) -> K) {
    own.extend(lower);
    let mut known = std::collections::HashSet::new();
    own.retain(|one| known.insert(key(one)));
}

/// Without the password.
impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("id", &self.id).field("username", &self.username).finish_non_exhaustive()
    }
}

/// Without the password.
impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxy").field("id", &self.id).field("host", &self.host).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Settings {
        Settings::parse(text.as_bytes(), &|name| (name == "WHO").then(|| "me".to_owned())).unwrap()
    }

    #[test]
    fn repositories_at_the_top_come_after_those_of_profiles() {
        let settings = read(
            "<settings><profiles><profile><id>p</id><repositories><repository><id>a</id><url>https://p/a</url></repository>\
             </repositories></profile><profile><id>off</id><repositories><repository><id>c</id><url>https://p/c</url>\
             </repository></repositories></profile></profiles><activeProfiles><activeProfile>p</activeProfile></activeProfiles>\
             <repositories><repository><id>a</id><url>https://top/a</url></repository><repository><id>b</id>\
             <url>https://top/b</url><releases><enabled>false</enabled></releases></repository></repositories>\
             <servers><server><id>b</id><username>${env.WHO}</username><password>p</password></server></servers></settings>",
        );
        let got: Vec<_> =
            settings.effective_repositories().into_iter().map(|one| (one.address, one.releases)).collect();
        assert_eq!(got, [("https://me:p@top/b".to_owned(), false), ("https://p/a".to_owned(), true)]);
        assert!(!format!("{settings:?}").contains("\"p\", .."), "{settings:?}");
    }

    #[test]
    fn hosts_without_a_proxy_are_patterns() {
        for (pattern, host, expected) in [
            ("*.example.com", "a.example.com", true),
            ("*.example.com", "example.com", false),
            ("10.?.0.1", "10.3.0.1", true),
            ("*", "", true),
            ("a*b*c", "axxbyyc", true),
            ("a*b*c", "axxbyy", false),
        ] {
            assert_eq!(matches_host(pattern, host), expected, "{pattern} {host}");
        }
    }
}
