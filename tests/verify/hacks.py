"""Programs that a model might write instead of an answer: cheats, and attacks on the machine.

`hacks.txt` holds them, each under a line ``=== WHAT: NAME``. WHAT is the tests that it is meant to pass (with
"(fools)": it does pass a runner that has code and tests in one process), or "attack": lines to run at the
first call, after which the program answers right. So ``correct`` means that the sandbox failed. The words in
capitals are put in by `written`: a file of ours (CANARY), a folder of ours (FOLDER), a port that listens
(PORT), an abstract socket (SOCKET) and the process that judges (PARENT).
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from distill.types import FunctionTests, StdinTests, Tests

TWICE = FunctionTests(
    entry="twice",
    code="""
def check(candidate):
    assert candidate(2) == 4
    assert candidate(31) == 62
    assert candidate(n=700) == 1400
    assert all(map(lambda n: candidate(n) == n + n, range(3)))
    assert candidate("ab") == "abab"
""",
)
SORTED = FunctionTests(
    entry="ordered",
    code="""
def check(candidate):
    for values in ([3, 1, 2], [9, 8], [1]):
        assert candidate(values) == sorted(values)
""",
)
DOUBLED = StdinTests(cases=[("21\n", "42\n"), ("4\n", "8\n")])
HONEST = {
    "function": (TWICE, "def twice(n):\n    return n + n\n"),
    "sorted": (SORTED, "def ordered(values):\n    return sorted(values)\n"),
    "stdin": (DOUBLED, "print(2 * int(input()))\n"),
}


class Hack(NamedTuple):
    """A program, the tests that it is meant to fool, and whether it does fool a runner in one process."""

    name: str
    code: str
    tests: Tests
    fools: bool


_TESTS: dict[str, Tests] = {"twice": TWICE, "ordered": SORTED, "stdin": DOUBLED, "attack": TWICE}
_ATTACK = """\
import ctypes, os, signal, socket, subprocess, sys, time
libc = ctypes.CDLL(None, use_errno=True)
arm = os.uname().machine != "x86_64"
def must(result):
    if result < 0: raise OSError(ctypes.get_errno(), "refused")
def twice(n):
"""


def _read() -> Iterator[Hack]:
    text = (Path(__file__).parent / "hacks.txt").read_text(encoding="utf-8")
    for block in re.split(r"^=== ", text, flags=re.MULTILINE)[1:]:
        title, _, code = block.partition("\n")
        what, _, name = title.partition(": ")
        if what == "attack":
            lines = "".join(f"    {line}\n" for line in code.strip().splitlines())
            code = f"{_ATTACK}{lines}    return n + n\n"
        yield Hack(name, code.rstrip() + "\n", _TESTS[what.split()[0]], what.endswith("(fools)"))


HACKS = list(_read())


def written(hack: Hack, places: dict[str, object]) -> str:
    """The program with our own places in it."""
    code = hack.code
    for word, place in places.items():
        code = code.replace(word, str(place))
    return code
