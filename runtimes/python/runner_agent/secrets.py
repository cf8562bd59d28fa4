"""The keys that requests carry, found again in what comes back: a server may repeat them.

Each is covered by asterisks, as many as it has bytes, before anything is written.
"""

import base64
import binascii
import json
import re
from collections.abc import Iterable

# Shorter ones are words that servers without keys are given, and too common to be covered.
SHORTEST = 8


class Secrets:
    def __init__(self, texts: Iterable[str]) -> None:
        """The secrets in these values of headers."""
        forms = {form for text in texts for word in text.split() for form in forms_of(word)}
        # The longest first: a part of it is covered with it.
        found = sorted((form for form in forms if len(form) >= SHORTEST), key=len, reverse=True)
        self.pattern = re.compile(b"|".join(map(re.escape, found))) if found else None

    def covered(self, data: bytes) -> bytes:
        if self.pattern is None:
            return data
        return self.pattern.sub(lambda found: b"*" * len(found[0]), data)


def forms_of(word: str) -> list[bytes]:
    """How a secret may be repeated: as it is, as it stands in base64, what stands in it in base64 (a name with
    its password), and each as writers of JSON escape it, some of them its slashes, too."""
    plain = [word]
    try:
        text = base64.b64decode(word + "=" * (-len(word) % 4), validate=True).decode()
        plain += [text, text.partition(":")[2]]
    except (binascii.Error, UnicodeDecodeError):
        pass
    data = word.encode()
    plain += [coded(data).decode().rstrip("=") for coded in (base64.b64encode, base64.urlsafe_b64encode)]
    escaped = [json.dumps(form)[1:-1] for form in plain]
    slashes = [form.replace("/", "\\/") for form in escaped]
    return [form.encode() for form in plain + escaped + slashes]
