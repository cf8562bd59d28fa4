//! Manifests as data: the contract example loads as it stands; every bad one says what is wrong with
//! it, where, and what to do.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use runner::cells::Filters;
use runner::manifest::{self, LoadError};
use runner::plan::Plan;

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/manifests")
}

/// All problems, one per line: `line: message | help`.
fn problems(path: &Path) -> String {
    let error = manifest::load(path, None)
        .and_then(|study| Plan::new(study, &Filters::default()).map(drop).map_err(LoadError::from));
    match error {
        Ok(()) => panic!("{} was accepted", path.display()),
        Err(LoadError::Invalid(errors)) => {
            let mut text = String::new();
            for located in &errors.problems {
                let help = located.problem.help.as_deref().unwrap_or("-");
                let folder = format!("{}{}", fixtures().display(), std::path::MAIN_SEPARATOR);
                let message = located.problem.message.replace(&folder, "");
                writeln!(text, "{}: {message} | {help}", located.line).unwrap();
            }
            text
        }
        Err(other) => format!("{other}\n"),
    }
}

#[test]
fn the_contract_example_loads_as_it_stands() {
    for profile in [None, Some("simulated")] {
        let study = manifest::load(&fixtures().join("contract.toml"), profile).unwrap();
        let plan = Plan::new(study, &Filters::default()).unwrap();
        assert_eq!(plan.study().experiments.len(), 3);
        // four of the cells are the agents of the first experiment alone
        assert_eq!((plan.cells(), plan.runs()), (14, 70));
    }
}

#[test]
fn the_starter_and_the_shipped_studies_are_right() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let starter = include_str!("../templates/starter.toml").replace("NAME", "mine");
    manifest::parse(Path::new("mine.toml"), &starter, None).unwrap();
    for name in
        ["command.toml", "python_ceiling.toml", "quickstart.toml", "tr117.toml", "workflow.toml"]
    {
        let path = root.join("experiments").join(name);
        let study = manifest::load(&path, None).unwrap();
        for profile in &study.profiles {
            let study = manifest::load(&path, Some(profile)).unwrap();
            Plan::new(study, &Filters::default()).unwrap();
        }
    }
}

#[test]
fn bad_manifests_say_what_is_wrong() {
    let mut paths: Vec<PathBuf> =
        std::fs::read_dir(fixtures().join("bad")).unwrap().map(|e| e.unwrap().path()).collect();
    paths.sort();
    let mut all = String::new();
    for path in &paths {
        writeln!(all, "## {}\n{}", path.file_name().unwrap().display(), problems(path)).unwrap();
    }
    insta::assert_snapshot!(all);
}

/// Python's settings beside the Rust runtime, written so that the two never meet.
#[test]
fn settings_of_python_may_stand_beside_rust() {
    let manifest = |experiment: &str| {
        format!(
            "schema = 1\nname = \"v\"\n[endpoint]\np = {{ simulated = {{}} }}\n[prompt]\np = {{ text = \
             \"Hello\" }}\n[scenario]\none = [{{ agent = \"a\", endpoint = \"p\", prompt = \"p\" \
             }}]\n[experiment.e]\nscenario = \"one\"\n{experiment}\n"
        )
    };
    for experiment in [
        "runtime = \"python\"\nmatrix = { event_loop = [\"asyncio\", \"uvloop\"] }",
        "zip = [[\"runtime\", \"json\"]]\nmatrix = { runtime = [\"rust\", \"python\"], json = \
         [\"stdlib\", \"orjson\"] }",
        "exclude = [{ runtime = \"rust\", parse = \"thread\" }]\nmatrix = { runtime = [\"rust\", \
         \"python\"], parse = [\"inline\", \"thread\"] }",
        "override = [{ when = { runtime = \"rust\" }, set = { batch = \"off\" } }]\nmatrix = { runtime = \
         [\"rust\", \"python\"], batch = [\"off\", \"50ms\"] }",
        "include = [{ runtime = \"rust\", rechunk = \"off\" }]\nmatrix = { runtime = [\"python\"], rechunk \
         = [\"off\", \"1 KiB\"] }",
    ] {
        let loaded = manifest::parse(Path::new("v.toml"), &manifest(experiment), None);
        assert!(loaded.is_ok(), "{experiment}: {:?}", loaded.unwrap_err());
    }
}

#[test]
fn an_unknown_profile_offers_the_nearest() {
    let error = manifest::load(&fixtures().join("contract.toml"), Some("simulatd")).unwrap_err();
    let LoadError::UnknownProfile { help, .. } = error else { panic!("{error}") };
    assert_eq!(help.as_deref(), Some("did you mean `simulated`?"));
}

#[test]
fn a_manifest_that_is_not_there_is_named() {
    let error = manifest::load(Path::new("no/such.toml"), None).unwrap_err();
    assert!(error.to_string().contains("no/such.toml"), "{error}");
}

