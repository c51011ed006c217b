//! Addresses.

use super::{Call, Entry, Returned, text};
use crate::value::Value;

pub(super) const TABLE: &[Entry] = &[
    ("urlParse", "s", |call| {
        let url = parse(&call.text(0)).map_err(|what| format!("unable to parse url: {what}"))?;
        Ok(Value::map(url.pairs().map(|(name, part)| (name.to_owned(), Value::text(part)))))
    }),
    ("urlJoin", "m", join),
];

/// The parts of an address, path and user decoded.
#[derive(Default)]
struct Url {
    scheme: String,
    opaque: String,
    user: Option<(String, Option<String>)>,
    host: String,
    path: String,
    query: String,
    fragment: String,
}

impl Url {
    fn hostname(&self) -> String {
        let without_port = match self.host.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
            _ => &self.host,
        };
        without_port.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(without_port).to_owned()
    }

    fn userinfo(&self) -> String {
        match &self.user {
            Some((name, Some(password))) => format!("{}:{}", escape(name, USER), escape(password, USER)),
            Some((name, None)) => escape(name, USER),
            None => String::new(),
        }
    }

    fn pairs(&self) -> impl Iterator<Item = (&'static str, String)> {
        [
            ("scheme", self.scheme.clone()),
            ("host", self.host.clone()),
            ("hostname", self.hostname()),
            ("path", self.path.clone()),
            ("query", self.query.clone()),
            ("opaque", self.opaque.clone()),
            ("fragment", self.fragment.clone()),
            ("userinfo", self.userinfo()),
        ]
        .into_iter()
    }
}

/// Bytes beside letters and digits that stand as they are in a user, a path, a fragment.
const USER: &[u8] = b"-_.~$&+,=;";
const PATH: &[u8] = b"-_.~$&+,/:;=@";
const FRAGMENT: &[u8] = b"-_.~$&+,/:;=?@!()*";

fn escape(text: &str, kept: &[u8]) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || kept.contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

fn unescape(text: &str) -> Result<String, String> {
    let mut out = Vec::new();
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let pair: Vec<u8> = bytes.by_ref().take(2).collect();
        match hex::decode(&pair) {
            Ok(decoded) if decoded.len() == 1 => out.extend(decoded),
            _ => return Err("invalid URL escape".to_owned()),
        }
    }
    Ok(String::from_utf8_lossy(&out).into_owned())
}

fn parse(text: &str) -> Result<Url, String> {
    if text.bytes().any(|byte| byte < 0x20 || byte == 0x7f) {
        return Err("net/url: invalid control character in URL".to_owned());
    }
    let mut url = Url::default();
    let (rest, fragment) = text.split_once('#').unwrap_or((text, ""));
    url.fragment = unescape(fragment)?;
    let mut rest = rest;
    if rest == "*" {
        url.path = "*".to_owned();
        return Ok(url);
    }
    if let Some((scheme, after)) = rest.split_once(':') {
        let starts_right = scheme.starts_with(|letter: char| letter.is_ascii_alphabetic());
        if scheme.is_empty() {
            return Err("missing protocol scheme".to_owned());
        }
        if starts_right && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte)) {
            url.scheme = scheme.to_ascii_lowercase();
            rest = after;
        }
    }
    if let Some((before, query)) = rest.split_once('?') {
        url.query = query.to_owned();
        rest = before;
    }
    if !rest.starts_with('/') {
        if !url.scheme.is_empty() {
            url.opaque = rest.to_owned();
            return Ok(url);
        }
        if rest.split('/').next().is_some_and(|first| first.contains(':')) {
            return Err("first path segment in URL cannot contain colon".to_owned());
        }
    }
    if let Some(after) = rest.strip_prefix("//").filter(|_| !url.scheme.is_empty() || !rest.starts_with("///")) {
        let (authority, path) = after.split_at(after.find('/').unwrap_or(after.len()));
        rest = path;
        read_authority(&mut url, authority)?;
    }
    url.path = unescape(rest)?;
    Ok(url)
}

fn read_authority(url: &mut Url, authority: &str) -> Result<(), String> {
    let host = match authority.rsplit_once('@') {
        None => authority,
        Some((user, host)) => {
            let is_valid = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:~!$&'()*+,;=%@".contains(&byte);
            if !user.bytes().all(is_valid) {
                return Err("net/url: invalid userinfo".to_owned());
            }
            url.user = Some(match user.split_once(':') {
                Some((name, password)) => (unescape(name)?, Some(unescape(password)?)),
                None => (unescape(user)?, None),
            });
            host
        }
    };
    let port = match host.rfind(']') {
        Some(end) => host.get(end.saturating_add(1)..).unwrap_or_default(),
        None if host.starts_with('[') => return Err("missing ']' in host".to_owned()),
        None => host.find(':').and_then(|at| host.get(at..)).unwrap_or_default(),
    };
    let is_port =
        port.is_empty() || port.strip_prefix(':').is_some_and(|port| port.bytes().all(|byte| byte.is_ascii_digit()));
    if !is_port {
        return Err(format!("invalid port {} after host", crate::format::quote(port.as_bytes())));
    }
    if host.contains([' ', '"', '<', '>', '\\', '^', '`', '{', '|', '}']) {
        return Err("invalid character in host name".to_owned());
    }
    url.host = unescape(host)?;
    Ok(())
}

fn join(call: &mut Call<'_>) -> Returned {
    let map = call.map(0);
    let part = |name: &str| match map.get(name) {
        None => Ok(String::new()),
        Some(Value::Text(text)) => Ok(text.expose_str().into_owned()),
        Some(other) => {
            Err(format!("unable to parse {name} key, must be of type string, but {} found", other.type_name()))
        }
    };
    let url = Url {
        scheme: part("scheme")?,
        host: part("host")?,
        path: part("path")?,
        query: part("query")?,
        opaque: part("opaque")?,
        fragment: part("fragment")?,
        user: match part("userinfo")? {
            user if user.is_empty() => None,
            user => {
                let parsed = parse(&format!("proto://{user}@host"));
                parsed.map_err(|what| format!("unable to parse userinfo in dict: {what}"))?.user
            }
        },
    };
    text(write(&url))
}

fn write(url: &Url) -> String {
    let mut out = String::new();
    if !url.scheme.is_empty() {
        out.push_str(&format!("{}:", url.scheme));
    }
    if url.opaque.is_empty() {
        let has_authority = !url.scheme.is_empty() || !url.host.is_empty() || url.user.is_some();
        if has_authority && (!url.host.is_empty() || !url.path.is_empty() || url.user.is_some()) {
            if !url.host.is_empty() || url.user.is_some() || url.path.starts_with('/') {
                out.push_str("//");
            }
            if url.user.is_some() {
                out.push_str(&format!("{}@", url.userinfo()));
            }
            out.push_str(&escape(&url.host, b"-_.~!$&'()*+,;=:[]<>\""));
        }
        let path = escape(&url.path, PATH);
        if !path.is_empty() && !path.starts_with('/') && !url.host.is_empty() {
            out.push('/');
        }
        if out.is_empty() && path.split('/').next().is_some_and(|first| first.contains(':')) {
            out.push_str("./");
        }
        out.push_str(&path);
    } else {
        out.push_str(&url.opaque);
    }
    if !url.query.is_empty() {
        out.push_str(&format!("?{}", url.query));
    }
    if !url.fragment.is_empty() {
        out.push_str(&format!("#{}", escape(&url.fragment, FRAGMENT)));
    }
    out
}
