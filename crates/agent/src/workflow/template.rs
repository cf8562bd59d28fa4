//! Prompts with placeholders: `{data}`, `{answer}`, and `{{` and `}}` for the braces themselves.

/// The data summary.
pub const DATA: &str = "data";
/// The answer of the agent's former call.
pub const ANSWER: &str = "answer";

/// What is wrong with a prompt of a workflow.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    #[error("the placeholder `{{{0}}}` is not known here")]
    Unknown(String),
    #[error("the placeholder `{{{0}}}` is missing")]
    Missing(&'static str),
    #[error("a `{0}` stands alone")]
    Brace(char),
}

/// A piece of a template, from left to right.
enum Piece<'t> {
    Text(&'t str),
    Placeholder(&'t str),
    Brace(char),
}

/// Everything that is wrong. `needed` must occur, `allowed` may.
#[must_use]
pub fn check(template: &str, needed: &'static str, allowed: &[&str]) -> Vec<TemplateError> {
    let mut errors = Vec::new();
    let mut found = false;
    for piece in pieces(template) {
        let error = match piece {
            Piece::Text(_) => continue,
            Piece::Placeholder(name) if name == needed => {
                found = true;
                continue;
            }
            Piece::Placeholder(name) if allowed.contains(&name) => continue,
            Piece::Placeholder(name) => TemplateError::Unknown(name.to_owned()),
            Piece::Brace(brace) => TemplateError::Brace(brace),
        };
        if !errors.contains(&error) {
            errors.push(error);
        }
    }
    if !found {
        errors.push(TemplateError::Missing(needed));
    }
    errors
}

/// The prompt. What is filled in is not looked at again; what [`check`] refuses stays as it is.
#[must_use]
pub fn fill(template: &str, data: &str, answer: &str) -> String {
    let mut prompt = String::with_capacity(template.len() + data.len() + answer.len());
    for piece in pieces(template) {
        match piece {
            Piece::Text(text) => prompt.push_str(text),
            Piece::Placeholder(DATA) => prompt.push_str(data),
            Piece::Placeholder(ANSWER) => prompt.push_str(answer),
            Piece::Placeholder(name) => prompt.extend(["{", name, "}"]),
            Piece::Brace(brace) => prompt.push(brace),
        }
    }
    prompt
}

fn pieces(template: &str) -> impl Iterator<Item = Piece<'_>> {
    let mut rest = template;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let (piece, after) = next(rest);
        rest = after;
        Some(piece)
    })
}

fn next(rest: &str) -> (Piece<'_>, &str) {
    let brace = rest.find(['{', '}']).unwrap_or(rest.len());
    if brace > 0 {
        let (text, rest) = rest.split_at(brace);
        return (Piece::Text(text), rest);
    }
    for pair in ["{{", "}}"] {
        if let Some(after) = rest.strip_prefix(pair) {
            return (Piece::Text(&pair[1..]), after);
        }
    }
    let Some(inner) = rest.strip_prefix('{') else { return (Piece::Brace('}'), &rest[1..]) };
    match inner.split_once('}') {
        Some((name, after)) if is_name(name) => (Piece::Placeholder(name), after),
        _ => (Piece::Brace('{'), inner),
    }
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'))
}
