//! The catalogue of fields: every field that a condition or an output may name, with its type.

/// How values of a field compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldType {
    /// Text, compared as bytes.
    Text,
    /// Whole number.
    Number,
    /// `true` or `false`.
    Boolean,
    /// An address, or a set of them; a network on the right side contains it.
    Address,
    /// A file path: text, and `pmatch` compares its components.
    Path,
    /// A list of texts.
    TextList,
}

macro_rules! fields {
    ($($id:ident = $name:literal $kind:ident $argument:ident,)*) => {
        /// A field of the catalogue.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[allow(missing_docs, reason = "each is its name")]
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
            pub fn argument(self) -> Bracket {
                match self { $(Self::$id => Bracket::$argument,)* }
            }
        }
    };
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

fields! {
    EvtNum = "evt.num" Number No, EvtTime = "evt.time" Text No, EvtTimeS = "evt.time.s" Text No, EvtTimeIso = "evt.time.iso8601" Text No,
    EvtDatetime = "evt.datetime" Text No, EvtDatetimeS = "evt.datetime.s" Text No, EvtRawtime = "evt.rawtime" Number No,
    EvtRawtimeS = "evt.rawtime.s" Number No, EvtRawtimeNs = "evt.rawtime.ns" Number No, EvtReltime = "evt.reltime" Number No,
    EvtSource = "evt.source" Text No, EvtHostname = "evt.hostname" Text No, EvtPluginname = "evt.pluginname" Text No,
    EvtType = "evt.type" Text No, EvtTypeIs = "evt.type.is" Number Must, EvtDir = "evt.dir" Text No, EvtCategory = "evt.category" Text No,
    SyscallType = "syscall.type" Text No, EvtCpu = "evt.cpu" Number No, EvtLatency = "evt.latency" Number No, EvtDeltatime = "evt.deltatime" Number No,
    EvtArgs = "evt.args" Text No, EvtArg = "evt.arg" Text Must, EvtRawarg = "evt.rawarg" Number Must, EvtInfo = "evt.info" Text No,
    EvtBuffer = "evt.buffer" Text No, EvtBuflen = "evt.buflen" Number No, EvtRes = "evt.res" Text No, EvtRawres = "evt.rawres" Number No,
    EvtFailed = "evt.failed" Boolean No, EvtIsIo = "evt.is_io" Boolean No, EvtIsIoRead = "evt.is_io_read" Boolean No,
    EvtIsIoWrite = "evt.is_io_write" Boolean No, EvtIoDir = "evt.io_dir" Text No, EvtIsWait = "evt.is_wait" Boolean No,
    EvtWaitLatency = "evt.wait_latency" Number No, EvtIsSyslog = "evt.is_syslog" Boolean No, EvtCount = "evt.count" Number No,
    EvtAbspath = "evt.abspath" Path May, EvtIsOpenRead = "evt.is_open_read" Boolean No, EvtIsOpenWrite = "evt.is_open_write" Boolean No,
    EvtIsOpenExec = "evt.is_open_exec" Boolean No, EvtIsOpenCreate = "evt.is_open_create" Boolean No, EvtIsAsync = "evt.is_async" Boolean No,
    EvtAsynctype = "evt.asynctype" Text No,
    ProcExe = "proc.exe" Text No, ProcPexe = "proc.pexe" Text No, ProcAexe = "proc.aexe" Text May, ProcExepath = "proc.exepath" Path No,
    ProcPexepath = "proc.pexepath" Path No, ProcAexepath = "proc.aexepath" Path May, ProcName = "proc.name" Text No,
    ProcPname = "proc.pname" Text No, ProcAname = "proc.aname" Text May, ProcArgs = "proc.args" Text May, ProcCmdline = "proc.cmdline" Text No,
    ProcPcmdline = "proc.pcmdline" Text No, ProcAcmdline = "proc.acmdline" Text May, ProcCmdnargs = "proc.cmdnargs" Number No,
    ProcCmdlenargs = "proc.cmdlenargs" Number No, ProcExeline = "proc.exeline" Text No, ProcEnv = "proc.env" Text May,
    ProcAenv = "proc.aenv" Text May, ProcCwd = "proc.cwd" Path No, ProcLoginshellid = "proc.loginshellid" Number No, ProcTty = "proc.tty" Number No,
    ProcPid = "proc.pid" Number No, ProcPpid = "proc.ppid" Number No, ProcApid = "proc.apid" Number May, ProcVpid = "proc.vpid" Number No,
    ProcPvpid = "proc.pvpid" Number No, ProcSid = "proc.sid" Number No, ProcSname = "proc.sname" Text No, ProcSidExe = "proc.sid.exe" Text No,
    ProcSidExepath = "proc.sid.exepath" Path No, ProcVpgid = "proc.vpgid" Number No, ProcVpgidName = "proc.vpgid.name" Text No,
    ProcVpgidExe = "proc.vpgid.exe" Text No, ProcVpgidExepath = "proc.vpgid.exepath" Path No, ProcPgid = "proc.pgid" Number No,
    ProcDuration = "proc.duration" Number No, ProcPpidDuration = "proc.ppid.duration" Number No, ProcPidTs = "proc.pid.ts" Number No,
    ProcPpidTs = "proc.ppid.ts" Number No, ProcIsExeWritable = "proc.is_exe_writable" Boolean No,
    ProcIsExeUpperLayer = "proc.is_exe_upper_layer" Boolean No, ProcIsExeLowerLayer = "proc.is_exe_lower_layer" Boolean No,
    ProcIsExeFromMemfd = "proc.is_exe_from_memfd" Boolean No, ProcIsSidLeader = "proc.is_sid_leader" Boolean No,
    ProcIsVpgidLeader = "proc.is_vpgid_leader" Boolean No, ProcIsPgidLeader = "proc.is_pgid_leader" Boolean No,
    ProcExeIno = "proc.exe_ino" Number No, ProcExeInoCtime = "proc.exe_ino.ctime" Number No, ProcExeInoMtime = "proc.exe_ino.mtime" Number No,
    ProcExeInoCtimeDurationProcStart = "proc.exe_ino.ctime_duration_proc_start" Number No,
    ProcExeInoCtimeDurationPidns = "proc.exe_ino.ctime_duration_pidns_start" Number No, ProcPidnsInitStartTs = "proc.pidns_init_start_ts" Number No,
    ProcNthreads = "proc.nthreads" Number No, ProcNchilds = "proc.nchilds" Number No, ProcFdopencount = "proc.fdopencount" Number No,
    ProcFdlimit = "proc.fdlimit" Number No, ProcFdusage = "proc.fdusage" Number No, ProcVmsize = "proc.vmsize" Number No,
    ProcVmrss = "proc.vmrss" Number No, ProcVmswap = "proc.vmswap" Number No, ProcStdinType = "proc.stdin.type" Text No,
    ProcStdoutType = "proc.stdout.type" Text No, ProcStderrType = "proc.stderr.type" Text No, ProcStdinName = "proc.stdin.name" Text No,
    ProcStdoutName = "proc.stdout.name" Text No, ProcStderrName = "proc.stderr.name" Text No,
    ProcIsContainerHealthcheck = "proc.is_container_healthcheck" Boolean No,
    ProcIsContainerLivenessProbe = "proc.is_container_liveness_probe" Boolean No,
    ProcIsContainerReadinessProbe = "proc.is_container_readiness_probe" Boolean No,
    ThreadTid = "thread.tid" Number No, ThreadVtid = "thread.vtid" Number No, ThreadIsmain = "thread.ismain" Boolean No,
    ThreadCapPermitted = "thread.cap_permitted" Text No, ThreadCapEffective = "thread.cap_effective" Text No,
    ThreadCapInheritable = "thread.cap_inheritable" Text No, ThreadCgroups = "thread.cgroups" Text No, ThreadCgroup = "thread.cgroup" Text Must,
    ThreadExectime = "thread.exectime" Number No, ThreadNametid = "thread.nametid" Text No, ThreadVmsize = "thread.vmsize" Number No,
    FdNum = "fd.num" Number No, FdType = "fd.type" Text No, FdTypechar = "fd.typechar" Text No, FdName = "fd.name" Path No,
    FdNameraw = "fd.nameraw" Path No, FdDirectory = "fd.directory" Path No, FdFilename = "fd.filename" Path No, FdIp = "fd.ip" Address No,
    FdCip = "fd.cip" Address No, FdSip = "fd.sip" Address No, FdLip = "fd.lip" Address No, FdRip = "fd.rip" Address No,
    FdPort = "fd.port" Number No, FdCport = "fd.cport" Number No, FdSport = "fd.sport" Number No, FdLport = "fd.lport" Number No,
    FdRport = "fd.rport" Number No, FdL4proto = "fd.l4proto" Text No, FdSockfamily = "fd.sockfamily" Text No, FdIsServer = "fd.is_server" Boolean No,
    FdUid = "fd.uid" Text No, FdContainername = "fd.containername" Text No, FdContainerdirectory = "fd.containerdirectory" Text No,
    FdProto = "fd.proto" Text No, FdCproto = "fd.cproto" Text No, FdSproto = "fd.sproto" Text No, FdLproto = "fd.lproto" Text No,
    FdRproto = "fd.rproto" Text No, FdNet = "fd.net" Address No, FdCnet = "fd.cnet" Address No, FdSnet = "fd.snet" Address No,
    FdLnet = "fd.lnet" Address No, FdRnet = "fd.rnet" Address No, FdConnected = "fd.connected" Boolean No,
    FdNameChanged = "fd.name_changed" Boolean No, FdCipName = "fd.cip.name" Text No, FdSipName = "fd.sip.name" Text No,
    FdLipName = "fd.lip.name" Text No, FdRipName = "fd.rip.name" Text No, FdDev = "fd.dev" Number No, FdDevMajor = "fd.dev.major" Number No,
    FdDevMinor = "fd.dev.minor" Number No, FdIno = "fd.ino" Number No, FdIsUpperLayer = "fd.is_upper_layer" Boolean No,
    FdIsLowerLayer = "fd.is_lower_layer" Boolean No, FdTypes = "fd.types" TextList May,
    FsPathName = "fs.path.name" Path No, FsPathNameraw = "fs.path.nameraw" Path No, FsPathSource = "fs.path.source" Path No,
    FsPathSourceraw = "fs.path.sourceraw" Path No, FsPathTarget = "fs.path.target" Path No, FsPathTargetraw = "fs.path.targetraw" Path No,
    FdlistNums = "fdlist.nums" Text No, FdlistNames = "fdlist.names" Text No,
    UserUid = "user.uid" Number No, UserName = "user.name" Text No, UserHomedir = "user.homedir" Path No, UserShell = "user.shell" Path No,
    UserLoginuid = "user.loginuid" Number No, UserLoginname = "user.loginname" Text No, GroupGid = "group.gid" Number No, GroupName = "group.name" Text No,
    ContainerId = "container.id" Text No, ContainerFullId = "container.full_id" Text No, ContainerName = "container.name" Text No,
    ContainerImage = "container.image" Text No, ContainerImageId = "container.image.id" Text No, ContainerType = "container.type" Text No,
    ContainerPrivileged = "container.privileged" Boolean No, ContainerMounts = "container.mounts" Text No, ContainerMount = "container.mount" Text Must,
    ContainerMountSource = "container.mount.source" Text Must, ContainerMountDest = "container.mount.dest" Text Must,
    ContainerMountMode = "container.mount.mode" Text Must, ContainerMountRdwr = "container.mount.rdwr" Text Must,
    ContainerMountPropagation = "container.mount.propagation" Text Must, ContainerImageRepository = "container.image.repository" Text No,
    ContainerImageTag = "container.image.tag" Text No, ContainerImageDigest = "container.image.digest" Text No,
    ContainerHealthcheck = "container.healthcheck" Text No, ContainerLivenessProbe = "container.liveness_probe" Text No,
    ContainerReadinessProbe = "container.readiness_probe" Text No, ContainerStartTs = "container.start_ts" Number No,
    ContainerDuration = "container.duration" Number No, ContainerIp = "container.ip" Text No, ContainerCniJson = "container.cni.json" Text No,
    ContainerHostPid = "container.host_pid" Boolean No, ContainerHostNetwork = "container.host_network" Boolean No,
    ContainerHostIpc = "container.host_ipc" Boolean No, ContainerLabel = "container.label" Text Must, ContainerLabels = "container.labels" Text No,
    K8sPodName = "k8s.pod.name" Text No, K8sPodId = "k8s.pod.id" Text No, K8sPodUid = "k8s.pod.uid" Text No, K8sPodSandboxId = "k8s.pod.sandbox_id" Text No,
    K8sPodFullSandboxId = "k8s.pod.full_sandbox_id" Text No, K8sPodLabel = "k8s.pod.label" Text Must, K8sPodLabels = "k8s.pod.labels" Text No,
    K8sPodIp = "k8s.pod.ip" Text No, K8sPodCniJson = "k8s.pod.cni.json" Text No, K8sNsName = "k8s.ns.name" Text No,
    K8sNsId = "k8s.ns.id" Text No, K8sRcName = "k8s.rc.name" Text No, K8sRsName = "k8s.rs.name" Text No, K8sDeploymentName = "k8s.deployment.name" Text No,
    K8sSvcName = "k8s.svc.name" Text No,
}

