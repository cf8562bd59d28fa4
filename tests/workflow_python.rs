//! Both runtimes on the same files: the same prompts, byte by byte.

mod study;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use agent::workflow::{ingest, scan, template};
use formats::protocol::ScanSpec;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};

use study::{Study, python_cache, python_is_there};

/// Summarises folders with the Python runtime's own modules, which need its standard library only.
const SUMMARISE: &str = r#"
import json, sys
sys.path.insert(0, sys.argv[1])
from runner_agent.scan import Scan, scan
from runner_agent.summary import ingest
from runner_agent.workflow import fill
said = []
for asked in json.load(sys.stdin):
    found = scan(Scan(asked["folder"], tuple(asked["extensions"]), asked["max_files"], asked["max_bytes"]))
    summary, files, size = ingest(found)
    prompt = fill("{{[{data}]}} {answer} {{{{{answer}}}}}", summary, "an {data} answer")
    said.append({"prompt": prompt, "files": files, "bytes": size, "scanned": found.bytes})
sys.stdout.reconfigure(encoding="utf-8")
json.dump(said, sys.stdout, ensure_ascii=False)
"#;

fn python(specs: &[ScanSpec]) -> Option<Vec<Value>> {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("runtimes/python");
    let asked = tempfile::NamedTempFile::new().unwrap();
    serde_json::to_writer(&asked, specs).unwrap();
    let mut command = Command::new("python3");
    command.args(["-B", "-I", "-c", SUMMARISE]).arg(program);
    if !python_is_there("workflow_python") {
        return None;
    }
    let output = command.stdin(fs::File::open(asked.path()).unwrap()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(serde_json::from_slice(&output.stdout).unwrap())
}

fn rust(spec: &ScanSpec) -> Value {
    let found = scan(spec);
    let ingested = ingest(&found);
    let template = "{{[{data}]}} {answer} {{{{{answer}}}}}";
    let prompt = template::fill(template, &ingested.summary, "an {data} answer");
    json!({ "prompt": prompt, "files": ingested.files, "bytes": ingested.bytes, "scanned": found.bytes })
}

fn spec(folder: PathBuf) -> ScanSpec {
    let extensions = ["csv", "json", "md"].map(str::to_owned).into();
    ScanSpec { folder, extensions, max_files: 50, max_bytes: 100_000 }
}

#[track_caller]
fn alike(specs: &[ScanSpec]) {
    let Some(said) = python(specs) else { return };
    assert_eq!(said.len(), specs.len());
    for (spec, python) in specs.iter().zip(&said) {
        let rust = rust(spec);
        assert_eq!(rust, *python, "{}", files(&spec.folder));
    }
}

/// What lies in a folder, for the message of a difference.
fn files(folder: &Path) -> String {
    let entries = fs::read_dir(folder).unwrap().flatten().filter(|entry| entry.path().is_file());
    let show = |entry: fs::DirEntry| {
        let content = fs::read(entry.path()).unwrap_or_default();
        format!("{}: {:?}\n", entry.file_name().display(), String::from_utf8_lossy(&content))
    };
    entries.map(show).collect()
}

/// Contents from pieces that mean something to a reader of the format.
fn pieces(of: &'static [&'static [u8]], most: usize) -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(prop::sample::select(of), 0..most).prop_map(|pieces| pieces.concat())
}

const CSV: &[&[u8]] = &[
    b",",
    b",",
    b",",
    b"\n",
    b"\n",
    b"\r\n",
    b"\r",
    b"\"",
    b"\"",
    b"\"\"",
    b" ",
    b"\t",
    b"a",
    b"1",
    b"-2.5",
    b"1e3",
    b"e",
    b"0",
    b"\xef\xbb\xbf",
    b"\xff",
    b"\xe6\x97",
    b"\xc3\xa9",
    b"\0",
    b"NaN",
    b"+",
    b".",
    b"9",
    b"\xe2\x80\xa8",
    b"\x0b",
    b"\x1c",
    b"\x85",
];
const JSON: &[&[u8]] = &[
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"\"a\"",
    b"\"b\\n\"",
    b"\"\\ud83d\"",
    b"\"\\ud83d\\ude00\"",
    b"1",
    b"-0",
    b"01",
    b"1e5",
    b"1E400",
    b"null",
    b"true",
    b"NaN",
    b"-Infinity",
    b" ",
    b"\r\n",
    b"\"\\u00e9\"",
    b"\"\t\"",
    b"\xff",
    b"\xef\xbb\xbf",
    b"{\"a\":1,\"b\":[",
    b"]}",
    b"\"\\x\"",
    b"-",
];
const MARKDOWN: &[&[u8]] = &[
    b"#",
    b"##",
    b" ",
    b"\n",
    b"\n",
    b"\r\n",
    b"```",
    b"word",
    b"\xc2\xa0",
    b"\xe2\x80\x83",
    b"\t",
    b"\x0b",
    b"\x0c",
    b"\xff",
    b"\xef\xbb\xbf",
    b"\r",
    b"\x1f",
    b"\x85",
];

