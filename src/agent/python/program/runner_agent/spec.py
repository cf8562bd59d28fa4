"""What is asked for: the protocol's spec, read and checked before the first call.

A setting that were ignored would be reported as if it had been measured, so what is not understood
is refused.
"""

import json
import math
import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from runner_agent.scan import KINDS, Scan

PROTOCOL = 1
APIS = ("ollama", "openai_chat", "openai_completions")
SAFE_NAME = re.compile(r"[A-Za-z0-9._-]+")
DEFAULT_READ_BUFFER = 64 * 1024  # what httpcore asks for
SPEC_KEYS = frozenset(
    ("protocol", "run", "artifacts", "agents", "timeout_ns", "read_buffer", "throttle")
    + ("probes", "variant")
)
PROBE_KEYS = frozenset(("chunks", "loop_lag_ns", "idle_ns"))
AGENT_KEYS = frozenset(
    ("name", "api", "url", "api_key_env", "model", "options", "max_tokens", "calls", "workflow")
)
CALL_KEYS = frozenset(("prompt", "warmup", "stage"))
WORKFLOW_KEYS = frozenset(("scan",))
SCAN_KEYS = frozenset(("folder", "extensions", "max_files", "max_bytes"))


class Refused(Exception):
    """The spec cannot be carried out; the message says why."""


@dataclass(frozen=True)
class Call:
    prompt: str
    warmup: bool
    stage: str | None


@dataclass(frozen=True)
class Agent:
    name: str
    api: str
    url: str
    model: str
    options: dict
    max_tokens: int | None
    calls: tuple[Call, ...]
    workflow: Scan | None
    key: str | None = field(repr=False)


@dataclass(frozen=True)
class Variant:
    """How this runtime works; the defaults are what a plain asyncio and httpx program does."""

    event_loop: str = "asyncio"
    json: str = "stdlib"
    parse: str = "inline"
    batch: float | None = None  # seconds
    processes: str = "scenario"
    rechunk: int | None = None  # bytes


@dataclass(frozen=True)
class Spec:
    run: str
    artifacts: str
    agents: tuple[Agent, ...]
    timeout_ns: int
    read_buffer: int
    throttle: float | None
    chunks: bool
    loop_lag_ns: int | None
    idle_ns: int | None
    variant: Variant


def read(text: bytes, environment: dict[str, str]) -> Spec:
    """Reads a spec; keys of APIs come from the environment and stand in no file."""
    try:
        given = json.loads(text)
        # The version alone first: the rest of another version may look different.
        if given["protocol"] != PROTOCOL:
            raise Refused(
                f"the spec asks for protocol {given['protocol']}, "
                f"this runtime speaks protocol {PROTOCOL}"
            )
        known(given, SPEC_KEYS)
        probes = given.get("probes") or {}
        known(probes, PROBE_KEYS)
        spec = Spec(
            run=text_of(given, "run"),
            artifacts=text_of(given, "artifacts"),
            agents=tuple(agent(entry, environment) for entry in given["agents"]),
            timeout_ns=count(given, "timeout_ns"),
            read_buffer=whole(given, "read_buffer") or DEFAULT_READ_BUFFER,
            throttle=positive(given, "throttle", "chunks per second"),
            chunks=switch(probes, "chunks"),
            loop_lag_ns=whole(probes, "loop_lag_ns"),
            idle_ns=whole(probes, "idle_ns"),
            variant=variant(given.get("variant") or {}),
        )
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise Refused(f"the spec is no JSON of this protocol: {error!r}") from error
    if not os.path.isdir(spec.artifacts):
        raise Refused(f"the folder {spec.artifacts} does not exist")
    if not (spec.run.isascii() and spec.run.isprintable()):
        raise Refused("the run's name cannot be sent in the header x-request-id")
    names = [agent.name for agent in spec.agents]
    for name in names:
        if names.count(name) > 1:
            raise Refused(f'two agents are named "{name}"')
    return spec


