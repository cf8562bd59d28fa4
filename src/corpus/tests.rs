use std::collections::BTreeSet;
use std::fs;

use super::*;

/// The text must never change under one version: the identity of runs holds only size, seed and
/// version.
#[test]
fn the_text_of_a_version_is_the_same_everywhere_and_for_ever() {
    let digest = |bytes, seed| formats::digest::of_bytes(generate(bytes, seed).as_bytes());
    let digests = [digest(1_000, 0), digest(100_000, 0), digest(100_000, 1)];
    insta::assert_snapshot!(format!("version {VERSION}\n{}", digests.join("\n")));
    let parts = |cuts: Vec<std::ops::Range<usize>>| {
        formats::digest::of_bytes(format!("{cuts:?}").as_bytes())
    };
    let text = generate(100_000, 0);
    insta::assert_snapshot!(format!("{}\n{}", parts(lines(&text)), parts(pieces(&text))));
}

#[test]
fn a_text_has_exactly_the_size_asked_for() {
    for bytes in [0, 1, 2, 3, 7, 999, 1000, 1001, 4096] {
        assert_eq!(generate(bytes, 3).len(), bytes);
    }
    assert_ne!(generate(1000, 0), generate(1000, 1));
}

#[test]
fn a_text_is_a_mixture() {
    let text = generate(300_000, 1);
    let has = |from: char, to: char| text.chars().any(|c| (from..=to).contains(&c));
    for (from, to) in [('а', 'я'), ('α', 'ω'), ('一', '龥'), ('ぁ', 'ん'), ('가', '힣')] {
        assert!(has(from, to), "{from}–{to}");
    }
    for (from, to) in [('א', 'ת'), ('ا', 'ي'), ('अ', 'ह'), ('ก', 'ฮ'), ('😀', '🚀')]
    {
        assert!(has(from, to), "{from}–{to}");
    }
    for mark in ["pub fn ", "    def ", "\": ", "time_ns,", "INFO", "\n- ", " the "] {
        assert!(text.contains(mark), "{mark}");
    }
    let lengths: BTreeSet<usize> = text.lines().map(str::len).collect();
    assert!(lengths.range(..20).count() > 10, "short lines");
    assert!(lengths.range(500..).count() > 10, "long lines");
    let ascii = text.bytes().filter(u8::is_ascii).count() as f64 / text.len() as f64;
    assert!((0.6..0.9).contains(&ascii), "{ascii}");
}

#[test]
fn lines_and_pieces_are_parts_of_the_text() {
    let text = generate(200_000, 2);
    let lines = lines(&text);
    let ended = lines.iter().filter(|line| text[(*line).clone()].ends_with('\n')).count();
    assert!(ended >= lines.len() - 1, "only the last may be cut");
    assert!(lines.iter().all(|line| !text[line.clone()].trim().is_empty()));
    let pieces = pieces(&text);
    let joined: String = pieces.iter().map(|piece| &text[piece.clone()]).collect();
    assert_eq!(joined, text, "of a short text every piece is taken");
    let lengths: Vec<usize> =
        pieces.iter().map(|piece| text[piece.clone()].chars().count()).collect();
    assert!(lengths.iter().all(|length| (1..=200).contains(length)));
    let mean = lengths.iter().sum::<usize>() as f64 / lengths.len() as f64;
    assert!((90.0..111.0).contains(&mean), "{mean}");
}

#[test]
fn of_a_long_text_parts_are_taken_all_through_it() {
    let text = generate(3_000_000, 0);
    for parts in [lines(&text), pieces(&text)] {
        assert_eq!(parts.len(), PARTS);
        assert!(parts.is_sorted_by_key(|part| part.start));
        assert!(parts[0].start < 5_000 && parts[PARTS - 1].start > 2_990_000);
        assert!(parts.windows(2).all(|pair| pair[0].end <= pair[1].start));
    }
}

#[test]
fn a_file_that_is_no_corpus_is_refused_with_its_reason() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("corpus.txt");
    let told = |declared| {
        let error = read(&path, declared).unwrap_err().to_string();
        error.replace(&folder.path().display().to_string(), "")
    };
    assert!(told(None).starts_with("cannot read the corpus /corpus.txt: "), "{}", told(None));
    fs::write(&path, b"").unwrap();
    assert_eq!(told(None), "the corpus /corpus.txt is empty");
    fs::write(&path, b"caf\xc3\xa9 caf\xe9!").unwrap();
    assert_eq!(
        told(None),
        "the corpus /corpus.txt is no UTF-8 text: byte 9 (0xe9) belongs to no character; convert \
         it, for example with iconv"
    );
    let wrong = told(Some("00ff"));
    assert!(wrong.ends_with(", the manifest declares 00ff"), "{wrong}");
    fs::write(&path, "café").unwrap();
    let digest = formats::digest::of_bytes("café".as_bytes());
    assert_eq!(read(&path, Some(&digest.to_uppercase())).unwrap(), "café");
}
