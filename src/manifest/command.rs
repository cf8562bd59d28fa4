//! Command experiments, checked: a program with what surrounds it, and what is read from its files.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::template::Template;

/// The program of a command experiment and what surrounds it.
#[derive(Debug, Clone, PartialEq)]
pub struct Command {
    /// Program and arguments.
    pub words: Vec<Template>,
    /// Where it is started; `None`: in the manifest's folder.
    pub cwd: Option<Template>,
    /// The environment variables that it sees; all others are removed.
    pub env: Vec<String>,
    /// Files that its content depends on.
    pub inputs: Vec<Input>,
    /// Files below `{out}` that it must leave.
    pub outputs: Vec<String>,
    pub metrics: Vec<Pick>,
    /// Line of `command` in the manifest, from 1.
    pub line: usize,
}

/// The environment variables that a command sees unless the manifest names others: what is needed to
/// find programs, homes and temporary folders, and to know the language and the time zone.
pub const ENV: &[&str] = if cfg!(windows) {
    &[
        "PATH",
        "PATHEXT",
        "SYSTEMROOT",
        "COMSPEC",
        "USERPROFILE",
        "APPDATA",
        "LOCALAPPDATA",
        "TEMP",
        "TMP",
    ]
} else {
    &["PATH", "HOME", "USER", "LANG", "LC_ALL", "TZ", "TMPDIR"]
};

/// A file or folder that a command reads, with its content when the manifest was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Input {
    /// As written, from the manifest's folder.
    pub path: String,
    /// [`digest`] of the content, 64 hex digits.
    pub digest: String,
}

/// A metric that is picked from a file that a command leaves.
#[derive(Debug, Clone, PartialEq)]
pub struct Pick {
    pub name: String,
    /// Below `{out}`; [`STDOUT`] is what it printed.
    pub file: String,
    pub from: PickFrom,
    /// Empty for a pure number.
    pub unit: String,
    pub better: Option<Direction>,
    /// Where it is written; otherwise it goes by the unit.
    pub smallest_effect: Option<Matters>,
}

/// From which size on a difference matters.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Matters {
    /// In the metric's unit.
    From(f64),
    /// Of what it is compared with; 0.01 is 1 %.
    FromShare(f64),
}

/// The name under which metrics are picked from standard output.
pub const STDOUT: &str = "stdout";

/// Where in a file.
#[derive(Debug, Clone, PartialEq)]
pub enum PickFrom {
    /// A JSON pointer (RFC 6901).
    Json(String),
    /// A column of a CSV file with a header.
    Csv { column: String, stat: Stat },
}

/// The direction of an improvement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    Higher,
    Lower,
}

/// What is taken of a column's values.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Stat {
    Mean,
    Median,
    /// Sample standard deviation (n − 1).
    Sd,
    Min,
    Max,
    Sum,
    /// Number of values that are known.
    Count,
    First,
    Last,
    /// 0 to 100.
    Percentile(f64),
}

impl Stat {
    /// `mean`, `median`, `sd`, `min`, `max`, `sum`, `count`, `first`, `last`, `p99`, `p99.9`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "mean" => Stat::Mean,
            "median" => Stat::Median,
            "sd" => Stat::Sd,
            "min" => Stat::Min,
            "max" => Stat::Max,
            "sum" => Stat::Sum,
            "count" => Stat::Count,
            "first" => Stat::First,
            "last" => Stat::Last,
            _ => {
                let percent = text.strip_prefix('p').filter(|digits| {
                    digits.starts_with(|c: char| c.is_ascii_digit())
                        && digits.chars().all(|c| c.is_ascii_digit() || c == '.')
                })?;
                let percent = percent.parse().ok().filter(|p| (0.0..=100.0).contains(p))?;
                Stat::Percentile(percent)
            }
        })
    }
}

impl std::fmt::Display for Stat {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Stat::Mean => "mean",
            Stat::Median => "median",
            Stat::Sd => "sd",
            Stat::Min => "min",
            Stat::Max => "max",
            Stat::Sum => "sum",
            Stat::Count => "count",
            Stat::First => "first",
            Stat::Last => "last",
            Stat::Percentile(percent) => return write!(f, "p{percent}"),
        })
    }
}

impl Pick {
    /// Where the metric comes from, in words.
    #[must_use]
    pub fn formula(&self) -> String {
        match &self.from {
            PickFrom::Json(pointer) => format!("{}#{pointer}", self.file),
            PickFrom::Csv { column, stat } => {
                format!("{stat} of the column {column} of {}", self.file)
            }
        }
    }
}

/// SHA-256 of a file's content; of a folder, over the names and contents of its files. Neither the
/// name of what is given nor times of files change it.
pub fn digest(path: &Path) -> Result<String, (PathBuf, io::Error)> {
    let content = |path: &Path| -> Result<Vec<u8>, (PathBuf, io::Error)> {
        fs::read(path).map_err(|error| (path.to_owned(), error))
    };
    if !path.is_dir() {
        return Ok(formats::digest::of_bytes(&content(path)?));
    }
    let mut hash = Sha256::new();
    for entry in walkdir::WalkDir::new(path).follow_links(true).sort_by_file_name() {
        let entry = entry
            .map_err(|error| (error.path().unwrap_or(path).to_owned(), io::Error::from(error)))?;
        if entry.file_type().is_dir() {
            continue;
        }
        let name = entry.path().strip_prefix(path).unwrap_or(entry.path());
        let name: Vec<_> =
            name.components().map(|part| part.as_os_str().to_string_lossy()).collect();
        // With their lengths, so that nothing can move from one part into the next.
        for part in [name.join("/").as_bytes(), &content(entry.path())?] {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
    }
    Ok(formats::digest::hex(&hash.finalize()))
}
