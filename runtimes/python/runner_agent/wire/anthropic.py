"""Anthropic's Messages, `/v1/messages`: server-sent events, the last one `message_stop`.

Spoken by Anthropic, and by Ollama, llama.cpp and vLLM beside their own protocols. Each event says in
`type` what it is; the name before it repeats that and is not needed. Counts stand in two events, and
the last one holds: at the beginning some servers send an estimate.
"""

from runner_agent.wire.decoding import (
    Prompt,
    Wire,
    count,
    error_message,
    listed,
    not_allowed,
    object_of,
    text_of,
)
from runner_agent.wire.sse import EventDecoder

# The version of the protocol that is spoken; servers refuse requests without it.
VERSION = "2023-06-01"


def headers(key: str | None) -> dict[str, str]:
    own = {"anthropic-version": VERSION}
    return own if key is None else own | {"x-api-key": key}


def body(prompt: Prompt) -> dict:
    body = prompt.extra | prompt.options
    named_by_ollama = body.pop("num_predict", None)
    limit = named_by_ollama if prompt.max_tokens is None else prompt.max_tokens
    if limit is not None:
        body["max_tokens"] = limit
    if "stop" in body:
        body["stop_sequences"] = listed(body.pop("stop"))
    messages = [{"role": "user", "content": prompt.text}]
    return body | {"model": prompt.model, "messages": messages, "stream": True}


class AnthropicDecoder(EventDecoder):
    """Incremental decoder of one answer."""

    def stray(self, line: bytes) -> str:
        raise not_allowed("no field of an event", line)

    def text(self, event: dict, data: bytes) -> str:
        ending = self.ending
        if event.get("error") is not None:
            ending.error = error_message(event["error"])
        message = object_of(event.get("message"), data) or {}
        usage = object_of(event.get("usage"), data)
        if usage is None:
            usage = object_of(message.get("usage"), data)
        if usage is not None:
            ending.keep(usage_counts(usage, data))
        if text_of(event.get("type"), data) == "message_stop":
            ending.complete = True
        # A block of content, or what is added to one; at the message's end: why it ended.
        block = object_of(event.get("delta"), data)
        if block is None:
            block = object_of(event.get("content_block"), data)
        if block is None:
            return ""
        reason = block.get("stop_reason")
        if reason is not None:
            ending.finish_reason = text_of(reason, data)
            ending.limited = reason == "max_tokens"
        return text_of(block.get("thinking"), data) + text_of(block.get("text"), data)


def usage_counts(usage: dict, data: bytes) -> dict[str, int | None]:
    """`input_tokens` leaves out what came from the cache or went into it."""
    new = count(usage.get("input_tokens"), data)
    cached = count(usage.get("cache_read_input_tokens"), data)
    written = count(usage.get("cache_creation_input_tokens"), data)
    return {
        "prompt_tokens": None if new is None else new + (cached or 0) + (written or 0),
        "cached_tokens": cached,
        "tokens": count(usage.get("output_tokens"), data),
    }


MESSAGES = Wire(
    path="/v1/messages",
    headers=headers,
    body=body,
    decoder=AnthropicDecoder,
    sample=(
        b'event: message_start\ndata: {"type":"message_start","message":{"usage":{"input_tokens":1}}}\n\n',
        b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,'
        b'"delta":{"type":"text_delta","text":"a"}}\n\n',
        b'event: message_delta\ndata: {"type":"message_delta","delta":{"stop_reason":"end_turn"},'
        b'"usage":{"output_tokens":2}}\n\n',
        b'event: message_stop\ndata: {"type":"message_stop"}\n\n',
    ),
)
