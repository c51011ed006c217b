//! The process table.

use super::*;
use crate::decode::tests::sample;

#[test]
fn paths_are_resolved_by_letters() {
    assert_eq!(resolve("/var/log", "../lib/./x"), "/var/lib/x");
    assert_eq!(resolve("/a", "/etc//shadow"), "/etc/shadow");
    assert_eq!(resolve("/", "../../.."), "/");
}

#[test]
fn the_table_is_bounded_and_counts() {
    let mut table = Processes::empty(3);
    for pid in 1..=5 {
        table.touch(&RawEvent { tgid: pid, tid: pid, ..sample() }, false);
    }
    assert_eq!((table.len(), table.evicted), (3, 2));
}

#[test]
fn a_loop_of_parents_ends() {
    let mut table = Processes::empty(10);
    table.touch(&RawEvent { tgid: 1, ppid: 2, ..sample() }, false);
    table.touch(&RawEvent { tgid: 2, ppid: 1, ..sample() }, false);
    let process = table.get(1).unwrap();
    assert_eq!(table.ancestors(process).count(), MAX_ANCESTORS);
}

#[test]
fn a_younger_process_is_no_parent() {
    let mut table = Processes::empty(10);
    table.touch(&RawEvent { tgid: 7, ppid: 9, start_ns: 5 * TICK_NS, ..sample() }, false);
    table.touch(&RawEvent { tgid: 9, ppid: 0, start_ns: 6 * TICK_NS, ..sample() }, false);
    assert_eq!(table.ancestors(table.get(7).unwrap()).count(), 0);
}

#[test]
fn who_outlives_the_parent_is_taken_over() {
    let mut table = Processes::empty(10);
    let parent = RawEvent { tgid: 5, tid: 5, ppid: 1, ..sample() };
    let child = RawEvent { tgid: 6, tid: 6, ppid: 5, ..sample() };
    table.touch(&parent, false);
    table.touch(&child, false);
    table.exit(&parent);
    table.touch(&RawEvent { ppid: 1, ..child.clone() }, false);
    assert_eq!(table.get(6).unwrap().ppid, 5, "the one that ended is still known");
    table.exit(&RawEvent { tgid: 99, time_ns: LINGER_NS * 2, ..sample() });
    table.touch(&RawEvent { ppid: 1, ..child }, false);
    assert_eq!(table.get(6).unwrap().ppid, 1);
}

#[test]
fn set_up_ends_with_the_first_program_or_with_time() {
    let mut table = Processes::empty(10);
    let runtime = RawEvent { tgid: 5, tid: 5, cgroup: 1, ..sample() };
    table.exec(&runtime, false);
    table.fork(&RawEvent { tgid: 6, tid: 6, cgroup: 1, args: [5, 0, 0, 0, 0, 0], ..sample() });
    let is_set_up = |table: &Processes, now_ns| table.get(6).unwrap().is_set_up(now_ns);
    assert!(!is_set_up(&table, 0));
    let moved = RawEvent { tgid: 6, tid: 6, cgroup: 2, time_ns: 1_000, ..sample() };
    table.touch(&moved, false);
    assert!(is_set_up(&table, 2_000));
    assert!(!is_set_up(&table, 1_000 + SET_UP_NS));
    table.exec(&moved, false);
    assert!(!is_set_up(&table, 3_000));
    // A worker of a process that ran before the sensor did is no set-up.
    table.touch(&RawEvent { tgid: 8, tid: 8, cgroup: 3, ..sample() }, false);
    table.fork(&RawEvent { tgid: 9, tid: 9, cgroup: 3, args: [8, 0, 0, 0, 0, 0], ..sample() });
    assert!(!table.get(9).unwrap().is_set_up(0));
}

#[test]
fn a_program_that_runs_itself_again_is_still_setting_up() {
    let mut table = Processes::empty(10);
    let init = RawEvent { tgid: 6, tid: 6, cgroup: 1, argv: Some(b"runc\0init\0"), ..sample() };
    table.exec(&init, false);
    let moved = RawEvent { cgroup: 2, time_ns: 1_000, ..init };
    table.exec(&moved, false);
    assert!(table.get(6).unwrap().is_set_up(2_000));
    table.exec(&RawEvent { argv: Some(b"sh\0"), ..moved }, false);
    assert!(!table.get(6).unwrap().is_set_up(2_000));
}

#[test]
fn a_pid_that_is_given_out_anew_is_another_process() {
    let mut table = Processes::empty(10);
    let first = RawEvent { tgid: 7, tid: 7, start_ns: TICK_NS, argv: Some(b"first\0"), cgroup: 5, ..sample() };
    table.exec(&first, false);
    // Its end was lost; the next one with its number makes a call, and is told of later.
    let second = RawEvent { start_ns: 9 * TICK_NS, argv: None, comm: b"second", uid: 3, ..first.clone() };
    table.touch(&second, false);
    let process = table.get(7).unwrap();
    assert_eq!((&*process.comm, process.uid, process.program.argv.len()), ("second", 3, 0));
    // The end of the first one, which comes late, does not end the second.
    table.exit(&RawEvent { time_ns: 1, ..first });
    table.exit(&RawEvent { tgid: 99, time_ns: LINGER_NS * 2, ..sample() });
    assert!(table.get(7).is_some());
}

#[test]
fn a_program_is_known_from_the_event_alone() {
    let mut table = Processes::empty(10);
    let mut facts = vec![0; 104];
    facts[32..36].copy_from_slice(&0o100_755_u32.to_le_bytes());
    facts[52] = 1; // upper layer
    facts[72..76].copy_from_slice(&0x8801_u32.to_le_bytes());
    facts[76..80].copy_from_slice(&4_u32.to_le_bytes());
    facts[88..92].copy_from_slice(&u32::MAX.to_le_bytes());
    table.exec(
        &RawEvent {
            argv: Some(b"/bin/x\0-a\0"),
            environment: Some(b"A=1\0"),
            exec: Some(&facts),
            exe: Some(b"\0x\0bin\0usr\0"),
            cwd: Some(b"\0tmp\0"),
            ..sample()
        },
        false,
    );
    let process = table.get(42).unwrap();
    assert_eq!((process.cmdline(), &*process.cwd), ("cat -a", "/tmp"));
    assert_eq!((process.tty, process.sid, process.login_uid), (0x8801, 4, None));
    let program = &process.program;
    assert_eq!((program.exe_path.as_str(), &*program.environment), ("/usr/bin/x", b"A=1\0".as_slice()));
    assert!(program.file.is_upper() && program.is_writable);
    // The text that was made of name and arguments goes with them.
    table.touch(&RawEvent { tid: 42, comm: b"dog", ..sample() }, false);
    assert_eq!(table.get(42).unwrap().cmdline(), "dog -a");
    table.exec(&RawEvent { argv: Some(b"x\0y\0z\0"), ..sample() }, false);
    assert_eq!(table.get(42).unwrap().cmdline(), "cat y z");
}
