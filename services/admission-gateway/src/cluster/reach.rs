//! Where the calls go that policies make: not to the gateway's own machine, nor to where a cloud keeps the machine's credentials, whoever may
//! write a policy, and by whatever name or redirection.
//!
//! The lists mean what Kyverno's `httpBlocklist` and `httpAllowlist` mean; they also hold for the services of `apiCall`.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use anyhow::Context as _;
use ipnet::IpNet;
use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::redirect::Policy;

/// What may be reached. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Reach(Arc<Lists>);

#[derive(Debug)]
struct Lists {
    networks: Vec<IpNet>,
    hosts: BTreeSet<String>,
    /// When there is any, only what begins with one.
    allowed: Vec<Url>,
}

impl Reach {
    /// From the lists of the configuration: networks, addresses and names that are blocked, and the beginnings of URLs that are allowed.
    ///
    /// # Errors
    /// An entry that is none of these.
    pub(crate) fn new(blocked: &[String], allowed: &[String]) -> anyhow::Result<Self> {
        let (mut networks, mut hosts) = (Vec::new(), BTreeSet::new());
        for entry in blocked.iter().map(|entry| entry.trim()) {
            match entry.parse::<IpAddr>() {
                Ok(address) => networks.push(IpNet::from(address)),
                Err(_) if entry.contains('/') => {
                    networks.push(entry.parse().with_context(|| format!("`{entry}` is no network like 10.0.0.0/8"))?)
                }
                Err(_) => drop(hosts.insert(plain(entry))),
            }
        }
        let url = |entry: &String| {
            let url = entry.trim().parse::<Url>().ok().filter(Url::has_host);
            url.with_context(|| format!("`{entry}` does not begin like https://api.example.com"))
        };
        let allowed = allowed.iter().map(url).collect::<anyhow::Result<_>>()?;
        Ok(Self(Arc::new(Lists { networks, hosts, allowed })))
    }

    /// Whether a URL may be called, as far as that shows in it.
    ///
    /// # Errors
    /// Why not.
    pub(super) fn check(&self, url: &Url) -> Result<(), String> {
        let Some(host) = url.host_str().map(plain) else { return Err("the URL names no host".to_owned()) };
        if !self.0.allowed.is_empty() && !self.0.allowed.iter().any(|allowed| begins_with(url, allowed)) {
            return Err("policies may not call it: no entry of `http_allowlist` is the beginning of the URL".to_owned());
        }
        let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        if self.0.hosts.contains(&host) || address.is_ok_and(|address| self.is_blocked(address)) {
            return Err(format!("policies may not call {host}: it is in `http_blocklist`"));
        }
        Ok(())
    }

    fn is_blocked(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.networks.iter().any(|network| network.contains(&address))
    }

    /// Follows redirections to where the first request could have gone, at most ten.
    pub(super) fn redirections(&self) -> Policy {
        let reach = self.clone();
        Policy::custom(move |attempt| match reach.check(attempt.url()) {
            Ok(()) if attempt.previous().len() <= 10 => attempt.follow(),
            Ok(()) => attempt.error("it is redirected more than ten times"),
            Err(why) => attempt.error(why),
        })
    }
}

/// Names are asked about when the connection is made, so that no name can be one address when it is checked and another afterwards.
impl Resolve for Reach {
    fn resolve(&self, name: Name) -> Resolving {
        let reach = self.clone();
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let free: Vec<SocketAddr> = found.filter(|address| !reach.is_blocked(address.ip())).collect();
            if free.is_empty() {
                let what = format!("policies may not call {}: its addresses are in `http_blocklist`", name.as_str());
                return Err(what.into());
            }
            let addresses: Addrs = Box::new(free.into_iter());
            Ok(addresses)
        })
    }
}

/// As hosts are compared: in small letters, without the dot of the root.
fn plain(host: &str) -> String {
    host.trim_end_matches('.').to_ascii_lowercase()
}

fn begins_with(url: &Url, allowed: &Url) -> bool {
    let place = |one: &Url| (one.scheme().to_owned(), one.host_str().map(plain), one.port_or_known_default());
    let rest = url.path().strip_prefix(allowed.path().trim_end_matches('/'));
    place(url) == place(allowed) && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Config;

    fn reach(blocked: &[&str], allowed: &[&str]) -> Reach {
        let list = |entries: &[&str]| entries.iter().map(|&entry| entry.to_owned()).collect::<Vec<_>>();
        Reach::new(&list(blocked), &list(allowed)).unwrap()
    }

    #[test]
    fn loopback_and_metadata_are_blocked_by_default_however_they_are_written() {
        let config = Config::default();
        let reach = Reach::new(&config.http_blocklist, &config.http_allowlist).unwrap();
        for (url, is_free) in [
            ("http://127.0.0.1:8080/x", false),
            ("http://127.1/", false),
            ("http://2130706433/", false),
            ("http://0x7f.0.0.1/", false),
            ("http://0.0.0.0/", false),
            ("http://[::1]/", false),
            ("http://[::ffff:127.0.0.1]/", false),
            ("http://169.254.169.254/latest", false),
            ("http://[fd00:ec2::254]/", false),
            ("http://METADATA.google.internal./", false),
            ("https://user@169.254.169.253:443/", false),
            ("http://10.0.0.7/", true),
            ("https://owners.default.svc/", true),
            ("http://[2001:db8::1]/", true),
        ] {
            assert_eq!(reach.check(&url.parse().unwrap()).is_ok(), is_free, "{url}");
        }
    }

    #[test]
    fn only_what_is_allowed_may_be_called_where_anything_is() {
        let reach = reach(&["10.1.0.0/16"], &["https://api.example.com/v1/", "http://10.1.2.3"]);
        for (url, is_free) in [
            ("https://API.example.com:443/v1", true),
            ("https://api.example.com/v1/users?x=1", true),
            ("https://api.example.com/v11", false),
            ("https://api.example.com/v1/../admin", false),
            ("http://api.example.com/v1/", false),
            ("https://api.example.com.evil.test/v1/", false),
            ("https://api.example.com:8443/v1/", false),
            ("http://10.1.2.3/", false),
        ] {
            assert_eq!(reach.check(&url.parse().unwrap()).is_ok(), is_free, "{url}");
        }
    }

    #[tokio::test]
    async fn a_name_is_as_good_as_its_addresses() {
        let all = |reach: Reach| async move {
            let found = reach.resolve("localhost".parse().unwrap()).await;
            found.map(|addresses| addresses.map(|address| address.ip()).collect::<Vec<_>>())
        };
        let blocked = all(reach(&["127.0.0.0/8", "::1"], &[])).await.unwrap_err();
        assert!(blocked.to_string().contains("http_blocklist"), "{blocked}");
        assert!(all(reach(&["10.0.0.0/8"], &[])).await.unwrap().iter().all(IpAddr::is_loopback));
    }

    #[test]
    fn broken_entries_are_named() {
        let list = |entry: &str| vec![entry.to_owned()];
        let told = |found: anyhow::Result<Reach>| found.unwrap_err().to_string();
        assert!(told(Reach::new(&list("10.0.0.0/99"), &[])).contains("`10.0.0.0/99` is no network"));
        assert!(told(Reach::new(&[], &list("api.example.com"))).contains("`api.example.com` does not begin like"));
    }
}
