"""Fields of a JSON object, read and checked one by one. What is not understood is refused."""

import math


class Refused(Exception):
    """The spec cannot be carried out; the message says why."""


def known(given: dict, keys: frozenset[str]) -> None:
    for key in given.keys() - keys:
        raise Refused(f'the spec is no JSON of this protocol: unknown field "{key}"')


def text_of(given: dict, name: str) -> str:
    if not isinstance(given[name], str):
        raise Refused(f"{name} must be a text")
    return given[name]


def optional_text(given: dict, name: str) -> str | None:
    """Absent is None."""
    return None if given.get(name) is None else text_of(given, name)


def texts_of(given: dict, name: str) -> tuple[str, ...]:
    """A list of texts; absent is an empty one."""
    values = given.get(name, [])
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise Refused(f"{name} must be a list of texts")
    return tuple(values)


def switch(given: dict, name: str, absent: bool = False) -> bool:
    """Absent is false, unless it says otherwise."""
    value = given.get(name, absent)
    if not isinstance(value, bool):
        raise Refused(f"{name} must be true or false")
    return value


def positive(given: dict, name: str, unit: str) -> float | None:
    """A number above 0; absent is None. True is no number."""
    value = given.get(name)
    if value is None:
        return None
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not math.isfinite(value) or value <= 0:
        raise Refused(f"{name} must be more than 0 {unit}")
    return value


def count(given: dict, name: str) -> int:
    """A whole number from 0."""
    value = given[name]
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise Refused(f"{name} must be a whole number")
    return value


def whole(given: dict, name: str) -> int | None:
    """A whole number from 1; absent is None."""
    value = given.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise Refused(f"{name} must be a whole number from 1")
    return value
