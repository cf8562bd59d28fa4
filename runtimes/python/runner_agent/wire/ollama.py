"""Ollama's `/api/generate` and `/api/chat`: one JSON object per line, the last with `done: true`.

The last record may carry text; a stream without it is cut, however it was closed. Chat wraps the text
into a message and is otherwise the same.
"""

from collections.abc import Iterator

from runner_agent.wire.decoding import (
    Chunk,
    Ending,
    Lines,
    Load,
    Malformed,
    Prompt,
    Wire,
    bearer,
    count,
    error_message,
    listed,
    not_allowed,
    object_of,
    parse,
    text_of,
)

# Settings that Ollama takes beside `options`, not in it.
TOP_LEVEL = ("format", "keep_alive", "raw", "suffix", "system", "template", "think")
# What the server says of itself: the protocol's field and Ollama's.
COUNTS = {
    "total_ns": "total_duration",
    "load_ns": "load_duration",
    "prompt_tokens": "prompt_eval_count",
    "prefill_ns": "prompt_eval_duration",
    "tokens": "eval_count",
    "decode_ns": "eval_duration",
}


def settings(prompt: Prompt) -> dict:
    """What both bodies have in common."""
    body, options = dict(prompt.extra), {}
    for name, value in prompt.options.items():
        place = body if name in TOP_LEVEL else options
        # Ollama fails on a stop that is no list.
        place[name] = listed(value) if name == "stop" else value
    if prompt.max_tokens is not None:
        options["num_predict"] = prompt.max_tokens
    body |= {"model": prompt.model, "stream": True}
    # Without the key the server's own defaults hold, which is what a baseline measures.
    if options:
        body["options"] = options
    return body


def generate_body(prompt: Prompt) -> dict:
    return settings(prompt) | {"prompt": prompt.text}


def chat_body(prompt: Prompt) -> dict:
    body = settings(prompt)
    messages = [{"role": "user", "content": prompt.text}]
    if "system" in body:  # chat has no key for a system prompt: it is the first message
        messages.insert(0, {"role": "system", "content": body.pop("system")})
    return body | {"messages": messages}


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
        done = record.get("done")
        if done is True:
            self.end(record, line)
        elif done is not None and done is not False:
            raise not_allowed("true or false was expected", line)
        message = object_of(record.get("message"), line)
        if message is None:
            thought, text = record.get("thinking"), record.get("response")
        else:
            thought, text = message.get("thinking"), message.get("content")
        return Chunk(len(line), text_of(thought, line) + text_of(text, line))

    def end(self, record: dict, line: bytes) -> None:
        """The last record: why the answer ended, and what the server counted."""
        ending = self.ending
        ending.complete = True
        if record.get("done_reason") is not None:
            ending.finish_reason = text_of(record["done_reason"], line)
        ending.limited = ending.finish_reason == "length"
        ending.keep({ours: count(record.get(theirs), line) for ours, theirs in COUNTS.items()})


GENERATE = Wire(
    path="/api/generate",
    headers=bearer,
    body=generate_body,
    decoder=OllamaDecoder,
    sample=(
        b'{"model":"m","response":"a","done":false}\n',
        b'{"model":"m","response":"\\u00e9","done":false}\n',
        b'{"model":"m","response":"","done":true,"done_reason":"stop","eval_count":2}\n',
    ),
)
CHAT = Wire(
    path="/api/chat",
    headers=bearer,
    body=chat_body,
    decoder=OllamaDecoder,
    sample=(
        b'{"model":"m","message":{"role":"assistant","content":"a"},"done":false}\n',
        b'{"model":"m","message":{"role":"assistant","content":"\\u00e9"},"done":false}\n',
        b'{"model":"m","message":{"role":"assistant","content":""},"done":true,"done_reason":"stop",'
        b'"eval_count":2}\n',
    ),
)
