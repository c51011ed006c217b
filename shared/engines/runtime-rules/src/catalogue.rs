//! Every field that a condition or an output may name, with its type.

/// How values of a field compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FieldType {
    /// Text, compared as bytes.
    Text,
    /// Whole number.
    Number,
    /// Number with a fraction: ratios and loads. Only whole values come, for nothing here measures the others.
    Decimal,
    /// `true` or `false`.
    Boolean,
    /// An address; a network on the right side contains it.
    Address,
    /// A file path: text.
    Path,
    /// A list of texts.
    TextList,
}

impl FieldType {
    /// One word for lists of fields.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Number => "number",
            Self::Decimal => "decimal",
            Self::Boolean => "boolean",
            Self::Address => "address",
            Self::Path => "path",
            Self::TextList => "list",
        }
    }

    /// Whether values compare as bytes.
    pub(crate) fn is_text(self) -> bool {
        matches!(self, Self::Text | Self::Path | Self::TextList)
    }
}

/// Whether a field takes an argument in brackets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bracket {
    /// It takes none.
    No,
    /// It may have one.
    May,
    /// It must have one.
    Must,
}

macro_rules! fields {
    ($($id:ident = $name:literal $kind:ident $argument:ident,)*) => {
        /// A field of the catalogue.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[expect(missing_docs, reason = "each is its name")]
        pub enum FieldId { $($id,)* }

        impl FieldId {
            /// Every field.
            pub const ALL: &'static [Self] = &[$(Self::$id,)*];

            /// As conditions name it.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$id => $name,)* }
            }

            /// How its values compare.
            #[must_use]
            pub fn field_type(self) -> FieldType {
                match self { $(Self::$id => FieldType::$kind,)* }
            }

            /// Whether it takes an argument in brackets.
            #[must_use]
            pub fn bracket(self) -> Bracket {
                match self { $(Self::$id => Bracket::$argument,)* }
            }
        }
    };
}

impl FieldId {
    /// Finds a field by its name without argument.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|id| id.name() == name)
    }

    /// Whether it stands for both ends of a connection: `=` holds when either end is equal, `!=` only when both differ.
    pub(crate) fn is_both_ends(self) -> bool {
        matches!(self, Self::FdIp | Self::FdNet | Self::FdPort | Self::FdProto)
    }

    /// Whether the engine itself answers it, from the type and the time of the event.
    #[must_use]
    pub fn is_answered_by_engine(self) -> bool {
        matches!(
            self,
            Self::EvtType
                | Self::EvtTypeIs
                | Self::SyscallType
                | Self::EvtTime
                | Self::EvtTimeS
                | Self::EvtTimeIso
                | Self::EvtDatetime
                | Self::EvtDatetimeS
                | Self::EvtRawtime
                | Self::EvtRawtimeS
                | Self::EvtRawtimeNs
                | Self::EvtSource
                | Self::EvtDir
                | Self::EvtCount
                | Self::EvtIsAsync
        )
    }
}

