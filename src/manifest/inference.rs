//! Inference options: their names, which are Ollama's where it has one, and the wire protocols that carry
//! each to a server that may know it.
//!
//! Servers ignore what they do not know without a word, so that a study would say of its answers what is
//! not so. What a server takes beyond this table goes into `extra`, as it is.

use formats::endpoint::Family;

use super::nearest::nearest;
use super::study::Api;

const GENERATE: &[Api] = &[Api::Ollama];
const OLLAMA: &[Api] = &[Api::Ollama, Api::OllamaChat];
const OPENAI: &[Api] = &[Api::OpenaiChat, Api::OpenaiCompletions];
const OLLAMA_OPENAI: &[Api] =
    &[Api::Ollama, Api::OllamaChat, Api::OpenaiChat, Api::OpenaiCompletions];
const OLLAMA_ANTHROPIC: &[Api] = &[Api::Ollama, Api::OllamaChat, Api::Anthropic];

/// Name and protocols. Those of OpenAI include what llama.cpp, vLLM, `SGLang` and LM Studio add under the
/// same name.
const OPTIONS: [(&str, &[Api]); 43] = [
    ("cache_prompt", OPENAI),
    ("dry_allowed_length", OPENAI),
    ("dry_base", OPENAI),
    ("dry_multiplier", OPENAI),
    ("format", OLLAMA),
    ("frequency_penalty", OLLAMA_OPENAI),
    ("grammar", OPENAI),
    ("ignore_eos", OPENAI),
    ("keep_alive", OLLAMA),
    ("logit_bias", OPENAI),
    ("low_vram", OLLAMA),
    ("main_gpu", OLLAMA),
    ("min_p", OLLAMA_OPENAI),
    ("min_tokens", OPENAI),
    ("mirostat", OLLAMA_OPENAI),
    ("mirostat_eta", OLLAMA_OPENAI),
    ("mirostat_tau", OLLAMA_OPENAI),
    ("n_probs", OPENAI),
    ("num_batch", OLLAMA),
    ("num_ctx", OLLAMA),
    ("num_gpu", OLLAMA),
    ("num_keep", OLLAMA),
    ("num_predict", &Api::ALL),
    ("num_thread", OLLAMA),
    ("numa", OLLAMA),
    ("penalize_newline", OLLAMA),
    ("presence_penalty", OLLAMA_OPENAI),
    ("raw", GENERATE),
    ("reasoning_effort", OPENAI),
    ("repeat_last_n", OLLAMA),
    ("repeat_penalty", OLLAMA_OPENAI),
    ("seed", OLLAMA_OPENAI),
    ("shift", OLLAMA),
    ("stop", &Api::ALL),
    ("system", OLLAMA_ANTHROPIC),
    ("temperature", &Api::ALL),
    ("tfs_z", OLLAMA),
    ("think", OLLAMA),
    ("top_k", &Api::ALL),
    ("top_p", &Api::ALL),
    ("truncate", OLLAMA),
    ("typical_p", OLLAMA_OPENAI),
    ("use_mmap", OLLAMA),
];

/// The key of a set of options whose table goes to the body of requests as it is.
pub const EXTRA: &str = "extra";
/// The option that may be a list of texts.
pub const STOP: &str = "stop";

/// Options of a server's start: only Ollama, which starts its servers itself, takes them with a request.
const OF_THE_START: [&str; 8] =
    ["low_vram", "main_gpu", "num_batch", "num_ctx", "num_gpu", "num_thread", "numa", "use_mmap"];

/// Options that make Ollama load the model again when they change.
pub const RELOADING: [&str; 6] =
    ["main_gpu", "num_batch", "num_ctx", "num_gpu", "num_thread", "use_mmap"];

/// The name as this table has it.
#[must_use]
pub fn option(name: &str) -> Option<&'static str> {
    OPTIONS.iter().find(|(known, _)| *known == name).map(|(known, _)| *known)
}

/// Every inference option.
pub fn names() -> impl Iterator<Item = &'static str> {
    OPTIONS.iter().map(|(name, _)| *name)
}

/// Whether requests of a protocol carry the option to where a server may know it.
#[must_use]
pub fn is_carried(name: &str, api: Api) -> bool {
    let option = OPTIONS.iter().find(|(known, _)| *known == name);
    option.is_some_and(|(_, wires)| wires.contains(&api))
}

/// What to do about an option that a protocol does not carry.
#[must_use]
pub fn instead(name: &str, api: Api) -> String {
    let in_extra = |value: &str| format!("write `extra = {{ {value} }}` if its server knows that");
    match name {
        _ if OF_THE_START.contains(&name) => format!(
            "such a server is started with it: leave `{name}` out, or give it to the agents on Ollama alone \
             (`AGENT.{name}`)"
        ),
        "keep_alive" => "leave it out: such a server keeps its model".to_owned(),
        "system" => "put it into the prompt".to_owned(),
        "raw" => "use `api = \"completions\"` with `openai`, or Ollama's `generate`: they send the prompt \
                  as it is"
            .to_owned(),
        "think" if api == Api::Anthropic => in_extra("thinking = { type = \"disabled\" }"),
        "think" => in_extra("chat_template_kwargs = { enable_thinking = false }"),
        "format" => in_extra("response_format = { type = \"json_object\" }"),
        "reasoning_effort" if api.family() == Family::Ollama => {
            "Ollama's option is `think`".to_owned()
        }
        _ if api.family() == Family::Ollama => {
            format!("leave `{name}` out, or give it to the agents on other servers alone (`AGENT.{name}`)")
        }
        _ => in_extra(&format!("{name} = …")),
    }
}

/// Help with a name that is no option.
#[must_use]
pub fn unknown(name: &str) -> String {
    match name {
        "max_tokens" => {
            "write `max_tokens` under [defaults], in the experiment or in its matrix".to_owned()
        }
        "max_completion_tokens" => "write `max_tokens` under [defaults], and `max_tokens_as = \
                                    \"max_completion_tokens\"` in the endpoint"
            .to_owned(),
        "stream_options" => "write `stream_options = false` in the endpoint".to_owned(),
        _ => {
            let further = format!(
                "what a server takes beyond the options that are known here goes to it as it is in \
                 `extra = {{ {name} = … }}`"
            );
            let near = nearest(name, names());
            near.map_or(further.clone(), |near| format!("did you mean `{near}`? Else: {further}"))
        }
    }
}
