#!/usr/bin/env python3
"""Two real inference servers on this machine's CPU: llama.cpp with Gemma 3 270M and SmolLM2 135M.

    python3 experiments/engines/llamacpp/serve.py

Sets up what it needs on first use (see `install.py`), starts both servers on loopback, says where
they are, and keeps them running until ctrl-C. Needs Python 3.10 or newer and nothing else.
"""

import argparse
import json
import os
import queue
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

import install

AGENTS = ("collector", "insight")
MODELS = ("gemma", "smollm2")
READY_WITHIN_S = 120
STOP_WITHIN_S = 5


class ServeError(Exception):
    """A server could not be started, or ended by itself."""


class Stop(Exception):
    """Asked to end: ctrl-C, SIGTERM or the end of standard input."""


class Server:
    """One server process, known by the agent that talks to it."""

    def __init__(self, agent: str, model: str, command: list[str], events: queue.SimpleQueue):
        self.agent, self.model = agent, model
        self.base = None  # http://host:port, once it listens
        self.log = tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log, text=True
        )
        threading.Thread(target=self._listen, args=(events,), daemon=True).start()

    def _listen(self, events: queue.SimpleQueue) -> None:
        line = self.process.stdout.readline().strip()
        if line:
            events.put(("listens", self, line))
            self.process.stdout.read()
        events.put(("ended", self, None))

    @property
    def url(self) -> str:
        return f"{self.base}/v1"

    def healthy(self) -> bool:
        """Whether `/health` answers 200; it is 503 while the model loads."""
        try:
            with urllib.request.urlopen(f"{self.base}/health", timeout=5) as answer:
                return answer.status == 200
        except (urllib.error.URLError, OSError):
            return False

    def stop(self) -> None:
        """Ends the process: it leaves when its input closes, and is killed if it does not."""
        self.process.stdin.close()
        try:
            self.process.wait(STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def last_words(self) -> str:
        self.log.seek(0)
        lines = self.log.read().decode(errors="replace").strip().splitlines()
        return "\n".join(f"  {line}" for line in lines[-8:])


def main() -> int:
    args = arguments()
    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    try:
        installation = install.ensure(say)
        if not args.setup_only:
            serve(installation, args)
    except Stop:
        return 0
    except (install.SetupError, ServeError) as error:
        say(f"error: {error}")
        return 1
    return 0


def serve(installation: install.Installation, args: argparse.Namespace) -> None:
    for port in args.ports:
        check_free(port)
    events = queue.SimpleQueue()
    models = {
        "gemma": ("gemma-3-270m", installation.gemma),
        "smollm2": ("smollm2-135m", installation.smollm2),
    }
    servers = []
    try:
        for agent, key, port in zip(AGENTS, args.models, args.ports, strict=True):
            name, model = models[key]
            command = server_command(installation.python, name, model, port, args)
            servers.append(Server(agent, name, command, events))
        if args.until_stdin_closes:
            threading.Thread(target=watch_stdin, args=(events,), daemon=True).start()
        wait_until_ready(servers, events)
        announce(servers, args.json)
        while True:
            handle(events.get())
    finally:
        # A second ctrl-C must not leave a server behind.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        for server in servers:
            server.stop()


def check_free(port: int) -> None:
    with socket.socket() as probe:
        if os.name != "nt":  # there, this option would let two servers share a port
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise ServeError(
                f"port {port} on 127.0.0.1 cannot be used ({error.strerror}); "
                "choose others with --ports A,B or --port 0"
            ) from error


def server_command(
    python: Path, name: str, model: install.Model, port: int, args: argparse.Namespace
) -> list[str]:
    options = {
        "model": model.path,
        "sha256": model.sha256,
        "alias": name,
        "port": port,
        "threads": args.threads,
        "ctx": args.ctx,
        "parallel": args.parallel,
    }
    script = Path(__file__).with_name("server.py")
    return [str(python), "-I", str(script), *(f"--{key}={value}" for key, value in options.items())]


def wait_until_ready(servers: list[Server], events: queue.SimpleQueue) -> None:
    deadline = time.monotonic() + READY_WITHIN_S
    while not all(server.base and server.healthy() for server in servers):
        if time.monotonic() > deadline:
            raise ServeError(f"the servers are not ready after {READY_WITHIN_S} s")
        try:
            handle(events.get(timeout=0.05))
        except queue.Empty:
            continue


def handle(event: tuple) -> None:
    what, server, value = event
    if what == "listens":
        server.base = value
    elif what == "stdin_closed":
        raise Stop
    else:
        code = server.process.wait()
        raise ServeError(f"the {server.agent} server ended (code {code}):\n{server.last_words()}")


def announce(servers: list[Server], as_json: bool) -> None:
    if as_json:
        print(json.dumps({s.agent: {"url": s.url, "model": s.model} for s in servers}), flush=True)
        return
    for server in servers:
        print(server.agent, server.url, server.model, flush=True)
    print("ready", flush=True)


def watch_stdin(events: queue.SimpleQueue) -> None:
    # Not through sys.stdin: its lock would hold up the end of the program.
    while os.read(0, 4096):
        pass
    events.put(("stdin_closed", None, None))


def stop(_signal, _frame) -> None:
    raise Stop


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Serve Gemma 3 270M (collector) and SmolLM2 135M (insight) with llama.cpp."
    )
    where = parser.add_mutually_exclusive_group()
    where.add_argument(
        "--ports", type=two_ports, default=(8081, 8082), metavar="A,B", help="default: 8081,8082"
    )
    where.add_argument(
        "--port", type=free_ports, dest="ports", metavar="0", help="0: two free ports"
    )
    parser.add_argument(
        "--models", type=two_models, default=MODELS, metavar="A,B", help="default: gemma,smollm2"
    )
    parser.add_argument("--threads", type=positive, default=default_threads(), help="per server")
    parser.add_argument("--ctx", type=positive, default=2048, help="tokens of context per slot")
    parser.add_argument("--parallel", type=positive, default=4, help="slots per server")
    parser.add_argument(
        "--json", action="store_true", help="print the endpoints as JSON, on one line"
    )
    parser.add_argument("--setup-only", action="store_true", help="install, start nothing")
    parser.add_argument(
        "--until-stdin-closes", action="store_true", help="end when standard input does"
    )
    return parser.parse_args()


def default_threads() -> int:
    """Half of the cores less the one that the measuring program needs, at most 4, at least 1."""
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:  # not on Linux
        cores = os.cpu_count() or 1
    return max(1, min(4, (cores - 1) // 2))


def two_ports(text: str) -> tuple[int, int]:
    try:
        first, second = (int(port) for port in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not two ports, such as 8081,8082") from None
    if not all(0 <= port <= 65535 for port in (first, second)):
        raise argparse.ArgumentTypeError(f"{text!r}: ports lie between 0 and 65535")
    return first, second


def two_models(text: str) -> tuple[str, ...]:
    models = tuple(text.split(","))
    if len(models) != 2 or not set(models) <= set(MODELS):
        raise argparse.ArgumentTypeError(f"{text!r} is not two of {', '.join(MODELS)}: gemma,gemma")
    return models


def free_ports(text: str) -> tuple[int, int]:
    if text != "0":
        raise argparse.ArgumentTypeError("only 0 (any free port); name two with --ports A,B")
    return 0, 0


def positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError(text)
    return number


if __name__ == "__main__":
    sys.exit(main())
