//! The real parts for tests: started with a folder of their own, or a loud skip.

use std::fmt::Display;

use tempfile::TempDir;

pub use parts::{
    BUSYBOX_IMAGE, Cluster, ImageFile, KubeApiserver, Moto, Nats, OpenBao, Process, Registry, Tool, docker_archive,
    find, free_port, program_archive, tools_folder, wait_until,
};

use crate::require;

/// A part with the folder that it lives in; both go when it is dropped.
#[derive(Debug)]
pub struct Part<T> {
    part: T,
    // Dropped after the part, for fields are dropped in order.
    folder: TempDir,
}

impl<T> Part<T> {
    /// The folder, for what the test adds.
    #[must_use]
    pub fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }
}

impl<T> std::ops::Deref for Part<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.part
    }
}

impl<T> std::ops::DerefMut for Part<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.part
    }
}

/// A nats-server with JetStream, or a skip.
#[must_use]
pub fn nats() -> Option<Part<Nats>> {
    start("nats", |folder| Nats::start(folder.path()))
}

/// A nats-server without JetStream, or a skip.
#[must_use]
pub fn nats_without_jetstream() -> Option<Part<Nats>> {
    start("nats", |folder| Nats::start_without_jetstream(folder.path()))
}

/// A nats-server with JetStream and more configuration, which is made from its folder; or a skip.
#[must_use]
pub fn nats_configured(configuration: impl FnOnce(&std::path::Path) -> String) -> Option<Part<Nats>> {
    start("nats", |folder| Nats::start_configured(folder.path(), &configuration(folder.path())))
}

/// An OpenBao server, or a skip. The root token is `root`.
#[must_use]
pub fn openbao() -> Option<Part<OpenBao>> {
    start("openbao", |folder| OpenBao::start(folder.path(), "root"))
}

/// An OpenBao server with more configuration, which is made from its folder; or a skip.
#[must_use]
pub fn openbao_configured(configuration: impl FnOnce(&std::path::Path) -> String) -> Option<Part<OpenBao>> {
    start("openbao", |folder| OpenBao::start_configured(folder.path(), "root", &configuration(folder.path())))
}

/// A server that answers as Amazon's services do, or a skip.
#[must_use]
pub fn moto() -> Option<Part<Moto>> {
    start("moto", |folder| Moto::start(folder.path()))
}

/// An OCI registry, or a skip.
#[must_use]
pub fn registry() -> Option<Part<Registry>> {
    start("registry", |folder| Registry::start(folder.path()))
}

/// A registry that lets only users of an htpasswd file in, or a skip.
#[must_use]
pub fn registry_for_users(htpasswd: &str) -> Option<Part<Registry>> {
    start("registry", |folder| Registry::start_for_users(folder.path(), htpasswd))
}

/// A kube-apiserver without nodes, or a skip.
#[must_use]
pub fn kube_apiserver() -> Option<Part<KubeApiserver>> {
    start("kubernetes", |folder| KubeApiserver::start(folder.path()))
}

/// A whole one-node cluster with real pods, or a skip. Waits while another test of this machine has one: share it within a process.
#[must_use]
pub fn cluster() -> Option<Part<Cluster>> {
    start("cluster", |folder| Cluster::start(folder.path()))
}

#[expect(clippy::expect_used, reason = "a test without a temporary folder cannot run")]
fn start<T, E: Display>(name: &str, start: impl FnOnce(&TempDir) -> Result<T, E>) -> Option<Part<T>> {
    let folder = TempDir::new().expect("a temporary folder can be made");
    match start(&folder) {
        Ok(part) => Some(Part { part, folder }),
        Err(error) => {
            require::skip(name, &error.to_string());
            None
        }
    }
}
