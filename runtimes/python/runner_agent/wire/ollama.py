"""Ollama's `/api/generate` and `/api/chat`: one JSON object per line, the last with `done: true`.

The last record may carry text; a stream without it is cut, however it was closed. Chat wraps the text
into a message and is otherwise the same.
"""

from collections.abc import Iterator

from runner_agent.wire.body import BodyDecoder
from runner_agent.wire.decoding import (
    BLANKS,
    Chunk,
    Lines,
    Load,
    Malformed,
    Prompt,
    Wire,
    bearer,
    listed,
)
from runner_agent.wire.errors import error_in, error_words
from runner_agent.wire.payload import (
    CutOff,
    count,
    is_json,
    joined,
    not_allowed,
    object_of,
    parse,
    reason_of,
)

# Settings that Ollama takes beside `options`, not in it.
TOP_LEVEL = (
    "format",
    "keep_alive",
    "raw",
    "shift",
    "suffix",
    "system",
    "template",
    "think",
    "truncate",
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


def settings(prompt: Prompt) -> dict:
    """What both bodies have in common."""
    body, options = {}, {}
    for name, value in prompt.options.items():
        place = body if name in TOP_LEVEL else options
        # Ollama fails on a stop that is no list.
        place[name] = listed(value) if name == "stop" else value
    if prompt.max_tokens is not None:
        options["num_predict"] = prompt.max_tokens
    # A prompt that is longer than the context would be cut without a word.
    if "truncate" not in prompt.extra:
        body.setdefault("truncate", False)
    body |= {"model": prompt.model, "stream": True}
    # Without the key the server's own defaults hold, which is what a baseline measures.
    if options:
        body["options"] = options
    return body


def generate_body(prompt: Prompt) -> dict:
    return prompt.extra | settings(prompt) | {"prompt": prompt.text}


def chat_body(prompt: Prompt) -> dict:
    body = settings(prompt)
    messages = [{"role": "user", "content": prompt.text}]
    if "system" in body:  # chat has no key for a system prompt: it is the first message
        messages.insert(0, {"role": "system", "content": body.pop("system")})
    return prompt.extra | body | {"messages": messages}


class OllamaDecoder(BodyDecoder):
    """Incremental decoder of one answer."""

    reasons = frozenset(("stop", "length", "tool_calls"))
    limits = frozenset(("length",))
    full = frozenset()
    ends_by_reason = False
    # What a record has at least one of.
    shape = frozenset(("done", "response", "thinking"))

    def __init__(self, load: Load) -> None:
        super().__init__(load, Lines())
        self.is_first = True

    def chunks(self) -> Iterator[Chunk]:
        """Every whole line that is not blank; what follows the last record is of no interest."""
        lines = self.lines.whole()
        for line in lines:
            if not line.strip(BLANKS):
                continue
            try:
                chunk = self.read(line)
            except CutOff:
                if not self.is_first:
                    raise
                # One record spread over several lines, which is whole when the body ends.
                lines.close()
                self.held = bytearray(line + b"\n")
                self.hold(self.lines.rest())
                return
            if chunk is not None:
                yield chunk
            self.is_first = False
            if self.ending.over:
                return

    def last_chunk(self) -> Chunk | None:
        """A last line without its end; one that is cut in the middle is no chunk."""
        if self.ending.over:
            return None
        if self.held is not None:
            return self.held_chunk()
        line = self.lines.rest()
        try:
            return self.read(line) if line.strip(BLANKS) else None
        except CutOff:
            return None
        except Malformed:
            # What is JSON was not cut; nor are words that are all there is.
            if self.is_first or is_json(line.strip(BLANKS)):
                raise
            return None

    def read(self, line: bytes) -> Chunk | None:
        """The chunk of a line, unless it is an error."""
        try:
            record = parse(self.load, line)
        except Malformed:
            error = error_words(line)
            if error is None:
                raise
            self.ending.fail(error)
            return None
        if (error := error_in(record)) is not None:
            self.ending.fail(error)
            return None
        text = self.text(record, line)
        if self.is_first and text and self.ending.over and self.is_json():
            self.ending.streamed = False
        if text.isascii():
            return Chunk(len(line), text, len(text))
        return Chunk.of(len(line), text)

    def is_json(self) -> bool:
        return self.content_type.partition(";")[0].strip().lower() == "application/json"

    def text(self, record: dict, line: bytes) -> str:
        """Text of a record; what it says of the answer's end goes to `ending`."""
        ending = self.ending
        if (model := record.get("model")) != ending.model:
            ending.tell_model(model)
        if (reason := record.get("done_reason")) is not None:
            ending.finish_reason = reason_of(reason, line) or ending.finish_reason
        text = self.record_text(record, line)
        if (done := record.get("done")) is not False:
            self.not_undone(done, record, line)
        return text

    def not_undone(self, done: object, record: dict, line: bytes) -> None:
        """A record that does not say that others follow: the last one, or one that does not say."""
        if done is True:
            ending = self.ending
            ending.keep({ours: count(record.get(theirs)) for ours, theirs in COUNTS.items()})
            ending.end()
        elif done is not None:
            raise not_allowed("true or false was expected", line)
        elif self.shape.isdisjoint(record):
            raise not_allowed(f"a record has none of {', '.join(sorted(self.shape))}", line)

    def record_text(self, record: dict, line: bytes) -> str:
        return joined(record.get("thinking"), record.get("response"), line)

    def whole_text(self, record: dict, data: bytes) -> str:
        text = self.text(record, data)
        if not self.ending.over:
            raise not_allowed("a record is spread over several lines", data)
        return text


class ChatDecoder(OllamaDecoder):
    """The same of a chat, whose text is wrapped into a message."""

    shape = frozenset(("done", "message"))

    def record_text(self, record: dict, line: bytes) -> str:
        message = object_of(record.get("message"), line)
        if message is None:
            return ""
        return joined(message.get("thinking"), message.get("content"), line)


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
    decoder=ChatDecoder,
    sample=(
        b'{"model":"m","message":{"role":"assistant","content":"a"},"done":false}\n',
        b'{"model":"m","message":{"role":"assistant","content":"\\u00e9"},"done":false}\n',
        b'{"model":"m","message":{"role":"assistant","content":""},"done":true,"done_reason":"stop",'
        b'"eval_count":2}\n',
    ),
)
