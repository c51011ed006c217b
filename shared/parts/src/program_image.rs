//! Images of programs that were built here: the program, the shared libraries that it needs, certificates of authorities, two users, and
//! nothing else: no shell, no package manager.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::image::{ImageFile, docker_archive};
use crate::servers::StartError;

/// A docker archive of the image `name` that runs `program`. Symbols are left out where `strip` is at hand.
///
/// # Errors
/// When the program or a library that it needs cannot be read.
pub fn program_archive(name: &str, program: &Path) -> Result<Vec<u8>, StartError> {
    let short = program.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let (path, entrypoint) = (format!("bin/{short}"), format!("/bin/{short}"));
    let content = stripped(program)?;
    let libraries = libraries(program)?;
    let certificates = fs::read(CERTIFICATES).unwrap_or_default();
    let mut files = vec![
        ImageFile::program(&path, &content),
        ImageFile::text("etc/passwd", "root:x:0:0:root:/:/none\nbiotope:x:65532:65532:biotope:/:/none\n"),
        ImageFile::text("etc/group", "root:x:0:\nbiotope:x:65532:\n"),
        ImageFile::text("etc/nsswitch.conf", "hosts: files dns\n"),
        // A new volume takes over whose folder it is mounted on.
        ImageFile::folder("var/lib/biotope/", 65_532),
    ];
    files.extend(libraries.iter().map(|(path, content)| ImageFile::program(path, content)));
    if !certificates.is_empty() {
        let path = "etc/ssl/certs/ca-certificates.crt";
        files.push(ImageFile { path, content: &certificates, mode: 0o644, is_link: false, owner: 0 });
    }
    Ok(docker_archive(name, &files, &[&entrypoint]))
}

/// The program without symbols and debug information, which are most of an everyday build.
fn stripped(program: &Path) -> std::io::Result<Vec<u8>> {
    let smaller = std::env::temp_dir().join(format!("biotope-strip-{}", std::process::id()));
    let is_stripped = Command::new("strip").arg("-o").arg(&smaller).arg(program).output();
    let content = match is_stripped {
        Ok(output) if output.status.success() => fs::read(&smaller),
        _ => fs::read(program),
    };
    // It may never have been made.
    let _ = fs::remove_file(&smaller);
    content
}

/// Path inside and content of each shared library, the loader included; none for a static program.
fn libraries(program: &Path) -> std::io::Result<Vec<(String, Vec<u8>)>> {
    let output = Command::new("ldd").arg(program).output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    // `libc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x…)`, and for the loader `/lib64/ld-linux-x86-64.so.2 (0x…)`.
    let paths = text.lines().filter_map(|line| line.split_whitespace().find(|word| word.starts_with('/')));
    let read = |path: &str| {
        let content = fs::read(PathBuf::from(path))?;
        Ok((path.trim_start_matches('/').to_owned(), content))
    };
    paths.map(read).collect()
}

const CERTIFICATES: &str = "/etc/ssl/certs/ca-certificates.crt";
