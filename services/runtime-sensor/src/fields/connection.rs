//! Fields of sockets: both ends of a connection, and which of them serves.

use std::net::IpAddr;

use runtime_rules::{FieldId, Value};

use super::Asked;
use crate::enrich::{Address, Enriched};
use crate::names;

type End = (IpAddr, u16);

impl Enriched<'_> {
    /// The other end: the one that the call names, else the one that the socket is connected to. Of a connection that is made the
    /// kernel's word counts: the process may have changed what it asked for.
    pub(crate) fn remote(&self) -> Option<End> {
        if self.is_bound_only() {
            return None;
        }
        if self.name == "connect"
            && let Some(remote) = self.socket.and_then(|socket| socket.remote)
        {
            return Some(remote);
        }
        match self.address {
            Some(Address::Inet(address, port)) => Some((address, port)),
            _ => self.socket.and_then(|socket| socket.remote),
        }
    }

    fn local(&self) -> Option<End> {
        match (&self.address, self.is_bound_only()) {
            (Some(Address::Inet(address, port)), true) => Some((*address, *port)),
            // A socket that has no port yet has no address either.
            _ => self.socket.and_then(|socket| socket.local).filter(|(_, port)| *port != 0 || self.name != "socket"),
        }
    }

    /// A socket that waits has one end.
    fn is_bound_only(&self) -> bool {
        matches!(self.name, "bind" | "listen")
    }

    fn client(&self) -> Option<End> {
        if self.is_server { self.remote() } else { self.local() }
    }

    fn server(&self) -> Option<End> {
        if self.is_server || self.is_bound_only() { self.local() } else { self.remote() }
    }

    /// `client->server`, the one end of a socket that waits, or the name of a local socket.
    pub(crate) fn connection(&self) -> Option<String> {
        match (self.client(), self.server()) {
            (Some(client), Some(server)) if !self.is_bound_only() => {
                Some(format!("{}:{}->{}:{}", client.0, client.1, server.0, server.1))
            }
            (_, Some(end)) | (Some(end), None) => Some(format!("{}:{}", end.0, end.1)),
            (None, None) => self.unix_name(),
        }
    }

    fn unix_name(&self) -> Option<String> {
        if let Some(Address::Unix(name)) = &self.address {
            return Some(name.clone());
        }
        match Address::parse(self.raw.unix_name?)? {
            Address::Unix(name) => Some(name),
            Address::Inet(..) => None,
        }
    }

    pub(super) fn of_connection(&self, field: &Asked<'_>) -> Option<Value<'_>> {
        let address = |end: Option<End>| end.map(|(address, _)| Value::Address(address));
        let port = |end: Option<End>| end.map(|(_, port)| Value::Number(port.into()));
        let both = |one: Option<Value<'static>>, other: Option<Value<'static>>| {
            let ends: Vec<_> = one.into_iter().chain(other).collect();
            (!ends.is_empty()).then_some(Value::Any(ends))
        };
        match field.id {
            FieldId::FdName => self.connection().map(Value::owned),
            FieldId::FdIp | FieldId::FdNet => both(address(self.client()), address(self.server())),
            FieldId::FdPort => both(port(self.client()), port(self.server())),
            FieldId::FdCip | FieldId::FdCnet => address(self.client()),
            FieldId::FdSip | FieldId::FdSnet => address(self.server()),
            FieldId::FdLip | FieldId::FdLnet => address(self.local()),
            FieldId::FdRip | FieldId::FdRnet => address(self.remote()),
            FieldId::FdCipName => self.names(self.client()?),
            FieldId::FdSipName => self.names(self.server()?),
            FieldId::FdLipName => self.names(self.local()?),
            FieldId::FdRipName => self.names(self.remote()?),
            FieldId::FdCport => port(self.client()),
            FieldId::FdSport => port(self.server()),
            FieldId::FdLport => port(self.local()),
            FieldId::FdRport => port(self.remote()),
            _ => self.of_socket(field),
        }
    }

    /// The names of an address, of those that rules ask for.
    fn names(&self, (address, _): End) -> Option<Value<'_>> {
        let mut names = self.addresses.names(address);
        match names.len() {
            0 => None,
            1 => names.pop().map(Value::owned),
            _ => Some(Value::Any(names.into_iter().map(Value::owned).collect())),
        }
    }

    fn of_socket(&self, field: &Asked<'_>) -> Option<Value<'_>> {
        let family = self.family()?;
        let is_internet = matches!(family, Family::V4 | Family::V6);
        Some(match field.id {
            FieldId::FdTypechar => Value::text(match family {
                Family::V4 => "4",
                Family::V6 => "6",
                Family::Unix => "u",
                Family::Netlink => "n",
                Family::Packet => "k",
            }),
            FieldId::FdType => Value::text(match family {
                Family::V4 => "ipv4",
                Family::V6 => "ipv6",
                Family::Unix => "unix",
                Family::Netlink => "netlink",
                Family::Packet => "packet",
            }),
            FieldId::FdSockfamily if family == Family::Unix => Value::text("unix"),
            FieldId::FdSockfamily if is_internet => Value::text("ip"),
            FieldId::FdL4proto if is_internet => Value::text(names::protocol(self.socket?.protocol)),
            FieldId::FdIsServer => Value::Boolean(self.is_server || self.is_bound_only()),
            FieldId::FdConnected => Value::Boolean(self.socket.is_some_and(|socket| socket.is_connected())),
            FieldId::FdNameChanged => Value::Boolean(self.is_name_changed),
            _ => return None,
        })
    }

    fn family(&self) -> Option<Family> {
        match self.remote().or_else(|| self.local()) {
            Some((IpAddr::V4(_), _)) => Some(Family::V4),
            Some((IpAddr::V6(_), _)) => Some(Family::V6),
            None if matches!(self.address, Some(Address::Unix(_))) => Some(Family::Unix),
            None => match self.socket?.family {
                AF_UNIX => Some(Family::Unix),
                AF_INET => Some(Family::V4),
                AF_INET6 => Some(Family::V6),
                AF_NETLINK => Some(Family::Netlink),
                AF_PACKET => Some(Family::Packet),
                _ => None,
            },
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Family {
    V4,
    V6,
    Unix,
    Netlink,
    Packet,
}

const AF_UNIX: u16 = 1;
const AF_INET: u16 = 2;
const AF_INET6: u16 = 10;
const AF_NETLINK: u16 = 16;
const AF_PACKET: u16 = 17;
