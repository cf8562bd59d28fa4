"""The stream of Ollama's `/api/generate`: one JSON object per line, the last with `done: true`."""

from collections.abc import Iterator

from runner_agent.decoding import (
    Chunk,
    Ending,
    Lines,
    Load,
    Malformed,
    count,
    error_message,
    parse,
    text_of,
)

# What the server says of itself: the protocol's field and Ollama's.
COUNTS = {
    "total_ns": "total_duration",
    "load_ns": "load_duration",
    "prompt_tokens": "prompt_eval_count",
    "prefill_ns": "prompt_eval_duration",
    "tokens": "eval_count",
    "decode_ns": "eval_duration",
}


class OllamaDecoder:
    """Incremental decoder of one answer."""

    def __init__(self, load: Load) -> None:
        self.load = load
        self.lines = Lines()
        self.ending = Ending()

    def push(self, data: bytes) -> None:
        if not self.ending.complete:
            self.lines.push(data)

    def chunks(self) -> Iterator[Chunk]:
        """Every whole line that is not blank; what follows the last record is of no interest."""
        for line in self.lines.whole():
            if line.strip():
                yield self.read(line)
                if self.ending.complete:
                    return

    def last_chunk(self) -> Chunk | None:
        """A last line without its end; one that is cut in the middle is no chunk."""
        line = self.lines.rest()
        if not line or self.ending.complete:
            return None
        try:
            return self.read(line)
        except Malformed:
            return None

    def complete_at_close(self) -> bool:
        return self.ending.complete

    def read(self, line: bytes) -> Chunk:
        record, ending = parse(self.load, line), self.ending
        if record.get("error") is not None:
            ending.error = error_message(record["error"])
        text = text_of(record.get("thinking"), line) + text_of(record.get("response"), line)
        if record.get("done") is True:
            ending.complete = True
            ending.finish_reason = text_of(record.get("done_reason"), line) or None
            known = {ours: count(record.get(theirs)) for ours, theirs in COUNTS.items()}
            ending.counts = {name: value for name, value in known.items() if value is not None}
        return Chunk(len(line), text)
