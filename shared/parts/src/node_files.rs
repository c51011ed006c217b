//! The configuration files of a node: containerd, the pods' network, kubelet, kube-proxy.

use std::fs;
use std::path::Path;

/// Writes all of them below `folder`.
pub(crate) fn write(folder: &Path, runc: &Path, gateway: &str) -> std::io::Result<()> {
    for name in ["ctr", "cni", "kubelet", "pods"] {
        fs::create_dir_all(folder.join(name))?;
    }
    let at = folder.display();
    fs::write(folder.join("ctr/config.toml"), containerd(&at.to_string(), &runc.display().to_string()))?;
    fs::write(folder.join("cni/10-biotope.conflist"), network(&at.to_string()))?;
    fs::write(folder.join("resolv.conf"), "nameserver 127.0.0.1\n")?;
    fs::write(folder.join("kubelet/config.yaml"), kubelet(&at.to_string()))?;
    fs::write(folder.join("proxy.yaml"), proxy(&at.to_string(), gateway))
}

/// No rights beyond those of a container are asked of the machine: no score, no profile, no systemd.
fn containerd(at: &str, runc: &str) -> String {
    format!(
        r#"version = 3
root = "{at}/ctr/root"
state = "{at}/ctr/state"
[grpc]
  address = "{at}/ctr/sock"
[ttrpc]
  address = "{at}/ctr/sock.ttrpc"
[plugins.'io.containerd.cri.v1.images'.pinned_images]
  sandbox = "localhost/pause:1"
[plugins.'io.containerd.cri.v1.images'.registry]
  config_path = "{at}/ctr/certs.d"
[plugins.'io.containerd.cri.v1.runtime']
  restrict_oom_score_adj = true
  disable_apparmor = true
  netns_mounts_under_state_dir = true
  [plugins.'io.containerd.cri.v1.runtime'.cni]
    bin_dirs = ["/usr/lib/cni", "/opt/cni/bin"]
    conf_dir = "{at}/cni"
  [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
      BinaryName = "{runc}"
      SystemdCgroup = false
"#
    )
}

fn network(at: &str) -> String {
    format!(
        r#"{{"cniVersion":"1.0.0","name":"biotope","plugins":[{{"type":"bridge","bridge":"bt0","isGateway":true,"hairpinMode":true,"ipMasq":false,
 "ipam":{{"type":"host-local","ranges":[[{{"subnet":"10.244.0.0/24","rangeStart":"10.244.0.10"}}]],"routes":[{{"dst":"0.0.0.0/0"}}],"dataDir":"{at}/cni/addresses"}}}}]}}
"#
    )
}

/// A kubelet that gets along with control groups of version 1 and with the rights of a container.
fn kubelet(at: &str) -> String {
    format!(
        "apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
failCgroupV1: false
cgroupDriver: cgroupfs
failSwapOn: false
containerRuntimeEndpoint: unix://{at}/ctr/sock
authentication: {{ anonymous: {{ enabled: true }}, webhook: {{ enabled: false }} }}
authorization: {{ mode: AlwaysAllow }}
featureGates: {{ KubeletInUserNamespace: true }}
oomScoreAdj: 0
enforceNodeAllocatable: []
localStorageCapacityIsolation: false
podLogsDir: {at}/pods
evictionHard: {{ memory.available: 100Mi }}
clusterDNS: [10.96.0.10]
clusterDomain: cluster.local
resolvConf: {at}/resolv.conf
imageGCHighThresholdPercent: 100
"
    )
}

fn proxy(at: &str, gateway: &str) -> String {
    format!(
        "apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: iptables
bindAddress: {gateway}
clientConnection: {{ kubeconfig: {at}/kubeconfig.inner }}
hostnameOverride: node-1
conntrack: {{ maxPerCore: 0, min: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s }}
"
    )
}
