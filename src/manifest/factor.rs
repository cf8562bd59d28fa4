//! The factors that a scenario can vary: their types, units, defaults and spellings.

use formats::protocol::LagDose;

use super::study::Level;
use super::written::Scalar;
use super::{inference, units};

/// A factor that is built in.
#[derive(Debug, Clone, Copy)]
pub struct Factor {
    pub name: &'static str,
    pub kind: Kind,
    /// How the default level is written and shown; `None`: there is no default.
    pub default: Option<&'static str>,
    pub place: Place,
}

/// Type and unit of a factor's levels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Text,
    Choice(&'static [&'static str]),
    /// Bytes.
    Bytes,
    /// Tokens per second.
    Rate,
    /// A duration, kept in seconds.
    Duration,
    /// The length of a busy wait in each period of [`LagDose::EVERY_NS`], kept in seconds.
    Dose,
    /// A whole number from 1.
    Count,
    /// True or false.
    Switch,
    /// Whatever the server takes.
    Any,
}

/// What a factor acts on, and with that where it stands in the document of identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    Runtime,
    Scenario,
    /// The model of every agent that names none. Stands under each agent.
    Model,
    /// The endpoint of every agent that names none. Stands under each agent.
    Endpoint,
    /// How the runtime works, any runtime. Stands in identity under its own name.
    Client,
    /// What the servers hold in memory before a run. Stands in identity under its own name.
    Server,
    /// How the Python runtime works. Stands under `variant`.
    Python,
    /// The limit of every call. Stands under each agent.
    MaxTokens,
    /// Copies of every agent. Stands under each agent as `count`.
    Concurrency,
    /// The schedule of the paced endpoints. Stands under each agent that calls one.
    Paced,
    /// An inference option; it applies to the agents that have options. Stands under these.
    Option,
    /// Tokenizer experiments. Stands under `levels`.
    Tokenizer,
}

impl Place {
    /// Whether the factor stands in the document of identity under its own name.
    #[must_use]
    pub fn is_setting(self) -> bool {
        matches!(self, Place::Client | Place::Server)
    }
}

/// The factor that has the servers put their models out of memory before each run.
pub const COLD: &str = "cold";

const OFF: Option<&str> = Some("off");
const DEFAULT: Option<&str> = Some("default");
const NO_DOSE: Option<&str> = Some("0ms");

/// The factors that are no inference options.
const FACTORS: [Factor; 20] = [
    Factor { name: "model", kind: Kind::Text, default: None, place: Place::Model },
    Factor { name: "scenario", kind: Kind::Text, default: None, place: Place::Scenario },
    Factor { name: "endpoint", kind: Kind::Text, default: None, place: Place::Endpoint },
    Factor { name: "runtime", kind: Kind::Text, default: None, place: Place::Runtime },
    Factor { name: "read_buffer", kind: Kind::Bytes, default: DEFAULT, place: Place::Client },
    Factor { name: "throttle", kind: Kind::Rate, default: OFF, place: Place::Client },
    Factor { name: "max_tokens", kind: Kind::Count, default: DEFAULT, place: Place::MaxTokens },
    Factor {
        name: "concurrency",
        kind: Kind::Count,
        default: Some("1"),
        place: Place::Concurrency,
    },
    Factor {
        name: "connection",
        kind: Kind::Choice(&["new", "keep"]),
        default: Some("new"),
        place: Place::Client,
    },
    Factor { name: "lag_dose", kind: Kind::Dose, default: NO_DOSE, place: Place::Client },
    Factor { name: "rechunk", kind: Kind::Bytes, default: OFF, place: Place::Python },
    Factor {
        name: "event_loop",
        kind: Kind::Choice(&["asyncio", "uvloop"]),
        default: Some("asyncio"),
        place: Place::Python,
    },
    Factor {
        name: "json",
        kind: Kind::Choice(&["stdlib", "orjson"]),
        default: Some("stdlib"),
        place: Place::Python,
    },
    Factor {
        name: "parse",
        kind: Kind::Choice(&["inline", "thread"]),
        default: Some("inline"),
        place: Place::Python,
    },
    Factor { name: "batch", kind: Kind::Duration, default: OFF, place: Place::Python },
    Factor {
        name: "processes",
        kind: Kind::Choice(&["scenario", "agent"]),
        default: Some("scenario"),
        place: Place::Python,
    },
    Factor { name: "rate", kind: Kind::Rate, default: DEFAULT, place: Place::Paced },
    Factor { name: COLD, kind: Kind::Switch, default: Some("false"), place: Place::Server },
    Factor { name: "tokenizer", kind: Kind::Text, default: None, place: Place::Tokenizer },
    Factor { name: "corpus", kind: Kind::Text, default: DEFAULT, place: Place::Tokenizer },
];