/// A manifest with a text of several lines and a prompt file, loaded from such bytes; its cells' ids.
fn ids(manifest: &[u8], prompt: &[u8]) -> Result<Vec<String>, LoadError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.toml");
    std::fs::write(&path, manifest).unwrap();
    std::fs::write(folder.path().join("p.md"), prompt).unwrap();
    let plan = Plan::new(manifest::load(&path, None)?, &Filters::default())?;
    Ok((0..plan.cells()).map(|cell| plan.id(u32::try_from(cell).unwrap()).hex()).collect())
}

const TWO_PROMPTS: &str = r#"schema = 1
name = "t"
[endpoint]
e = { simulated = {} }
[prompt]
p = { file = "p.md" }
q = { text = """Say
"hi" and wait""" }
[scenario]
one = [{ agent = "a", endpoint = "e", prompt = "p" }, { agent = "b", endpoint = "e", prompt = "q" }]
[experiment.x]
scenario = "one"
"#;

#[test]
fn neither_a_mark_nor_the_ends_of_lines_change_what_is_measured() {
    let prompt = "Line one\nLine two\n";
    let plain = ids(TWO_PROMPTS.as_bytes(), prompt.as_bytes()).unwrap();
    let windows = |text: &str| format!("\u{feff}{}", text.replace('\n', "\r\n"));
    let (manifest, file) = (windows(TWO_PROMPTS), windows(prompt));
    assert_eq!(ids(manifest.as_bytes(), file.as_bytes()).unwrap(), plain);
    // One that is asked for is kept.
    let asked = TWO_PROMPTS.replace("text = \"\"\"Say\n", "text = \"\"\"Say\\r\n");
    assert_ne!(ids(asked.as_bytes(), prompt.as_bytes()).unwrap(), plain);
}

#[test]
fn places_are_right_behind_a_mark() {
    let text = TWO_PROMPTS.replace("schema", "schem").replace("agent = \"b\", ", "");
    let error = ids(format!("\u{feff}{text}").as_bytes(), b"x").unwrap_err();
    let LoadError::Invalid(errors) = error else { panic!("{error}") };
    let found: Vec<_> = errors.problems.iter().map(|own| (own.line, &own.problem)).collect();
    let (line, unknown) = found.iter().find(|own| own.1.message.contains("unknown")).unwrap();
    assert_eq!((*line, unknown.span.clone()), (1, 0..5));
    assert!(found.iter().any(|own| own.0 == 10), "{found:?}");
}

#[test]
fn other_encodings_are_named_with_what_to_do() {
    let utf16 = |text: &str| -> Vec<u8> {
        "\u{feff}".encode_utf16().chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect()
    };
    let latin1 = TWO_PROMPTS.replace("wait", "w\u{e4}it");
    let latin1: Vec<u8> = latin1.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect();
    for (manifest, named) in [
        (utf16(TWO_PROMPTS), "UTF-16"),
        (latin1, "line 8 has the byte 0xE4, which is not UTF-8; in Latin-1"),
    ] {
        let error = ids(&manifest, b"x").unwrap_err();
        let help = miette::Diagnostic::help(&error).unwrap().to_string();
        let error = error.to_string();
        assert!(error.contains("m.toml") && error.contains(named), "{error}");
        assert!(help.contains("save it as UTF-8"), "{help}");
    }
    for (prompt, named) in [(utf16("Say hi"), "UTF-16"), (b"Gr\xfc\xdfe".to_vec(), "0xFC")] {
        let LoadError::Invalid(errors) = ids(TWO_PROMPTS.as_bytes(), &prompt).unwrap_err() else {
            panic!("another error")
        };
        let problem = &errors.problems[0].problem;
        assert!(problem.message.contains("p.md is not UTF-8"), "{}", problem.message);
        assert!(problem.message.contains(named), "{}", problem.message);
        assert!(problem.help.as_ref().unwrap().contains("save it as UTF-8"));
    }
}

/// Whatever the bytes, loading ends with a study or an error, never with a panic.
mod any_bytes {
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]
        #[test]
        fn never_panic(cut in 0_usize..4000, insert in ".{0,12}") {
            let text = include_str!("fixtures/manifests/contract.toml");
            let mut at = cut.min(text.len());
            while !text.is_char_boundary(at) { at -= 1; }
            let text = format!("{}{insert}{}", &text[..at], &text[at..]);
            let path = super::fixtures().join("contract.toml");
            let _ = runner::manifest::parse(&path, &text, None);
        }
    }
}

fn runner(arguments: &[&str]) -> std::process::Output {
    std::process::Command::new(env!("CARGO_BIN_EXE_runner")).args(arguments).output().unwrap()
}

