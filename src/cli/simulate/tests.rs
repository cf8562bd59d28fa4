use super::*;

#[test]
fn faults_are_read_with_their_times() {
    let all = |kind, after, first, every| Ok(Fault { kind, after, first, every });
    assert_eq!(fault("status=503,first=2"), all(FaultKind::Status(503), 0, Some(2), None));
    assert_eq!(
        fault("error=out of memory, sorry,after=3,every=4"),
        all(FaultKind::Error("out of memory, sorry".to_owned()), 3, None, Some(4))
    );
    assert_eq!(fault("slow=1ms"), all(FaultKind::Slow(Duration::from_millis(1)), 0, None, None));
    assert_eq!(fault("after=7,stall"), all(FaultKind::Stall, 7, None, None));
}

#[test]
fn wrong_faults_say_what_is_wrong() {
    for (text, part) in [
        ("explode", "unknown fault `explode`"),
        ("status=teapot", "`teapot` is not an HTTP status"),
        ("stall,after=-1", "`after=-1` needs a whole number"),
        ("reset=now", "unknown fault `reset=now`"),
        ("slow=1", "no unit"),
        ("", "unknown fault"),
    ] {
        let message = fault(text).unwrap_err();
        assert!(message.contains(part), "{text}: {message}");
    }
}

#[test]
fn a_trace_is_one_gap_per_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gaps.txt");
    std::fs::write(&path, "10\n\n 2.5\n").unwrap();
    assert_eq!(trace(&path), Ok(vec![Duration::from_millis(10), Duration::from_micros(2500)]));
    std::fs::write(&path, "10\n-1\n").unwrap();
    assert!(trace(&path).unwrap_err().contains("line 2"));
    std::fs::write(&path, "\n").unwrap();
    assert!(trace(&path).unwrap_err().contains("no gaps"));
    assert!(trace(&folder.path().join("absent")).unwrap_err().contains("cannot read"));
}
