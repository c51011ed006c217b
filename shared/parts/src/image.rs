//! Container images made here, without a registry: one layer as a docker archive.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use sha2::{Digest as _, Sha256};

use crate::apiserver::said;
use crate::servers::StartError;

/// One file of an image.
#[derive(Clone, Copy, Debug)]
pub struct ImageFile<'a> {
    /// Its path, without a leading slash; a folder ends with one.
    pub path: &'a str,
    /// Its content; the target when it is a link.
    pub content: &'a [u8],
    /// Its mode bits.
    pub mode: u32,
    /// Whether it is a symbolic link.
    pub is_link: bool,
    /// Its user and group.
    pub owner: u32,
}

impl<'a> ImageFile<'a> {
    /// An executable file.
    #[must_use]
    pub fn program(path: &'a str, content: &'a [u8]) -> Self {
        Self { path, content, mode: 0o755, is_link: false, owner: 0 }
    }

    /// A plain file.
    #[must_use]
    pub fn text(path: &'a str, content: &'a str) -> Self {
        Self { path, content: content.as_bytes(), mode: 0o644, is_link: false, owner: 0 }
    }

    /// An empty folder that belongs to a user.
    #[must_use]
    pub fn folder(path: &'a str, owner: u32) -> Self {
        Self { path, content: &[], mode: 0o755, is_link: false, owner }
    }

    /// A symbolic link.
    #[must_use]
    pub fn link(path: &'a str, target: &'a str) -> Self {
        Self { path, content: target.as_bytes(), mode: 0o777, is_link: true, owner: 0 }
    }
}

/// A docker archive of one image with one layer.
#[must_use]
pub fn docker_archive(name: &str, files: &[ImageFile<'_>], entrypoint: &[&str]) -> Vec<u8> {
    let layer = tar(files);
    let diff_id = Sha256::digest(&layer).iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    });
    let quoted: Vec<String> = entrypoint.iter().map(|word| format!("{word:?}")).collect();
    let config = format!(
        r#"{{"architecture":"{}","os":"linux","config":{{"Entrypoint":[{}],"Env":["PATH=/bin:/usr/bin:/sbin:/usr/sbin"]}},"rootfs":{{"type":"layers","diff_ids":["sha256:{diff_id}"]}},"history":[]}}"#,
        if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" },
        quoted.join(",")
    );
    let manifest = format!(r#"[{{"Config":"config.json","RepoTags":["{name}"],"Layers":["layer.tar"]}}]"#);
    tar(&[
        ImageFile { path: "layer.tar", content: &layer, mode: 0o644, is_link: false, owner: 0 },
        ImageFile::text("config.json", &config),
        ImageFile::text("manifest.json", &manifest),
    ])
}

/// The files of an image with a shell and the usual commands.
#[must_use]
pub(crate) fn busybox(program: &[u8]) -> Vec<ImageFile<'_>> {
    let mut files = vec![
        ImageFile::program("bin/busybox", program),
        ImageFile::text("etc/passwd", "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n"),
        ImageFile::text("etc/group", "root:x:0:\nnogroup:x:65534:\n"),
        ImageFile { path: "etc/shadow", content: b"root:*:1:0:99999:7:::\n", mode: 0o600, is_link: false, owner: 0 },
    ];
    files.extend(COMMANDS.map(|path| ImageFile::link(path, "/bin/busybox")));
    files
}

/// A process that waits for its end, as every pod's first container runs: compiled here.
pub(crate) fn pause(folder: &Path) -> Result<Vec<u8>, StartError> {
    let (source, program) = (folder.join("pause.c"), folder.join("pause"));
    fs::write(&source, PAUSE)?;
    said("cc", &Command::new("cc").args(["-static", "-O2", "-o"]).arg(&program).arg(&source).output()?)?;
    Ok(fs::read(program)?)
}

const PAUSE: &str = "#include <signal.h>\n#include <unistd.h>\nstatic void end(int signal) { _exit(signal == 0); }\nint main(void) { signal(SIGTERM, end); signal(SIGINT, end); for (;;) pause(); }\n";

const COMMANDS: [&str; 22] = [
    "bin/sh",
    "bin/cat",
    "bin/ls",
    "bin/sleep",
    "bin/echo",
    "bin/id",
    "bin/touch",
    "bin/rm",
    "bin/cp",
    "bin/mv",
    "bin/ln",
    "bin/chmod",
    "bin/mkdir",
    "bin/ps",
    "bin/wget",
    "bin/nc",
    "bin/vi",
    "bin/find",
    "bin/grep",
    "bin/true",
    "bin/false",
    "bin/env",
];

/// A tar archive in the ustar format (POSIX.1-1988), with no times.
fn tar(files: &[ImageFile<'_>]) -> Vec<u8> {
    let mut archive = Vec::new();
    for file in files {
        let mut header = [0_u8; 512];
        let size = if file.is_link { 0 } else { file.content.len() };
        put(&mut header, 0, file.path.as_bytes());
        put(&mut header, 100, format!("{:07o}", file.mode).as_bytes());
        let owner = format!("{:07o}", file.owner);
        put(&mut header, 108, owner.as_bytes());
        put(&mut header, 116, owner.as_bytes());
        put(&mut header, 124, format!("{size:011o}").as_bytes());
        put(&mut header, 136, b"00000000000");
        put(&mut header, 148, b"        ");
        let kind = match (file.is_link, file.path.ends_with('/')) {
            (true, _) => b"2",
            (false, true) => b"5",
            (false, false) => b"0",
        };
        put(&mut header, 156, kind);
        if file.is_link {
            put(&mut header, 157, file.content);
        }
        put(&mut header, 257, b"ustar\x0000");
        let sum: u32 = header.iter().copied().map(u32::from).sum();
        put(&mut header, 148, format!("{sum:06o}\0 ").as_bytes());
        archive.extend_from_slice(&header);
        if !file.is_link {
            archive.extend_from_slice(file.content);
            archive.resize(archive.len().next_multiple_of(512), 0);
        }
    }
    archive.resize(archive.len() + 1024, 0);
    archive
}

fn put(header: &mut [u8; 512], at: usize, bytes: &[u8]) {
    header.iter_mut().skip(at).zip(bytes).for_each(|(to, from)| *to = *from);
}
