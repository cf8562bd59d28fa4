//! The page in a real browser, driven through its debugging pipe.
//!
//! Without Chromium the tests say that they were skipped and pass, except in CI, where they fail.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use base64::Engine as _;
use runner::report::{self, Template};
use serde_json::{Value, json};

use crate::stored::Stored;

const PROGRAMS: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "chrome"];

/// A browser with one page, and everything that it said.
struct Browser {
    child: Child,
    to: Option<ChildStdin>,
    from: BufReader<ChildStdout>,
    session: Option<String>,
    last_id: u64,
    events: Vec<Value>,
    _profile: tempfile::TempDir,
}

impl Browser {
    /// `None`: there is no browser on this machine.
    fn start() -> Option<Self> {
        let found = PROGRAMS.into_iter().find(|program| {
            let version = Command::new(program).arg("--version").stderr(Stdio::null()).output();
            version.is_ok_and(|output| output.status.success())
        });
        let Some(program) = found else {
            assert!(std::env::var_os("CI").is_none(), "no Chromium in CI");
            eprintln!("skipped: there is no Chromium here");
            return None;
        };
        let profile = tempfile::tempdir().unwrap();
        // the pipe is on 3 and 4; the standard streams lend themselves
        let mut child = Command::new("sh")
            .args(["-c", "exec \"$0\" \"$@\" 3<&0 4>&1 1>&2"])
            .arg(program)
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"])
            .args(["--disable-dev-shm-usage", "--no-first-run", "--remote-debugging-pipe"])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg("--window-size=1100,1400")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let (to, from) = (child.stdin.take(), BufReader::new(child.stdout.take().unwrap()));
        let mut browser = Self {
            child,
            to,
            from,
            session: None,
            last_id: 0,
            events: Vec::new(),
            _profile: profile,
        };
        let target = browser.call("Target.createTarget", &json!({ "url": "about:blank" }));
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        let session = browser.call("Target.attachToTarget", &attach);
        browser.session = session["sessionId"].as_str().map(str::to_owned);
        for domain in ["Page", "Runtime", "Log", "Network"] {
            browser.call(&format!("{domain}.enable"), &json!({}));
        }
        Some(browser)
    }

    /// Calls a method and returns its result; what happens meanwhile is kept.
    fn call(&mut self, method: &str, parameters: &Value) -> Value {
        self.last_id += 1;
        let mut message = json!({ "id": self.last_id, "method": method, "params": parameters });
        if let Some(session) = &self.session {
            message["sessionId"] = session.as_str().into();
        }
        let to = self.to.as_mut().unwrap();
        to.write_all(format!("{message}\0").as_bytes()).unwrap();
        to.flush().unwrap();
        loop {
            let answer = self.next();
            if answer["id"] == self.last_id {
                assert!(answer.get("error").is_none(), "{method}: {answer}");
                return answer["result"].clone();
            }
            self.events.push(answer);
        }
    }

    fn next(&mut self) -> Value {
        let mut message = Vec::new();
        self.from.read_until(0, &mut message).unwrap();
        assert_eq!(message.pop(), Some(0), "the browser ended");
        serde_json::from_slice(&message).unwrap()
    }

    fn open(&mut self, file: &Path, scheme: &str) {
        let features = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        self.call("Emulation.setEmulatedMedia", &json!({ "features": features }));
        self.events.clear();
        self.call("Page.navigate", &json!({ "url": format!("file://{}", file.display()) }));
        while !self.events.iter().any(|event| event["method"] == "Page.loadEventFired") {
            let event = self.next();
            self.events.push(event);
        }
    }

    /// The value of an expression on the page.
    fn value(&mut self, expression: &str) -> Value {
        let asked = json!({ "expression": expression, "returnByValue": true });
        let result = self.call("Runtime.evaluate", &asked);
        assert!(result.get("exceptionDetails").is_none(), "{expression}: {result}");
        result["result"]["value"].clone()
    }

    /// What the console, the log and the network said.
    fn complaints(&self) -> Vec<&Value> {
        let said = |event: &&Value| match event["method"].as_str() {
            Some("Network.requestWillBeSent") => {
                let url = event["params"]["request"]["url"].as_str().unwrap();
                !url.starts_with("file://") || event["params"]["type"] != "Document"
            }
            Some(method) => [
                "Runtime.consoleAPICalled",
                "Runtime.exceptionThrown",
                "Log.entryAdded",
                "Page.javascriptDialogOpening",
            ]
            .contains(&method),
            None => false,
        };
        self.events.iter().filter(said).collect()
    }

