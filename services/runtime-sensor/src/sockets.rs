//! What earlier events told of a socket: who serves, and whom it last talked to.

use std::collections::HashMap;
use std::net::IpAddr;

use crate::enrich::Address;
use crate::facts::SocketFacts;
use crate::hash::ByNumber;

/// Sockets by inode, bounded: the kernel gives inodes out anew, and so an old entry only costs room.
#[derive(Debug, Default)]
pub(crate) struct Sockets {
    by_inode: HashMap<u64, Socket, ByNumber>,
    /// Sockets that were forgotten for want of room.
    pub(crate) evicted: u64,
}

#[derive(Debug, Default)]
struct Socket {
    is_server: bool,
    last: Option<(IpAddr, u16)>,
}

/// What is known of the socket of an event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) is_server: bool,
    pub(crate) is_name_changed: bool,
}

impl Sockets {
    /// Whether the process that has a socket is its server, as far as is known.
    pub(crate) fn is_server(&self, inode: u64) -> bool {
        self.by_inode.get(&inode).is_some_and(|socket| socket.is_server)
    }

    /// Takes in an event about a socket.
    pub(crate) fn see(&mut self, call: &str, facts: &SocketFacts, address: Option<&Address>) -> Seen {
        if self.by_inode.len() >= MAX && !self.by_inode.contains_key(&facts.inode) {
            self.evicted = self.evicted.saturating_add(self.by_inode.len() as u64);
            self.by_inode.clear();
        }
        let socket = self.by_inode.entry(facts.inode).or_default();
        match call {
            "accept" | "accept4" | "listen" => socket.is_server = true,
            "connect" => socket.is_server = false,
            // Whoever is spoken to before it speaks serves.
            "recvfrom" | "recvmsg" if socket.last.is_none() => socket.is_server = true,
            _ => {}
        }
        let now = match address {
            Some(Address::Inet(address, port)) => Some((*address, *port)),
            _ => facts.remote,
        };
        let is_name_changed = now.is_some() && now != socket.last;
        if now.is_some() {
            socket.last = now;
        }
        Seen { is_server: socket.is_server, is_name_changed }
    }
}

const MAX: usize = 65_536;

#[cfg(test)]
mod tests {
    use super::*;

    fn udp(inode: u64) -> SocketFacts {
        let mut bytes = inode.to_le_bytes().to_vec();
        for number in [2_u16, 2, 17, 7, 5_000, 0] {
            bytes.extend(number.to_le_bytes());
        }
        bytes.extend([0; 36]);
        SocketFacts::parse(&bytes).unwrap()
    }

    fn to(last: u8) -> Address {
        Address::Inet(IpAddr::from([192, 0, 2, last]), 53)
    }

    #[test]
    fn the_first_datagram_to_each_address_changes_the_name() {
        let mut sockets = Sockets::default();
        let mut sent = |inode, last| sockets.see("sendto", &udp(inode), Some(&to(last))).is_name_changed;
        assert_eq!([sent(1, 1), sent(1, 1), sent(1, 2), sent(2, 2), sent(2, 2)], [true, false, true, true, false]);
    }

    #[test]
    fn who_receives_first_serves() {
        let mut sockets = Sockets::default();
        assert!(sockets.see("recvfrom", &udp(1), Some(&to(1))).is_server);
        assert!(sockets.see("sendto", &udp(1), Some(&to(1))).is_server);
        assert!(!sockets.see("sendto", &udp(2), Some(&to(1))).is_server);
        assert!(!sockets.see("recvfrom", &udp(2), Some(&to(1))).is_server);
    }

    #[test]
    fn the_table_is_bounded() {
        let mut sockets = Sockets::default();
        for inode in 0..=MAX as u64 {
            sockets.see("sendto", &udp(inode), None);
        }
        assert_eq!((sockets.by_inode.len(), sockets.evicted), (1, MAX as u64));
    }
}
