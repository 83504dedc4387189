"""The errors that distill raises on purpose.

    DistillError            the user can mend it: one sentence on stderr, exit 2, no traceback
    ├── UnreadableRow       one row of a file is bad; the caller sets it aside and goes on
    └── Missing             an earlier stage, a file or an extra is missing; the sentence says what makes it

Anything else that escapes is our mistake and keeps its traceback.
"""

import difflib
from collections.abc import Iterable


class DistillError(Exception):
    """A mistake the user can mend: says what, where (``file:line``, key) and the way out."""

    exit_code = 2


class UnreadableRow(DistillError):
    """One row of a data file could not be read; ``str(error)`` starts with ``file:line``."""


class Missing(DistillError):
    """Something a stage needs is not there; the sentence names the command that makes it."""


def missing_extra(purpose: str, extra: str) -> Missing:
    """The error for an optional dependency that is not installed, with its pip line."""
    return Missing(f"{purpose} needs an extra: pip install 'distill[{extra}]'")


def did_you_mean(given: str, known: Iterable[str]) -> str:
    """``"; did you mean 'x'?"`` for the nearest known name, else the list of known names."""
    names = sorted(known)
    near = difflib.get_close_matches(given, names, n=1, cutoff=0.6)
    if near:
        return f"; did you mean '{near[0]}'?"
    return f"; known: {', '.join(names)}" if names else ""
