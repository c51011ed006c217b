//! The Kubernetes libraries of addresses, networks and URLs.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::{Answer, Function, Invocation, boolean, both, global, int, member, refuse};
use crate::net::{Cidr, Ip, Url};
use crate::value::{Key, Map, Text, Val};

pub(super) const FUNCTIONS: &[Function] = &[
    both("ip", |_, arguments| match arguments {
        [Val::Text(text)] => match Ip::parse(text.as_str()) {
            Ok(ip) => Some(Ok(Val::Ip(ip))),
            Err(what) => refuse(what),
        },
        [Val::Cidr(cidr)] => Some(Ok(Val::Ip(Ip(cidr.address)))),
        _ => None,
    }),
    global("isIP", |_, arguments| match arguments {
        [Val::Text(text)] => boolean(Ip::parse(text.as_str()).is_ok()),
        _ => None,
    }),
    global("ip.isCanonical", |_, arguments| match arguments {
        [Val::Text(text)] => match Ip::parse(text.as_str()) {
            Ok(ip) => boolean(ip.0.to_string() == text.as_str()),
            Err(what) => refuse(what),
        },
        _ => None,
    }),
    member("family", |_, arguments| match arguments {
        [Val::Ip(ip)] => int(if ip.0.is_ipv4() { 4 } else { 6 }),
        _ => None,
    }),
    member("isUnspecified", |_, arguments| on_ip(arguments, |ip| ip.0.is_unspecified())),
    member("isLoopback", |_, arguments| on_ip(arguments, |ip| ip.0.is_loopback())),
    member("isLinkLocalMulticast", |_, arguments| on_ip(arguments, Ip::is_link_local_multicast)),
    member("isLinkLocalUnicast", |_, arguments| on_ip(arguments, Ip::is_link_local_unicast)),
    member("isGlobalUnicast", |_, arguments| on_ip(arguments, Ip::is_global_unicast)),
    global("cidr", |_, arguments| match arguments {
        [Val::Text(text)] => match Cidr::parse(text.as_str()) {
            Ok(cidr) => Some(Ok(Val::Cidr(cidr))),
            Err(what) => refuse(what),
        },
        _ => None,
    }),
    global("isCIDR", |_, arguments| match arguments {
        [Val::Text(text)] => boolean(Cidr::parse(text.as_str()).is_ok()),
        _ => None,
    }),
    member("containsIP", |_, arguments| match arguments {
        [Val::Cidr(cidr), Val::Ip(ip)] => boolean(cidr.contains_ip(ip.0)),
        [Val::Cidr(cidr), Val::Text(text)] => match Ip::parse(text.as_str()) {
            Ok(ip) => boolean(cidr.contains_ip(ip.0)),
            Err(what) => refuse(what),
        },
        _ => None,
    }),
    member("containsCIDR", |_, arguments| match arguments {
        [Val::Cidr(cidr), Val::Cidr(other)] => boolean(cidr.contains(*other)),
        [Val::Cidr(cidr), Val::Text(text)] => match Cidr::parse(text.as_str()) {
            Ok(other) => boolean(cidr.contains(other)),
            Err(what) => refuse(what),
        },
        _ => None,
    }),
    member("masked", |_, arguments| match arguments {
        [Val::Cidr(cidr)] => Some(Ok(Val::Cidr(cidr.masked()))),
        _ => None,
    }),
    member("prefixLength", |_, arguments| match arguments {
        [Val::Cidr(cidr)] => int(i64::from(cidr.prefix)),
        _ => None,
    }),
    global("url", |_, arguments| match arguments {
        [Val::Text(text)] => match Url::parse(text.as_str()) {
            Ok(url) => Some(Ok(Val::Url(Rc::new(url)))),
            Err(what) => refuse(format!("URL parse error during conversion from string: {what}")),
        },
        _ => None,
    }),
    global("isURL", |_, arguments| match arguments {
        [Val::Text(text)] => boolean(Url::parse(text.as_str()).is_ok()),
        _ => None,
    }),
    member("getScheme", |invocation, arguments| on_url(invocation, arguments, |url| url.scheme.clone())),
    member("getHost", |invocation, arguments| on_url(invocation, arguments, |url| url.host.clone())),
    member("getHostname", |invocation, arguments| on_url(invocation, arguments, |url| url.hostname.clone())),
    member("getPort", |invocation, arguments| on_url(invocation, arguments, |url| url.port.clone())),
    member("getEscapedPath", |invocation, arguments| on_url(invocation, arguments, |url| url.path.clone())),
    member("getQuery", query),
];

fn on_ip<'a>(arguments: &[Val<'a>], test: fn(Ip) -> bool) -> Answer<'a> {
    match arguments {
        [Val::Ip(ip)] => boolean(test(*ip)),
        _ => None,
    }
}

fn on_url<'a>(invocation: Invocation<'_, '_, 'a>, arguments: &[Val<'a>], read: fn(&Url) -> String) -> Answer<'a> {
    match arguments {
        [Val::Url(url)] => Some(invocation.evaluation.produce(read(url))),
        _ => None,
    }
}

fn query<'a>(_: Invocation<'_, '_, 'a>, arguments: &[Val<'a>]) -> Answer<'a> {
    let [Val::Url(url)] = arguments else { return None };
    let mut grouped: BTreeMap<&str, Vec<Val<'a>>> = BTreeMap::new();
    for (key, value) in &url.query {
        grouped.entry(key).or_default().push(Val::text(value.as_str()));
    }
    let entry = |(key, values): (&str, Vec<Val<'a>>)| (Key::Text(Text::Shared(Rc::from(key))), Val::list(values));
    Some(Ok(Val::Map(Map::Shared(Rc::new(grouped.into_iter().map(entry).collect())))))
}