    /// What is seen at the heading of that id.
    fn screenshot(&mut self, id: &str, name: &str) -> Vec<u8> {
        self.value(&format!("document.getElementById('{id}').scrollIntoView()"));
        let picture = self.call("Page.captureScreenshot", &json!({}));
        let bytes = base64::engine::general_purpose::STANDARD
            .decode(picture["data"].as_str().unwrap())
            .unwrap();
        if let Some(folder) = std::env::var_os("RUNNER_SCREENSHOTS") {
            std::fs::write(PathBuf::from(folder).join(name), &bytes).unwrap();
        }
        bytes
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        drop(self.to.take());
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a model could say to break a page.
const HOSTILE: &str = "</p></main><script>document.title='owned';alert(1)</script> | **x** \
                       [a](javascript:alert(2)) ![b](http://127.0.0.1:9/x.png) `c` <img src=x \
                       onerror=alert(3)> \u{fdd0}9\u{fdd1}<b>1</b>\u{fdd2} &lt;i&gt;\n# heading\n\n---";

/// The page of a complete study with a hostile failure, in a folder.
fn page() -> (Stored, PathBuf) {
    let stored = Stored::with_solo();
    stored.fail(0, HOSTILE);
    let template = Template::builtin("tr117.md.j2").unwrap();
    let html = report::study(&stored.data(), &template, false).unwrap().html();
    let file = stored.dir.path().join("page.html");
    std::fs::write(&file, html).unwrap();
    (stored, file)
}

#[test]
fn the_page_is_quiet_and_shows_what_a_model_said_as_text() {
    let Some(mut browser) = Browser::start() else { return };
    let (_stored, file) = page();
    let mut shots = Vec::new();
    for scheme in ["light", "dark"] {
        browser.open(&file, scheme);
        shots.push(browser.screenshot("experiments", &format!("{scheme}.png")));
        browser.screenshot("run-order", &format!("{scheme}-end.png"));
        assert_eq!(browser.complaints(), Vec::<&Value>::new());
    }
    assert_ne!(shots[0], shots[1], "dark is as light");
    assert_eq!(browser.value("document.title"), "A small study | with <b>markup</b>");
    assert_eq!(browser.value("document.querySelectorAll('script').length"), 1);
    assert_eq!(browser.value("document.querySelectorAll('img, b, i').length"), 0);
    let text = browser.value("document.querySelector('main').innerText");
    let text = text.as_str().unwrap();
    for part in
        ["<script>document.title='owned';alert(1)</script>", "**x**", "<img src=x", "&lt;i&gt;"]
    {
        assert!(text.contains(part), "{part} is not in the text");
    }
    let links = browser.value("Array.from(document.links, link => link.href).join(' ')");
    assert!(!links.as_str().unwrap().contains("javascript"), "{links}");
    // every entry of the contents leads to a heading
    let lost = "Array.from(document.querySelectorAll('nav a')).filter(a => \
                !document.getElementById(decodeURIComponent(a.hash.slice(1)))).length";
    assert_eq!(browser.value(lost), 0);
    assert!(browser.value("document.querySelectorAll('nav a').length").as_u64().unwrap() > 10);
}

#[test]
fn the_policy_stops_a_script_that_is_not_ours() {
    let Some(mut browser) = Browser::start() else { return };
    let (_stored, file) = page();
    let html = std::fs::read_to_string(&file).unwrap();
    let injected = "<script>document.title = 'owned'</script><p style=\"color:red\">x</p>\
                    <img src=\"http://127.0.0.1:9/x.png\"></main>";
    std::fs::write(&file, html.replace("</main>", injected)).unwrap();
    browser.open(&file, "light");
    assert_ne!(browser.value("document.title"), "owned");
    let requests = browser.events.iter().filter(|event| {
        event["method"] == "Network.responseReceived" && event["params"]["type"] == "Image"
    });
    assert_eq!(requests.count(), 0);
    assert!(browser.complaints().len() >= 2, "{:?}", browser.complaints());
}

#[test]
fn tables_sort_by_the_full_values_and_back() {
    let Some(mut browser) = Browser::start() else { return };
    let (_stored, file) = page();
    browser.open(&file, "light");
    // the appendix: the column of the time to first token
    let setup = "globalThis.table = Array.from(document.querySelectorAll('table')).find(t => \
                 t.tHead.textContent.includes('TTFT (ms, client)')); \
                 globalThis.head = Array.from(table.tHead.rows[0].cells).find(c => \
                 c.textContent.includes('TTFT')); \
                 globalThis.column = head.cellIndex; \
                 globalThis.read = () => Array.from(table.tBodies[0].rows, r => \
                 Number(r.cells[column].querySelector('data').value)); \
                 JSON.stringify(read())";
    let read =
        |value: Value| -> Vec<f64> { serde_json::from_str(value.as_str().unwrap()).unwrap() };
    let before = read(browser.value(setup));
    assert!(before.len() >= 6);
    let press = "head.querySelector('button').click(); JSON.stringify(read())";
    let up = read(browser.value(press));
    assert!(up.is_sorted() && up != before, "{up:?}");
    assert_eq!(browser.value("head.getAttribute('aria-sort')"), "ascending");
    let down = read(browser.value(press));
    assert!(down.iter().rev().is_sorted());
    assert_eq!(read(browser.value(press)), before);
    assert_eq!(browser.value("head.hasAttribute('aria-sort')"), false);
    assert_eq!(browser.complaints(), Vec::<&Value>::new());
}
