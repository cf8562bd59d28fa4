"""The words of answers that are none: a web page in place of JSON, a redirect."""

import re

from runner_agent.wire.decoding import shortened

# How much of an answer is looked at to see whether it is a web page, and the longest title and address,
# bytes of UTF-8.
HEAD = 1024
TITLE = 120
ADDRESS = 200
MARKS = ("<!doctype html", "<html", "<head", "<title", "<body")
REDIRECTS = (301, 302, 303, 307, 308)


def web_page(text: str) -> str | None:
    """A web page, named by its title where it has one; None: it is something else."""
    text = text.lstrip("\ufeff").lstrip()
    if not text.startswith("<"):
        return None
    head = shortened(text, HEAD).lower()
    if not any(mark in head for mark in MARKS):
        return None
    title = element(text, "title") or element(text, "h1")
    return f'an HTML page titled "{title}"' if title else "an HTML page without a title"


def element(text: str, tag: str) -> str:
    """The text of the first element of this name, on one line; empty: there is none, or not yet."""
    found = re.search(f"<{tag}[^>]*>(.*?)</{tag}", text, re.ASCII | re.IGNORECASE | re.DOTALL)
    return shortened(" ".join(found[1].split()), TITLE) if found else ""


def moved(location: str | None, path: str) -> str:
    """A redirect in words; `path` is what was asked for below the base address."""
    if location is None:
        return "the server redirects without saying where to, and redirects are not followed"
    base = location.removesuffix(path)
    leads = base != location and re.match("https?://.", base) is not None
    address = shortened(shown(base), ADDRESS) if leads else "the address that it leads to"
    return (
        f"the server redirects to {shortened(shown(location), ADDRESS)}, and redirects are not followed: "
        f"put {address} into the manifest as the endpoint's address"
    )


def shown(url: str) -> str:
    """An address without a name and a password in it, and without what its query and its fragment say."""
    mark = re.search("[?#]", url)
    place, said = (url[: mark.start()], url[mark.start() :]) if mark else (url, "")
    scheme, slashes, rest = place.partition("//")
    scheme, rest = (scheme, rest) if slashes else ("", place)
    _, at, host = place.rpartition("@")
    if at:
        place = f"{scheme}//…@{host}"
    elif ":" in rest and "@" in said:
        # The mark may stand in a password.
        place = f"{scheme}//…"
    return f"{place}{said[0]}…" if said else place

