//! What tests need: the corpora of the peers, and the real parts (nats-server, an OCI registry, OpenBao, ...) started on ports of
//! their own and ended by process id. Nothing but tests depends on this crate.

pub mod bbolt;
pub mod corpus;
pub mod parts;
pub mod require;
