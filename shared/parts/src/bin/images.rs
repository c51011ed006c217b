//! Packs the programs of a folder into images, one archive each, for `docker load` or `ctr images import`: no daemon is needed.
//!
//! `images target/release target/images biotope 0.1.0` makes `target/images/correlator.tar` with the image `biotope/correlator:0.1.0`,
//! and so on.
#![allow(clippy::print_stdout, reason = "a command: what it prints is its result")]

use std::path::Path;
use std::process::ExitCode;

const PROGRAMS: [(&str, &str); 6] = [
    ("registry-scanner", "registry-scanner"),
    ("admission-gateway", "admission-gateway"),
    ("secret-broker", "secret-broker"),
    ("runtime-sensor", "runtime-sensor"),
    ("correlator", "correlator"),
    ("biotope", "cli"),
];

fn main() -> Result<ExitCode, parts::StartError> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [from, to, repository, tag] = arguments.as_slice() else {
        println!("usage: images FOLDER-OF-PROGRAMS FOLDER-OF-ARCHIVES REPOSITORY TAG");
        return Ok(ExitCode::from(2));
    };
    std::fs::create_dir_all(to)?;
    for (program, image) in PROGRAMS {
        let name = format!("{repository}/{image}:{tag}");
        let archive = parts::program_archive(&name, &Path::new(from).join(program))?;
        let path = Path::new(to).join(format!("{image}.tar"));
        std::fs::write(&path, &archive)?;
        println!("{name}: {} ({} MB)", path.display(), archive.len() / 1_000_000);
    }
    Ok(ExitCode::SUCCESS)
}
