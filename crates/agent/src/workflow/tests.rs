//! Summaries, scans and prompts to the byte, by hand from the rules in docs/agent-protocol.md.

use std::fs;
use std::path::Path;

use formats::protocol::ScanSpec;

use super::template::{TemplateError, check, fill};
use super::*;

fn spec(folder: &Path) -> ScanSpec {
    ScanSpec {
        folder: folder.to_owned(),
        extensions: ["csv", "json", "md"].map(str::to_owned).into(),
        max_files: ScanSpec::MAX_FILES,
        max_bytes: ScanSpec::MAX_BYTES,
    }
}

/// The summary of these files.
fn summary(files: &[(&str, &[u8])]) -> String {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    ingest(&scan(&spec(folder.path()))).summary
}

/// What is said of one file, without the summary's own line.
fn of(name: &str, content: impl AsRef<[u8]>) -> String {
    let summary = summary(&[(name, content.as_ref())]);
    summary.strip_prefix("files: 1, left out: 0\n").unwrap().to_owned()
}

#[test]
fn files_come_in_the_order_of_their_paths_bytes() {
    let files: [(&str, &[u8]); 5] = [
        ("b/deep/er/x.md", b"# Deep\n"),
        ("b.json", b"{\"z\":1,\"a\":[2]}"),
        ("Z.CSV", b"n\n1\n"),
        ("a.txt", b"not asked for"),
        ("\u{e9}.json", b"[1,2]"),
    ];
    assert_eq!(
        summary(&files),
        "files: 4, left out: 0\n\
         Z.CSV: CSV, rows: 1, columns: 1, ragged rows: 0\n\
         - n: numbers, values: 1, min: 1, max: 1, mean: 1\n\
         b.json: JSON object, keys: 2\n\
         - a\n\
         - z\n\
         b/deep/er/x.md: Markdown, words: 2, headings: 1\n\
         - # Deep\n\
         \u{e9}.json: JSON array, items: 2"
    );
}

#[test]
fn csv_is_read_leniently() {
    let text = "\u{feff}name, price ,note\r\n\"a, b\",1.5,\"say \"\"hi\"\"\"\r\n\r\nc, -2e1\t,\r\nd\r\ne,4,5,6";
    assert_eq!(
        of("a.csv", text),
        "a.csv: CSV, rows: 4, columns: 3, ragged rows: 2\n\
         - name: text, values: 4\n\
         -  price : numbers, values: 3, min: -20, max: 4, mean: -4.833333333333333\n\
         - note: text, values: 2"
    );
    assert_eq!(of("a.csv", ""), "a.csv: CSV, rows: 0, columns: 0, ragged rows: 0");
    assert_eq!(
        of("a.csv", "\"two\nlines\",a\"b\r\"x\"y\"z,\"open\n"),
        "a.csv: CSV, rows: 1, columns: 2, ragged rows: 0\n\
         - two lines: text, values: 1\n\
         - a\"b: text, values: 1"
    );
}

#[test]
fn numbers_are_written_as_canonical_json_writes_them() {
    for (values, shown) in [
        ("1,2", "min: 1, max: 2, mean: 1.5"),
        ("+7,007", "min: 7, max: 7, mean: 7"),
        ("-0,0", "min: 0, max: 0, mean: 0"),
        (
            "1152921504606846977",
            "min: 1152921504606847000, max: 1152921504606847000, mean: 1152921504606847000",
        ),
        ("1e21,1e-7", "min: 1e-7, max: 1e+21, mean: 500000000000000000000"),
        ("0.000001", "min: 0.000001, max: 0.000001, mean: 0.000001"),
        ("1e308,1e308", "min: 1e+308, max: 1e+308"),
    ] {
        let column = format!("n\n{}\n", values.replace(',', "\n"));
        let said = of("a.csv", column);
        assert!(said.ends_with(&format!(", {shown}")), "{values}: {said}");
    }
    for text in
        ["NaN", "inf", "1e999", "1,000", "1_000", ".5", "5.", "0x10", "1e", "--1", "\u{661}"]
    {
        let said = of("a.csv", format!("n\n1\n\"{text}\"\n"));
        assert!(said.ends_with("- n: text, values: 2"), "{text}: {said}");
    }
}

#[test]
fn json_is_valid_or_not() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    for (text, said) in [
        ("{\"b\":{\"c\":1},\"a\\nb\":2,\"b\":3}", "JSON object, keys: 2\n- a b\n- b"),
        ("[]", "JSON array, items: 0"),
        ("\u{feff} \"text\"\r\n", "JSON string"),
        ("-12.5e3", "JSON number"),
        ("false", "JSON boolean"),
        ("null", "JSON null"),
        ("", "JSON, not valid"),
        ("{\"a\":NaN}", "JSON, not valid"),
        ("[1e999]", "JSON, not valid"),
        ("[\"\\ud800\"]", "JSON, not valid"),
        ("[1,]", "JSON, not valid"),
        ("[01]", "JSON, not valid"),
        ("{} {}", "JSON, not valid"),
        (&nested(127), "JSON array, items: 1"),
        (&nested(128), "JSON, not valid"),
    ] {
        assert_eq!(of("a.json", text), format!("a.json: {said}"), "{text}");
    }
}

