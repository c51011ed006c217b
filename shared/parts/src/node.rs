//! A whole one-node Kubernetes cluster with real pods, in a network namespace of its own.
//!
//! Inside: etcd, API server, controllers, scheduler, kube-proxy, containerd, kubelet, a bridge for pods. From the machine's own
//! namespace the API server is reached over a pair of virtual links. Only one cluster runs on a machine at a time: kubelets clean up
//! each other's control groups. What a killed run left behind is removed by the next start.

use std::fs::{self, File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::apiserver::{common_flags, kubeconfig_text, said, start_etcd, token};
use crate::certificates::Pki;
use crate::find::{Tool, find};
use crate::process::{Process, wait_until};
use crate::servers::{StartError, failed};
use crate::{image, leftovers, node_files};

/// A running cluster. Dropping it ends every pod and process and removes the namespace.
#[derive(Debug)]
pub struct Cluster {
    /// A kubeconfig of an administrator, for clients on this machine.
    pub kubeconfig: PathBuf,
    /// Address of the API server for clients on this machine.
    pub url: String,
    /// The administrator's token.
    pub token: String,
    /// The authority of the API server's certificate (PEM file).
    pub authority: PathBuf,
    /// The CRI socket of containerd.
    pub cri: PathBuf,
    /// The address of this machine as pods and the API server see it.
    pub host_address: String,
    folder: PathBuf,
    /// In the order in which they end.
    processes: Vec<Process>,
    /// Held as long as the cluster lives.
    _lock: File,
}

impl Cluster {
    /// Starts a cluster with its data in `folder`; the node is ready when this returns. Needs root.
    ///
    /// # Errors
    /// When a program is missing, the machine does not allow it, or a part does not come up.
    pub fn start(folder: &Path) -> Result<Self, StartError> {
        fs::create_dir_all(folder)?;
        for tool in NEEDED {
            find(tool)?;
        }
        let lock = lock()?;
        leftovers::remove(NAMESPACE);
        prepare_network()?;
        let pki = Pki::make(
            &folder.join("pki"),
            &[GATEWAY, INSIDE, "127.0.0.1", "10.96.0.1", "kubernetes.default.svc"].map(str::to_owned),
        )?;
        let token = token()?;
        fs::write(folder.join("tokens.csv"), format!("{token},admin,admin,system:masters\n"))?;
        let url = format!("https://{INSIDE}:{API_PORT}");
        let inner = format!("https://{GATEWAY}:{API_PORT}");
        let kubeconfig = folder.join("kubeconfig");
        fs::write(&kubeconfig, kubeconfig_text(&url, &pki.authority, &token))?;
        fs::write(folder.join("kubeconfig.inner"), kubeconfig_text(&inner, &pki.authority, &token))?;
        let mut cluster = Self {
            kubeconfig,
            url,
            token,
            authority: pki.authority.clone(),
            cri: folder.join("ctr/sock"),
            host_address: OUTSIDE.to_owned(),
            folder: folder.to_owned(),
            processes: Vec::new(),
            _lock: lock,
        };
        cluster.start_control(&pki)?;
        cluster.start_node(&pki)?;
        cluster.await_node()?;
        Ok(cluster)
    }

    /// Runs kubectl as the administrator and gives what it printed.
    ///
    /// # Errors
    /// When kubectl cannot be run, or says no.
    pub fn kubectl(&self, arguments: &[&str]) -> Result<String, StartError> {
        let mut command = Command::new(find(Tool::Kubectl)?);
        command.arg("--kubeconfig").arg(&self.kubeconfig).args(arguments);
        said("kubectl", &command.output()?)
    }

    /// Applies manifests given as YAML.
    ///
    /// # Errors
    /// As [`Self::kubectl`].
    pub fn apply(&self, manifests: &str) -> Result<String, StartError> {
        let file = self.folder.join("apply.yaml");
        fs::write(&file, manifests)?;
        self.kubectl(&["apply", "-f", &file.display().to_string()])
    }

    /// Makes an image of one layer from `files` (path inside, content, mode) and gives it to the node under `name`, without any registry.
    ///
    /// # Errors
    /// When containerd refuses it.
    pub fn load_image(
        &self,
        name: &str,
        files: &[image::ImageFile<'_>],
        entrypoint: &[&str],
    ) -> Result<(), StartError> {
        let archive = self.folder.join("image.tar");
        fs::write(&archive, image::docker_archive(name, files, entrypoint))?;
        self.ctr(&["images", "import", &archive.display().to_string()]).map(drop)
    }

    /// Runs containerd's own command in the namespace of Kubernetes.
    ///
    /// # Errors
    /// When it says no.
    pub fn ctr(&self, arguments: &[&str]) -> Result<String, StartError> {
        let mut command = Command::new(find(Tool::Ctr)?);
        command.arg("-a").arg(&self.cri).args(["-n", "k8s.io"]).args(arguments);
        said("ctr", &command.output()?)
    }

    fn start_control(&mut self, pki: &Pki) -> Result<(), StartError> {
        let folder = self.folder.clone();
        let (etcd, etcd_url) = start_etcd(&folder, inside)?;
        self.processes.push(etcd);
        let mut command = Command::new(find(Tool::KubeApiserver)?);
        common_flags(&mut command, &folder, pki, &etcd_url);
        command.args(["--bind-address=0.0.0.0", "--authorization-mode=Node,RBAC", "--allow-privileged=true"]);
        command.arg(format!("--secure-port={API_PORT}")).arg(format!("--advertise-address={GATEWAY}"));
        command.args(["--kubelet-preferred-address-types=InternalIP", "--service-cluster-ip-range=10.96.0.0/16"]);
        self.launch("kube-apiserver", command)?;
        let ready = wait_until(Duration::from_secs(90), || {
            self.kubectl(&["get", "--raw", "/readyz"]).ok().filter(|said| said.contains("ok"))
        });
        if ready.is_none() {
            return Err(self.last_failed());
        }
        let config = folder.join("kubeconfig.inner");
        let mut controllers = Command::new(find(Tool::KubeControllerManager)?);
        controllers.arg("--kubeconfig").arg(&config).arg("--service-account-private-key-file").arg(&pki.accounts_key);
        controllers
            .arg("--root-ca-file")
            .arg(&pki.authority)
            .args(["--leader-elect=false", "--bind-address=127.0.0.1"]);
        self.launch("kube-controller-manager", controllers)?;
        let mut scheduler = Command::new(find(Tool::KubeScheduler)?);
        scheduler.arg("--kubeconfig").arg(&config).args(["--leader-elect=false", "--bind-address=127.0.0.1"]);
        self.launch("kube-scheduler", scheduler)
    }

    fn start_node(&mut self, pki: &Pki) -> Result<(), StartError> {
        let folder = self.folder.clone();
        node_files::write(&folder, &find(Tool::Runc)?, GATEWAY)?;
        let mut containerd = Command::new(find(Tool::Containerd)?);
        containerd.arg("-c").arg(folder.join("ctr/config.toml"));
        // The shim is found beside containerd.
        let programs = find(Tool::Containerd)?.parent().map(Path::to_owned).unwrap_or_default();
        let path = std::env::var_os("PATH").unwrap_or_default().display().to_string();
        containerd.env("PATH", format!("{}:{path}:/usr/sbin:/sbin", programs.display()));
        self.launch("containerd", containerd)?;
        let mut proxy = Command::new(find(Tool::KubeProxy)?);
        proxy.arg("--config").arg(folder.join("proxy.yaml")).env("PATH", format!("{path}:/usr/sbin:/sbin"));
        self.launch("kube-proxy", proxy)?;
        let up = wait_until(Duration::from_secs(30), || self.ctr(&["version"]).ok());
        if up.is_none() {
            return Err(self.last_failed());
        }
        let pause = image::pause(&folder)?;
        self.load_image("localhost/pause:1", &[image::ImageFile::program("pause", &pause)], &["/pause"])?;
        let busybox = fs::read(find(Tool::Busybox)?)?;
        self.load_image(BUSYBOX_IMAGE, &image::busybox(&busybox), &["/bin/busybox"])?;
        let mut kubelet = Command::new(find(Tool::Kubelet)?);
        kubelet.arg("--kubeconfig").arg(folder.join("kubeconfig.inner"));
        kubelet
            .arg("--config")
            .arg(folder.join("kubelet/config.yaml"))
            .arg("--root-dir")
            .arg(folder.join("kubelet/root"));
        kubelet.arg("--cert-dir").arg(pki.authority.with_file_name("kubelet"));
        kubelet
            .args(["--hostname-override", NODE, "--node-ip", GATEWAY])
            .env("PATH", format!("{path}:/usr/sbin:/sbin"));
        self.launch("kubelet", kubelet)
    }

    fn await_node(&mut self) -> Result<(), StartError> {
        let ready = wait_until(Duration::from_secs(120), || {
            let nodes = self.kubectl(&["get", "nodes", "--no-headers"]).ok()?;
            let account = self.kubectl(&["get", "serviceaccount", "default"]).is_ok();
            (nodes.contains(" Ready") && account).then_some(())
        });
        ready.ok_or_else(|| self.last_failed())
    }

    fn launch(&mut self, name: &str, command: Command) -> Result<(), StartError> {
        let log = self.folder.join(format!("{name}.log"));
        self.processes.push(Process::start(name, &mut inside(command), &log)?);
        Ok(())
    }

    /// The process that ended, else the one that was started last.
    fn last_failed(&mut self) -> StartError {
        let ended = self.processes.iter_mut().position(|process| process.ended().is_some());
        let at = ended.unwrap_or(self.processes.len().saturating_sub(1));
        match self.processes.get(at) {
            Some(process) => failed(process),
            None => StartError::NotUp { name: "the cluster".to_owned(), log: String::new() },
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // What cannot be deleted in good order is ended with its processes below. Pods go by themselves: deleted with their
        // controllers they would have half a minute of grace.
        let controllers = "deployments,statefulsets,daemonsets,jobs,replicasets";
        let _ = self.kubectl(&["delete", controllers, "--all", "-A", "--cascade=orphan", "--wait=false"]);
        let _ = self.kubectl(&["delete", "pods", "--all", "-A", "--grace-period=1", "--wait=false"]);
        wait_until(Duration::from_secs(20), || {
            self.ctr(&["tasks", "ls", "-q"]).ok().filter(|tasks| tasks.trim().is_empty())
        });
        for task in self.ctr(&["tasks", "ls", "-q"]).unwrap_or_default().split_whitespace() {
            let _ = self.ctr(&["tasks", "kill", "--all", "--signal", "SIGKILL", task]);
        }
        while let Some(mut process) = self.processes.pop() {
            process.stop(Duration::from_secs(5));
        }
        leftovers::remove(NAMESPACE);
        leftovers::unmount_under(&self.folder);
    }
}

/// Name of the busybox image that the node has.
pub const BUSYBOX_IMAGE: &str = "localhost/busybox:1";

const NEEDED: [Tool; 11] = [
    Tool::Etcd,
    Tool::KubeApiserver,
    Tool::Kubectl,
    Tool::Kubelet,
    Tool::KubeControllerManager,
    Tool::KubeScheduler,
    Tool::KubeProxy,
    Tool::Containerd,
    Tool::Ctr,
    Tool::Runc,
    Tool::Busybox,
];
const NAMESPACE: &str = "biotope-cluster";
const NODE: &str = "node-1";
/// The bridge of the pods.
const GATEWAY: &str = "10.244.0.1";
const PODS: &str = "10.244.0.0/24";
/// The two ends of the link between the namespaces.
const INSIDE: &str = "169.254.77.2";
const OUTSIDE: &str = "169.254.77.1";
const API_PORT: u16 = 6443;

/// The command, run inside the cluster's network namespace. `ip netns exec` would hide the control groups from the kubelet.
fn inside(command: Command) -> Command {
    let mut inner = Command::new("nsenter");
    inner.arg(format!("--net=/run/netns/{NAMESPACE}")).arg("--").arg(command.get_program()).args(command.get_args());
    for (key, value) in command.get_envs() {
        if let Some(value) = value {
            inner.env(key, value);
        }
    }
    inner
}

/// Waits for other clusters on this machine to end.
fn lock() -> Result<File, StartError> {
    let file = OpenOptions::new().create(true).append(true).open(std::env::temp_dir().join("biotope-cluster.lock"))?;
    file.lock()?;
    Ok(file)
}

fn prepare_network() -> Result<(), StartError> {
    let outside = format!("{OUTSIDE}/30");
    let within = format!("{INSIDE}/30");
    let pods = format!("{GATEWAY}/24");
    run("ip", &["netns", "add", NAMESPACE])?;
    run("ip", &["link", "add", "biotope-c0", "type", "veth", "peer", "name", "host0", "netns", NAMESPACE])?;
    run("ip", &["addr", "add", &outside, "dev", "biotope-c0"])?;
    run("ip", &["link", "set", "biotope-c0", "up"])?;
    for arguments in [
        &["link", "set", "lo", "up"][..],
        &["addr", "add", &within, "dev", "host0"],
        &["link", "set", "host0", "up"],
        &["link", "add", "bt0", "type", "bridge"],
        &["addr", "add", &pods, "dev", "bt0"],
        &["link", "set", "bt0", "up"],
        &["route", "add", "default", "via", OUTSIDE],
    ] {
        let mut command = Command::new("ip");
        command.args(arguments);
        said("ip", &inside(command).output()?)?;
    }
    // Pods reach this machine, and it them: servers of a test are there.
    run("ip", &["route", "add", PODS, "via", INSIDE, "dev", "biotope-c0"])?;
    for setting in ["net.ipv4.ip_forward=1", "net.ipv4.conf.all.route_localnet=1"] {
        let mut command = Command::new("sysctl");
        command.args(["-qw", setting]);
        said("sysctl", &inside(command).output()?)?;
    }
    Ok(())
}

fn run(program: &str, arguments: &[&str]) -> Result<(), StartError> {
    said(program, &Command::new(program).args(arguments).output()?).map(drop)
}