/// Control characters, C1 among them, and marks that turn the direction of text.
fn steers(c: char) -> bool {
    (c.is_control() && c != '\n')
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

const HOSTILE: &str = r"\u001b]0;owned\u0007\u001b[2J\u202e\u2066\u009b31m\r\n# H";

#[test]
fn names_from_a_manifest_steer_no_terminal() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.toml");
    let text = format!(
        r#"
        schema = 1
        name = "inj"
        title = "{HOSTILE}"
        "{HOSTILE}" = 1
        [endpoint]
        a = {{ simulated = {{ ttft = "1ms", rate = "1000 tok/s" }} }}
        [prompt]
        p = {{ text = "{HOSTILE}" }}
        [options]
        o = {{ temperature = 0.5 }}
        [scenario]
        one = [{{ agent = "x", endpoint = "a", prompt = "p", options = "o", model = "{HOSTILE}" }}]
        [experiment.t]
        title = "{HOSTILE}"
        matrix = {{ scenario = ["one"], stop = ["{HOSTILE}"] }}
        [experiment.t.hypothesis.h]
        claim = "{HOSTILE}"
        threshold = {{ metric = "{HOSTILE}", stat = "mean", above = 1 }}
        "#
    );
    let file = path.to_str().unwrap();
    let results = folder.path().join("results");
    let results = results.to_str().unwrap();
    let check = |arguments: &[&str], code: i32| {
        let output = runner(arguments);
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8(said).unwrap();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
        assert!(!said.contains(steers), "{arguments:?}: {said:?}");
        said
    };
    std::fs::write(&path, &text).unwrap();
    check(&["check", file], 4);
    check(&["check", file, "--json"], 4);
    // Not even TOML: what is shown is the text as it stands.
    std::fs::write(&path, "name = \u{1b}]0;x\u{7} \u{202e}\n").unwrap();
    check(&["check", file], 4);
    let sound = text.replace(&format!("\"{HOSTILE}\" = 1"), "");
    std::fs::write(&path, sound).unwrap();
    check(&["check", file], 0);
    for json in [&[][..], &["--json"]] {
        for command in ["plan", "status", "exec", "verify", "doctor"] {
            let own = if command == "doctor" { &["doctor"][..] } else { &[command, file] };
            check(&[own, &["--results", results], json].concat(), 0);
        }
    }
    check(&["report", file, "--results", results, "--stdout"], 0);
}

#[test]
fn thousands_of_problems_are_told_shortly() {
    const SOUND: &str = "[experiment.c]\ncommand = [\"true\"]\n";
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.toml");
    let file = path.to_str().unwrap();
    let names: Vec<String> = (0..2000).map(|number| format!("k{number} = 1")).collect();
    let one_line =
        format!("schema = 1\nname = \"x\"\ndefaults = {{ {} }}\n{SOUND}", names.join(", "));
    let many_lines = format!("schema = 1\nname = \"x\"\n[defaults]\n{}\n{SOUND}", names.join("\n"));
    for text in [&one_line, &many_lines] {
        std::fs::write(&path, text).unwrap();
        let output = runner(&["check", file]);
        assert_eq!(output.status.code(), Some(4));
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.len() < 60_000, "{} bytes", said.len());
        assert_eq!(said.matches("unknown key `k").count(), 50, "{said}");
        assert!(said.contains("the first 50 are shown"), "{said}");
        let output = runner(&["check", file, "--json"]);
        let document: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let problems = document[0]["problems"].as_array().unwrap();
        assert!(problems.len() >= 2000, "{}", problems.len());
        assert_eq!(problems[1999]["line"], if text == &one_line { 3 } else { 2003 });
    }
}

#[cfg(target_os = "linux")]
#[test]
fn an_output_that_is_closed_or_full_ends_no_command_with_a_panic() {
    let run = |script: &str| {
        let script = script.replace("RUNNER", env!("CARGO_BIN_EXE_runner"));
        let output = std::process::Command::new("bash").arg("-c").arg(script).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!said.contains("panicked"), "{said}");
        (output.status.code(), String::from_utf8_lossy(&output.stdout).trim().to_owned(), said)
    };
    // A reader that has enough is no error.
    assert_eq!(run("RUNNER schema manifest | true; echo ${PIPESTATUS[0]}").1, "0");
    assert_eq!(run("RUNNER schema manifest >&-; echo $? >&2").2.trim(), "0");
    let (code, _, said) = run("RUNNER schema manifest > /dev/full");
    assert_eq!(code, Some(1));
    assert!(said.contains("cannot write to standard output: No space left"), "{said}");
    // Who does not hear an error sees the code.
    assert_eq!(run("RUNNER check /nowhere.toml 2> /dev/full; echo $?").1, "2");
    assert_eq!(run("RUNNER check /nowhere.toml 2>&-; echo $?").1, "2");
}
