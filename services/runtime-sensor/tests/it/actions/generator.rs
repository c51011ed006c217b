//! What the field's generator of events can do to a machine, by the names that it lists, and which action of the table does the same.

use std::collections::BTreeSet;

use super::table;

/// The generator's name for an action (`syscall.` before it), and the rule of the table whose action that is. Rules that begin with
/// `bt` are our own, about what the stable and incubating files say nothing of.
const ACTIONS: &[(&str, &str)] = &[
    ("AddingSshKeysToAuthorizedKeys", "Adding ssh keys to authorized_keys"),
    ("ChangeNamespacePrivilegesViaUnshare", "Change namespace privileges via unshare"),
    ("ChangeThreadNamespace", "Change thread namespace"),
    ("ClearLogActivities", "Clear Log Activities"),
    ("ContactCloudMetadataServiceFromContainer", "Contact cloud metadata service from container"),
    ("ContactEC2InstanceMetadataServiceFromContainer", "Contact EC2 Instance Metadata Service From Container"),
    ("ContainerDriftDetectedChmod", "bt drift by chmod"),
    ("ContainerDriftDetectedOpenCreate", "bt drift by open"),
    ("CreateFilesBelowDev", "Create files below dev"),
    ("CreateHardlinkOverSensitiveFiles", "Create Hardlink Over Sensitive Files"),
    ("CreateHiddenFilesOrDirectories", "bt hidden file"),
    ("CreateSymlinkOverSensitiveFiles", "Create Symlink Over Sensitive Files"),
    ("DBProgramSpawnedProcess", "DB program spawned process"),
    ("DebugfsLaunchedInPrivilegedContainer", "Debugfs Launched in Privileged Container"),
    ("DecodingPayloadInContainer", "bt payload decoded"),
    ("DeleteOrRenameShellHistory", "Delete or rename shell history"),
    ("DetectCryptoMinersUsingTheStratumProtocol", "bt miner protocol"),
    ("DetectOutboundConnectionsToCommonMinerPoolPorts", "bt miner pool"),
    ("DetectReleaseAgentFileContainerEscapes", "Detect release_agent File Container Escapes"),
    ("DirectoryTraversalMonitoredFileRead", "Directory traversal monitored file read"),
    ("DisallowedSSHConnectionNonStandardPort", "Disallowed SSH Connection Non Standard Port"),
    ("DropAndExecuteNewBinaryInContainer", "Drop and execute new binary in container"),
    ("ExecutionFromDevShm", "Execution from /dev/shm"),
    ("ExfiltratingArtifactsViaKubernetesControlPlane", "Exfiltrating Artifacts via Kubernetes Control Plane"),
    ("FilelessExecutionViaMemfdCreate", "Fileless execution via memfd_create"),
    ("FindAWSCredentials", "Find AWS Credentials"),
    ("InterpretedProcsInboundNetworkActivity", "bt interpreter serves"),
    ("InterpretedProcsOutboundNetworkActivity", "bt interpreter calls"),
    ("JavaProcessClassFileDownload", "bt class file"),
    ("KubernetesClientToolLaunchedInContainer", "bt cluster client"),
    ("LaunchIngressRemoteFileCopyToolsInContainer", "Launch Ingress Remote File Copy Tools in Container"),
    ("LaunchPackageManagementProcessInContainer", "Launch Package Management Process in Container"),
    ("LaunchRemoteFileCopyToolsInContainer", "Launch Remote File Copy Tools in Container"),
    ("LaunchSuspiciousNetworkToolInContainer", "Launch Suspicious Network Tool in Container"),
    ("LaunchSuspiciousNetworkToolOnHost", "Launch Suspicious Network Tool on Host"),
    ("LinuxKernelModuleInjectionDetected", "Linux Kernel Module Injection Detected"),
    ("MkdirBinaryDirs", "bt folder below binaries"),
    ("ModifyBinaryDirs", "bt binaries changed"),
    ("ModifyContainerEntrypoint", "bt own program changed"),
    ("ModifyShellConfigurationFile", "Modify Shell Configuration File"),
    ("MountLaunchedInPrivilegedContainer", "Mount Launched in Privileged Container"),
    ("NetcatRemoteCodeExecutionInContainer", "Netcat Remote Code Execution in Container"),
    ("NonSudoSetuid", "Non sudo setuid"),
    ("PacketSocketCreatedInContainer", "Packet socket created in container"),
    ("PolkitLocalPrivilegeEscalationVulnerability", "bt privileges by pkexec"),
    (
        "PotentialLocalPrivilegeEscalationViaEnvironmentVariablesMisuse",
        "Potential Local Privilege Escalation via Environment Variables Misuse",
    ),
    ("ProgramRunWithDisallowedHttpProxyEnv", "Program run with disallowed http proxy env"),
    ("PtraceAntiDebugAttempt", "PTRACE anti-debug attempt"),
    ("PtraceAttachedToProcess", "PTRACE attached to process"),
    ("ReadEnvironmentVariableFromProcFiles", "Read environment variable from /proc files"),
    ("ReadSensitiveFileTrustedAfterStartup", "Read sensitive file trusted after startup"),
    ("ReadSensitiveFileUntrusted", "Read sensitive file untrusted"),
    ("ReadShellConfigurationFile", "bt shell settings read"),
    ("ReadSshInformation", "Read ssh information"),
    ("RedirectStdoutStdinToNetworkConnectionInContainer", "Redirect STDOUT/STDIN to Network Connection in Container"),
    ("RemoveBulkDataFromDisk", "Remove Bulk Data from Disk"),
    ("RunShellUntrusted", "Run shell untrusted"),
    ("ScheduleCronJobs", "Schedule Cron Jobs"),
    ("SearchPrivateKeysOrPasswords", "Search Private Keys or Passwords"),
    ("SetSetuidOrSetgidBit", "Set Setuid or Setgid bit"),
    ("SudoPotentialPrivilegeEscalation", "bt privileges by sudoedit"),
    ("SystemProcsNetworkActivity", "System procs network activity"),
    ("SystemUserInteractive", "System user interactive"),
    ("UnexpectedK8SNodeportConnection", "bt node port"),
    ("UnexpectedUDPTraffic", "Unexpected UDP Traffic"),
    ("UnprivilegedDelegationOfPageFaultsHandlingToAUserspaceProcess", "bt page faults handled"),
    ("UpdatePackageRepository", "bt package sources"),
    ("UserMgmtBinaries", "User mgmt binaries"),
    ("WriteBelowBinaryDir", "bt below binaries"),
    ("WriteBelowEtc", "bt below etc"),
    ("WriteBelowMonitoredDir", "bt below monitored"),
    ("WriteBelowRoot", "bt below root"),
    ("WriteBelowRpmDatabase", "bt below rpm"),
];

#[test]
fn every_action_of_the_generator_is_in_the_table() {
    let performed: BTreeSet<_> = table::UPSTREAM.iter().chain(table::FURTHER).map(|action| action.rule).collect();
    let names: BTreeSet<_> = ACTIONS.iter().map(|(name, _)| name).collect();
    assert_eq!(names.len(), ACTIONS.len(), "no name stands twice");
    let missing: Vec<_> = ACTIONS.iter().filter(|(_, rule)| !performed.contains(rule)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}
