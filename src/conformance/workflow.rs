//! Workflows: an ability that a runtime may lack, if it says so. The files are as odd as files are.

use std::fs;
use std::io;
use std::path::Path;

use agent::workflow::{ingest, scan};
use formats::endpoint::Api;
use formats::protocol::{ScanSpec, Spec, Stage, WorkflowSpec};
use simulator::Server;

use super::cases::{RUN, agent, pacing, serve, spec};
use super::process::{Finished, Folder, run};
use super::{ConformanceError, Findings, Verdict};
use crate::workflow::contract;

const STAGES: &str = "records the stages of a workflow";
const PROMPTS: &str = "makes the prompts of a workflow, byte by byte";

/// The templates of the two calls.
const ANALYSIS: &str = "{{\"analyse\": {{}}}}\n{data}\n{{data}}";
const REPORT: &str = "{{answer}} {answer}\nof {data}";

#[rustfmt::skip]
const FILES: [(&str, &[u8]); 19] = [
    ("plain.csv", b"city,degrees\nOslo,-3.5\nRome,21\nLima,\n"),
    ("quoted.CSV", b"\xef\xbb\xbf\"a, b\",\"say \"\"hi\"\"\"\r\n\"two\nlines\",1\r\n\r\nx\"y,\"2\"3\r\n"),
    ("ragged.csv", b"a,b,c\n1\n1,2,3,4\n,,\n \t,\t5 ,6e2"),
    ("numbers.csv", b"huge,tiny,exp,nan,sum,int\n123456789012345678901234567890,1e-7,1.5E+3,NaN,0.1,+007\n1152921504606846977,0.000001,-2e-3,1,0.2,-0\n1e21,5e-324,1e22,inf,0.3,10\n"),
    ("overflow.csv", b"a,b\n1e308,1e999\n1e308,1\n"),
    ("return.csv", b"a,b\r1,2\r\r3,4"),
    ("open.csv", b"a\n\"never closed\n1,2\n"),
    ("empty.csv", b""),
    ("nested/deep/er/object.json", b"{\"z\": {\"y\": [1, {\"x\": null}]}, \"A\": 1, \"\xc3\xa9\": 2, \"a\\tb\": 3, \"z\": 4}"),
    ("nested/array.json", b"\xef\xbb\xbf [1, 2, [3, [4]]]\r\n"),
    ("nested.json", b"\"before the folder of its name\""),
    ("large.json", b"[123456789012345678901234567890, 1E400]"),
    ("constant.json", b"{\"a\": NaN}"),
    ("surrogate.json", b"[\"\\ud800\"]"),
    ("empty.json", b""),
    ("na\u{ef}ve \u{65e5}\u{672c}.md", b"# One \r\n## Two\xff\n```\n# code\n```\n#none\n####### seven\nsome\xc2\xa0words \xe2\x82here\x0band\x0cthere\n"),
    ("empty.md", b""),
    ("z last.md", b"beyond max_files"),
    ("ignored.txt", b"not asked for"),
];

/// Columns beyond those that a summary lists, and a name beyond what it shows.
fn wide() -> String {
    let names: Vec<String> = (0..40).map(|column| format!("column {column}")).collect();
    format!("{},{}\n", "\u{e9}".repeat(100), names.join(","))
}

pub(super) fn check(command: &[String], findings: &mut Findings) -> Result<(), ConformanceError> {
    let data = Folder::new()?;
    fill(data.path())
        .map_err(|source| ConformanceError::Folder { path: data.path().to_owned(), source })?;
    let server = serve(pacing(Api::Ollama))?;
    let spec = two_runs(&server, data.path());
    let finished = run(command, spec.clone())?;
    if let Some(message) = finished.refusal().filter(|_| server.take_sends(RUN).is_empty())
        && message.contains("workflow")
    {
        for requirement in [STAGES, PROMPTS] {
            findings.add_unsupported(requirement, format!("it says: {message}"));
        }
        return Ok(());
    }
    findings.add(STAGES, stages(&finished, &spec));
    findings.add(PROMPTS, prompts(&finished, &spec));
    Ok(())
}

fn fill(folder: &Path) -> io::Result<()> {
    for (name, content) in FILES {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap_or(folder))?;
        fs::write(path, content)?;
    }
    fs::write(folder.join("a wide.csv"), wide())?;
    let deep = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    fs::write(folder.join("deep.json"), deep(127))?;
    fs::write(folder.join("deeper.json"), deep(128))?;
    fs::create_dir(folder.join(".hidden"))?;
    fs::write(folder.join(".hidden/a.md"), "# hidden\n")?;
    fs::create_dir(folder.join("folder.csv"))?;
    #[cfg(unix)]
    for (target, link) in [("nested", "linked"), ("plain.csv", "linked.csv"), ("..", "up")] {
        std::os::unix::fs::symlink(folder.join(target), folder.join(link))?;
    }
    Ok(())
}

/// One run of the workflow as warm-up, one measured.
fn two_runs(server: &Server, folder: &Path) -> Spec {
    let mut one = agent("one", Api::Ollama, &server.base_url(), 2, 2);
    for (number, call) in one.calls.iter_mut().enumerate() {
        let (stage, template) = match number % 2 {
            0 => (Stage::Analysis, ANALYSIS),
            _ => (Stage::Report, REPORT),
        };
        call.prompt = format!("[{number}] {template}");
        call.stage = Some(stage);
    }
    let scan = ScanSpec {
        folder: folder.to_owned(),
        extensions: ["csv", "json", "md"].map(str::to_owned).into(),
        // One file is beyond it.
        max_files: 20,
        max_bytes: ScanSpec::MAX_BYTES,
    };
    one.workflow = Some(WorkflowSpec { scan });
    spec(vec![one])
}

fn stages(finished: &Finished, spec: &Spec) -> Verdict {
    let record = finished.record.as_ref().map_err(|reason| format!("no agent.json: {reason}"))?;
    spec.agents
        .iter()
        .try_for_each(|agent| contract::stages(agent, record))
        .map_err(|error| error.to_string())
}

fn prompts(finished: &Finished, spec: &Spec) -> Verdict {
    for agent in &spec.agents {
        let Some(WorkflowSpec { scan: asked }) = &agent.workflow else { continue };
        let summary = ingest(&scan(asked)).summary;
        contract::prompts(finished.folder.path(), agent, &summary)
            .map_err(|error| error.to_string())?;
    }
    Ok(())
}
