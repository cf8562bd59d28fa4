//! Whether what listens at an address speaks the API that is meant: by a first question and, where that
//! leaves it open, by the path of the calls themselves.
//!
//! Lists of models are side matters: servers lack them, forbid them and leave models out, and serve all the
//! same. So only what the path of the calls says is an error. It is asked with an empty object, which names
//! neither a model nor a prompt, so that nothing is loaded and nothing generated.

use agent::wire;
use reqwest::Method;
use serde_json::{Value, json};

use super::ServerError;
use super::questions::{Answer, CALL_PATIENCE, Questions};

/// Something about a server that leaves its calls a chance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Doubt {
    pub message: String,
    pub advice: &'static str,
}

const TRIED: &str = "the runs are tried all the same; the first call shows whether it serves";
const PACKED: &str = "have it, or the proxy before it, send answers as they are: a stream that is packed comes \
                      in other pieces than it was sent";

/// How servers of several makes answer HTTP where they speak TLS.
const TLS_WANTED: [&str; 3] =
    ["http request to an https", "http request was sent to https", "plain http to an ssl"];

/// What the first question came to.
pub(super) enum First {
    /// What was asked for.
    Told(Value),
    /// Anything else.
    Open(Untold),
}

/// A question and the answer to it that tells nothing.
pub(super) struct Untold {
    path: String,
    answer: Result<Answer, ServerError>,
}

/// Asks the first question; fails when nobody takes the connection. `tells`: whether JSON is what was asked
/// for; some answer 200 with an object to every path.
pub(super) async fn first(
    ask: &Questions,
    path: &str,
    tells: impl Fn(&Value) -> bool,
) -> Result<First, ServerError> {
    let path = path.to_owned();
    match ask.ask(Method::GET, &path, None).await {
        Err(error @ ServerError::Unreachable { connected: false, .. }) => Err(error),
        Ok(Answer { status: 200, body: Some(body), .. }) if tells(&body) => Ok(First::Told(body)),
        answer => Ok(First::Open(Untold { path, answer })),
    }
}

impl Untold {
    /// What is to be known of it, if it settles nothing.
    pub fn doubt(&self) -> Doubt {
        let Self { path, .. } = self;
        let (message, advice) = match &self.answer {
            Ok(Answer { encoding: Some(encoding), .. }) => {
                let message = format!(
                    "its answer to {path} is compressed ({encoding}), though `accept-encoding: identity` was \
                     asked for, and could not be read"
                );
                (message, PACKED)
            }
            _ => (format!("it does not tell what it serves: {path} {}", self.said()), TRIED),
        };
        Doubt { message, advice }
    }

    fn said(&self) -> String {
        match &self.answer {
            Ok(answer) if answer.is_redirect() => {
                let to = answer.location.as_deref().unwrap_or("another address");
                format!("redirects to {to}")
            }
            Ok(Answer { status: 200, excerpt, .. }) => format!("answers with {excerpt}"),
            Ok(Answer { status, message, .. }) => {
                let words = message.as_ref().map(|words| format!(", {words}")).unwrap_or_default();
                format!("answers HTTP {status}{words}")
            }
            Err(ServerError::Unreachable { reason, late: true, .. }) => format!("gives {reason}"),
            Err(ServerError::Unreachable { reason, .. }) => format!("fails: {reason}"),
            Err(error) => format!("fails: {error}"),
        }
    }

    /// What answers is no server of this kind: by this answer, or else as `otherwise` says.
    fn foreign(&self, ask: &Questions, kind: &'static str, otherwise: String) -> ServerError {
        let found = match &self.answer {
            Ok(Answer { status: 200, excerpt, .. }) => {
                format!("it answers {} with {excerpt}", self.path)
            }
            _ => otherwise,
        };
        ask.foreign(kind, found)
    }

    /// What it comes to where the path of the calls is not asked.
    fn by_itself(self, ask: &Questions, kind: &'static str) -> Result<Doubt, ServerError> {
        match &self.answer {
            Err(error) => Err(error.clone()),
            Ok(answer @ Answer { status: 401 | 403 | 500.., .. }) => Err(answer.refused(ask)),
            Ok(Answer { status: 200, .. }) => Err(self.foreign(ask, kind, String::new())),
            Ok(_) => Ok(self.doubt()),
        }
    }

