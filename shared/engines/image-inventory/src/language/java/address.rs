//! Addresses of repositories: as much of RFC 3986 as is needed to tell whether two are the same, and to put credentials in.

use std::fmt;

/// An address with its parts.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Address {
    scheme: String,
    /// User and password as they stand before the `@`; empty without.
    credentials: String,
    /// Host and port.
    host: String,
    path: String,
    /// Query and fragment, with their marks.
    rest: String,
}

impl Address {
    /// Takes an address apart; `None` when it is none.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        if text.chars().any(|c| c.is_control() || c == ' ') {
            return None;
        }
        let (scheme, after) = text.split_once("://")?;
        let is_scheme = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'));
        let (before, rest) = after.split_at(after.find(['?', '#']).unwrap_or(after.len()));
        let (authority, path) = before.split_at(before.find('/').unwrap_or(before.len()));
        let (credentials, host) = authority.rsplit_once('@').unwrap_or(("", authority));
        (is_scheme && is_host(host)).then(|| Self {
            scheme: scheme.to_ascii_lowercase(),
            credentials: credentials.to_owned(),
            host: host.to_owned(),
            path: path.to_owned(),
            rest: rest.to_owned(),
        })
    }

    /// The same with user and password.
    pub(crate) fn with_credentials(&self, user: &str, password: &str) -> Self {
        Self { credentials: format!("{}:{}", escaped(user), escaped(password)), ..self.clone() }
    }

    pub(crate) fn scheme(&self) -> &str {
        &self.scheme
    }

    /// The host without its port.
    pub(crate) fn host_name(&self) -> &str {
        if let Some(inner) = self.host.strip_prefix('[') {
            return inner.split(']').next().unwrap_or(inner);
        }
        self.host.split(':').next().unwrap_or_default()
    }

    /// What names the repository: no credentials, the host in lower case, the path without what leads nowhere.
    pub(crate) fn key(&self) -> String {
        let mut segments: Vec<&str> = Vec::new();
        for segment in self.path.split('/') {
            match segment {
                "" | "." => {}
                ".." => drop(segments.pop()),
                segment => segments.push(segment),
            }
        }
        let (host, path) = (self.host.to_lowercase(), segments.join("/"));
        format!("{}://{host}/{path}{}", self.scheme, self.rest)
    }
}

/// The whole address, with its credentials: not for logs.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = if self.credentials.is_empty() { "" } else { "@" };
        write!(f, "{}://{}{at}{}{}{}", self.scheme, self.credentials, self.host, self.path, self.rest)
    }
}

/// Without credentials.
impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&Self { credentials: String::new(), ..self.clone() }, f)
    }
}

fn is_host(host: &str) -> bool {
    let (name, port) = match host.strip_prefix('[') {
        Some(inner) => match inner.split_once(']') {
            Some((name, port)) => (name, port),
            None => return false,
        },
        None => host.split_at(host.find(':').unwrap_or(host.len())),
    };
    let port = port.strip_prefix(':').unwrap_or(port);
    !name.contains(['[', ']', '<', '>', '"', '\\']) && port.bytes().all(|byte| byte.is_ascii_digit())
}

/// Everything but unreserved characters by its number.
fn escaped(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_taken_apart() {
        for (text, key, host) in [
            ("https://User:p@Repo.Example//a/./b/../c/", "https://repo.example/a/c", "Repo.Example"),
            ("http://[::1]:8081/m2", "http://[::1]:8081/m2", "::1"),
            ("HTTPS://host", "https://host/", "host"),
            ("file:///tmp/repo", "file:///tmp/repo", ""),
            ("https://h:80/a?b=c", "https://h:80/a?b=c", "h"),
        ] {
            let address = Address::parse(text).unwrap();
            assert_eq!((address.key().as_str(), address.host_name()), (key, host), "{text}");
        }
        for text in ["http://[::1", "central", "http://h:80x/", "1http://h", "http://a b/", "http://a]b/"] {
            assert_eq!(Address::parse(text), None, "{text}");
        }
    }

    #[test]
    fn credentials_are_escaped_and_not_shown() {
        let address = Address::parse("https://old@h/m2").unwrap().with_credentials("me", "p@ss/1");
        assert_eq!(address.to_string(), "https://me:p%40ss%2F1@h/m2");
        assert_eq!(format!("{address:?}"), "https://h/m2");
    }
}