def known(given: dict, keys: frozenset[str]) -> None:
    for key in given.keys() - keys:
        raise Refused(f'the spec is no JSON of this protocol: unknown field "{key}"')


def agent(given: dict, environment: dict[str, str]) -> Agent:
    known(given, AGENT_KEYS)
    name = given["name"]

    def wrong(reason: str) -> Refused:
        return Refused(f'agent "{name}": {reason}')

    if not SAFE_NAME.fullmatch(name):
        raise wrong("a name has only letters, digits, '.', '_' and '-'")
    if given["api"] not in APIS:
        raise wrong(f"the api {given['api']} is not known")
    for call in given["calls"]:
        known(call, CALL_KEYS)
    calls = tuple(
        Call(text_of(call, "prompt"), switch(call, "warmup"), call.get("stage"))
        for call in given["calls"]
    )
    warmups = [call.warmup for call in calls]
    if warmups != sorted(warmups, reverse=True):
        raise wrong("warm-up calls come before all others")
    asked = workflow(given.get("workflow"), [call.stage for call in calls], wrong)
    url = given["url"].strip()
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise wrong(f'"{url}" is no address of a server: http:// or https:// and a host')
    if parts.username is not None:
        raise wrong("name a key by api_key_env, not in the address")
    variable, key = given.get("api_key_env"), None
    if variable is not None:
        key = environment.get(variable, "").strip()
        if not key:
            raise wrong(f"the environment variable {variable} with its API key is not set")
        if not (key.isascii() and key.isprintable()):
            raise wrong("the API key cannot be sent in a header")
    return Agent(
        name=name,
        api=given["api"],
        url=url.rstrip("/"),
        model=text_of(given, "model"),
        options=dict(given.get("options") or {}),
        max_tokens=None if given.get("max_tokens") is None else count(given, "max_tokens"),
        calls=calls,
        workflow=asked,
        key=key,
    )


def workflow(
    given: dict | None, stages: list[str | None], wrong: Callable[[str], Refused]
) -> Scan | None:
    """The files of a workflow. Without them a placeholder would be sent as it stands."""
    if given is None:
        if any(stages):
            raise wrong("a call has a stage without a workflow")
        return None
    if stages != ["analysis", "report"] * (len(stages) // 2):
        raise wrong("the calls of a workflow are analysis and report in turn")
    known(given, WORKFLOW_KEYS)
    asked = given["scan"]
    known(asked, SCAN_KEYS)
    unknown = [name for name in asked["extensions"] if name not in KINDS]
    if unknown:
        raise wrong(f'the workflow asks for files of the unknown kind "{unknown[0]}"')
    if not os.path.isdir(asked["folder"]):
        raise wrong(f"the workflow's folder {asked['folder']} does not exist")
    return Scan(
        folder=asked["folder"],
        extensions=tuple(asked["extensions"]),
        max_files=count(asked, "max_files"),
        max_bytes=count(asked, "max_bytes"),
    )


def variant(given: dict) -> Variant:
    choices = {
        "event_loop": ("asyncio", "uvloop"),
        "json": ("stdlib", "orjson"),
        "parse": ("inline", "thread"),
        "processes": ("scenario", "agent"),
    }
    for name, value in given.items():
        if name in choices:
            if value not in choices[name]:
                raise Refused(f"{name} is one of {', '.join(choices[name])}, not {value!r}")
        elif name == "rechunk":
            whole(given, name)
        elif value is None:
            raise Refused(f"{name} must have a value")
        elif name == "batch":
            positive(given, name, "seconds")
        else:
            raise Refused(f'this runtime has no setting "{name}"')
    return Variant(**given)


def text_of(given: dict, name: str) -> str:
    if not isinstance(given[name], str):
        raise Refused(f"{name} must be a text")
    return given[name]


def switch(given: dict, name: str) -> bool:
    """Absent is false."""
    value = given.get(name, False)
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
