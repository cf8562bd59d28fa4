"""OpenAI's `/v1/chat/completions` and `/v1/completions`: server-sent events, the last `data: [DONE]`.

Reads what OpenAI, llama.cpp, vLLM, SGLang and LM Studio send for chat and for completions,
llama.cpp's `timings` and its `error:` field included. Only `choices[0]` counts.
"""

from runner_agent.wire.decoding import (
    Prompt,
    Wire,
    bearer,
    count,
    error_message,
    milliseconds,
    not_allowed,
    object_of,
    parse,
    text_of,
)
from runner_agent.wire.sse import EventDecoder


def settings(prompt: Prompt) -> dict:
    """What both bodies have in common."""
    body = prompt.extra | prompt.options
    named_by_ollama = body.pop("num_predict", None)
    limit = named_by_ollama if prompt.max_tokens is None else prompt.max_tokens
    if limit is not None:
        body[prompt.max_tokens_as] = limit
    if prompt.stream_options:
        body["stream_options"] = {"include_usage": True}
    return body | {"model": prompt.model, "stream": True}


def chat_body(prompt: Prompt) -> dict:
    return settings(prompt) | {"messages": [{"role": "user", "content": prompt.text}]}


def completions_body(prompt: Prompt) -> dict:
    return settings(prompt) | {"prompt": prompt.text}


class OpenaiDecoder(EventDecoder):
    """Incremental decoder of one answer."""

    # Some servers close the connection after the finish reason, without `[DONE]`.
    reason_is_enough = True

    def is_end(self, data: bytes) -> bool:
        return data == b"[DONE]"

    def stray(self, line: bytes) -> str:
        """An error object that stands in the stream without `data:`.

        Other lines break the protocol, and skipping them could hide text.
        """
        error = parse(self.load, line).get("error")
        if error is None:
            raise not_allowed("no field of an event", line)
        return error_message(error)

    def text(self, event: dict, data: bytes) -> str:
        ending = self.ending
        if event.get("error") is not None:
            ending.error = error_message(event["error"])
        if (timings := object_of(event.get("timings"), data)) is not None:
            ending.keep(timing_counts(timings, data))
        if (usage := object_of(event.get("usage"), data)) is not None:
            ending.keep(usage_counts(usage, data))
        choice = first(event.get("choices"), data)
        if choice is None:
            return ""
        reason = choice.get("finish_reason")
        if reason is not None:
            ending.finish_reason = text_of(reason, data)
            ending.limited = reason == "length"
        delta = object_of(choice.get("delta"), data)
        if delta is None:
            return text_of(choice.get("text"), data)
        thought = delta.get("reasoning")
        if thought is None:
            thought = delta.get("reasoning_content")
        return text_of(thought, data) + text_of(delta.get("content"), data)


def first(choices: object, data: bytes) -> dict | None:
    if choices is None or choices == []:
        return None
    if not isinstance(choices, list) or not isinstance(choices[0], dict):
        raise not_allowed("a list of objects was expected", data)
    return choices[0]


def usage_counts(usage: dict, data: bytes) -> dict[str, int | None]:
    details = object_of(usage.get("prompt_tokens_details"), data) or {}
    return {
        "prompt_tokens": count(usage.get("prompt_tokens"), data),
        "tokens": count(usage.get("completion_tokens"), data),
        "cached_tokens": count(details.get("cached_tokens"), data),
    }


def timing_counts(timings: dict, data: bytes) -> dict[str, int | None]:
    """llama.cpp's own figures; `prompt_n` counts only what was not in its cache."""
    new, cached = count(timings.get("prompt_n"), data), count(timings.get("cache_n"), data)
    tokens = count(timings.get("predicted_n"), data)
    return {
        "prompt_tokens": None if new is None else new + (cached or 0),
        "cached_tokens": cached,
        "prefill_ns": milliseconds(timings.get("prompt_ms"), data),
        "tokens": tokens,
        "decode_ns": milliseconds(timings.get("predicted_ms"), data),
        # Its clock starts with the first token.
        "decode_tokens": tokens - 1 if tokens else None,
    }


CHAT_COMPLETIONS = Wire(
    path="/chat/completions",
    headers=bearer,
    body=chat_body,
    decoder=OpenaiDecoder,
    sample=(
        b'data: {"choices":[{"index":0,"delta":{"content":"a"}}]}\n\n',
        b'data: {"choices":[{"index":0,"delta":{"content":"\\u00e9"},"finish_reason":"stop"}]}\n\n',
        b'data: {"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2}}\n\n',
        b"data: [DONE]\n\n",
    ),
)
COMPLETIONS = Wire(
    path="/completions",
    headers=bearer,
    body=completions_body,
    decoder=OpenaiDecoder,
    sample=(
        b'data: {"choices":[{"index":0,"text":"a"}]}\n\n',
        b'data: {"choices":[{"index":0,"text":"\\u00e9","finish_reason":"stop"}]}\n\n',
        b'data: {"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2}}\n\n',
        b"data: [DONE]\n\n",
    ),
)
