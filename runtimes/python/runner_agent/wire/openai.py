"""OpenAI's `/v1/chat/completions` and `/v1/completions`: server-sent events, the last `data: [DONE]`.

Reads what OpenAI, llama.cpp, vLLM, SGLang and LM Studio send for chat and for completions,
llama.cpp's `timings` and its `error:` field included. Only the choice of index 0 counts.
"""

from runner_agent.wire.decoding import Prompt, Wire, bearer
from runner_agent.wire.payload import (
    count,
    joined,
    milliseconds,
    not_allowed,
    object_of,
    reason_of,
    text_of,
    total,
)
from runner_agent.wire.sse import EventDecoder

# What an event has at least one of.
SHAPE = frozenset(("choices", "usage", "timings"))
# Where servers put what a model thinks; some fill several with the same.
THOUGHTS = ("reasoning", "reasoning_content", "reasoning_details")


def settings(prompt: Prompt) -> dict:
    """What both bodies have in common."""
    body = dict(prompt.options)
    named_by_ollama = body.pop("num_predict", None)
    limit = named_by_ollama if prompt.max_tokens is None else prompt.max_tokens
    if limit is not None:
        body[prompt.max_tokens_as] = limit
    if prompt.stream_options:
        body["stream_options"] = {"include_usage": True}
    return prompt.extra | body | {"model": prompt.model, "stream": True}


def chat_body(prompt: Prompt) -> dict:
    return settings(prompt) | {"messages": [{"role": "user", "content": prompt.text}]}


def completions_body(prompt: Prompt) -> dict:
    return settings(prompt) | {"prompt": prompt.text}


class OpenaiDecoder(EventDecoder):
    """Incremental decoder of one answer."""

    reasons = frozenset(
        ("stop", "length", "tool_calls", "eos_token", "stop_sequence", "function_call", "model_length")
    )
    limits = frozenset(("length",))
    full = frozenset(("model_length",))
    # Some servers close the connection after the finish reason, without `[DONE]`; some do not even that.
    ends_by_reason = True

    def text(self, event: dict, data: bytes) -> str:
        ending = self.ending
        if (model := event.get("model")) != ending.model:
            ending.tell_model(model)
        if (timings := event.get("timings")) is not None:
            ending.keep(timing_counts(timings))
        if (usage := event.get("usage")) is not None:
            ending.keep(usage_counts(usage))
        choice = first(event, data)
        if choice is None:
            return ""
        if (reason := choice.get("finish_reason")) is not None:
            ending.finish_reason = reason_of(reason, data) or ending.finish_reason
        return choice_text(choice, data)

    # It looks the same, with `message` where an event has `delta`.
    whole_text = text


def first(event: dict, data: bytes) -> dict | None:
    choices = event.get("choices")
    if choices and type(choices) is list:
        choice = choices[0]
        if isinstance(choice, dict) and not is_of_another(choice):
            return choice
        for choice in choices:
            if not isinstance(choice, dict):
                break
            if not is_of_another(choice):
                return choice
        else:
            return None
    elif choices is None or choices == []:
        if SHAPE.isdisjoint(event):
            raise not_allowed(f"an event has none of {', '.join(sorted(SHAPE))}", data)
        return None
    raise not_allowed("a list of objects was expected", data)


def is_of_another(choice: dict) -> bool:
    """Whether it belongs to a further answer to the same prompt."""
    index = choice.get("index")
    return bool(index) and type(index) in (int, float)


def choice_text(choice: dict, data: bytes) -> str:
    """Text of chat, or where there is none that of completions."""
    delta = object_of(choice.get("delta"), data)
    if delta is None:
        delta = object_of(choice.get("message"), data)
    if delta is not None:
        text = joined(thought(delta, data), delta.get("content"), data)
        if text:
            return text
    return text_of(choice.get("text"), data)


def thought(delta: dict, data: bytes) -> str | None:
    """The first that is not empty of the fields that servers have for it."""
    for name in THOUGHTS:
        if (told := delta.get(name)) is not None and (text := text_of(told, data)):
            return text
    return None


def usage_counts(usage: object) -> dict[str, int | None]:
    if not isinstance(usage, dict):
        return {}
    details = usage.get("prompt_tokens_details")
    return {
        "prompt_tokens": count(usage.get("prompt_tokens")),
        "tokens": count(usage.get("completion_tokens")),
        "cached_tokens": count(details.get("cached_tokens")) if isinstance(details, dict) else None,
    }


def timing_counts(timings: object) -> dict[str, int | None]:
    """llama.cpp's own figures; `prompt_n` counts only what was not in its cache."""
    if not isinstance(timings, dict):
        return {}
    cached, tokens = count(timings.get("cache_n")), count(timings.get("predicted_n"))
    return {
        "prompt_tokens": total(count(timings.get("prompt_n")), cached),
        "cached_tokens": cached,
        "prefill_ns": milliseconds(timings.get("prompt_ms")),
        "tokens": tokens,
        "decode_ns": milliseconds(timings.get("predicted_ms")),
        # Its clock starts with the first token.
        "decode_tokens": tokens - 1 if tokens else None,
    }


CHAT_COMPLETIONS = Wire(
    path="/chat/completions",
    headers=bearer,
    body=chat_body,
    decoder=OpenaiDecoder,
    sample=(
        b'data: {"model":"m","choices":[{"index":0,"delta":{"content":"a"}}]}\n\n',
        b'data: {"model":"m","choices":[{"index":0,"delta":{"content":"\\u00e9"},'
        b'"finish_reason":"stop"}]}\n\n',
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
        b'data: {"model":"m","choices":[{"index":0,"text":"a"}]}\n\n',
        b'data: {"model":"m","choices":[{"index":0,"text":"\\u00e9","finish_reason":"stop"}]}\n\n',
        b'data: {"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2}}\n\n',
        b"data: [DONE]\n\n",
    ),
)
