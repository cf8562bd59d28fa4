"""The passes: every part of every mode is encoded, with a reading of the clock before and after."""

import hashlib
import sys
from array import array
from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic_ns

from tokenizers import Tokenizer

from runner_tokenize.spec import Refused, Spec

PART_COLUMNS = "start,bytes"
# Least time between two events that tell of passes.
PROGRESS_NS = 100_000_000


@dataclass(frozen=True)
class Mode:
    name: str
    parts: list[str]
    # Length of each part in UTF-8.
    sizes: list[int]


@dataclass
class Result:
    load: tuple[int, int]
    vocabulary: int
    # The protocol's records of the passes.
    passes: list[dict] = field(default_factory=list)
    # Mode, pass, tokens of each part, nanoseconds of each part.
    rows: list[tuple[Mode, int, list[int], list[int]]] = field(default_factory=list)


def cut(asked: Spec) -> list[Mode]:
    """The text in its parts, before anything is measured."""
    try:
        with open(asked.corpus, "rb") as file:
            text = file.read()
        return [mode(name, path, text) for name, path in asked.modes]
    except (OSError, ValueError) as error:
        raise Refused(f"tokenize: cannot use {asked.corpus}: {error}") from error


def mode(name: str, path: str | None, text: bytes) -> Mode:
    if path is None:
        return Mode(name, [text.decode()], [len(text)])
    with open(path, encoding="ascii") as file:
        header, *rows = file.read().splitlines()
    if header != PART_COLUMNS:
        raise ValueError(f"the header of {path} must be {PART_COLUMNS}")
    spans = [tuple(map(int, row.split(","))) for row in rows]
    if any(start + size > len(text) for start, size in spans):
        raise ValueError(f"{path} names a part beyond the text's end")
    parts = [text[start : start + size].decode() for start, size in spans]
    return Mode(name, parts, [size for _, size in spans])


def encode(asked: Spec, modes: list[Mode], send: Callable[..., None]) -> Result:
    start_ns = monotonic_ns()
    try:
        tokenizer = Tokenizer.from_file(asked.tokenizer)
    except Exception as error:  # the package raises Exception itself
        raise Refused(f"tokenize: cannot use {asked.tokenizer}: {error}") from error
    result = Result((start_ns, monotonic_ns()), tokenizer.get_vocab_size())
    # The whole text is encoded, whatever a model takes at a time.
    tokenizer.no_truncation()
    tokenizer.no_padding()
    told_ns = 0
    passes = asked.warmup + asked.passes
    for number in range(passes):
        warmup = number < asked.warmup
        for mode in modes:
            now_ns = monotonic_ns()
            if now_ns - told_ns >= PROGRESS_NS:
                told_ns = now_ns
                at = {"mode": mode.name, "pass": number, "passes": passes, "warmup": warmup}
                send("pass_started", now_ns, **at)
            record, tokens, times = one_pass(tokenizer, mode)
            record.update({"mode": mode.name, "pass": number, "warmup": warmup})
            result.passes.append(record)
            result.rows.append((mode, number, tokens, times))
    return result


def one_pass(tokenizer: Tokenizer, mode: Mode) -> tuple[dict, list[int], list[int]]:
    """Between the two clock readings of a part stands the call that encodes it, and nothing else."""
    ids = array("I")
    tokens, times = [], []
    start_ns = monotonic_ns()
    for part in mode.parts:
        before_ns = monotonic_ns()
        encoding = tokenizer.encode(part, add_special_tokens=False)
        after_ns = monotonic_ns()
        times.append(after_ns - before_ns)
        tokens.append(len(encoding))
        ids.extend(encoding.ids)
    end_ns = monotonic_ns()
    if sys.byteorder == "big":
        ids.byteswap()
    record = {
        "start_ns": start_ns,
        "end_ns": end_ns,
        "parts": len(mode.parts),
        "bytes": sum(mode.sizes),
        "tokens": len(ids),
        "ids_sha256": hashlib.sha256(ids.tobytes()).hexdigest(),
    }
    return record, tokens, times
