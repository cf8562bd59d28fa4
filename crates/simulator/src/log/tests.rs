use super::*;

fn row(time_ns: u64) -> Row {
    Row { time_ns, index: 0, tokens: 1, bytes: 9 }
}

#[expect(clippy::unnecessary_wraps, reason = "as the log takes it")]
fn came(arrived_ns: Option<u64>, read_ns: u64) -> Option<Came> {
    Some(Came { arrived_ns, read_ns })
}

#[test]
fn every_send_says_when_its_request_came() {
    let log = Log::default();
    let named = log.begin(Some("run/a/1".to_owned()), came(Some(9), 10));
    let refused = log.begin(None, None);
    assert_eq!((named.number, refused.number, refused.name.as_str()), (1, 2, "#2"));
    for (request, time_ns) in [(&named, 20), (&refused, 25), (&named, 30)] {
        request.push(row(time_ns));
    }
    let came = |s: &Send| (s.time_ns, s.request_arrived_ns, s.request_read_ns);
    let known: Vec<_> = log.take("").iter().map(came).collect();
    assert_eq!(known, [(20, Some(9), Some(10)), (25, None, None), (30, Some(9), Some(10))]);
}

#[test]
fn a_request_stays_until_it_ended_and_was_taken() {
    let log = Log::default();
    let request = log.begin(Some("run/a/1".to_owned()), came(None, 1));
    request.push(row(2));
    assert_eq!(log.take("other/"), []);
    assert_eq!(log.take("run/").len(), 1);
    request.push(row(3));
    request.push(row(4));
    request.pop();
    drop(request);
    let times: Vec<_> = log.take("run/").iter().map(|send| send.time_ns).collect();
    assert_eq!((times, lock(&log.requests).len()), (vec![3], 0));
}
