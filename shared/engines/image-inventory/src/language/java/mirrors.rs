//! Which repository is asked in the place of another (Maven, "Using Mirrors for Repositories"): by the settings of Maven, then by what
//! the scan was given.

use std::collections::BTreeMap;

use crate::language::java::address::Address;
use crate::language::java::pom::RemoteRepository;
use crate::language::java::settings::{Mirror, Server, credentials};

/// Mirrors ready to be asked for.
#[derive(Clone, Debug, Default)]
pub struct Mirrors {
    of_settings: Vec<OfSettings>,
    /// By the key of the address that they stand for, in their order.
    given: BTreeMap<String, Vec<Address>>,
}

#[derive(Clone, Debug)]
struct OfSettings {
    id: String,
    patterns: Vec<String>,
    address: Address,
}

impl Mirrors {
    /// Mirrors of settings with their credentials, and mirrors by the address that they stand for. What stands for nothing, or has no
    /// address, is left out.
    #[must_use]
    pub fn new(mirrors: &[Mirror], servers: &[Server], given: &BTreeMap<String, Vec<String>>) -> Self {
        let of_settings = mirrors.iter().filter_map(|mirror| {
            let patterns: Vec<String> = patterns(&mirror.mirror_of).map(str::to_owned).collect();
            let address = Address::parse(&mirror.url).filter(|_| !patterns.is_empty())?;
            let address = match credentials(servers, &mirror.id) {
                Some(server) => address.with_credentials(&server.username, &server.password),
                None => address,
            };
            Some(OfSettings { id: mirror.id.clone(), patterns, address })
        });
        let given = given.iter().filter_map(|(source, targets)| {
            let targets: Vec<Address> = targets.iter().filter_map(|target| Address::parse(target)).collect();
            (!targets.is_empty()).then_some((Address::parse(source)?.key(), targets))
        });
        Self { of_settings: of_settings.collect(), given: given.collect() }
    }

    /// What is asked in the place of a repository, one after the other; the repository itself when nothing stands for it. Credentials are
    /// those of the mirror, never those of the repository.
    #[must_use]
    pub fn in_place_of(&self, repository: &RemoteRepository) -> Vec<RemoteRepository> {
        let of_settings =
            self.of_settings.iter().find(|one| stands_for(&one.patterns, &repository.id, &repository.address));
        let routed = match of_settings {
            Some(one) => {
                RemoteRepository { id: one.id.clone(), address: one.address.to_string(), ..repository.clone() }
            }
            None => repository.clone(),
        };
        let given = Address::parse(&routed.address).and_then(|address| self.given.get(&address.key()));
        match given {
            Some(targets) => {
                targets.iter().map(|one| RemoteRepository { address: one.to_string(), ..routed.clone() }).collect()
            }
            None => vec![routed],
        }
    }

    /// Id, patterns and address of the mirrors of the settings.
    pub fn of_settings(&self) -> impl Iterator<Item = (&str, &[String], String)> {
        self.of_settings.iter().map(|one| (one.id.as_str(), one.patterns.as_slice(), one.address.to_string()))
    }

    /// The mirrors that were given, by the address that they stand for.
    pub fn given(&self) -> impl Iterator<Item = (&str, Vec<String>)> {
        self.given.iter().map(|(key, all)| (key.as_str(), all.iter().map(ToString::to_string).collect()))
    }
}

fn patterns(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|pattern| !pattern.is_empty())
}

/// Whether a mirror with these patterns stands for a repository. They are read from left to right: an id, or `!` before an id, ends that;
/// `*` (all), `external:*` (all but this machine) and `external:http:*` (those of them without TLS) leave the word to what follows.
#[must_use]
pub fn stands_for(patterns: &[String], id: &str, address: &str) -> bool {
    let address = Address::parse(address);
    let is_external = address.as_ref().is_some_and(|address| {
        address.scheme() != "file" && !matches!(address.host_name(), "localhost" | "127.0.0.1" | "::1")
    });
    let is_plain = address.as_ref().is_some_and(|address| address.scheme() == "http");
    let mut stands = false;
    for pattern in patterns {
        match pattern.as_str() {
            pattern if pattern == id => return true,
            "*" => stands = true,
            "external:*" => stands |= is_external,
            "external:http:*" => stands |= is_external && is_plain,
            pattern if pattern.strip_prefix('!').is_some_and(|left_out| !left_out.is_empty() && left_out == id) => {
                return false;
            }
            _ => {}
        }
    }
    stands
}
