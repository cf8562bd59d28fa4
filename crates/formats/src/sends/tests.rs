use super::*;

#[test]
fn what_is_written_is_read_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(SENDS_FILE);
    let send = |index, request: &str| Send {
        time_ns: u64::MAX - 1,
        request: request.to_owned(),
        index,
        tokens: 1,
        bytes: 99,
        request_read_ns: Some(u64::MAX - 2),
        request_arrived_ns: Some(u64::MAX - 3),
    };
    let unread = Send { request_read_ns: None, request_arrived_ns: None, ..send(0, "#1") };
    let sends = vec![send(0, "run/collector/1"), send(1, "with, \"comma\"\nand line"), unread];
    write(&path, &sends).unwrap();
    assert_eq!(read(&path).unwrap(), sends);
}

#[test]
fn an_empty_log_has_its_header() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(SENDS_FILE);
    write(&path, &[]).unwrap();
    let header = "time_ns,request,index,tokens,bytes,request_read_ns,request_arrived_ns\n";
    assert_eq!(std::fs::read_to_string(&path).unwrap(), header);
    assert_eq!(read(&path).unwrap(), []);
}

#[test]
fn a_log_from_before_requests_were_timed_stays_readable() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(SENDS_FILE);
    std::fs::write(&path, "time_ns,request,index,tokens,bytes\n7,run/a/1,2,3,4\n").unwrap();
    let send = Send {
        time_ns: 7,
        request: "run/a/1".to_owned(),
        index: 2,
        tokens: 3,
        bytes: 4,
        request_read_ns: None,
        request_arrived_ns: None,
    };
    assert_eq!(read(&path).unwrap(), [send]);
}

#[test]
fn errors_name_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("absent").join(SENDS_FILE);
    assert!(read(&path).unwrap_err().to_string().contains("absent"));
    assert!(write(&path, &[]).unwrap_err().to_string().contains("absent"));
    let path = folder.path().join(SENDS_FILE);
    std::fs::write(&path, "time_ns,request\nsoon,x\n").unwrap();
    assert!(matches!(read(&path), Err(SendsError::Read { .. })));
}