/// The built-in factor of this name; `insight.num_ctx` is the factor `num_ctx` of one agent.
#[must_use]
pub fn lookup(name: &str) -> Option<Factor> {
    if let Some((_, option)) = name.split_once('.') {
        return lookup(option).filter(|factor| factor.place == Place::Option);
    }
    FACTORS.iter().find(|factor| factor.name == name).copied().or_else(|| option(name))
}

fn option(name: &str) -> Option<Factor> {
    let name = inference::option(name)?;
    Some(Factor { name, kind: Kind::Any, default: DEFAULT, place: Place::Option })
}

/// Whether this is an inference option.
#[must_use]
pub fn is_option(name: &str) -> bool {
    option(name).is_some()
}

/// Every name that [`lookup`] knows.
pub fn names() -> impl Iterator<Item = &'static str> {
    FACTORS.iter().map(|factor| factor.name).chain(option_names())
}

/// Every inference option.
pub fn option_names() -> impl Iterator<Item = &'static str> {
    inference::names()
}

impl Factor {
    /// Normalises a level: spellings of one value become one value.
    pub fn level(&self, written: &Scalar) -> Result<Level, String> {
        if let Scalar::Text(text) = written {
            let words: &[&str] = match self.default {
                None => &[],
                OFF | NO_DOSE => &["default", "off", "none"],
                Some(_) => &["default"],
            };
            if self.default == Some(text) || words.contains(&text.as_str()) {
                return Ok(Level::Default);
            }
        }
        let level = match self.kind {
            Kind::Text => text(written).map(Level::Text),
            Kind::Choice(known) => text(written).and_then(|text| {
                if known.contains(&text.as_str()) {
                    Ok(Level::Text(text))
                } else {
                    Err(format!("`{text}` is none of {}", known.join(", ")))
                }
            }),
            Kind::Bytes => quantity(written, |text| units::bytes(text).map(|bytes| bytes as f64))
                .and_then(|bytes| match units::whole(bytes) {
                    Some(1..) => Ok(Level::Number(bytes)),
                    _ => Err(format!("`{written}` is not a whole number of bytes from 1")),
                }),
            Kind::Rate => quantity(written, units::rate).and_then(|rate| {
                if rate > 0.0 && rate.is_finite() {
                    Ok(Level::Number(rate))
                } else if self.default == OFF {
                    Err(format!("`{written}` must be more than 0 tok/s; \"off\" means no limit"))
                } else {
                    Err(format!("`{written}` must be more than 0 tok/s"))
                }
            }),
            Kind::Duration => match written {
                Scalar::Text(text) => units::duration(text).and_then(|duration| {
                    if duration.is_zero() {
                        Err(format!("`{written}` must be more than 0; \"off\" switches it off"))
                    } else {
                        Ok(Level::Number(duration.as_secs_f64()))
                    }
                }),
                _ => Err(format!("`{written}` has no unit: write for example \"{written}ms\"")),
            },
            Kind::Dose => match written {
                Scalar::Text(text) => units::duration(text).and_then(|duration| {
                    if duration.is_zero() {
                        Ok(Level::Default)
                    } else if duration >= std::time::Duration::from_nanos(LagDose::EVERY_NS) {
                        Err(format!(
                            "`{written}` must be less than 100 ms: the loop is held once in each 100 ms"
                        ))
                    } else {
                        Ok(Level::Number(duration.as_secs_f64()))
                    }
                }),
                _ => Err(format!("`{written}` has no unit: write for example \"{written}ms\"")),
            },
            Kind::Count => quantity(written, |text| {
                text.parse::<f64>().map_err(|_| format!("`{text}` is not a whole number"))
            })
            .and_then(|count| match units::whole(count) {
                Some(1..=4_294_967_295) => Ok(Level::Number(count)),
                _ => Err(format!("`{written}` is not a whole number from 1")),
            }),
            Kind::Switch => match written {
                Scalar::Bool(truth) => Ok(Level::Bool(*truth)),
                // As a filter writes it.
                Scalar::Text(text) if text == "true" => Ok(Level::Bool(true)),
                other => Err(format!("`{other}` is neither true nor false")),
            },
            Kind::Any => free_level(written),
        }?;
        if self.default == Some(&self.show(&level)) { Ok(Level::Default) } else { Ok(level) }
    }

