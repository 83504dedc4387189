"""Whether the chosen option is the right one.

    check_choice(Item(problem_id="q1", kind="choice", answer="C", choices=["5", "6", "7"],
                      response=r"So it is \boxed{\text{(C)}}."))     # correct

A choice is a letter in any usual dress (``C``, ``(C)``, ``C.``, ``option C``) or the text of exactly one
option. A letter followed by the text of another option is no answer. Pure and fast; needs no worker.
"""

import re
from typing import NamedTuple

from distill.verify.answers import Answer, extract
from distill.verify.item import Item, Judgement
from distill.verify.math import exact, undress

VERSION = "choice/1"
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

_DRESS = re.compile(r"\\(?:text|textbf|textrm|mathrm|mathbf|mbox|boxed)\s*\{([^{}]*)\}")
_NAMED = re.compile(r"(?:the\s+)?(?:option|choice|letter|选项)\s*", re.IGNORECASE)
_LETTER = re.compile(r"(?:\(([A-Za-z])\)|([A-Za-z])(?:[.:)、．：,]|$))\s*(.*)", re.DOTALL)
_LETTER_AND_MORE = re.compile(r"([B-HJ-Z])\s+(?![=+\-*/])(.*)", re.DOTALL)  # A and I are words
_LAST = re.compile(r"(?<!\w)\(([A-Z])\)|(?<![\w(])([A-Z])(?=[.)]*\**$)|(?:故选|选)\s*([A-Z])")


class Chosen(NamedTuple):
    """The number of an option from 0, or why there is none."""

    option: int | None
    why: str | None = None


def check_choice(item: Item) -> Judgement:
    """Judge one response by letter or by option text."""
    expected = {choose(answer, item.choices).option for answer in item.answers} - {None}
    if not expected:
        return Judgement(
            status="checker_error", expected=item.expected, checker=VERSION,
            detail=f"the expected answer '{item.expected}' is neither a letter nor one of the options",
        )  # fmt: skip
    found = extract(item.response, last=False) or _last_letter(item)
    if found is None:
        return Judgement(status="no_answer", expected=item.expected, checker=VERSION)
    chosen = choose(found.text, item.choices)
    right = chosen.option in expected
    return Judgement(
        status="no_answer" if chosen.why else "correct" if right else "wrong",
        extracted=found.text,
        expected=item.expected,
        checker=VERSION,
        detail=chosen.why or found.note,
    )


def choose(text: str, choices: list[str] | None) -> Chosen:
    """Which option a text names. A letter beyond the options names none."""
    plain = _plain(text)
    offered = LETTERS[: len(choices)] if choices else LETTERS
    matched = _LETTER.fullmatch(plain) or _LETTER_AND_MORE.fullmatch(plain)
    if matched is None:
        return Chosen(_by_text(plain, choices))
    *letters, rest = matched.groups()
    letter = next(letter for letter in letters if letter).upper()
    if letter not in offered:
        return Chosen(_by_text(plain, choices))
    other = _by_text(rest, choices) if rest else None
    index = offered.index(letter)
    if other is not None and other != index:
        return Chosen(None, f"letter {letter} stands beside the text of option {LETTERS[other]}")
    return Chosen(index)


def _by_text(text: str, choices: list[str] | None) -> int | None:
    """The one option that has this text (or is this number)."""
    same = [index for index, choice in enumerate(choices or ()) if _same_text(choice, text)]
    return same[0] if len(same) == 1 else None


def _same_text(choice: str, text: str) -> bool:
    left, right = undress(choice).text.casefold(), undress(text).text.casefold()
    return left == right or exact(choice, text) is True


def _plain(text: str) -> str:
    """An answer without LaTeX text commands, emphasis and a leading 'option'."""
    for _ in range(3):
        text = _DRESS.sub(r"\1", text)
    text = text.replace("$", "").strip().strip("*_").strip()
    return _NAMED.sub("", text, count=1).strip() if _NAMED.match(text) else text


def _last_letter(item: Item) -> Answer | None:
    """A letter on the last line, if there is only one; never where the model was cut off."""
    if item.cut:
        return None
    line = item.response.rstrip()[-500:].rpartition("\n")[2]
    found = {next(group for group in match.groups() if group) for match in _LAST.finditer(line)}
    return Answer(found.pop(), "last") if len(found) == 1 else None