/// A field with its argument, resolved against the catalogue.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Field {
    /// The field.
    pub id: FieldId,
    /// The argument in brackets, or the last part of `evt.arg.<name>`.
    pub argument: Option<String>,
    /// The argument as a number, for indexed fields.
    pub index: Option<u32>,
}

impl Field {
    /// Finds a field by name and argument.
    ///
    /// # Errors
    /// What is wrong, in one line.
    pub fn resolve(name: &str, argument: Option<&str>) -> Result<Self, String> {
        // `evt.arg.flags` is the field `evt.arg` with the argument `flags`.
        for (prefix, id) in [("evt.arg.", FieldId::EvtArg), ("evt.rawarg.", FieldId::EvtRawarg)] {
            if let Some(argument) = name.strip_prefix(prefix) {
                return Ok(Self { id, argument: Some(argument.to_owned()), index: None });
            }
        }
        let id = FieldId::ALL.iter().copied().find(|id| id.name() == name);
        let id = id.ok_or_else(|| format!("filter_check called with nonexistent field {name}"))?;
        match (id.argument(), argument) {
            (Bracket::No, Some(_)) => Err(format!("filter error: field '{name}' forbids an argument")),
            (Bracket::Must, None) => Err(format!("filter error: field '{name}' requires an argument")),
            (_, argument) => {
                let index = argument.and_then(|argument| argument.parse().ok());
                Ok(Self { id, argument: argument.map(str::to_owned), index })
            }
        }
    }

    /// As outputs and alert fields name it: `proc.aname[2]`, `evt.arg.flags`.
    #[must_use]
    pub fn full_name(&self) -> String {
        match (&self.argument, self.id) {
            (None, id) => id.name().to_owned(),
            (Some(argument), FieldId::EvtArg | FieldId::EvtRawarg) => format!("{}.{argument}", self.id.name()),
            (Some(argument), id) => format!("{}[{argument}]", id.name()),
        }
    }
}