#[test]
fn markdown_has_words_and_headings() {
    let text = "# One \r\n\nsome words\u{a0}here\n####### seven\n#none\n## \n```\n# code\n```\n\t# x\n###### Six ##\n";
    assert_eq!(
        of("a.md", text),
        "a.md: Markdown, words: 17, headings: 2\n- # One\n- ###### Six ##"
    );
}

#[test]
fn long_things_are_cut_and_broken_ones_replaced() {
    let keys: Vec<String> = (0..40).map(|key| format!("\"k{key:02}\":0")).collect();
    let said = of("a.json", format!("{{{}}}", keys.join(",")));
    assert!(said.ends_with("\n- k31\n- and 8 more"), "{said}");
    let said = of("a.csv", format!("{}\n", "é".repeat(81)));
    assert!(said.contains(&format!("- {}…: text", "é".repeat(80))), "{said}");
    assert_eq!(
        of("a.md", b"# a\xff\xe2\x82b\x00c\n"),
        "a.md: Markdown, words: 2, headings: 1\n- # a\u{fffd}\u{fffd}b c"
    );
}

#[test]
fn limits_leave_out_what_follows() {
    let folder = tempfile::tempdir().unwrap();
    for (name, size) in [("a.md", 10), ("b.md", 100), ("c.md", 1)] {
        fs::write(folder.path().join(name), vec![b'x'; size]).unwrap();
    }
    let found = |max_files, max_bytes| {
        let found = scan(&ScanSpec { max_files, max_bytes, ..spec(folder.path()) });
        (found.files.len(), found.left_out, found.bytes)
    };
    assert_eq!(found(10, 1000), (3, 0, 111));
    assert_eq!(found(2, 1000), (2, 1, 110));
    assert_eq!(found(10, 50), (1, 2, 10), "c.md would fit, b.md before it does not");
}

#[cfg(unix)]
#[test]
fn links_and_hidden_names_are_passed_over() {
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("secret.md"), "x").unwrap();
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a.md"), "x").unwrap();
    fs::write(folder.path().join(".b.md"), "x").unwrap();
    fs::create_dir_all(folder.path().join(".git")).unwrap();
    fs::write(folder.path().join(".git/c.md"), "x").unwrap();
    fs::create_dir(folder.path().join("d.md")).unwrap();
    std::os::unix::fs::symlink(outside.path(), folder.path().join("e")).unwrap();
    std::os::unix::fs::symlink(outside.path().join("secret.md"), folder.path().join("f.md"))
        .unwrap();
    let names = |folder: &Path| {
        scan(&spec(folder)).files.into_iter().map(|file| file.name).collect::<Vec<_>>()
    };
    assert_eq!(names(folder.path()), [b"a.md"]);
    // The folder itself may be one.
    let link = outside.path().join("link");
    std::os::unix::fs::symlink(folder.path(), &link).unwrap();
    assert_eq!(names(&link), [b"a.md"]);
}

#[test]
fn what_cannot_be_read_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gone.md");
    fs::write(&path, "x").unwrap();
    let found = scan(&spec(folder.path()));
    fs::remove_file(&path).unwrap();
    let ingested = ingest(&found);
    assert_eq!(ingested.summary, "files: 1, left out: 0\ngone.md: cannot be read");
    assert_eq!((ingested.files, ingested.bytes), (0, 0));
}

#[test]
fn prompts_are_filled_once() {
    let prompt = |template| fill(template, "<{answer}>", "<{data} }}>");
    assert_eq!(prompt("a {data} b {answer}"), "a <{answer}> b <{data} }}>");
    assert_eq!(prompt("{{data}} {{{data}}} {{}}"), "{data} {<{answer}>} {}");
}

#[test]
fn wrong_placeholders_are_named() {
    let errors = |template| check(template, "answer", &["data"]);
    assert_eq!(errors("{answer} {data} {{x}}"), []);
    assert_eq!(errors("{{answer}}"), [TemplateError::Missing("answer")]);
    let unknown = TemplateError::Unknown("dta".to_owned());
    assert_eq!(errors("{dta} {dta} {answer}"), [unknown]);
    for (template, brace) in [("{answer} { x }", '{'), ("{answer} }", '}'), ("{answer}{", '{')] {
        assert!(errors(template).contains(&TemplateError::Brace(brace)), "{template}");
    }
    let said = TemplateError::Unknown("x".to_owned()).to_string();
    assert_eq!(said, "the placeholder `{x}` is not known here");
}
