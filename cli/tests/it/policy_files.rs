//! `biotope policy` on folders as they are found: links in circles, files that are no text, names that move cursors.

use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::Path;

use crate::policy::{LABELED, biotope, said};

const MAP: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: m, labels: {team: a}}\n";

fn folder(files: &[(&str, &[u8])]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap_or(Path::new("."))).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
    folder
}

#[test]
fn links_in_a_circle_are_followed_once() {
    let folder = folder(&[("policies/below/labeled.yaml", LABELED.as_bytes()), ("map.yaml", MAP.as_bytes())]);
    let below = folder.path().join("policies/below");
    for (target, name) in [("..", "up"), (".", "here"), ("../below", "again")] {
        symlink(target, below.join(name)).unwrap();
    }
    let output = biotope(folder.path(), &["apply", "policies", "--resource", "map.yaml"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert!(said(&output).contains("pass: 1, fail: 0"), "{}", said(&output));
}

#[test]
fn what_cannot_be_read_is_told_and_the_rest_is_judged() {
    let bomb = (1..12).fold("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned(), |text, level| {
        let list = vec![format!("*a{}", level - 1); 10].join(", ");
        format!("{text}a{level}: &a{level} [{list}]\n")
    });
    let folder = folder(&[
        ("policies/labeled.yaml", LABELED.as_bytes()),
        ("policies/latin.yaml", b"a: 1\nb: \xe4\n"),
        ("maps/bomb.yaml", bomb.as_bytes()),
        ("maps/map.yaml", MAP.as_bytes()),
    ]);
    let _waits = UnixListener::bind(folder.path().join("policies/waits.yaml")).unwrap();
    symlink("nowhere.yaml", folder.path().join("policies/gone.yaml")).unwrap();
    let output = biotope(folder.path(), &["apply", "policies", "--resource", "maps"]);
    let said = said(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("pass: 1, fail: 0"), "{said}");
    for told in [
        "line 2 is not UTF-8 text",
        "it is no regular file at",
        "there is no such file at",
        "maps/bomb.yaml:5:",
        "biotope: 4 policies, rules, files or resources were set aside",
    ] {
        assert!(said.contains(told), "{told}: {said}");
    }
}

#[test]
fn names_are_shown_and_not_obeyed() {
    let rule = LABELED.replace("name: team", "name: \"te\\x1b[31mam\\x9b2J\"");
    let map = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: \"m\\x1b[2J\\x07\"}\n";
    let test = "kind: Test\nmetadata: {name: \"t\\x1b[1m\"}\npolicies: [rule.yaml]\nresources: [map.yaml]\nresults:\n- {policy: labeled, kind: ConfigMap, resources: [\"x\\x1b[3m\"], result: pass}\n";
    let folder = folder(&[
        ("rule.yaml", rule.as_bytes()),
        ("map.yaml", map.as_bytes()),
        ("broken\u{1b}[4m.yaml", b"a: ["),
        ("kyverno-test.yaml", test.as_bytes()),
    ]);
    for arguments in [
        &["apply", ".", "--resource", "map.yaml"][..],
        &["explain", "rule.yaml", "--resource", "map.yaml"],
        &["apply", "rule.yaml", "--resource", "map.yaml", "-o", "json"],
        &["test", "."],
        &["test", ".", "-o", "junit"],
    ] {
        let output = biotope(folder.path(), arguments);
        let said = said(&output);
        assert!(said.len() > 50 && !said.contains(['\u{1b}', '\u{7}', '\u{9b}']), "{arguments:?}: {said:?}");
    }
}

#[test]
fn words_of_the_command_line_are_checked() {
    let folder = folder(&[("labeled.yaml", LABELED.as_bytes()), ("map.yaml", MAP.as_bytes())]);
    for (more, expected) in [
        (["--operation", "explode"], "`EXPLODE` is no operation"),
        (["--values-file", "nope.yaml"], "nope.yaml is no file"),
        (["--userinfo", "."], ". is no file"),
    ] {
        let arguments = [&["apply", "labeled.yaml", "--resource", "map.yaml"], &more[..]].concat();
        let output = biotope(folder.path(), &arguments);
        assert_eq!(output.status.code(), Some(1), "{}", said(&output));
        assert!(said(&output).contains(expected), "{}", said(&output));
    }
}
