"""The data summary: what {data} stands for in a prompt of a workflow.

Exact to the byte, since every runtime must send the same prompts; the rules stand in the protocol's
documentation.
"""

import csv
import io
import json
import math
import re
from collections.abc import Iterator
from decimal import Decimal

from runner_agent.scan import Found

# Entries listed of one file (columns, keys, headings), and characters shown of each name.
ENTRIES = 32
SHOWN = 80
# Levels of JSON.
LEVELS = 127

CONTROL = {**dict.fromkeys(range(32), " "), 127: " "}
NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?")
WORD = re.compile(r"[^ \t\n\f\r]+")
HEADING = re.compile(r"#{1,6} [ \t\f\r]*[^ \t\f\r]")

# A field may be as long as its file.
csv.field_size_limit(2**31 - 1)


def ingest(found: Found) -> tuple[str, int, int]:
    """The summary, and how many files and bytes could be read."""
    files = size = 0
    lines = [f"files: {len(found.files)}, left out: {found.left_out}"]
    for file in found.files:
        name = shown(file.name.decode(errors="replace"))
        try:
            with open(file.path, "rb") as opened:
                content = opened.read()
        except OSError:
            lines.append(f"{name}: cannot be read")
            continue
        files += 1
        size += len(content)
        text = content.decode(errors="replace").lstrip("\ufeff")
        line, entries = DESCRIBE[file.kind](text)
        lines.append(f"{name}: {line}")
        lines += (f"- {entry}" for entry in entries[:ENTRIES])
        if len(entries) > ENTRIES:
            lines.append(f"- and {len(entries) - ENTRIES} more")
    return "\n".join(lines), files, size


def describe_csv(text: str) -> tuple[str, list[str]]:
    records = read_csv(text)
    header = next(records, [])
    columns = [Column(name) for name in header]
    rows = ragged = 0
    for record in records:
        rows += 1
        ragged += len(record) != len(header)
        for column, value in zip(columns, record):
            column.take(value.strip(" \t"))
    line = f"CSV, rows: {rows}, columns: {len(columns)}, ragged rows: {ragged}"
    return line, [column.describe() for column in columns]


def read_csv(text: str) -> Iterator[list[str]]:
    # Python 3.10 refuses NUL; another control character counts for the same.
    lines = io.StringIO(text.replace("\0", "\1"), newline="")
    return (record for record in csv.reader(lines) if record)


class Column:
    """One column as its values come."""

    def __init__(self, name: str) -> None:
        self.name = shown(name)
        self.values = 0
        self.numbers = True
        self.low = self.high = self.total = 0.0

    def take(self, value: str) -> None:
        if not value:
            return
        self.values += 1
        if not self.numbers:
            return
        number = float(value) if NUMBER.fullmatch(value) else math.inf
        if not math.isfinite(number):
            self.numbers = False
            return
        if self.values == 1:
            self.low = self.high = number
        self.low = min(self.low, number)
        self.high = max(self.high, number)
        # One after the other: sum() adds with a correction.
        self.total += number

    def describe(self) -> str:
        if not self.numbers or not self.values:
            return f"{self.name}: text, values: {self.values}"
        low, high, mean = show(self.low), show(self.high), self.total / self.values
        entry = f"{self.name}: numbers, values: {self.values}, min: {low}, max: {high}"
        return f"{entry}, mean: {show(mean)}" if math.isfinite(mean) else entry


def show(number: float) -> str:
    """As RFC 8785 writes numbers: the shortest digits that read back the same."""
    if number == 0:
        return "0"
    digits = repr(number)
    if 1e-6 <= abs(number) < 1e21:
        plain = format(Decimal(digits), "f")
        return plain.rstrip("0").rstrip(".") if "." in plain else plain
    mantissa, _, exponent = digits.partition("e")
    return f"{mantissa}e{int(exponent):+d}"


def describe_json(text: str) -> tuple[str, list[str]]:
    try:
        value = json.loads(text, parse_int=finite, parse_float=finite, parse_constant=refuse)
        check(value)
    except (ValueError, RecursionError):
        return "JSON, not valid", []
    if isinstance(value, dict):
        return f"JSON object, keys: {len(value)}", [shown(key) for key in sorted(value)]
    if isinstance(value, list):
        return f"JSON array, items: {len(value)}", []
    kinds = {str: "string", float: "number", bool: "boolean", type(None): "null"}
    return f"JSON {kinds[type(value)]}", []


def finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError("beyond a double")
    return number


def refuse(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def check(value: object) -> None:
    """Refuses what nests too deep, and half a surrogate pair, which is no text."""
    level, depth = [value], 0
    while level:
        inner: list[object] = []
        for item in level:
            if isinstance(item, str):
                item.encode()
            elif isinstance(item, dict):
                "".join(item).encode()
                inner += item.values()
            elif isinstance(item, list):
                inner += item
            else:
                continue
            if depth >= LEVELS and not isinstance(item, str):
                raise ValueError("too deep")
        level = inner
        depth += 1


def describe_markdown(text: str) -> tuple[str, list[str]]:
    entries, fenced = [], False
    for line in text.split("\n"):
        if line.startswith("```"):
            fenced = not fenced
        elif not fenced and HEADING.match(line):
            entries.append(shown(line.rstrip(" \t\n\f\r")))
    words = sum(1 for _ in WORD.finditer(text))
    return f"Markdown, words: {words}, headings: {len(entries)}", entries


def shown(text: str) -> str:
    """A text of the data on one line of bounded length."""
    return text[:SHOWN].translate(CONTROL) + ("…" if len(text) > SHOWN else "")


DESCRIBE = {"csv": describe_csv, "json": describe_json, "md": describe_markdown}
