//! Keys and certificates of a test cluster: an authority of its own, a certificate for the API server, a key for service accounts.

use std::fs;
use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};

use crate::servers::StartError;

/// The files of a cluster's keys.
#[derive(Clone, Debug)]
pub(crate) struct Pki {
    pub(crate) authority: PathBuf,
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
    pub(crate) accounts_key: PathBuf,
    pub(crate) accounts_public: PathBuf,
}

impl Pki {
    /// Makes new keys in `folder`; the server's certificate is for `names`, addresses included.
    pub(crate) fn make(folder: &Path, names: &[String]) -> Result<Self, StartError> {
        let wrong = |error: rcgen::Error| std::io::Error::other(error.to_string());
        fs::create_dir_all(folder)?;
        let files = Self {
            authority: folder.join("ca.crt"),
            certificate: folder.join("server.crt"),
            key: folder.join("server.key"),
            accounts_key: folder.join("accounts.key"),
            accounts_public: folder.join("accounts.pub"),
        };
        let authority_key = KeyPair::generate().map_err(wrong)?;
        let mut authority = CertificateParams::default();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        authority.distinguished_name.push(DnType::CommonName, "cluster authority");
        let certificate = authority.self_signed(&authority_key).map_err(wrong)?;
        fs::write(&files.authority, certificate.pem())?;
        let server_key = KeyPair::generate().map_err(wrong)?;
        let mut server = CertificateParams::new(names.to_vec()).map_err(wrong)?;
        server.distinguished_name.push(DnType::CommonName, "kube-apiserver");
        let issuer = Issuer::new(authority, authority_key);
        fs::write(&files.certificate, server.signed_by(&server_key, &issuer).map_err(wrong)?.pem())?;
        fs::write(&files.key, server_key.serialize_pem())?;
        let accounts = KeyPair::generate().map_err(wrong)?;
        fs::write(&files.accounts_key, accounts.serialize_pem())?;
        fs::write(&files.accounts_public, accounts.public_key_pem())?;
        Ok(files)
    }
}
