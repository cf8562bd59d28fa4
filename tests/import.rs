//! Earlier results become runs: what `runner import` reads, what it refuses, and that nothing is lost or written twice.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::thread;
use std::time::Duration;

use runner::store::Store;
use runner::store::record::RunRecord;
use tempfile::TempDir;

const MAP: &str = r#"
schema = 1
title  = "Two agents, a file per run"

[levels]
model = "/model"
gpu   = { at = "/options/gpu", absent = "default" }

[run]
repeat   = "/number"
finished = "/ended"
wall     = { at = "/wall_s", unit = "s" }

[evidence]
hostname = "/host"

[agents]
names    = ["a", "b"]
duration = { at = "/{agent}/time_s", unit = "s" }

[calls]
each   = "/{agent}/calls/*"
tokens = "@/tokens"
ttft   = { at = "@/first_ms", unit = "ms" }
decode = { at = "@/decode_ns", unit = "ns", zero = "unknown" }

[[calls.uncounted]]
when    = "tokens < 1"
as      = "truncated"
because = "nothing came"

[metric.published_speedup]
run    = "/speedup"
unit   = "×"
better = "higher"
equals = "speedup"
[metric.published_rate]
agent  = "/{agent}/rate"
unit   = "tok/s"
"#;

const MANIFEST: &str = r#"
schema = 1
name   = "earlier"

[experiment.pair]
matrix  = { model = ["m", "n"] }
repeats = 2
[experiment.pair.import]
map      = "pair.toml"
root     = "tree"
files    = "{dir}/run_{repeat}.json"
ignore   = { "**/notes.txt" = "a text" }
campaign = "the first"
stated   = { gpu = "one" }
"#;

/// A tree of files, the manifest and the map beside it.
struct Tree {
    folder: TempDir,
}

