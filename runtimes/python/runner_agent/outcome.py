"""What a call's outcome is, decided in one place once its answer was read as far as it is read.

Success is a list: what is on no list does not count, whatever it is.
"""

import re
from typing import NamedTuple

from runner_agent.spec import Agent
from runner_agent.wire.decoding import Decoder

# Chunks of the same text at the end of a stream by which it is known that the model repeats itself.
REPEATED = 20
# Where options have the tokens that are asked for, unless the spec has a limit.
LIMIT_OPTIONS = ("num_predict", "max_tokens", "max_completion_tokens")
DATE = re.compile(r"(?s)(?<=.)[-@](\d{4}-\d{2}-\d{2}|\d{8}|\d{4})\Z", re.ASCII)


class End(NamedTuple):
    """How a call ended."""

    outcome: str
    error: str | None = None


def judge(agent: Agent, decoder: Decoder, texts: list[str], broken: str | None) -> End:
    """The first outcome of the protocol's table that fits an answer that did not breach its protocol.

    `broken` says what broke the connection before the body had come to its end, or before nothing came
    any more after a finish reason.
    """
    ending = decoder.ending
    reason, tokens = ending.finish_reason, ending.counts.get("tokens")
    if ending.error is not None:
        return End("in_band_error", ending.error)
    ended_by_reason = decoder.ends_by_reason and reason is not None and broken is None
    if not (ending.complete or ended_by_reason):
        return End("truncated", cut(agent, texts, broken))
    if reason is not None and reason not in decoder.reasons:
        return End("refused", f'the server ended the answer for the reason "{reason}"')
    other = next((name for name in ending.models if not is_asked(name, agent)), None)
    if other is not None:
        return End(
            "other_model",
            f'the answer is of model "{other}", "{agent.model}" was asked for; if it is the '
            "same model by another name, list that name in the endpoint's answers_as",
        )
    if not ending.streamed:
        return End("not_streamed", "a whole JSON answer came in place of a stream")
    if not texts:
        told = "none told" if reason is None else f'"{reason}"'
        counted = "no tokens counted by the server"
        if tokens is not None:
            counted = f"{tokens} tokens by the server's count"
        return End("empty", f"the answer has no text (reason: {told}, {counted})")
    if agent.accept_context_full and (reason in decoder.full or reason in decoder.limits):
        return End("length")
    if reason in decoder.full:
        words = f'the server says that the context was full (reason: "{reason}")'
        return End("context_full", words)
    if reason not in decoder.limits:
        return End("ok")
    asked = tokens_asked(agent)
    # No tokens beside text are no count.
    if asked is not None and tokens and tokens < asked:
        words = (
            f"the answer ended with {tokens} of {asked} tokens: the context was full, or the server has a "
            "limit of its own"
        )
        return End("context_full", words)
    return End("length")


def cut(agent: Agent, texts: list[str], broken: str | None) -> str:
    words = broken or "the stream ended without the server's last record"
    last = texts[-REPEATED:]
    if agent.api.startswith("ollama") and len(last) == REPEATED and len(set(last)) == 1:
        words += (
            "; its last chunks are all the same text, and Ollama ends a stream so when one token came some "
            "30 times in a row"
        )
    return words


def is_asked(name: str, agent: Agent) -> bool:
    """Whether a stream's name for the model is one of those that were asked for."""
    return any(is_same_model(asked, name) for asked in (agent.model, *agent.answers_as))


def is_same_model(asked: str, told: str) -> bool:
    if asked == told:
        return True
    (asked, asked_date), (told, told_date) = bare(asked), bare(told)
    # A short date is the end of a long one; none is the end of any.
    return asked == told and (asked_date.endswith(told_date) or told_date.endswith(asked_date))


def bare(name: str) -> tuple[str, str]:
    """A model's name without what servers add to it or leave out of it, and the date at its end."""
    name = name.strip().lower().replace("\\", "/").rpartition("/")[2]
    name = name.removesuffix(":latest").removesuffix(".gguf")
    dated = DATE.search(name)
    if dated is None:
        return name.removesuffix("-latest"), ""
    return name[: dated.start()], dated[1].replace("-", "")


def tokens_asked(agent: Agent) -> float | None:
    """None where no limit was set, or one that says that there is none."""
    if agent.max_tokens is not None:
        return agent.max_tokens
    for name in LIMIT_OPTIONS:
        value = agent.options.get(name)
        if isinstance(value, int | float) and not isinstance(value, bool) and value > 0:
            return value
    return None
