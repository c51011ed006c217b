//! Kyverno's functions on image references and addresses.

use std::net::IpAddr;

use super::{Arguments, Function, Outcome, TEXT, boolean, function};

pub(super) const FUNCTIONS: &[Function] =
    &[function("image_normalize", &[TEXT], normalize), function("is_external_url", &[TEXT], is_external)];

fn normalize<'a>(arguments: Arguments<'_, 'a>) -> Outcome<'a> {
    let image = arguments.text(0);
    let named = |host: &str| host.contains(['.', ':']) || host == "localhost" || host.chars().any(char::is_uppercase);
    let full = match image.split_once('/') {
        Some((host, _)) if named(host) => image.to_owned(),
        _ => format!("{}/{image}", arguments.evaluation.context.environment.default_registry()),
    };
    let (name, digest) = full.split_once('@').map_or((full.as_str(), None), |(name, digest)| (name, Some(digest)));
    let last = name.rsplit('/').next().unwrap_or_default();
    let valid = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-/:".contains(c);
    let path = name.split_once('/').map_or(name, |(_, path)| path);
    let path = path.rsplit_once(':').filter(|_| last.contains(':')).map_or(path, |(path, _)| path);
    if path.is_empty() || path.ends_with('/') || !path.chars().all(valid) {
        return Err(arguments.fail(format!("bad image: {full}: invalid reference format")));
    }
    match digest {
        Some(digest) => {
            let bare = if last.contains(':') { name.rsplit_once(':').map_or(name, |(bare, _)| bare) } else { name };
            arguments.produce(format!("{bare}@{digest}"))
        }
        None if last.contains(':') => arguments.produce(name),
        None => arguments.produce(format!("{name}:latest")),
    }
}

fn is_external<'a>(arguments: Arguments<'_, 'a>) -> Outcome<'a> {
    let host = host_of(arguments.text(0));
    if let Ok(address) = host.parse::<IpAddr>() {
        return boolean(!is_internal(address));
    }
    match arguments.evaluation.context.environment.addresses_of(host) {
        Some(addresses) if addresses.is_empty() => Err(arguments.fail(format!("lookup {host}: no such host"))),
        Some(addresses) => boolean(!addresses.into_iter().any(is_internal)),
        None => Err(arguments.unavailable("the addresses of the host")),
    }
}

/// The host part of a URL, without port, user and brackets.
fn host_of(url: &str) -> &str {
    let rest = match url.split_once("//") {
        Some((_, rest)) => rest,
        None => return "",
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    }
}

fn is_internal(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_loopback() || address.is_private(),
        IpAddr::V6(address) => {
            let mapped = address.to_ipv4_mapped().is_some_and(|address| address.is_loopback() || address.is_private());
            address.is_loopback() || mapped || (address.segments().first().copied().unwrap_or(0) & 0xfe00) == 0xfc00
        }
    }
}
