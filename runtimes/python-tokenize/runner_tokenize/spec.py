"""What is asked for: the protocol's spec, read and checked before anything is loaded.

What is not understood is refused: if it were ignored, it would be reported as if it had been done.
"""

import json
import os
from dataclasses import dataclass

PROTOCOL = 2
SPEC_KEYS = frozenset(
    ("protocol", "run", "artifacts", "agents", "tokenize", "timeout_ns", "probes", "variant")
)
TOKENIZE_KEYS = frozenset(("tokenizer", "corpus", "modes", "warmup", "passes"))
MODE_KEYS = frozenset(("mode", "parts"))
MODES = ("whole", "lines", "pieces")


class Refused(Exception):
    """The spec cannot be carried out; the message says why."""


@dataclass(frozen=True)
class Spec:
    artifacts: str
    tokenizer: str
    corpus: str
    # Name of each mode, and the file that names its parts.
    modes: tuple[tuple[str, str | None], ...]
    warmup: int
    passes: int


def read(text: bytes) -> Spec:
    try:
        given = json.loads(text)
        # The version alone first: the rest of another version may look different.
        if given["protocol"] != PROTOCOL:
            raise Refused(
                f"the spec asks for protocol {given['protocol']}, "
                f"this runtime speaks protocol {PROTOCOL}"
            )
        known(given, SPEC_KEYS)
        asked = given["tokenize"]
        known(asked, TOKENIZE_KEYS)
        for mode in asked["modes"]:
            known(mode, MODE_KEYS)
        spec = Spec(
            artifacts=given["artifacts"],
            tokenizer=asked["tokenizer"],
            corpus=asked["corpus"],
            modes=tuple((mode["mode"], mode.get("parts")) for mode in asked["modes"]),
            warmup=int(asked["warmup"]),
            passes=int(asked["passes"]),
        )
        if given["agents"]:
            raise Refused("a spec with `tokenize` has no agents")
        if any((given.get("probes") or {}).values()):
            raise Refused("a spec with `tokenize` has no probes: there is no event loop to watch")
        for name in given.get("variant") or {}:
            raise Refused(f'this runtime has no setting "{name}"')
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Refused(f"the spec is no JSON of this protocol: {error!r}") from error
    if not os.path.isdir(spec.artifacts):
        raise Refused(f"the folder {spec.artifacts} does not exist")
    if spec.passes < 1 or not spec.modes:
        raise Refused("`tokenize` needs at least one pass and one mode")
    for mode, _ in spec.modes:
        if mode not in MODES:
            raise Refused(f'the mode "{mode}" is not known')
    return spec


def known(given: dict, keys: frozenset[str]) -> None:
    for key in given.keys() - keys:
        raise Refused(f'the spec is no JSON of this protocol: unknown field "{key}"')
