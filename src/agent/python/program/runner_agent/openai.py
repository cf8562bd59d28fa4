"""The stream of OpenAI-compatible servers: server-sent events, the last one `data: [DONE]`.

Reads what OpenAI, llama.cpp, vLLM, SGLang and LM Studio send for chat and for completions,
llama.cpp's `timings` and its `error:` field included. Only `choices[0]` counts.
"""

from collections.abc import Iterator

from runner_agent.decoding import (
    LINE_LIMIT,
    Chunk,
    Ending,
    Lines,
    Load,
    Malformed,
    count,
    error_body,
    error_message,
    milliseconds,
    not_allowed,
    parse,
    text_of,
)


class OpenaiDecoder:
    """Incremental decoder of one answer."""

    def __init__(self, load: Load) -> None:
        self.load = load
        self.lines = Lines()
        self.data: list[bytes] = []  # `data:` lines of the event that is being read
        self.ending = Ending()

    def push(self, data: bytes) -> None:
        if not self.ending.complete:
            self.lines.push(data)

    def chunks(self) -> Iterator[Chunk]:
        """Every event with data; what follows `[DONE]` is of no interest."""
        for line in self.lines.whole():
            event = self.take(line)
            if event is not None:
                yield self.read(event)
            elif self.ending.complete:
                return

    def last_chunk(self) -> Chunk | None:
        """A last event without its blank line; one that is cut in the middle is no chunk."""
        if self.ending.complete:
            return None
        try:
            line = self.lines.rest()
            if line:
                self.take(line)
            event = self.take(b"")
            return None if event is None else self.read(event)
        except Malformed:
            return None

    def complete_at_close(self) -> bool:
        """Some servers close the connection after the finish reason, without `[DONE]`."""
        return self.ending.complete or self.ending.finish_reason is not None

    def take(self, line: bytes) -> bytes | None:
        """Takes one line; returns an event's data when the line completed one."""
        if not line:
            return self.dispatch()
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            self.data.append(value)
            if sum(map(len, self.data)) + len(self.data) - 1 > LINE_LIMIT:
                raise Malformed(f"a line of the stream is longer than {LINE_LIMIT} bytes")
        elif field == b"error":
            self.ending.error = error_body(value) or ""
        elif field not in (b"", b"event", b"id", b"retry"):  # a line from a colon on is a comment
            self.ending.error = self.bare_error(line)
        return None

    def dispatch(self) -> bytes | None:
        if not self.data:
            return None
        event = b"\n".join(self.data)
        self.data.clear()
        stripped = event.strip()
        if stripped == b"[DONE]":
            self.ending.complete = True
            return None
        return event if stripped else None

    def bare_error(self, line: bytes) -> str:
        """An error object that stands in the stream without `data:`; other lines break the protocol,
        and skipping them could hide text."""
        error = parse(self.load, line).get("error")
        if error is None:
            raise not_allowed("no field of an event", line)
        return error_message(error)

    def read(self, data: bytes) -> Chunk:
        try:
            return self.read_event(parse(self.load, data), data)
        except (AttributeError, IndexError, KeyError, TypeError) as error:
            raise not_allowed("a field is not of its type", data) from error

    def read_event(self, event: dict, data: bytes) -> Chunk:
        ending = self.ending
        if event.get("error") is not None:
            ending.error = error_message(event["error"])
        if (timings := event.get("timings")) is not None:
            self.keep(timing_counts(timings))
        if (usage := event.get("usage")) is not None:
            cached = (usage.get("prompt_tokens_details") or {}).get("cached_tokens")
            self.keep(
                {
                    "prompt_tokens": count(usage.get("prompt_tokens")),
                    "tokens": count(usage.get("completion_tokens")),
                    "cached_tokens": count(cached),
                }
            )
        choices = event.get("choices")
        if not choices:
            return Chunk(len(data), "")
        choice = choices[0]
        reason = text_of(choice.get("finish_reason"), data)
        if choice.get("finish_reason") is not None:
            ending.finish_reason = reason
        delta = choice.get("delta")
        if delta is None:
            return Chunk(len(data), text_of(choice.get("text"), data))
        thought = delta.get("reasoning")
        if thought is None:
            thought = delta.get("reasoning_content")
        return Chunk(len(data), text_of(thought, data) + text_of(delta.get("content"), data))

    def keep(self, counts: dict[str, int | None]) -> None:
        known = {name: value for name, value in counts.items() if value is not None}
        self.ending.counts.update(known)


def timing_counts(timings: dict) -> dict[str, int | None]:
    """llama.cpp's own figures; `prompt_n` counts only what was not in its cache."""
    new, cached = count(timings.get("prompt_n")), count(timings.get("cache_n"))
    tokens = count(timings.get("predicted_n"))
    return {
        "prompt_tokens": None if new is None else new + (cached or 0),
        "cached_tokens": cached,
        "prefill_ns": milliseconds(timings.get("prompt_ms")),
        "tokens": tokens,
        "decode_ns": milliseconds(timings.get("predicted_ms")),
        # Its clock starts with the first token.
        "decode_tokens": tokens - 1 if tokens else None,
    }
