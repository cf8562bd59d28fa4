"""Which files a workflow reads, in an order that no file system decides."""

import os
from dataclasses import dataclass

KINDS = ("csv", "json", "md")


@dataclass(frozen=True)
class Scan:
    """What is asked for."""

    folder: str
    extensions: tuple[str, ...]
    max_files: int
    max_bytes: int


@dataclass(frozen=True)
class File:
    path: bytes
    # Below the scanned folder, parts joined by `/`.
    name: bytes
    kind: str
    size: int


@dataclass(frozen=True)
class Found:
    files: list[File]
    left_out: int
    bytes: int


def scan(asked: Scan) -> Found:
    """Lists files by the bytes of their names; the first beyond a limit is left out with all after it."""
    files, size = [], 0
    everything = sorted(below(asked), key=lambda file: file.name)
    for file in everything:
        if len(files) == asked.max_files or size + file.size > asked.max_bytes:
            break
        files.append(file)
        size += file.size
    return Found(files, len(everything) - len(files), size)


def below(asked: Scan) -> list[File]:
    """Every file of these kinds. Links, hidden names and folders that cannot be read are passed over."""
    ends = tuple(f".{extension}".encode() for extension in asked.extensions)
    files, folders = [], [(os.fsencode(asked.folder), b"")]
    while folders:
        folder, prefix = folders.pop()
        try:
            entries = list(os.scandir(folder))
        except OSError:
            continue
        for entry in entries:
            name = prefix + entry.name
            if entry.name.startswith(b"."):
                continue
            if entry.is_dir(follow_symlinks=False):
                folders.append((entry.path, name + b"/"))
            elif entry.is_file(follow_symlinks=False) and entry.name.lower().endswith(ends):
                kind = name.lower().rpartition(b".")[2].decode()
                files.append(File(entry.path, name, kind, size_of(entry)))
    return files


def size_of(entry: os.DirEntry) -> int:
    try:
        return entry.stat(follow_symlinks=False).st_size
    except OSError:
        return 0