    /// Whether calls may work all the same: a doubt, or the error that stands against them. `is_prompt`: a
    /// server of this kind answers the first question at once, however busy it is.
    pub async fn settle(
        self,
        ask: &Questions,
        kind: &'static str,
        is_prompt: bool,
    ) -> Result<Doubt, ServerError> {
        // The path is there, or its answer cannot be read.
        let settled = matches!(
            &self.answer,
            Ok(Answer { status: 405, .. } | Answer { encoding: Some(_), .. })
        );
        if settled {
            return Ok(self.doubt());
        }
        let Some(call) = ask.call_path else { return self.by_itself(ask, kind) };
        match ask.ask_within(CALL_PATIENCE, Method::POST, call, Some(&json!({}))).await {
            Ok(answer) => self.judged(ask, kind, call, &answer),
            Err(ServerError::Unreachable { connected: true, late, .. }) => match self.answer {
                // A busy server may be late with everything.
                Err(ServerError::Unreachable { late: true, .. }) if late && !is_prompt => {
                    Ok(self.doubt())
                }
                Err(error) => Err(error),
                Ok(_) => Ok(self.doubt()),
            },
            Err(error) => Err(error),
        }
    }

    /// What the answer to an empty call says.
    fn judged(
        &self,
        ask: &Questions,
        kind: &'static str,
        call: &str,
        answer: &Answer,
    ) -> Result<Doubt, ServerError> {
        let url = || ask.url.clone();
        if answer.is_redirect() {
            let message = wire::moved(answer.location.as_deref(), call);
            return Err(ServerError::Moved { url: url(), message });
        }
        let failed = matches!(&self.answer, Ok(Answer { status: 500.., .. }) | Err(_));
        // A model that was not named may be what was not found.
        let no_model = answer.status == 404 && is_of_a_model(answer);
        match answer.status {
            400 if TLS_WANTED.iter().any(|words| answer.words().contains(words)) => {
                let found = "it speaks TLS, so its address begins with https://".to_owned();
                Err(ask.foreign(kind, found))
            }
            401 | 403 | 407 => Err(answer.refused(ask)),
            502..=504 if failed => Err(answer.refused(ask)),
            404 | 405 | 501 if !no_model => match &self.answer {
                Ok(Answer { status: 200, .. }) => Err(self.foreign(ask, kind, String::new())),
                _ => Err(ServerError::NoApi {
                    url: url(),
                    kind,
                    call: call.to_owned(),
                    status: answer.status,
                    first: format!("{} {}", self.path, self.said()),
                }),
            },
            200..300 if !answer.is_of_an_api() => {
                let found = format!("it answers {call} with {}", answer.excerpt);
                Err(self.foreign(ask, kind, found))
            }
            200..300 => match &self.answer {
                Ok(Answer { status: 200, excerpt, .. }) if !may_be_of_a_call(answer) => {
                    let (path, said) = (&self.path, &answer.excerpt);
                    let found = format!("it answers {path} with {excerpt}, and {call} with {said}");
                    Err(ask.foreign(kind, found))
                }
                _ => Ok(self.doubt()),
            },
            _ => Ok(self.doubt()),
        }
    }
}

/// Whether an error says that a model is not there, as the servers that are met say it: by a code or a parameter
/// that names models, or in a sentence. What has no such path may speak of models, too.
fn is_of_a_model(answer: &Answer) -> bool {
    let Some(body) = answer.body.as_ref().filter(|body| body.is_object()) else { return false };
    let error = Some(&body["error"]).filter(|error| error.is_object()).unwrap_or(body);
    let kinds = ["code", "type"].map(|key| {
        let kind = error[key].as_str().unwrap_or_default().to_lowercase();
        kind.replace('_', "")
    });
    let names = |word: &str| kinds.iter().any(|kind| kind.contains(word));
    let words = answer.words();
    let is_model = |word: &&str| word.trim_matches(|c: char| !c.is_alphanumeric()) == "model";
    let said: Vec<&str> = words.split_whitespace().skip_while(|word| !is_model(word)).collect();
    let said = said.join(" ");
    let is_missing = ["not found", "not exist"].iter().any(|missing| said.contains(missing));
    // Azure calls a model that is served a deployment.
    ["model", "deployment"].into_iter().any(names)
        || error["param"] == "model"
        || is_missing
        || names("notfound") && !said.is_empty()
}

/// Whether it could answer a call: by an error, or by what a model says.
fn may_be_of_a_call(answer: &Answer) -> bool {
    const KEYS: [&str; 5] = ["error", "choices", "response", "content", "done"];
    let object = answer.body.as_ref().and_then(Value::as_object);
    object.is_none_or(|object| KEYS.iter().any(|key| object.contains_key(*key)))
}