impl Tree {
    fn new() -> Self {
        let tree = Self { folder: tempfile::tempdir().unwrap() };
        tree.write("study.toml", MANIFEST);
        tree.write("pair.toml", MAP);
        for (model, dir) in [("m", "one"), ("n", "two")] {
            for number in 1..=2 {
                tree.write(&format!("tree/{dir}/run_{number}.json"), file(model, number, 100.0));
            }
        }
        tree.write("tree/one/notes.txt", "nothing");
        tree
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn change(&self, name: &str, from: &str, to: &str) {
        let text = fs::read_to_string(self.path(name)).unwrap();
        assert!(text.contains(from), "{from} in {text}");
        self.write(name, text.replace(from, to));
    }

    fn runner(&self, args: &[&str]) -> Output {
        let (command, further) = args.split_first().unwrap();
        Command::new(env!("CARGO_BIN_EXE_runner"))
            .current_dir(self.folder.path())
            .env("NO_COLOR", "1")
            .args([command, "study.toml", "--results", "results"])
            .args(further)
            .output()
            .unwrap()
    }

    /// What it says, whichever way.
    fn says(&self, code: i32, args: &[&str]) -> String {
        let output = self.runner(args);
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8(text).unwrap();
        assert_eq!(output.status.code(), Some(code), "{args:?}: {text}");
        text
    }

    fn runs(&self) -> Vec<RunRecord> {
        let store = Store::open(&self.path("results"), "earlier").unwrap();
        let cells = store.cells();
        cells.iter().flat_map(|cell| store.runs(cell).values().cloned()).collect()
    }

    /// Every file of the results with its time and content.
    fn stored(&self) -> Vec<(PathBuf, std::time::SystemTime, Vec<u8>)> {
        let mut found: Vec<_> = walkdir::WalkDir::new(self.path("results"))
            .into_iter()
            .map(Result::unwrap)
            .filter(|entry| entry.file_type().is_file())
            .map(|entry| {
                let time = entry.metadata().unwrap().modified().unwrap();
                (entry.path().to_owned(), time, fs::read(entry.path()).unwrap())
            })
            .collect();
        found.sort();
        found
    }
}

fn file(model: &str, number: u32, decode_ms: f64) -> String {
    let agent = |time: f64, tokens: u32| {
        let call = format!(
            "{{\"tokens\": {tokens}, \"first_ms\": 20, \"decode_ns\": {}}}",
            decode_ms * 1e6
        );
        let empty = "{\"tokens\": 0, \"first_ms\": 9, \"decode_ns\": 0}";
        format!("{{\"time_s\": {time}, \"rate\": 40, \"calls\": [{call}, {empty}]}}")
    };
    format!(
        "{{\"model\": \"{model}\", \"number\": {number}, \"ended\": \"2025-01-0{number}T10:00:00Z\", \
         \"host\": \"box\", \"wall_s\": 2.0, \"speedup\": 1.5, \"options\": {{}}, \"a\": {}, \"b\": {}}}",
        agent(1.0, 10),
        agent(2.0, 20)
    )
}

fn metric(run: &RunRecord, name: &str) -> Option<f64> {
    run.metrics.get(name).copied().flatten()
}

#[test]
fn files_become_runs_that_nobody_takes_for_measured_ones() {
    let tree = Tree::new();
    let said = tree.says(0, &["import"]);
    assert!(
        said.starts_with(
            "pair: 4 of 4 runs: 4 new, 0 unchanged, 0 changed; 4 files read, 1 passed over"
        ),
        "{said}"
    );
    let runs = tree.runs();
    assert_eq!(runs.len(), 4);
    let run = &runs[0];
    let imported = run.imported.as_ref().unwrap();
    assert_eq!((imported.campaign.as_str(), imported.map.as_str()), ("the first", "pair"));
    assert_eq!(imported.stated["gpu"], "one");
    assert_eq!(imported.recorded["gpu"], "default");
    assert_eq!(run.evidence.machine.hostname.as_deref(), Some("box"));
    assert_eq!((run.format, run.started.as_deref()), (2, None));
    assert_eq!(run.finished.as_deref(), Some("2025-01-01T10:00:00Z"));
    for (name, value) in [
        ("wall_ms", 2000.0),
        ("sequential_ms", 3000.0),
        ("balance", 0.5),
        ("speedup", 1.5),
        ("efficiency_percent", 75.0),
        ("contention", 0.0),
        ("tokens", 30.0),
        ("aggregate_tokens_per_s", 15.0),
        ("eval_rate_tokens_per_s", 150.0),
        ("decode_tokens_per_s", 140.0),
        ("ttft_ms", 20.0),
        ("measured_calls", 2.0),
        ("failed_calls", 2.0),
        ("published_speedup", 1.5),
        ("published_rate", 40.0),
    ] {
        let own = metric(run, name).unwrap_or_else(|| panic!("{name} is unknown"));
        assert!((own - value).abs() < 1e-9, "{name}: {own}");
    }
    assert_eq!(run.agents.len(), 2);
    assert_eq!(run.agents[1].metrics["eval_rate_tokens_per_s"], Some(200.0));
    let calls: Vec<_> = run.calls.iter().map(|call| call.outcome.name()).collect();
    assert_eq!(calls, ["ok", "truncated", "ok", "truncated"]);

    assert!(tree.says(0, &["status"]).contains("IMPORTED: 4 of 4 runs"));
    assert!(tree.says(0, &["verify"]).contains("0 findings"));
    assert!(tree.says(0, &["recompute", "--check"]).contains("4 as stored"));
    assert!(tree.says(0, &["plan"]).contains("imported"));
    assert!(tree.says(0, &["exec"]).contains("nothing of it is executed"));
    let report = tree.says(0, &["report", "--stdout"]);
    assert!(
        report.contains("**IMPORTED**: 4 of 4 runs were read from earlier results"),
        "{report}"
    );
    assert!(report.contains("## Imported results") && report.contains("; IMPORTED"), "{report}");
    let table = tree.says(0, &["export", "--table", "agents"]);
    assert_eq!(table.lines().count(), 9, "{table}");
}

#[test]
fn a_second_import_writes_nothing_whatever_its_files_and_maps_are_called() {
    let tree = Tree::new();
    tree.says(0, &["import"]);
    let before = tree.stored();
    let unchanged = |said: &str| assert!(said.contains("0 new, 4 unchanged, 0 changed"), "{said}");
    unchanged(&tree.says(0, &["import"]));
    // Another order of keys, comments and another name of the map; another root; another name of the experiment.
    let lines: Vec<&str> = MAP.split("[evidence]").collect();
    tree.write(
        "other.toml",
        format!(
            "# again\nschema = 1\n[evidence]{}\n{}",
            lines[1],
            lines[0].replace("schema = 1\n", "").replace("title ", "\ntitle ")
        )
        .replace("title  = \"Two agents, a file per run\"\n", ""),
    );
    fs::rename(tree.path("tree"), tree.path("elsewhere")).unwrap();
    tree.change("study.toml", "experiment.pair", "experiment.duo");
    let said = tree.says(0, &["import", "--root", "elsewhere"]);
    assert!(said.contains("duo: 4 of 4 runs: 0 new, 4 unchanged"), "{said}");
    assert_eq!(tree.stored(), before);
}

#[test]
fn a_changed_file_is_named_and_replaces_its_run_only_when_asked() {
    let tree = Tree::new();
    tree.says(0, &["import"]);
    tree.change("tree/one/run_2.json", "\"tokens\": 10", "\"tokens\": 11");
    let before = tree.stored();
    for args in [&["import", "--check"][..], &["import"]] {
        let said = tree.says(6, args);
        assert!(
            said.contains("one/run_2.json: the file is another one than was imported"),
            "{said}"
        );
        assert_eq!(tree.stored(), before);
    }
    let said = tree.says(0, &["import", "--update"]);
    assert!(said.contains("0 new, 3 unchanged, 1 changed"), "{said}");
    assert!(tree.runs().iter().any(|run| metric(run, "tokens") == Some(31.0)));
    assert!(tree.says(0, &["verify"]).contains("0 findings"));
    assert!(tree.path("results/earlier/superseded").is_dir());
    tree.says(0, &["import", "--check"]);
    // A unit in the map is another reading of the same file.
    tree.change("pair.toml", "unit = \"s\" }\n\n[evidence]", "unit = \"ms\" }\n\n[evidence]");
    let said = tree.says(6, &["import"]);
    assert!(said.contains("the map says something else"), "{said}");
    // A file that is gone takes no run with it.
    fs::remove_file(tree.path("tree/two/run_1.json")).unwrap();
    let said = tree.says(6, &["import"]);
    assert!(said.contains("1 whose rows are gone") && tree.runs().len() == 4, "{said}");
}

/// Files that cannot be read, each with what is said of it; the others are imported all the same.
#[test]
fn what_is_wrong_with_a_file_is_said_with_its_place() {
    let good = file("m", 2, 100.0);
    let with = |from: &str, to: &str| {
        assert!(good.contains(from), "{from}");
        good.replace(from, to).into_bytes()
    };
    let wide: Vec<u8> = [0xff, 0xfe]
        .into_iter()
        .chain("{\"a\"".encode_utf16().flat_map(u16::to_le_bytes))
        .collect();
    let cases: Vec<(Vec<u8>, &str)> = vec![
        (with("\"wall_s\"", "\"wall_t\""), "there is no `wall_s` at the top; there is `wall_t`"),
        (b"{\n \"model\": }".to_vec(), "is not JSON: expected value at line 2 column 11"),
        (with("\"wall_s\": 2.0", "\"wall_s\": NaN"), "`NaN` is no number of JSON"),
        (b"{\"model\": \"caf\xe9\"}".to_vec(), "is not UTF-8: line 1 has the byte 0xE9"),
        (wide, "is not JSON"),
        (with("\"wall_s\": 2.0", "\"wall_s\": \"two\""), "#/wall_s: `two` is no number"),
        (
            with("\"wall_s\": 2.0", "\"wall_s\": \"2 W\""),
            "#/wall_s: `2 W` is in W, and s is wanted",
        ),
        (with("\"wall_s\": 2.0", "\"wall_s\": -2.0"), "`wall` is -2000, and cannot be below 0"),
        (with("\"number\": 2", "\"number\": 0"), "0 is no number of a repeat"),
        (
            with("\"model\": \"m\"", "\"model\": \"mm\""),
            "no cell has `model` = `mm`; did you mean `m`?",
        ),
        (with("2025-01-02T10:00:00Z", "2025-01-02 10:00"), "has no offset from UTC"),
        ("[".repeat(400).into_bytes(), "is nested too deep"),
        (
            with("\"tokens\": 20", "\"tokens\": [1]"),
            "/b/calls/0/tokens: there is a list, and one value is wanted",
        ),
    ];
    for (content, expected) in cases {
        let tree = Tree::new();
        tree.write("tree/one/run_2.json", &content);
        let said = tree.says(3, &["import"]);
        assert!(said.contains(expected), "{expected}: {said}");
        assert!(said.contains("one/run_2.json") && said.contains("3 of 4 runs: 3 new"), "{said}");
        assert_eq!(tree.runs().len(), 3, "{expected}");
    }
}

#[test]
fn rows_of_one_run_a_link_and_a_file_that_nobody_names_are_said() {
    let tree = Tree::new();
    tree.write("tree/three/run_9.json", file("m", 1, 100.0));
    tree.write("tree/odd.csv", "x\n");
    #[cfg(unix)]
    std::os::unix::fs::symlink("/etc/hostname", tree.path("tree/two/run_3.json")).unwrap();
    let said = tree.says(3, &["import"]);
    let rows = "one/run_1.json and three/run_9.json are both repeat 1 of cell";
    assert!(said.contains(rows) && tree.runs().len() == 3, "{said}");
    assert!(said.contains("no pattern of `files` or `ignore` matches: tree/odd.csv"), "{said}");
    #[cfg(unix)]
    assert!(said.contains("two/run_3.json is a symbolic link"), "{said}");
    fs::remove_dir_all(tree.path("tree/three")).unwrap();
    tree.change("study.toml", "repeats = 2", "repeats = 1");
    assert!(tree.says(3, &["import"]).contains("is repeat 2 of a cell that asks for 1"));
}

/// A tree of another kind: rows of CSV in UTF-16 with units, JSON Lines, a folder per level.
#[test]
fn tables_and_lines_are_read_by_maps_of_their_own() {
    let tree = Tree::new();
    fs::remove_dir_all(tree.path("tree")).unwrap();
    let table = "node, try, rate, mem\r\nx, 1, 60.5 tok/s, 1 MiB\r\nx, 2, 61.5 tok/s, 2 MiB\r\n";
    let wide = table.encode_utf16().flat_map(u16::to_be_bytes);
    tree.write("tree/slow/log.csv", [0xfe, 0xff].into_iter().chain(wide).collect::<Vec<u8>>());
    tree.write("tree/fast/log.csv", table);
    tree.write("lines/l.jsonl", "{\"n\": 1, \"v\": [1, 2, 3]}\n\n{\"n\": 2, \"v\": [4]}\n");
    tree.write(
        "rows.toml",
        "schema = 1\neach = \"/{i}\"\n[levels]\nnode = \"@/node\"\n[run]\nrepeat = \"@/try\"\n[metric.published_rate]\n\
         run = \"@/rate\"\nunit = \"tok/s\"\n[metric.gpu_memory_peak_mb]\nrun = { at = \"@/mem\", unit = \"MiB\" }\n",
    );
    tree.write(
        "lines.toml",
        "schema = 1\neach = \"/*\"\n[run]\nrepeat = \"@/n\"\n[metric.published_mean]\nrun = { mean = \"@/v/*\" }\n",
    );
    tree.write("cells.csv", "speed,node,repeats\nslow,x,\nfast,x,1\n");
    tree.write(
        "study.toml",
        "schema = 1\nname = \"earlier\"\n[experiment.rows]\ncells = \"cells.csv\"\naxes = [\"speed\"]\nrepeats = 2\n\
         [experiment.rows.import]\nmap = \"rows.toml\"\nroot = \"tree\"\nfiles = \"{speed:slow|fast}/log.csv\"\n\
         campaign = \"c\"\n[experiment.lines]\nrepeats = 2\n[experiment.lines.import]\nmap = \"lines.toml\"\n\
         root = \"lines\"\nfiles = \"*.jsonl\"\ncampaign = \"c\"\n",
    );
    let scan = tree.says(0, &["import", "--scan"]);
    assert!(
        scan.contains("# rows: 2 files, 4 rows") && scan.contains("node,speed\nx,fast\nx,slow"),
        "{scan}"
    );
    let said = tree.says(0, &["import"]);
    assert!(
        said.contains("rows: 3 of 3 runs: 3 new") && said.contains("lines: 2 of 2 runs"),
        "{said}"
    );
    assert!(said.contains("is repeat 2 of a cell that asks for 1"), "{said}");
    let mut rates: Vec<f64> =
        tree.runs().iter().filter_map(|run| metric(run, "published_rate")).collect();
    rates.sort_by(f64::total_cmp);
    assert_eq!(rates, [60.5, 60.5, 61.5]);
    let memory =
        tree.runs().iter().filter_map(|run| metric(run, "gpu_memory_peak_mb")).fold(0.0, f64::max);
    assert!((memory - 2.097_152).abs() < 1e-9, "{memory}");
    let means: Vec<f64> =
        tree.runs().iter().filter_map(|run| metric(run, "published_mean")).collect();
    assert!((means.iter().sum::<f64>() - 6.0).abs() < 1e-9);
}

#[test]
fn a_killed_import_loses_nothing_and_the_next_one_finishes_it() {
    let tree = Tree::new();
    tree.change("study.toml", "repeats = 2", "repeats = 300");
    tree.change("study.toml", "model = [\"m\", \"n\"]", "model = [\"m\"]");
    fs::remove_dir_all(tree.path("tree/two")).unwrap();
    for number in 1..=300 {
        let at = format!("2025-01-0{number}T");
        let content = file("m", number, 100.0).replace(&at, "2025-01-02T");
        tree.write(&format!("tree/one/run_{number}.json"), content);
    }
    for after_ms in [5, 40, 80, 120, 160] {
        let mut child = Command::new(env!("CARGO_BIN_EXE_runner"))
            .current_dir(tree.folder.path())
            .args(["import", "study.toml", "--results", "results"])
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        thread::sleep(Duration::from_millis(after_ms));
        child.kill().unwrap();
        child.wait().unwrap();
        let said = tree.says(0, &["import"]);
        assert!(said.contains("300 of 300 runs"), "{said}");
        assert!(tree.says(0, &["verify"]).contains("300 runs"), "after {after_ms} ms");
        assert!(tree.says(0, &["verify"]).contains("0 findings"), "after {after_ms} ms");
        fs::remove_dir_all(tree.path("results")).unwrap();
    }
}

#[test]
fn a_report_needs_neither_the_files_nor_the_maps() {
    let tree = Tree::new();
    tree.says(0, &["import"]);
    fs::remove_dir_all(tree.path("tree")).unwrap();
    fs::remove_file(tree.path("pair.toml")).unwrap();
    let report = tree.says(0, &["report", "--stdout"]);
    assert!(report.contains("`published_speedup`"), "{report}");
    let said = tree.says(1, &["import"]);
    assert!(
        said.contains("the root ./tree of experiment `pair` cannot be read: it is not there"),
        "{said}"
    );
    assert!(said.contains("--root DIR"), "{said}");
}

#[test]
fn recorded_levels_that_differ_between_the_sides_are_named() {
    let tree = Tree::new();
    let claim = "\n[claim.faster]\nmetric = \"published_speedup\"\nvalue = 0\ntolerance_abs = 1\nsource = \"p. 3\"\n\
                 where = { model = \"n\" }\nagainst = { model = \"m\" }\n\
                 [claim.options]\nlevel = \"gpu\"\nvalue = 80\ntolerance_abs = 0\nsource = \"p. 4\"\n\
                 where = { model = \"n\" }\n";
    tree.write("study.toml", format!("{MANIFEST}{claim}"));
    tree.change("study.toml", "repeats = 2", "repeats = 2\nbaseline = { model = \"m\" }");
    for number in 1..=2 {
        let name = format!("tree/two/run_{number}.json");
        tree.change(&name, "\"options\": {}", "\"options\": {\"gpu\": 80}");
    }
    tree.says(0, &["import"]);
    let report = tree.says(0, &["report", "--stdout"]);
    assert!(report.contains("Not alike in all else."), "{report}");
    assert!(report.contains("| `gpu` | 80 | default | 1 |"), "{report}");
    let said = tree.says(0, &["check-claims"]);
    let note = "`gpu` is 80 on one side and default on the other";
    assert!(said.contains(note), "{said}");
    assert!(
        said.contains(
            "reproduced: options: mean of gpu at model n: 80 published (p. 4), 80 from 2 run(s)"
        ),
        "{said}"
    );
    // alike on both sides it is no news
    for number in 1..=2 {
        let name = format!("tree/one/run_{number}.json");
        tree.change(&name, "\"options\": {}", "\"options\": {\"gpu\": 80}");
    }
    tree.says(0, &["import", "--update"]);
    assert!(!tree.says(0, &["check-claims"]).contains("on one side"));
    assert!(!tree.says(0, &["report", "--stdout"]).contains("Not alike in all else."));
}

#[test]
fn a_hypothesis_on_earlier_results_is_post_hoc_whenever_they_are_imported() {
    let tree = Tree::new();
    let further = "\n[experiment.pair.hypothesis.faster]\nclaim = \"n is the faster\"\n\
                   greater = { metric = \"published_speedup\", at = { model = \"n\" }, than = { model = \"m\" } }\n\
                   [experiment.live]\ncommand = [\"true\", \"{part}\"]\nmatrix = { part = [\"one\"] }\nrepeats = 1\n";
    tree.write("study.toml", format!("{MANIFEST}{further}"));
    tree.change("tree/one/run_1.json", "\"speedup\": 1.5", "\"speedup\": 1.4");
    tree.change("tree/two/run_1.json", "\"speedup\": 1.5", "\"speedup\": 1.7");
    // this exec declares the hypothesis before there are runs of it in the store
    tree.says(0, &["exec"]);
    tree.says(0, &["import"]);
    let report = tree.says(0, &["report", "--stdout"]);
    assert!(report.contains(", post hoc**"), "{report}");
    let why =
        "**Post hoc**: runs of it are earlier results, which were there before it was declared.";
    assert!(report.contains(why), "{report}");
    assert!(report.contains("repeats are not interleaved"), "{report}");
}

#[test]
fn nothing_is_tested_between_imported_and_measured_runs_or_between_campaigns() {
    let tree = Tree::new();
    tree.change(
        "study.toml",
        "matrix  = { model = [\"m\", \"n\"] }",
        "matrix  = { model = [\"m\"] }",
    );
    fs::remove_dir_all(tree.path("tree/two")).unwrap();
    let manifest = fs::read_to_string(tree.path("study.toml")).unwrap();
    let (_, own) = manifest.split_once("[experiment.pair]").unwrap();
    let other =
        own.replace("experiment.pair", "experiment.later").replace("the first", "the second");
    tree.write("study.toml", format!("{manifest}\n[experiment.later]{other}"));
    tree.says(0, &["import"]);
    let runs = tree.runs();
    assert_eq!(runs.len(), 4);
    let campaigns: std::collections::BTreeSet<_> =
        runs.iter().map(|run| run.evidence.campaign.clone()).collect();
    assert_eq!(campaigns.len(), 2, "the same levels of two campaigns are two cells");
    let differences =
        runner::store::staleness(&runs[0].evidence, &runner::store::record::Evidence::default());
    assert!(
        differences.iter().any(|text| text.contains("imported (the") && text.contains("measured")),
        "{differences:?}"
    );
}

#[test]
fn what_is_wrong_with_an_import_is_said_before_any_file_is_read() {
    for (file, from, to, expected) in [
        ("study.toml", "campaign = \"the first\"\n", "", "missing key `campaign`"),
        ("study.toml", "files    = \"{dir}", "files    = \"{di", "a brace that nothing closes"),
        (
            "study.toml",
            "map      = \"pair.toml\"",
            "map      = \"none.toml\"",
            "cannot read the map",
        ),
        (
            "study.toml",
            "repeats = 2",
            "repeats = 2\nwarmup = 1",
            "`warmup` means nothing for an import",
        ),
        (
            "study.toml",
            "model = [\"m\", \"n\"]",
            "size = [1, 2]",
            "nothing says the level of `size`",
        ),
        (
            "pair.toml",
            "wall     = { at = \"/wall_s\", unit = \"s\" }",
            "wall = \"/wall_s\"",
            "the unit of the file's number is not said",
        ),
        ("pair.toml", "unit = \"ms\" }", "unit = \"W\" }", "`W` cannot be converted to ms"),
        ("pair.toml", "tokens < 1", "token < 1", "`token` is no fact of a call"),
        (
            "pair.toml",
            "as      = \"truncated\"",
            "as      = \"ok\"",
            "`ok` is no outcome of a call that does not count",
        ),
        ("pair.toml", "title  =", "titel  =", "unknown key `titel`"),
        (
            "pair.toml",
            "repeat   = \"/number\"",
            "repeat   = \"{number}\"",
            "{number} is used, and nothing captures it",
        ),
        (
            "pair.toml",
            "equals = \"speedup\"",
            "equals = \"speedupp\"",
            "should equal `speedupp`, which is no metric",
        ),
        (
            "pair.toml",
            "metric.published_speedup",
            "metric.speedup",
            "has the name of one that is computed from facts",
        ),
    ] {
        let tree = Tree::new();
        tree.change(file, from, to);
        let output = Command::new(env!("CARGO_BIN_EXE_runner"))
            .current_dir(tree.folder.path())
            .env("NO_COLOR", "1")
            .args(["check", "study.toml"])
            .output()
            .unwrap();
        let said = String::from_utf8(output.stderr).unwrap().replace("\n  │ ", " ");
        assert_eq!(output.status.code(), Some(4), "{expected}: {said}");
        let words = said.split_whitespace().collect::<Vec<_>>().join(" ").replace("│ ", "");
        assert!(words.contains(expected), "{expected}: {said}");
    }
    assert!(Path::new("experiments/legacy/tr114.toml").is_file());
}
