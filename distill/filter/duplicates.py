"""Exact duplicates: the same words written twice for one problem, spacing and letter forms aside.

    seen = Duplicates()
    seen.find("aime/1", fingerprint(trace), "0a1b2c3d4e5f aime/1 #3")     # None, or a Reason

Which one stays: the first in plan order (series, then sample index). Traces of different problems are
never compared. Near-duplicates are not looked for.

Memory: the 16-byte fingerprints of one problem's traces.
"""

import hashlib
import unicodedata

from distill.filter.reasons import Reason
from distill.types import Trace


def normalised(text: str) -> str:
    """NFKC, every run of white space one space: two texts that differ only there are the same."""
    return " ".join(unicodedata.normalize("NFKC", text).split())


def fingerprint(trace: Trace) -> bytes:
    """16 bytes over the normalised reasoning and response."""
    digest = hashlib.blake2b(digest_size=16)
    for text in (trace.reasoning or "", trace.response):
        # A lone surrogate (a model can write one) has no UTF-8; what it becomes does not matter here.
        digest.update(normalised(text).encode("utf-8", errors="surrogatepass") + b"\0")
    return digest.digest()


class Duplicates:
    """What was seen of the problem at hand; traces must come problem by problem, in plan order."""

    def __init__(self) -> None:
        self._problem: object = None
        self._seen: dict[bytes, str] = {}

    def find(self, problem: object, print_: bytes, name: str) -> Reason | None:
        """A reason that names the trace this one repeats, or None (and it is remembered)."""
        if problem != self._problem:
            self._problem, self._seen = problem, {}
        if print_ in self._seen:
            return Reason("duplicate", f"repeats {self._seen[print_]}")
        self._seen[print_] = name
        return None