#[test]
fn any_content_is_summarised_alike() {
    let mut runner = TestRunner::deterministic();
    let contents = (pieces(CSV, 40), pieces(JSON, 12), pieces(MARKDOWN, 30));
    let numbers = prop::collection::vec(any::<u64>(), 1..6);
    let folder = tempfile::tempdir().unwrap();
    let mut specs = Vec::new();
    for case in 0..400 {
        let here = folder.path().join(case.to_string());
        fs::create_dir(&here).unwrap();
        let (csv, json, markdown) = contents.new_tree(&mut runner).unwrap().current();
        fs::write(here.join("a.csv"), csv).unwrap();
        fs::write(here.join("b.json"), json).unwrap();
        fs::write(here.join("c.md"), markdown).unwrap();
        // Every double that is a number, in full digits.
        let numbers = numbers.new_tree(&mut runner).unwrap().current();
        let numbers = numbers.into_iter().map(f64::from_bits).filter(|number| number.is_finite());
        let column = numbers
            .fold("n\n".to_owned(), |column, number| format!("{column}{number:e}\n{number}\n"));
        fs::write(here.join("d.csv"), column).unwrap();
        // Around the levels that are too many.
        let levels = 100 + case % 50;
        let deep = format!("{}{}", "[{\"a\":".repeat(levels / 2), "[".repeat(levels % 2));
        let flat = format!("{}{}", "]".repeat(levels % 2), "}]".repeat(levels / 2));
        let leaf = if levels % 2 == 0 { "1" } else { "" };
        fs::write(here.join("e.json"), format!("{deep}{leaf}{flat}")).unwrap();
        specs.push(spec(here));
    }
    alike(&specs);
}

#[test]
fn any_names_are_scanned_alike() {
    let names = [
        "a.csv",
        "A.CSV",
        "a.csv.md",
        "a/b.json",
        "a.json",
        "a-.json",
        "\u{e9}.md",
        "\u{1f600}/\u{e4}.md",
        "\u{ff5e}.md",
        "x.txt",
        ".hidden.md",
        ".git/a.md",
        "folder.md/b.md",
        "new\nline.md",
        "csv",
        "..md",
    ];
    let folder = tempfile::tempdir().unwrap();
    for name in names {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, name).unwrap();
    }
    #[cfg(unix)]
    {
        use std::os::unix::ffi::OsStrExt as _;
        let odd = std::ffi::OsStr::from_bytes(b"not \xff utf-8.md");
        fs::write(folder.path().join(odd), "odd").unwrap();
        let outside = folder.path().parent().unwrap();
        std::os::unix::fs::symlink(outside, folder.path().join("up")).unwrap();
        std::os::unix::fs::symlink("a.csv", folder.path().join("link.csv")).unwrap();
        std::os::unix::fs::symlink("nowhere.csv", folder.path().join("dangling.csv")).unwrap();
    }
    let all = spec(folder.path().to_owned());
    let found = scan(&all).files.len();
    assert!(found >= 11, "{found}");
    let mut specs = vec![all.clone()];
    specs.extend((0..=found as u64).map(|max_files| ScanSpec { max_files, ..all.clone() }));
    specs.extend((0..80).map(|max_bytes| ScanSpec { max_bytes, ..all.clone() }));
    specs.push(ScanSpec { extensions: vec!["md".to_owned()], ..all.clone() });
    specs.push(ScanSpec { folder: folder.path().join("missing"), ..all });
    alike(&specs);
}

const MANIFEST: &str = r#"
schema = 1
name = "demo"
[defaults]
repeats = 1
warmup = 1
timeout = "10s"
max_tokens = 8
vary_prompt = false # the prefix tells the cells of the two runtimes apart
[endpoint]
a = { simulated = { rate = "500 tok/s" } }
[prompt]
analyse = { text = "{{\"n\": 1}} {data}" }
tell = { text = "{answer}\n{data}" }
[workflow.full]
scan = { folder = "data", extensions = ["csv", "json", "md"], max_files = 4 }
analysis = "analyse"
report = "tell"
[scenario]
pair = [{ agent = "left", endpoint = "a", workflow = "full", count = 2 }]
[experiment.t]
matrix = { scenario = ["pair"], runtime = ["rust", "python"] }
"#;

/// The real processes, started by exec. Where the environment of the Python runtime cannot be made
/// this is skipped; with `CI=true` it fails.
#[test]
fn both_runtimes_send_the_same_bytes() {
    let Some(cache) = python_cache("both_runtimes_send_the_same_bytes") else { return };
    let study = Study::new(&study::Manifest::default());
    fs::write(study.manifest(), MANIFEST).unwrap();
    let data = study.folder.path().join("data/d\u{e9}ep");
    fs::create_dir_all(&data).unwrap();
    fs::write(
        data.join("a.csv"),
        "\u{feff}\"a, b\",n\r\n\"x\ny\",1e-7\r\n\r\nz,-1152921504606846977\r\n",
    )
    .unwrap();
    fs::write(data.join("b.json"), "{\"\u{65e5}\": [NaN]}").unwrap();
    fs::write(data.join("c.json"), "{\"\u{65e5}\": [1e3], \"a\": {}}").unwrap();
    fs::write(data.join("d.md"), b"# One\xff\r\n\r\nwords\r\n").unwrap();
    fs::write(data.join("e.md"), "left out").unwrap();
    let output = study.command(&["exec"]).env("RUNNER_CACHE", &cache).output().unwrap();
    assert!(output.status.success(), "{}", study::text(&output));

    let mut sent: BTreeMap<String, Vec<Vec<u8>>> = BTreeMap::new();
    for path in study::files(&study.layout().runs()) {
        if path.parent().is_some_and(|parent| parent.ends_with("prompts")) {
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            sent.entry(name).or_default().push(fs::read(path).unwrap());
        }
    }
    assert_eq!(sent.len(), 8, "two agents, four calls: {:?}", sent.keys());
    for (name, prompts) in sent {
        let [one, other] = prompts.as_slice() else { panic!("{name}: {} runs", prompts.len()) };
        assert_eq!(String::from_utf8_lossy(one), String::from_utf8_lossy(other), "{name}");
        assert_eq!(one, other, "{name}");
    }
}
