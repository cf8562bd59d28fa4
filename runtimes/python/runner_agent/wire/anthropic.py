"""Anthropic's Messages, `/v1/messages`: server-sent events, the last one `message_stop`.

Spoken by Anthropic, and by Ollama, llama.cpp and vLLM beside their own protocols. Each event says in
`type` what it is; the name before it repeats that and is not needed. Counts stand in two events, and
the last one holds: at the beginning some servers send an estimate.
"""

from runner_agent.wire.decoding import Prompt, Wire, listed
from runner_agent.wire.payload import count, joined, not_allowed, object_of, reason_of, text_of, total
from runner_agent.wire.sse import EventDecoder

# What an event says that it is.
TYPES = frozenset(
    ("message_start", "message_delta", "message_stop", "ping")
    + ("content_block_start", "content_block_delta", "content_block_stop")
)
# The version of the protocol that is spoken; servers refuse requests without it.
VERSION = "2023-06-01"


def headers(key: str | None) -> dict[str, str]:
    own = {"anthropic-version": VERSION}
    return own if key is None else own | {"x-api-key": key}


def body(prompt: Prompt) -> dict:
    body = dict(prompt.options)
    named_by_ollama = body.pop("num_predict", None)
    limit = named_by_ollama if prompt.max_tokens is None else prompt.max_tokens
    if limit is not None:
        body["max_tokens"] = limit
    if "stop" in body:
        body["stop_sequences"] = listed(body.pop("stop"))
    messages = [{"role": "user", "content": prompt.text}]
    return prompt.extra | body | {"model": prompt.model, "messages": messages, "stream": True}


class AnthropicDecoder(EventDecoder):
    """Incremental decoder of one answer."""

    reasons = frozenset(
        ("end_turn", "stop_sequence", "max_tokens", "tool_use", "model_context_window_exceeded")
    )
    limits = frozenset(("max_tokens",))
    full = frozenset(("model_context_window_exceeded",))
    ends_by_reason = False

    def text(self, event: dict, data: bytes) -> str:
        ending = self.ending
        kind = event.get("type")
        if not isinstance(kind, str) or kind not in TYPES:
            raise not_allowed("an event of an unknown type", data)
        if (message := object_of(event.get("message"), data)) is not None:
            ending.tell_model(message.get("model"))
            ending.keep(usage_counts(message.get("usage")))
        if (usage := event.get("usage")) is not None:
            ending.keep(usage_counts(usage))
        # A delta is added to a block of content or, at the message's end, says why it ended.
        text = ""
        if (delta := object_of(event.get("delta"), data)) is not None:
            text = self.block_text(delta, data)
        if (block := object_of(event.get("content_block"), data)) is not None:
            text += self.block_text(block, data)
        if kind == "message_stop":
            ending.end()
        return text

    def block_text(self, block: dict, data: bytes) -> str:
        if (reason := block.get("stop_reason")) is not None:
            self.tell_reason(reason, data)
        return joined(block.get("thinking"), block.get("text"), data)

    def whole_text(self, message: dict, data: bytes) -> str:
        """A whole message has at its top what the events of a stream bring one after the other."""
        ending = self.ending
        if "content" not in message:
            raise not_allowed("a message without content", data)
        ending.tell_model(message.get("model"))
        ending.keep(usage_counts(message.get("usage")))
        self.tell_reason(message.get("stop_reason"), data)
        return text_of(message["content"], data)

    def tell_reason(self, reason: object, data: bytes) -> None:
        ending = self.ending
        ending.finish_reason = reason_of(reason, data) or ending.finish_reason


def usage_counts(usage: object) -> dict[str, int | None]:
    """`input_tokens` leaves out what came from the cache or went into it."""
    if not isinstance(usage, dict):
        return {}
    cached = count(usage.get("cache_read_input_tokens"))
    written = count(usage.get("cache_creation_input_tokens"))
    return {
        "prompt_tokens": total(count(usage.get("input_tokens")), cached, written),
        "cached_tokens": cached,
        "tokens": count(usage.get("output_tokens")),
    }


MESSAGES = Wire(
    path="/v1/messages",
    headers=headers,
    body=body,
    decoder=AnthropicDecoder,
    sample=(
        b'event: message_start\ndata: {"type":"message_start",'
        b'"message":{"model":"m","usage":{"input_tokens":1}}}\n\n',
        b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,'
        b'"delta":{"type":"text_delta","text":"a"}}\n\n',
        b'event: message_delta\ndata: {"type":"message_delta","delta":{"stop_reason":"end_turn"},'
        b'"usage":{"output_tokens":2}}\n\n',
        b'event: message_stop\ndata: {"type":"message_stop"}\n\n',
    ),
)
