//! Names for addresses: only those that rules compare with (`fd.sip.name = kubernetes.default.svc.cluster.local`), looked up forwards and
//! away from the events, for a reverse question per connection would ask whoever owns the address.

use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, ToSocketAddrs as _};
use std::sync::{Arc, PoisonError, RwLock, Weak};
use std::time::Duration;

use runtime_rules::{Condition, Operand, Right, RuleSet};

/// The names that rules ask for, by the addresses that they have now.
#[derive(Clone, Debug, Default)]
pub(crate) struct Addresses {
    known: Arc<RwLock<Known>>,
}

#[derive(Debug, Default)]
struct Known {
    wanted: BTreeSet<String>,
    resolved: HashMap<IpAddr, Vec<String>>,
    /// Addresses of the cluster's API server, as its containers are told.
    api_servers: BTreeSet<IpAddr>,
}

impl Addresses {
    /// Takes the names of the rules in force. Says whether there are any.
    pub(crate) fn want(&self, rules: &RuleSet) -> bool {
        let mut wanted = BTreeSet::new();
        rules.rules().iter().for_each(|rule| collect(&rule.condition, &mut wanted, 0));
        let has_any = !wanted.is_empty();
        self.write(|known| known.wanted = wanted);
        has_any
    }

    /// Looks the names up now and every minute, in a thread of its own that ends when no name is wanted, or with the last holder of this.
    pub(crate) fn follow(&self) -> std::io::Result<()> {
        let known = Arc::downgrade(&self.known);
        std::thread::Builder::new().name("addresses".to_owned()).spawn(move || while look_up(&known) {}).map(drop)
    }

    /// The names of an address.
    pub(crate) fn names(&self, address: IpAddr) -> Vec<String> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let mut names = known.resolved.get(&address).cloned().unwrap_or_default();
        if known.api_servers.contains(&address) {
            let of_cluster = known.wanted.iter().filter(|name| is_api_server(name) && !names.contains(name));
            names.extend(of_cluster.cloned().collect::<Vec<_>>());
        }
        names
    }

    /// The kubelet tells every container where the API server is; the node's own resolver does not know names of the cluster.
    pub(crate) fn learn(&self, environment: &[u8]) {
        let host = environment.split(|byte| *byte == 0).find_map(|entry| entry.strip_prefix(API_SERVER));
        let address = host.and_then(|host| std::str::from_utf8(host).ok()?.parse::<IpAddr>().ok());
        let Some(address) = address else { return };
        let is_known = self.known.read().unwrap_or_else(PoisonError::into_inner).api_servers.contains(&address);
        if !is_known {
            self.write(|known| {
                // A container may say anything: it can add names to addresses, not take any away.
                if known.api_servers.len() < MAX_API_SERVERS {
                    known.api_servers.insert(address);
                }
            });
        }
    }

    fn write(&self, change: impl FnOnce(&mut Known)) {
        change(&mut self.known.write().unwrap_or_else(PoisonError::into_inner));
    }
}

/// One look at all names, and the pause behind it. Says whether anybody still wants to know.
fn look_up(known: &Weak<RwLock<Known>>) -> bool {
    let wanted = known.upgrade().map(|known| known.read().unwrap_or_else(PoisonError::into_inner).wanted.clone());
    let Some(wanted) = wanted.filter(|wanted| !wanted.is_empty()) else { return false };
    let mut resolved: HashMap<IpAddr, Vec<String>> = HashMap::new();
    for name in &wanted {
        for address in (name.as_str(), 0).to_socket_addrs().into_iter().flatten() {
            let names = resolved.entry(address.ip()).or_default();
            if !names.contains(name) {
                names.push(name.clone());
            }
        }
    }
    if let Some(known) = known.upgrade() {
        let mut known = known.write().unwrap_or_else(PoisonError::into_inner);
        // A name that cannot be looked up now keeps what it had.
        let failed = |name: &String| !resolved.values().any(|names| names.contains(name));
        let kept: Vec<(IpAddr, String)> = known
            .resolved
            .iter()
            .flat_map(|(address, names)| names.iter().map(|name| (*address, name.clone())))
            .filter(|(_, name)| wanted.contains(name) && failed(name))
            .collect();
        kept.into_iter().for_each(|(address, name)| resolved.entry(address).or_default().push(name));
        known.resolved = resolved;
    }
    for _ in 0..PAUSE_S {
        std::thread::sleep(Duration::from_secs(1));
        let now = known.upgrade().map(|known| known.read().unwrap_or_else(PoisonError::into_inner).wanted == wanted);
        match now {
            None => return false,
            // Changed rules need not wait.
            Some(false) => return true,
            Some(true) => {}
        }
    }
    true
}

