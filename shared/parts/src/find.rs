//! Where the programs are: in the tools folder of the user's cache, else on the path.

use std::path::{Path, PathBuf};

/// A program that biotope starts but does not contain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tool {
    /// nats-server 2.11 or later.
    NatsServer,
    /// OpenBao, server and command in one.
    OpenBao,
    /// The OCI registry of the distribution project.
    Registry,
    /// The container runtime.
    Runc,
    /// A static busybox.
    Busybox,
    /// The store of a Kubernetes API server.
    Etcd,
    /// The Kubernetes API server.
    KubeApiserver,
    /// The command of Kubernetes.
    Kubectl,
    /// The node agent of Kubernetes.
    Kubelet,
    /// The controllers of Kubernetes.
    KubeControllerManager,
    /// The scheduler of Kubernetes.
    KubeScheduler,
    /// The services' network of Kubernetes.
    KubeProxy,
    /// The container runtime with the CRI interface.
    Containerd,
    /// Its bare command.
    Ctr,
    /// The package manager of Kubernetes.
    Helm,
    /// A server that speaks as Amazon's do.
    MotoServer,
}

impl Tool {
    /// What the demo starts.
    pub const ALL: [Self; 5] = [Self::NatsServer, Self::OpenBao, Self::Registry, Self::Runc, Self::Busybox];

    /// Name of the program.
    #[must_use]
    pub fn program(self) -> &'static str {
        match self {
            Self::NatsServer => "nats-server",
            Self::OpenBao => "bao",
            Self::Registry => "docker-registry",
            Self::Runc => "runc",
            Self::Busybox => "busybox",
            Self::Etcd => "etcd",
            Self::KubeApiserver => "kube-apiserver",
            Self::Kubectl => "kubectl",
            Self::Kubelet => "kubelet",
            Self::KubeControllerManager => "kube-controller-manager",
            Self::KubeScheduler => "kube-scheduler",
            Self::KubeProxy => "kube-proxy",
            Self::Containerd => "containerd",
            Self::Ctr => "ctr",
            Self::Helm => "helm",
            Self::MotoServer => "moto_server",
        }
    }

    /// What a person does to get it.
    #[must_use]
    pub fn remedy(self) -> &'static str {
        match self {
            Self::NatsServer => "run `make tools`, or install nats-server 2.11 or later",
            Self::OpenBao => "run `make tools`, or install OpenBao",
            Self::Registry => "run `make tools`, or apt-get install docker-registry",
            Self::Runc => "run `make tools`, or apt-get install runc",
            Self::Busybox => "run `make tools`, or apt-get install busybox-static",
            Self::MotoServer => "run `make tools`, or pip install 'moto[server]'",
            Self::Etcd
            | Self::KubeApiserver
            | Self::Kubectl
            | Self::Kubelet
            | Self::KubeControllerManager
            | Self::KubeScheduler
            | Self::KubeProxy
            | Self::Containerd
            | Self::Ctr
            | Self::Helm => "run `make tools`, which builds it from its Go module",
        }
    }
}

/// Finds a program.
///
/// # Errors
/// When it is nowhere; says where it was looked for and what to do.
pub fn find(tool: Tool) -> Result<PathBuf, MissingTool> {
    let cached = tools_folder().join("bin").join(tool.program());
    let path = std::env::var_os("PATH").unwrap_or_default();
    let usual = ["/usr/sbin", "/usr/local/sbin", "/sbin"].map(PathBuf::from);
    let on_path = std::env::split_paths(&path).chain(usual).map(|folder| folder.join(tool.program()));
    std::iter::once(cached).chain(on_path).find(|path| is_program(path)).ok_or(MissingTool { tool })
}

/// `${XDG_CACHE_HOME:-$HOME/.cache}/biotope/tools`.
#[must_use]
pub fn tools_folder() -> PathBuf {
    let home = || PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cache");
    let cache = std::env::var_os("XDG_CACHE_HOME").filter(|path| !path.is_empty()).map_or_else(home, PathBuf::from);
    cache.join("biotope/tools")
}

fn is_program(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    path.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

/// A program is not there.
#[derive(Debug, thiserror::Error)]
#[error("{} is not installed: {}", tool.program(), tool.remedy())]
pub struct MissingTool {
    /// The tool.
    pub tool: Tool,
}
