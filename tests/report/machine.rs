//! How busy other processes kept the machine, in words and as a condition.

use runner::report::{self, Template};
use runner::store::record::{
    EndpointEvidence, HeldModel, MachineTime, ModelEvidence, ServerMemory,
};

use super::stored::Stored;

/// A complete study whose runs know what others took; `percent` by cell and repeat.
fn stored(percent: impl Fn(u32, u32) -> Option<f64>, unseen: bool) -> Stored {
    let stored = Stored::empty();
    for (cell, repeat) in Stored::complete().stored_runs() {
        let mut record = stored.run(cell, repeat);
        record.metrics.insert("others_cpu_percent".to_owned(), percent(cell, repeat));
        record.machine = unseen.then(|| MachineTime {
            servers_unseen: vec!["ollama".to_owned()],
            ..MachineTime::default()
        });
        stored.seal(cell, &record);
    }
    stored
}

/// A complete study on an Ollama server that holds a model of 1000 bytes after each run, with so many of them in
/// the memory of a GPU.
fn held(kind: &str, vram_bytes: impl Fn(u32) -> Option<u64>) -> String {
    let stored = Stored::empty();
    for (cell, repeat) in Stored::complete().stored_runs() {
        let mut record = stored.run(cell, repeat);
        let models = [("gemma3".to_owned(), ModelEvidence::default())].into();
        let met = EndpointEvidence { kind: kind.to_owned(), server: None, version: None, models };
        record.evidence.endpoints.insert("gpu".to_owned(), met);
        let held = |name: &str, vram_bytes| HeldModel {
            name: name.to_owned(),
            size_bytes: Some(1000),
            vram_bytes,
            ..HeldModel::default()
        };
        // The other one lay there before.
        let loaded = Some(vec![held("qwen", Some(1)), held("gemma3:latest", vram_bytes(repeat))]);
        let memory = ServerMemory { unloaded: None, loaded };
        record.servers.insert("gpu".to_owned(), memory);
        stored.seal(cell, &record);
    }
    let text = rendered(&stored, "study.md.j2");
    let said = text.lines().filter(|line| line.starts_with("- `gemma3` on `gpu`"));
    said.collect::<Vec<_>>().join("|")
}

#[test]
fn where_a_model_lay_is_a_line_of_the_report() {
    let of = |vram_bytes: fn(u32) -> Option<u64>| held("ollama", vram_bytes);
    assert_eq!(of(|_| Some(0)), "- `gemma3` on `gpu`: all on the CPU (told of 6 of 6 runs)");
    assert_eq!(
        of(|_| Some(1000)),
        "- `gemma3` on `gpu`: all of it on the GPU (told of 6 of 6 runs)"
    );
    assert_eq!(of(|_| None), "- `gemma3` on `gpu`: not told (6 runs)");
    let some = of(|repeat| (repeat < 3).then_some(625));
    assert_eq!(some, "- `gemma3` on `gpu`: 62.5 % of it on the GPU (told of 4 of 6 runs)");
    let moved = of(|repeat| Some(200 * u64::from(repeat)));
    assert_eq!(
        moved,
        "- `gemma3` on `gpu`: 20.0 % to 60.0 % of it on the GPU (told of 6 of 6 runs)"
    );
    assert_eq!(held("simulated", |_| Some(0)), "");
}

fn rendered(stored: &Stored, template: &str) -> String {
    let template = Template::builtin(template).unwrap();
    report::study(&stored.data(), &template, false).unwrap().markdown()
}

#[test]
fn a_quiet_machine_is_said_to_be_one() {
    let quiet = stored(|_, repeat| (repeat != 2).then_some(f64::from(repeat)), false);
    let text = rendered(&quiet, "study.md.j2");
    let said = "took a median of 2.0 % of all cores' time during a run, at most 3.0 % \
                (`others_cpu_percent`, known of 4 of 6 runs). In none of them did they take more than 10 %.";
    assert!(text.contains(said), "{text}");
    let go = "| the machine was quiet | go, at most 3.0 % in 4 of 6 runs |";
    assert!(rendered(&quiet, "tr117.md.j2").contains(go), "{text}");
}

#[test]
fn a_busy_machine_is_no_go_and_the_worst_cells_are_named() {
    let percent = |cell, repeat| match (cell, repeat) {
        (0, 1) => 25.0,
        (1, 2) => 80.0,
        (1, 3) => 10.5,
        _ => 10.0,
    };
    let busy = stored(|cell, repeat| Some(percent(cell, repeat)), true);
    let text = rendered(&busy, "study.md.j2");
    let line = text.lines().find(|line| line.starts_with("**Other processes**")).unwrap();
    assert!(line.contains("**In 3 of them they took more than 10 %**: "), "{line}");
    let worst = line.find("(2 of 3 runs, at most 80.0 %)").unwrap();
    assert!(worst < line.find("(1 of 3 runs, at most 25.0 %)").unwrap(), "{line}");
    assert!(line.contains("In 6 runs the study's own server is among them"), "{line}");
    assert!(line.ends_with("`ollama`."), "{line}");
    let no_go = "| the machine was quiet | NO-GO: other processes took more than 10 % of it in 3 of 6 \
                 runs, at most 80.0 %; in 6 a server of the study is among them |";
    let text = rendered(&busy, "tr117.md.j2");
    assert!(text.contains(no_go), "{text}");
}

#[test]
fn where_no_run_tells_it_nothing_is_said_and_nothing_is_go() {
    let unknown = stored(|_, _| None, false);
    assert!(!rendered(&unknown, "study.md.j2").contains("Other processes"));
    let no_go = "| the machine was quiet | NO-GO: no run tells what other processes took |";
    assert!(rendered(&unknown, "tr117.md.j2").contains(no_go));
}
