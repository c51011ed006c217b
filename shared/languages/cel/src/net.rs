//! Addresses, networks and URLs as Kubernetes' CEL libraries know them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An address in its strict form: no zones, no IPv4 inside IPv6, no leading zeros.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ip(pub(crate) IpAddr);

/// A network: an address and the length of its prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cidr {
    pub(crate) address: IpAddr,
    pub(crate) prefix: u8,
}

/// An absolute URL, or an absolute path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Url {
    pub(crate) text: String,
    pub(crate) scheme: String,
    pub(crate) host: String,
    pub(crate) hostname: String,
    pub(crate) port: String,
    pub(crate) path: String,
    pub(crate) query: Vec<(String, String)>,
}

impl Ip {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let address: IpAddr =
            text.parse().map_err(|_| format!("IP Address '{text}' parse error during conversion from string"))?;
        match address {
            IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some() => {
                Err(format!("IPv4-mapped IPv6 address \"{text}\" is not allowed"))
            }
            address => Ok(Self(address)),
        }
    }

    pub(crate) fn is_link_local_multicast(self) -> bool {
        match self.0 {
            IpAddr::V4(address) => matches!(address.octets(), [224, 0, 0, _]),
            IpAddr::V6(address) => matches!(address.octets(), [0xff, second, ..] if second & 0x0f == 2),
        }
    }

    pub(crate) fn is_link_local_unicast(self) -> bool {
        match self.0 {
            IpAddr::V4(address) => address.is_link_local(),
            IpAddr::V6(address) => matches!(address.octets(), [0xfe, second, ..] if second & 0xc0 == 0x80),
        }
    }

    pub(crate) fn is_global_unicast(self) -> bool {
        let broadcast = matches!(self.0, IpAddr::V4(address) if address.is_broadcast());
        !(broadcast
            || self.0.is_unspecified()
            || self.0.is_loopback()
            || self.0.is_multicast()
            || self.is_link_local_unicast())
    }
}

fn bits(address: IpAddr) -> (u128, u8) {
    match address {
        IpAddr::V4(address) => (u128::from(u32::from(address)), 32),
        IpAddr::V6(address) => (u128::from(address), 128),
    }
}

impl Cidr {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let fail = || format!("network address parse error during conversion from string: '{text}'");
        let (address, prefix) = text.split_once('/').ok_or_else(fail)?;
        let Ip(address) = Ip::parse(address).map_err(|_| fail())?;
        let strict = prefix == "0" || (!prefix.starts_with('0') && prefix.bytes().all(|byte| byte.is_ascii_digit()));
        let prefix: u8 = prefix.parse().ok().filter(|prefix| strict && *prefix <= bits(address).1).ok_or_else(fail)?;
        Ok(Self { address, prefix })
    }

    fn masked_bits(self, address: IpAddr) -> u128 {
        let (value, width) = bits(address);
        let host = u32::from(width.saturating_sub(self.prefix));
        value.checked_shr(host).and_then(|value| value.checked_shl(host)).unwrap_or(0)
    }

    pub(crate) fn masked(self) -> Self {
        let value = self.masked_bits(self.address);
        let address = match self.address {
            IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::from(u32::try_from(value).unwrap_or(0))),
            IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::from(value)),
        };
        Self { address, prefix: self.prefix }
    }

    pub(crate) fn contains_ip(self, ip: IpAddr) -> bool {
        ip.is_ipv4() == self.address.is_ipv4() && self.masked_bits(ip) == self.masked_bits(self.address)
    }

    pub(crate) fn contains(self, other: Self) -> bool {
        self.prefix <= other.prefix && self.contains_ip(other.address)
    }
}

impl Url {
    /// Reads an absolute URL or path, as Go's `net/url` does for requests.
    ///
    /// # Errors
    /// What is wrong, in Go's words.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let fail = |what: &str| Err(format!("parse {text:?}: {what}"));
        if text.chars().any(|c| c.is_ascii_control()) {
            return fail("net/url: invalid control character in URL");
        }
        if text.is_empty() {
            return fail("empty url");
        }
        let whole = text.split_once('#').map_or(text, |(whole, _)| whole);
        let (rest, query) = whole.split_once('?').map_or((whole, ""), |(rest, query)| (rest, query));
        let (scheme, behind) = match rest.split_once(':') {
            Some(("", _)) => return fail("missing protocol scheme"),
            Some((scheme, behind)) if is_scheme(scheme) => (scheme.to_ascii_lowercase(), behind),
            _ if rest.starts_with('/') || rest == "*" => (String::new(), rest),
            _ => return fail("invalid URI for request"),
        };
        let (authority, path) = match behind.strip_prefix("//") {
            Some(rest) => rest.find('/').map_or((rest, ""), |at| rest.split_at(at)),
            None => ("", behind),
        };
        let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
        let (hostname, port) = match host.strip_prefix('[') {
            Some(inner) => match inner.split_once(']') {
                Some((name, port)) => (name, port),
                None => return fail("missing ']' in host"),
            },
            None => host.rfind(':').map_or((host, ""), |at| host.split_at(at)),
        };
        let digits = port.strip_prefix(':').unwrap_or_default();
        if (!port.is_empty() && !port.starts_with(':')) || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return fail(&format!("invalid port {port:?} after host"));
        }
        if let Some(bad) = hostname.chars().find(|c| " <>\"\\^`{|}[]".contains(*c)) {
            return fail(&format!("invalid character {:?} in host name", bad.to_string()));
        }
        // In a host only what is no ASCII may be escaped.
        for (part, in_host) in [(hostname, true), (path, false)] {
            if let Some(bad) = bad_escape(part, in_host) {
                return fail(&format!("invalid URL escape {bad:?}"));
            }
        }
        Ok(Self {
            text: text.to_owned(),
            scheme,
            host: host.to_owned(),
            hostname: hostname.to_owned(),
            port: digits.to_owned(),
            path: escape_path(path),
            query: query.split('&').filter_map(pair).collect(),
        })
    }
}

/// A key and a value of a query; none where it is malformed.
fn pair(part: &str) -> Option<(String, String)> {
    if part.is_empty() || part.contains(';') || bad_escape(part, false).is_some() {
        return None;
    }
    let (key, value) = part.split_once('=').unwrap_or((part, ""));
    Some((unescape(key), unescape(value)))
}

/// The first `%` that no two hexadecimal digits follow.
fn bad_escape(text: &str, in_host: bool) -> Option<&str> {
    text.match_indices('%').find_map(|(at, _)| {
        let code = text.get(at + 1..at + 3).and_then(|code| u8::from_str_radix(code, 16).ok());
        let fits = code.is_some_and(|code| !in_host || code >= 0x80 || code == b'%');
        (!fits).then(|| text.get(at..(at + 3).min(text.len())).unwrap_or("%"))
    })
}

fn is_scheme(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
}

fn escape_path(path: &str) -> String {
    let mut out = String::new();
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~$&+,/:;=@%!*'()".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

fn unescape(text: &str) -> String {
    let mut out = Vec::new();
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'+' => out.push(b' '),
            b'%' => {
                let code: String = bytes.clone().take(2).map(char::from).collect();
                match u8::from_str_radix(&code, 16) {
                    Ok(code) => {
                        out.push(code);
                        bytes.nth(1);
                    }
                    Err(_) => out.push(b'%'),
                }
            }
            byte => out.push(byte),
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}