/// The texts that fields of names are compared with.
fn collect(condition: &Condition, wanted: &mut BTreeSet<String>, depth: usize) {
    let below = depth.saturating_add(1);
    match condition {
        _ if depth > MAX_DEPTH => {}
        Condition::And(children) | Condition::Or(children) => {
            children.iter().for_each(|child| collect(child, wanted, below));
        }
        Condition::Not(child) => collect(child, wanted, below),
        Condition::Compare { left: Operand::Field(field), right, .. } if FIELDS.contains(&field.name.as_str()) => {
            match right {
                Right::Text(text) => drop(wanted.insert(text.clone())),
                Right::List(list) | Right::Quantified(_, list) => wanted.extend(list.iter().cloned()),
                Right::Operand(_) => {}
            }
        }
        Condition::Compare { .. } | Condition::Exists(_) | Condition::Macro(_) => {}
    }
}

fn is_api_server(name: &str) -> bool {
    name.split('.').take(2).eq(["kubernetes", "default"])
}

const FIELDS: [&str; 4] = ["fd.cip.name", "fd.sip.name", "fd.lip.name", "fd.rip.name"];

const API_SERVER: &[u8] = b"KUBERNETES_SERVICE_HOST=";

const MAX_API_SERVERS: usize = 64;

const MAX_DEPTH: usize = 128;

const PAUSE_S: u32 = 60;

#[cfg(test)]
mod tests {
    use runtime_rules::{LoadOptions, SourceFile};

    use super::*;

    fn rules(condition: &str) -> RuleSet {
        let text = format!("- rule: r\n  desc: d\n  condition: {condition}\n  output: x\n  priority: INFO\n");
        RuleSet::load(&[SourceFile { name: "x", text: &text }], &LoadOptions::default()).rules
    }

    #[test]
    fn the_api_server_is_known_by_what_containers_are_told() {
        let addresses = Addresses::default();
        assert!(!addresses.want(&rules("evt.type = connect")));
        let name = "kubernetes.default.svc.cluster.local";
        assert!(
            addresses.want(&rules(&format!("evt.type = connect and not (fd.sip.name in ({name}, other.example))")))
        );
        let address = "10.96.0.1".parse().unwrap();
        assert!(addresses.names(address).is_empty());
        for environment in ["A=1\0KUBERNETES_SERVICE_HOST=nonsense\0", "KUBERNETES_SERVICE_HOST=10.96.0.1\0B=2\0"] {
            addresses.learn(environment.as_bytes());
        }
        assert_eq!(addresses.names(address), [name]);
        (0..=255_u8).for_each(|last| addresses.learn(format!("KUBERNETES_SERVICE_HOST=10.0.0.{last}\0").as_bytes()));
        assert_eq!(addresses.known.read().unwrap().api_servers.len(), MAX_API_SERVERS);
    }

    #[test]
    fn names_are_looked_up_in_the_background() {
        let addresses = Addresses::default();
        assert!(addresses.want(&rules("evt.type = connect and fd.sip.name = localhost")));
        addresses.follow().unwrap();
        let loopback = "127.0.0.1".parse().unwrap();
        let until = std::time::Instant::now() + Duration::from_secs(20);
        while addresses.names(loopback).is_empty() && std::time::Instant::now() < until {
            std::thread::sleep(Duration::from_millis(10));
        }
        assert_eq!(addresses.names(loopback), ["localhost"]);
    }
}
