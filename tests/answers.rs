//! The table of answers: what servers send, byte by byte, and what a runtime must record of each.
//!
//! Every case of `tests/answers` is played from the loopback to both runtimes, which then must have
//! recorded what lies beside it, and the same as each other. How a case is added stands there.

#[path = "answers/case.rs"]
mod case;
#[path = "answers/play.rs"]
mod play;
#[expect(dead_code, reason = "a case needs no server that is a script of Rust")]
#[path = "agent/process.rs"]
mod process;
#[expect(dead_code, reason = "the tests of Python's own use the rest")]
#[path = "python/runtime.rs"]
mod runtime;
#[expect(dead_code, reason = "the cases have a server of their own")]
#[path = "agent/scripted.rs"]
mod scripted;

use std::fmt::Write as _;
use std::process::Command;
use std::sync::OnceLock;
use std::thread;

use serde_json::Value;

use case::{Case, FIELDS, cases, difference};

/// What a runtime recorded of each case, by the fields of [`case::found`].
type Found = Vec<Value>;

fn rust() -> &'static Found {
    static FOUND: OnceLock<Found> = OnceLock::new();
    FOUND.get_or_init(|| {
        let command = || {
            let mut command = Command::new(env!("CARGO_BIN_EXE_runner"));
            command.arg("agent");
            command
        };
        play::all(cases(), &command, None)
    })
}

/// With both libraries that it may decode with: `stdlib`, `orjson`.
fn python() -> &'static [Found; 2] {
    static FOUND: OnceLock<[Found; 2]> = OnceLock::new();
    FOUND.get_or_init(|| {
        thread::scope(|scope| {
            ["stdlib", "orjson"]
                .map(|json| scope.spawn(move || play::all(cases(), &runtime::command, Some(json))))
                .map(|played| played.join().unwrap())
        })
    })
}

/// Fails with every case in which a runtime recorded something else than what lies beside it.
fn expect_of(runtimes: &[(&str, &Found)]) {
    let (mut report, mut wrong) = (String::new(), 0);
    for (index, case) in cases().iter().enumerate() {
        let before = report.len();
        for (name, found) in runtimes {
            for field in FIELDS {
                let (expected, found) = (&case.expected[*field], &found[index][*field]);
                if let Some(difference) = difference(field, expected, found) {
                    let _ = writeln!(report, "  {name}: {field}: {difference}");
                }
            }
        }
        wrong += usize::from(say_case(&mut report, before, case));
    }
    assert!(report.is_empty(), "{wrong} of {} cases:\n{report}", cases().len());
}

/// Puts the case's name before what was said of it since `before`, if anything was.
fn say_case(report: &mut String, before: usize, case: &Case) -> bool {
    let said = report.len() > before;
    if said {
        report.insert_str(before, &format!("{}\n", case.name));
    }
    said
}

#[test]
fn rust_reads_the_table() {
    expect_of(&[("rust", rust())]);
}

#[test]
fn python_reads_the_table() {
    let [stdlib, orjson] = python();
    expect_of(&[("python, stdlib", stdlib), ("python, orjson", orjson)]);
}

/// Whether the words of an error are those of a runtime, of its libraries or of the system, beyond the part
/// that a case expects.
fn has_own_words(found: &Value) -> bool {
    // What breaks JSON or HTTP, or a connection, is told by whoever reads it.
    let outcomes = ["malformed", "connect_error", "timeout", "cancelled"];
    let is_broken = |error: &str| error.starts_with("the HTTP connection broke");
    found["outcome"].as_str().is_some_and(|outcome| outcomes.contains(&outcome))
        || found["error"].as_str().is_some_and(is_broken)
}

#[test]
fn both_agree() {
    let (mut report, mut wrong) = (String::new(), 0);
    let (rust, [stdlib, orjson]) = (rust(), python());
    for (index, case) in cases().iter().enumerate() {
        let before = report.len();
        let Value::Object(fields) = &rust[index] else { unreachable!() };
        for (field, said) in fields {
            if field == "error" && has_own_words(&rust[index]) {
                continue;
            }
            let others = [&stdlib[index][field], &orjson[index][field]];
            if others.iter().any(|other| *other != said) {
                let [stdlib, orjson] = others;
                let _ = writeln!(
                    report,
                    "  {field}: rust {said}, python, stdlib {stdlib}, python, orjson {orjson}"
                );
            }
        }
        wrong += usize::from(say_case(&mut report, before, case));
    }
    assert!(report.is_empty(), "{wrong} of {} cases:\n{report}", cases().len());
}
