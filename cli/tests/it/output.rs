//! Where results go when nobody can take them.

use std::fs::OpenOptions;
use std::process::{Command, Stdio};

fn biotope() -> Command {
    Command::new(env!("CARGO_BIN_EXE_biotope"))
}

#[test]
fn a_reader_that_goes_away_ends_the_command_quietly() {
    for arguments in [&["rules", "fields"][..], &["rules", "fields", "-o", "json"], &["completion", "bash"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = biotope().args(arguments).stdout(writer).stderr(Stdio::piped()).output().unwrap();
        assert_eq!(output.status.code(), Some(141), "{arguments:?}");
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{arguments:?}");
    }
}

#[test]
fn a_full_disk_is_an_error() {
    let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = biotope().args(["rules", "fields"]).stdout(full).stderr(Stdio::piped()).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.starts_with("biotope: cannot write to standard output: No space left on device"), "{said}");
}
