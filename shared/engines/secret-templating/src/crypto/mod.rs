//! Keys, certificates and key stores: what sprig's and External Secrets' functions read and write.

pub(crate) mod certificate;
pub(crate) mod chain;
pub(crate) mod issue;
pub(crate) mod jwk;
pub(crate) mod key;
pub(crate) mod pbe;
pub(crate) mod pem;
pub(crate) mod pkcs12;