    /// The default in the factor's base unit, where it is a number.
    #[must_use]
    pub fn default_number(&self) -> Option<f64> {
        let default = self.default?;
        match self.kind {
            Kind::Dose | Kind::Duration => {
                units::duration(default).ok().map(|duration| duration.as_secs_f64())
            }
            _ => default.parse().ok(),
        }
    }

    /// Writes a level with its unit, the same for all spellings of one value.
    #[must_use]
    pub fn show(&self, level: &Level) -> String {
        match (level, self.kind) {
            (Level::Default, _) => self.default.unwrap_or("default").to_owned(),
            (Level::Number(number), Kind::Bytes) => {
                units::whole(*number).map_or_else(|| number.to_string(), units::show_bytes)
            }
            (Level::Number(number), Kind::Rate) => format!("{} tok/s", units::number(*number)),
            (Level::Number(number), Kind::Duration | Kind::Dose) => {
                units::show_duration(std::time::Duration::from_secs_f64(*number))
            }
            _ => show_free(level),
        }
    }
}

/// A level of an axis that is no built-in factor.
pub fn free_level(written: &Scalar) -> Result<Level, String> {
    match written {
        Scalar::Text(text) => Ok(Level::Text(text.clone())),
        Scalar::Integer(number) if number.unsigned_abs() > 1 << 53 => {
            Err(format!("`{number}` is beyond 2^53, where JSON numbers are no longer exact"))
        }
        Scalar::Integer(number) => Ok(Level::Number(*number as f64)),
        Scalar::Float(number) if number.is_finite() => Ok(Level::Number(*number)),
        Scalar::Float(number) => Err(format!("`{number}` is not a finite number")),
        Scalar::Bool(truth) => Ok(Level::Bool(*truth)),
    }
}

/// A level as a table writes it. What looks like a number is one, but where the factor reads texts itself and where
/// zeros stand before it, as in the number of a test.
pub fn scalar(axis: &str, text: &str) -> Scalar {
    let typed = lookup(axis).is_some_and(|factor| factor.kind != Kind::Any);
    let digits = text.strip_prefix('-').unwrap_or(text);
    let padded =
        digits.starts_with('0') && digits.chars().nth(1).is_some_and(|c| c.is_ascii_digit());
    let numeric = digits.starts_with(|c: char| c.is_ascii_digit()) && !padded && !typed;
    match text {
        "true" if !typed => Scalar::Bool(true),
        "false" if !typed => Scalar::Bool(false),
        _ if !numeric => Scalar::Text(text.to_owned()),
        _ => {
            let number = text.parse().map(Scalar::Integer);
            let number = number.or_else(|_| text.parse().map(Scalar::Float));
            number.unwrap_or_else(|_| Scalar::Text(text.to_owned()))
        }
    }
}

/// Writes a level of an axis that is no built-in factor.
#[must_use]
pub fn show_free(level: &Level) -> String {
    match level {
        Level::Default => "default".to_owned(),
        // A stop word may be a line feed: it must not break a table or a terminal.
        Level::Text(text) if text.chars().any(char::is_control) => text.escape_debug().to_string(),
        Level::Text(text) | Level::Written { text, .. } => text.clone(),
        Level::Number(number) => format!("{number}"),
        Level::Bool(truth) => truth.to_string(),
    }
}

/// Writes a level of the axis of this name.
#[must_use]
pub fn show(name: &str, level: &Level) -> String {
    lookup(name).map_or_else(|| show_free(level), |factor| factor.show(level))
}

fn text(written: &Scalar) -> Result<String, String> {
    match written {
        Scalar::Text(text) if text.is_empty() => Err("an empty text names nothing".to_owned()),
        Scalar::Text(text) if text.chars().any(char::is_control) => {
            Err(format!("{text:?} has control characters in it"))
        }
        Scalar::Text(text) => Ok(text.clone()),
        other => Err(format!("`{other}` must be a text: write \"{other}\"")),
    }
}

fn quantity(written: &Scalar, parse: impl Fn(&str) -> Result<f64, String>) -> Result<f64, String> {
    match written {
        Scalar::Text(text) => parse(text),
        Scalar::Integer(number) => Ok(*number as f64),
        Scalar::Float(number) => Ok(*number),
        Scalar::Bool(_) => Err(format!("`{written}` is not a number")),
    }
}