#[rustfmt::skip]
mod table {
use super::{Bracket, FieldType};
fields! {
    EvtNum = "evt.num" Number No, EvtTime = "evt.time" Text No, EvtTimeS = "evt.time.s" Text No,
    EvtTimeIso = "evt.time.iso8601" Text No, EvtDatetime = "evt.datetime" Text No,
    EvtDatetimeS = "evt.datetime.s" Text No, EvtRawtime = "evt.rawtime" Number No,
    EvtRawtimeS = "evt.rawtime.s" Number No, EvtRawtimeNs = "evt.rawtime.ns" Number No,
    EvtReltime = "evt.reltime" Number No, EvtSource = "evt.source" Text No, EvtHostname = "evt.hostname" Text No,
    EvtPluginname = "evt.pluginname" Text No, EvtType = "evt.type" Text No, EvtTypeIs = "evt.type.is" Number Must,
    EvtDir = "evt.dir" Text No, EvtCategory = "evt.category" Text No, EvtCpu = "evt.cpu" Number No,
    EvtLatency = "evt.latency" Number No, EvtDeltatime = "evt.deltatime" Number No, EvtArgs = "evt.args" Text No,
    EvtArg = "evt.arg" Text Must, EvtRawarg = "evt.rawarg" Number Must, EvtInfo = "evt.info" Text No,
    EvtBuffer = "evt.buffer" Text No, EvtBuflen = "evt.buflen" Number No, EvtRes = "evt.res" Text No,
    EvtRawres = "evt.rawres" Number No, EvtFailed = "evt.failed" Boolean No, EvtIsIo = "evt.is_io" Boolean No,
    EvtIsIoRead = "evt.is_io_read" Boolean No, EvtIsIoWrite = "evt.is_io_write" Boolean No,
    EvtIoDir = "evt.io_dir" Text No, EvtIsWait = "evt.is_wait" Boolean No,
    EvtWaitLatency = "evt.wait_latency" Number No, EvtIsSyslog = "evt.is_syslog" Boolean No,
    EvtCount = "evt.count" Number No, EvtAbspath = "evt.abspath" Path May,
    EvtIsOpenRead = "evt.is_open_read" Boolean No, EvtIsOpenWrite = "evt.is_open_write" Boolean No,
    EvtIsOpenExec = "evt.is_open_exec" Boolean No, EvtIsOpenCreate = "evt.is_open_create" Boolean No,
    EvtIsAsync = "evt.is_async" Boolean No, EvtAsynctype = "evt.asynctype" Text No,
    EvtDeltatimeS = "evt.deltatime.s" Number No, EvtDeltatimeNs = "evt.deltatime.ns" Number No,
    EvtLatencyS = "evt.latency.s" Number No, EvtLatencyNs = "evt.latency.ns" Number No,
    EvtLatencyHuman = "evt.latency.human" Text No, EvtLatencyQuantized = "evt.latency.quantized" Number No,
    EvtReltimeS = "evt.reltime.s" Number No, EvtReltimeNs = "evt.reltime.ns" Number No,
    EvtAbspathSrc = "evt.abspath.src" Path No, EvtAbspathDst = "evt.abspath.dst" Path No,
    EvtAround = "evt.around" Number Must, EvtCountError = "evt.count.error" Number No,
    EvtCountErrorFile = "evt.count.error.file" Number No, EvtCountErrorNet = "evt.count.error.net" Number No,
    EvtCountErrorMemory = "evt.count.error.memory" Number No, EvtCountErrorOther = "evt.count.error.other" Number No,
    EvtCountExit = "evt.count.exit" Number No, EvtCountProcinfo = "evt.count.procinfo" Number No,
    EvtCountThreadinfo = "evt.count.threadinfo" Number No, EvtBuflenFile = "evt.buflen.file" Number No,
    EvtBuflenFileIn = "evt.buflen.file.in" Number No, EvtBuflenFileOut = "evt.buflen.file.out" Number No,
    EvtBuflenNet = "evt.buflen.net" Number No, EvtBuflenNetIn = "evt.buflen.net.in" Number No,
    EvtBuflenNetOut = "evt.buflen.net.out" Number No, EvtBuflenIn = "evt.buflen.in" Number No,
    EvtBuflenOut = "evt.buflen.out" Number No, EvtPlugininfo = "evt.plugininfo" Text No,
    SyscallType = "syscall.type" Text No,
    ProcExe = "proc.exe" Text No, ProcPexe = "proc.pexe" Text No, ProcAexe = "proc.aexe" Text May,
    ProcExepath = "proc.exepath" Path No, ProcPexepath = "proc.pexepath" Path No,
    ProcAexepath = "proc.aexepath" Path May, ProcName = "proc.name" Text No, ProcPname = "proc.pname" Text No,
    ProcAname = "proc.aname" Text May, ProcArgs = "proc.args" Text May, ProcCmdline = "proc.cmdline" Text No,
    ProcPcmdline = "proc.pcmdline" Text No, ProcAcmdline = "proc.acmdline" Text May,
    ProcCmdnargs = "proc.cmdnargs" Number No, ProcCmdlenargs = "proc.cmdlenargs" Number No,
    ProcExeline = "proc.exeline" Text No, ProcEnv = "proc.env" Text May, ProcAenv = "proc.aenv" Text May,
    ProcCwd = "proc.cwd" Path No, ProcLoginshellid = "proc.loginshellid" Number No, ProcTty = "proc.tty" Number No,
    ProcPid = "proc.pid" Number No, ProcPpid = "proc.ppid" Number No, ProcApid = "proc.apid" Number May,
    ProcVpid = "proc.vpid" Number No, ProcPvpid = "proc.pvpid" Number No, ProcSid = "proc.sid" Number No,
    ProcSname = "proc.sname" Text No, ProcSidExe = "proc.sid.exe" Text No,
    ProcSidExepath = "proc.sid.exepath" Path No, ProcVpgid = "proc.vpgid" Number No,
    ProcVpgidName = "proc.vpgid.name" Text No, ProcVpgidExe = "proc.vpgid.exe" Text No,
    ProcVpgidExepath = "proc.vpgid.exepath" Path No, ProcPgid = "proc.pgid" Number No,
    ProcPgidName = "proc.pgid.name" Text No, ProcPgidExe = "proc.pgid.exe" Text No,
    ProcPgidExepath = "proc.pgid.exepath" Path No,
    ProcDuration = "proc.duration" Number No, ProcPpidDuration = "proc.ppid.duration" Number No,
    ProcPidTs = "proc.pid.ts" Number No, ProcPpidTs = "proc.ppid.ts" Number No,
    ProcIsExeWritable = "proc.is_exe_writable" Boolean No, ProcIsExeUpperLayer = "proc.is_exe_upper_layer" Boolean No,
    ProcIsExeLowerLayer = "proc.is_exe_lower_layer" Boolean No,
    ProcIsExeFromMemfd = "proc.is_exe_from_memfd" Boolean No, ProcIsSidLeader = "proc.is_sid_leader" Boolean No,
    ProcIsVpgidLeader = "proc.is_vpgid_leader" Boolean No, ProcIsPgidLeader = "proc.is_pgid_leader" Boolean No,
    ProcExeIno = "proc.exe_ino" Number No, ProcExeInoCtime = "proc.exe_ino.ctime" Number No,
    ProcExeInoMtime = "proc.exe_ino.mtime" Number No,
    ProcExeInoCtimeDurationProcStart = "proc.exe_ino.ctime_duration_proc_start" Number No,
    ProcExeInoCtimeDurationPidns = "proc.exe_ino.ctime_duration_pidns_start" Number No,
    ProcPidnsInitStartTs = "proc.pidns_init_start_ts" Number No, ProcNthreads = "proc.nthreads" Number No,
    ProcNchilds = "proc.nchilds" Number No, ProcFdopencount = "proc.fdopencount" Number No,
    ProcFdlimit = "proc.fdlimit" Number No, ProcFdusage = "proc.fdusage" Decimal No,
    ProcVmsize = "proc.vmsize" Number No, ProcVmrss = "proc.vmrss" Number No, ProcVmswap = "proc.vmswap" Number No,
    ProcStdinType = "proc.stdin.type" Text No, ProcStdoutType = "proc.stdout.type" Text No,
    ProcStderrType = "proc.stderr.type" Text No, ProcStdinName = "proc.stdin.name" Text No,
    ProcStdoutName = "proc.stdout.name" Text No, ProcStderrName = "proc.stderr.name" Text No,
    ProcIsContainerHealthcheck = "proc.is_container_healthcheck" Boolean No,
    ProcIsContainerLivenessProbe = "proc.is_container_liveness_probe" Boolean No,
    ProcIsContainerReadinessProbe = "proc.is_container_readiness_probe" Boolean No, ProcAargs = "proc.aargs" Text May,
    ThreadTid = "thread.tid" Number No, ThreadVtid = "thread.vtid" Number No,
    ThreadIsmain = "thread.ismain" Boolean No, ThreadCapPermitted = "thread.cap_permitted" Text No,
    ThreadCapEffective = "thread.cap_effective" Text No, ThreadCapInheritable = "thread.cap_inheritable" Text No,
    ThreadCgroups = "thread.cgroups" Text No, ThreadCgroup = "thread.cgroup" Text Must,
    ThreadExectime = "thread.exectime" Number No, ThreadNametid = "thread.nametid" Text No,
    ThreadPfmajor = "thread.pfmajor" Number No, ThreadPfminor = "thread.pfminor" Number No,
    ThreadVmsize = "thread.vmsize" Number No, ThreadVmrss = "thread.vmrss" Number No,
    ThreadTotexectime = "thread.totexectime" Number No, ThreadCpu = "thread.cpu" Decimal No,
    ThreadCpuUser = "thread.cpu.user" Decimal No, ThreadCpuSystem = "thread.cpu.system" Decimal No,
    FdNum = "fd.num" Number No, FdType = "fd.type" Text No, FdTypechar = "fd.typechar" Text No,
    FdName = "fd.name" Path No, FdNameraw = "fd.nameraw" Path No, FdDirectory = "fd.directory" Path No,
    FdFilename = "fd.filename" Path No, FdIp = "fd.ip" Address No, FdCip = "fd.cip" Address No,
    FdSip = "fd.sip" Address No, FdLip = "fd.lip" Address No, FdRip = "fd.rip" Address No,
    FdPort = "fd.port" Number No, FdCport = "fd.cport" Number No, FdSport = "fd.sport" Number No,
    FdLport = "fd.lport" Number No, FdRport = "fd.rport" Number No, FdL4proto = "fd.l4proto" Text No,
    FdSockfamily = "fd.sockfamily" Text No, FdIsServer = "fd.is_server" Boolean No, FdUid = "fd.uid" Text No,
    FdContainername = "fd.containername" Text No, FdContainerdirectory = "fd.containerdirectory" Text No,
    FdProto = "fd.proto" Text No, FdCproto = "fd.cproto" Text No, FdSproto = "fd.sproto" Text No,
    FdLproto = "fd.lproto" Text No, FdRproto = "fd.rproto" Text No, FdNet = "fd.net" Address No,
    FdCnet = "fd.cnet" Address No, FdSnet = "fd.snet" Address No, FdLnet = "fd.lnet" Address No,
    FdRnet = "fd.rnet" Address No, FdConnected = "fd.connected" Boolean No,
    FdNameChanged = "fd.name_changed" Boolean No, FdCipName = "fd.cip.name" Text No,
    FdSipName = "fd.sip.name" Text No, FdLipName = "fd.lip.name" Text No, FdRipName = "fd.rip.name" Text No,
    FdDev = "fd.dev" Number No, FdDevMajor = "fd.dev.major" Number No, FdDevMinor = "fd.dev.minor" Number No,
    FdIno = "fd.ino" Number No, FdIsUpperLayer = "fd.is_upper_layer" Boolean No,
    FdIsLowerLayer = "fd.is_lower_layer" Boolean No, FdTypes = "fd.types" TextList May,
    FsPathName = "fs.path.name" Path No, FsPathNameraw = "fs.path.nameraw" Path No,
    FsPathSource = "fs.path.source" Path No, FsPathSourceraw = "fs.path.sourceraw" Path No,
    FsPathTarget = "fs.path.target" Path No, FsPathTargetraw = "fs.path.targetraw" Path No,
    FdlistNums = "fdlist.nums" Text No, FdlistNames = "fdlist.names" Text No, FdlistCips = "fdlist.cips" Text No,
    FdlistSips = "fdlist.sips" Text No, FdlistCports = "fdlist.cports" Text No,
    FdlistSports = "fdlist.sports" Text No,
    UserUid = "user.uid" Number No, UserName = "user.name" Text No, UserHomedir = "user.homedir" Path No,
    UserShell = "user.shell" Path No, UserLoginuid = "user.loginuid" Number No,
    UserLoginname = "user.loginname" Text No,
    GroupGid = "group.gid" Number No, GroupName = "group.name" Text No,
    ContainerId = "container.id" Text No, ContainerFullId = "container.full_id" Text No,
    ContainerName = "container.name" Text No, ContainerImage = "container.image" Text No,
    ContainerImageId = "container.image.id" Text No, ContainerType = "container.type" Text No,
    ContainerPrivileged = "container.privileged" Boolean No, ContainerMounts = "container.mounts" Text No,
    ContainerMount = "container.mount" Text Must, ContainerMountSource = "container.mount.source" Text Must,
    ContainerMountDest = "container.mount.dest" Text Must, ContainerMountMode = "container.mount.mode" Text Must,
    ContainerMountRdwr = "container.mount.rdwr" Text Must,
    ContainerMountPropagation = "container.mount.propagation" Text Must,
    ContainerImageRepository = "container.image.repository" Text No,
    ContainerImageTag = "container.image.tag" Text No, ContainerImageDigest = "container.image.digest" Text No,
    ContainerHealthcheck = "container.healthcheck" Text No,
    ContainerLivenessProbe = "container.liveness_probe" Text No,
    ContainerReadinessProbe = "container.readiness_probe" Text No, ContainerStartTs = "container.start_ts" Number No,
    ContainerDuration = "container.duration" Number No, ContainerIp = "container.ip" Text No,
    ContainerCniJson = "container.cni.json" Text No, ContainerHostPid = "container.host_pid" Boolean No,
    ContainerHostNetwork = "container.host_network" Boolean No, ContainerHostIpc = "container.host_ipc" Boolean No,
    ContainerLabel = "container.label" Text Must, ContainerLabels = "container.labels" Text No,
    K8sPodName = "k8s.pod.name" Text No, K8sPodId = "k8s.pod.id" Text No, K8sPodUid = "k8s.pod.uid" Text No,
    K8sPodSandboxId = "k8s.pod.sandbox_id" Text No, K8sPodFullSandboxId = "k8s.pod.full_sandbox_id" Text No,
    K8sPodLabel = "k8s.pod.label" Text Must, K8sPodLabels = "k8s.pod.labels" Text No, K8sPodIp = "k8s.pod.ip" Text No,
    K8sPodCniJson = "k8s.pod.cni.json" Text No, K8sNsName = "k8s.ns.name" Text No, K8sNsId = "k8s.ns.id" Text No,
    K8sRcName = "k8s.rc.name" Text No, K8sRsName = "k8s.rs.name" Text No,
    K8sDeploymentName = "k8s.deployment.name" Text No, K8sSvcName = "k8s.svc.name" Text No,
    K8sRcId = "k8s.rc.id" Text No, K8sRcLabel = "k8s.rc.label" Text Must, K8sRcLabels = "k8s.rc.labels" Text No,
    K8sRsId = "k8s.rs.id" Text No, K8sRsLabel = "k8s.rs.label" Text Must, K8sRsLabels = "k8s.rs.labels" Text No,
    K8sDeploymentId = "k8s.deployment.id" Text No, K8sDeploymentLabel = "k8s.deployment.label" Text Must,
    K8sDeploymentLabels = "k8s.deployment.labels" Text No, K8sSvcId = "k8s.svc.id" Text No,
    K8sSvcLabel = "k8s.svc.label" Text Must, K8sSvcLabels = "k8s.svc.labels" Text No,
    K8sNsLabel = "k8s.ns.label" Text Must, K8sNsLabels = "k8s.ns.labels" Text No,
    SyslogFacility = "syslog.facility" Number No, SyslogFacilityStr = "syslog.facility.str" Text No,
    SyslogSeverity = "syslog.severity" Number No, SyslogSeverityStr = "syslog.severity.str" Text No,
    SyslogMessage = "syslog.message" Text No,
}
}

pub use table::FieldId;
