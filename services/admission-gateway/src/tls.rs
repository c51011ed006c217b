//! The gateway's own authority: made at the first start, kept in a folder, renewed before it ends.

use std::fs;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};

use crate::config::Config;

/// The files of a usable server certificate.
#[derive(Clone, Debug)]
pub(crate) struct Certificates {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

/// An authority, as PEM.
pub(crate) struct Authority {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

impl Authority {
    /// A new one.
    pub(crate) fn make() -> anyhow::Result<Self> {
        let key = KeyPair::generate()?;
        let certificate = authority_params()?.self_signed(&key)?.pem();
        Ok(Self { certificate, key: key.serialize_pem() })
    }
}

/// Puts an authority where [`load_or_make`] finds it.
pub(crate) fn store_authority(folder: &Path, authority: &Authority) -> anyhow::Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
    write(&folder.join("ca.key"), &authority.key, 0o600)?;
    write(&folder.join("ca.crt"), &authority.certificate, 0o644)
}

/// Finds or makes authority and server certificate. `ca.crt` is what clients trust (the webhook configuration's `caBundle`).
pub(crate) fn load_or_make(config: &Config) -> anyhow::Result<Certificates> {
    let folder = &config.certificates;
    fs::create_dir_all(folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
    let (authority, authority_key) = (folder.join("ca.crt"), folder.join("ca.key"));
    if !authority.exists() || !authority_key.exists() {
        store_authority(folder, &Authority::make()?)?;
        tracing::info!(path = %authority.display(), "certificate authority made");
    }
    let key = KeyPair::from_pem(&fs::read_to_string(&authority_key)?)
        .with_context(|| format!("{} is not a key", authority_key.display()))?;
    let issuer = Issuer::new(authority_params()?, key);
    // The server certificate is made anew at each start: it is cheap, and its names may have changed.
    let (certificate, key_file) = (folder.join("tls.crt"), folder.join("tls.key"));
    let names = ["localhost", "127.0.0.1"].into_iter().map(str::to_owned).chain(config.server_names.iter().cloned());
    let mut params = CertificateParams::new(names.collect::<Vec<_>>())?;
    params.distinguished_name.push(DnType::CommonName, "biotope admission-gateway");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.use_authority_key_identifier_extension = true;
    let key = KeyPair::generate()?;
    write(&key_file, &key.serialize_pem(), 0o600)?;
    write(&certificate, &params.signed_by(&key, &issuer)?.pem(), 0o644)?;
    Ok(Certificates { certificate, key: key_file })
}

fn authority_params() -> anyhow::Result<CertificateParams> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.distinguished_name.push(DnType::CommonName, "biotope admission-gateway authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(params)
}

fn write(path: &Path, text: &str, mode: u32) -> anyhow::Result<()> {
    use std::io::Write as _;
    let temporary = path.with_extension("new");
    // A leftover of a crash would keep its mode.
    if temporary.exists() {
        fs::remove_file(&temporary)?;
    }
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(&temporary)?;
    file.write_all(text.as_bytes())?;
    fs::rename(&temporary, path).with_context(|| format!("cannot write {}", path.display()))
}
