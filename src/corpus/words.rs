//! Words: English ones by how often they occur, and made ones of English-like syllables.

use super::draw::Draw;

/// Roughly from the commonest on.
pub(super) const ENGLISH: [&str; 240] = [
    "the", "of", "and", "to", "a", "in", "is", "it", "that", "was", "for", "on", "are", "with",
    "as", "at", "be", "this", "have", "from", "or", "had", "by", "but", "not", "what", "all",
    "were", "when", "we", "there", "can", "an", "which", "their", "if", "will", "each", "about",
    "how", "up", "out", "them", "then", "many", "some", "so", "these", "would", "other", "into",
    "has", "more", "two", "like", "him", "see", "time", "could", "no", "make", "than", "first",
    "been", "its", "who", "now", "people", "over", "down", "only", "way", "find", "use", "may",
    "water", "long", "little", "very", "after", "words", "called", "just", "where", "most", "know",
    "through", "back", "much", "before", "line", "right", "too", "means", "any", "same", "tell",
    "follow", "came", "want", "show", "also", "around", "form", "three", "small", "set", "put",
    "end", "does", "another", "well", "large", "must", "even", "here", "because", "turn", "went",
    "number", "sound", "great", "work", "light", "between", "never", "morning", "paper", "while",
    "against", "question", "system", "measure", "window", "letter", "answer", "country", "always",
    "mountain", "remember", "together", "important", "children", "began", "enough", "almost",
    "sometimes", "language", "model", "memory", "server", "river", "garden", "silence", "machine",
    "harbour", "evening", "electric", "surface", "pattern", "thousand", "voyage", "weather",
    "quarter", "council", "statement", "chapter", "station", "interest", "merchant", "distance",
    "explain", "consider", "different", "experiment", "temperature", "observation", "engine",
    "instrument", "literature", "government", "afternoon", "particular", "nevertheless",
    "independent", "understanding", "circumstance", "communication", "architecture",
    "responsibility", "throughput", "latency", "bandwidth", "scheduler", "inference", "quantised",
    "gradient", "embedding", "transformer", "attention", "concurrency", "benchmark", "hypothesis",
    "confidence", "interval", "median", "variance", "correlation", "calibration", "reproducible",
    "provenance", "tokenizer", "vocabulary", "orchard", "lantern", "gravel", "meadow", "thimble",
    "ladder", "copper", "velvet", "anchor", "candle", "saddle", "basket", "mirror", "quarry",
    "feather", "hollow", "whistle", "ember", "glacier", "parchment", "cathedral", "labyrinth",
    "archipelago", "chrysanthemum", "onomatopoeia", "serendipity", "idiosyncratic",
];

const ONSETS: [&str; 20] = [
    "b", "br", "c", "ch", "d", "dr", "f", "g", "gl", "h", "l", "m", "n", "p", "pr", "s", "st", "t",
    "th", "v",
];
const VOWELS: [&str; 10] = ["a", "e", "i", "o", "u", "ai", "ea", "ou", "ie", "oo"];
const CODAS: [&str; 12] = ["", "", "", "n", "r", "s", "t", "l", "nd", "ck", "sh", "rm"];

/// Appends a word that no list has: a name, a term, a slip of the pen.
pub(super) fn made(draw: &mut Draw, text: &mut String) {
    for _ in 0..draw.between(1, 4) {
        for part in [draw.of(&ONSETS), draw.of(&VOWELS), draw.of(&CODAS)] {
            text.push_str(part);
        }
    }
}

/// Appends a word as prose has it: mostly a common one.
pub(super) fn word(draw: &mut Draw, text: &mut String) {
    if draw.once_in(12) {
        made(draw, text);
    } else {
        text.push_str(draw.early(&ENGLISH));
    }
}

/// Makes the ASCII letter at this place a capital.
pub(super) fn capital(text: &mut String, at: usize) {
    let first = text.get(at..at + 1).map(str::to_ascii_uppercase);
    if let Some(first) = first {
        text.replace_range(at..=at, &first);
    }
}
