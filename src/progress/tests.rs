use std::time::{Duration, Instant};

use formats::protocol::TokenizeMode;

use super::sentence::short;
use super::tally::Tally;
use super::*;
use crate::execute::ExecEvent;
use crate::store::record::Metrics;

fn finished(seconds: u64) -> ExecEvent {
    ExecEvent::RunFinished {
        name: "cell".to_owned(),
        repeat: 1,
        wall: Duration::from_secs(seconds),
        metrics: Metrics::from([("ttft_ms".to_owned(), Some(50.04))]),
    }
}

fn run_started(index: usize) -> ExecEvent {
    ExecEvent::RunStarted {
        index,
        cell: "00".to_owned(),
        name: "cell".to_owned(),
        repeat: 1,
        attempt: 2,
    }
}

#[test]
fn the_time_left_comes_from_the_runs_of_this_session() {
    let mut tally = Tally::default();
    let start = Instant::now();
    tally.hear(&ExecEvent::Started { study: "s".into(), done: 5, todo: 4 }, start);
    assert_eq!(tally.left(start), None, "nothing is known before the first run");
    tally.hear(&run_started(1), start);
    tally.hear(&finished(10), start);
    tally.hear(&run_started(2), start);
    assert_eq!(tally.left(start + Duration::from_secs(4)), Some(Duration::from_secs(26)));
    assert_eq!(tally.run_left(start + Duration::from_secs(4)), Some(Duration::from_secs(6)));
    // A run that takes longer than the others takes nothing off the rest.
    assert_eq!(tally.left(start + Duration::from_secs(60)), Some(Duration::from_secs(20)));
}

#[test]
fn the_current_run_shows_tokens_of_all_its_streams_and_their_rate() {
    let mut tally = Tally::default();
    let start = Instant::now();
    tally.hear(&run_started(1), start);
    let call = |warmup| ExecEvent::CallStarted { agent: "a".into(), call: 1, warmup };
    tally.hear(&call(true), start);
    tally.hear(&ExecEvent::Progress { agent: "a".into(), call: 0, chunks: 999 }, start);
    assert_eq!(tally.run_line(start), "warming up");
    tally.hear(&call(false), start);
    tally.hear(&ExecEvent::FirstToken { agent: "a".into(), call: 1, ttft: Duration::ZERO }, start);
    for (agent, chunks) in [("a", 10), ("b", 30), ("a", 70)] {
        tally.hear(&ExecEvent::Progress { agent: agent.into(), call: 1, chunks }, start);
    }
    assert_eq!(tally.run_line(start + Duration::from_secs(2)), "100 tok, 50.0 tok/s");
    assert_eq!(tally.run.as_ref().unwrap().label, "cell repeat 1, attempt 2");
}

#[test]
fn a_tokenizer_s_run_shows_the_pass_that_it_is_at() {
    let mut tally = Tally::default();
    let start = Instant::now();
    tally.hear(&run_started(1), start);
    let at = |pass, warmup| ExecEvent::PassStarted {
        mode: TokenizeMode::Lines,
        pass,
        passes: 6,
        warmup,
    };
    tally.hear(&at(0, true), start);
    assert_eq!(tally.run_line(start), "pass 1 of 6: lines, warming up");
    tally.hear(&at(5, false), start);
    assert_eq!(tally.run_line(start), "pass 6 of 6: lines");
}

#[test]
fn lines_are_plain_text_and_one_per_run() {
    let mut text = Vec::new();
    let mut progress = Progress::lines(&mut text);
    for event in [
        ExecEvent::Started { study: "demo".into(), done: 1, todo: 2 },
        run_started(1),
        finished(2),
        ExecEvent::Finished { made: 1, failed: 1, not_tried: 0, interrupted: false },
    ] {
        progress.hear(&event);
    }
    drop(progress);
    assert_eq!(
        String::from_utf8(text).unwrap(),
        "demo: 1 run done, 2 to do\n\
         [1/2] cell/1: 2.00 s, TTFT 50.0 ms, about 2s left\n\
         1 run made, 1 failed\n"
    );
}

#[test]
fn json_has_one_object_per_event() {
    let mut text = Vec::new();
    let mut progress = Progress::json(&mut text);
    progress.hear(&finished(2));
    progress.hear(&ExecEvent::Stopping);
    drop(progress);
    let text = String::from_utf8(text).unwrap();
    let lines: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines[0]["event"], "run_finished");
    assert_eq!(lines[0]["wall_s"], 2.0);
    assert_eq!(lines[1]["event"], "stopping");
}

#[test]
fn durations_are_short() {
    let text = |seconds| short(Duration::from_secs(seconds));
    assert_eq!([text(0), text(75), text(250), text(11_100)], ["0s", "75s", "4m10s", "3h05m"]);
}

#[test]
fn a_run_beside_much_other_work_says_so() {
    let said = |percent: f64| {
        let metrics = Metrics::from([("others_cpu_percent".to_owned(), Some(percent))]);
        let (name, wall) = ("cell".to_owned(), Duration::from_secs(1));
        let finished = ExecEvent::RunFinished { name, repeat: 1, wall, metrics };
        super::sentence::sentence(&finished, &Tally::default()).unwrap()
    };
    assert!(said(34.6).ends_with("(other processes took 35 % of the machine)"), "{}", said(34.6));
    assert!(!said(10.0).contains("other"), "{}", said(10.0));
}
