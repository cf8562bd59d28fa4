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
