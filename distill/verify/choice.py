r"""Whether the chosen option is the right one, or the chosen options are the right ones.

    check_choice(Item(problem_id="q1", kind="choice", answer="C", choices=["5", "6", "7"],
                      response=r"So it is \boxed{\text{(C)}}."))     # correct

A choice is a letter in any usual dress (``C``, ``(C)``, ``C.``, ``option C``, ``选C``), several letters
(``AC``, ``A and C``, ``(A)(C)``: a set), or the text of exactly one option, by words or by value. Letters
are places in ``choices`` as the item gives them, so a shuffled item carries its own order; an expected
answer may be an option's text, which no order changes. A letter beside the text of another option is no
answer. Pure and fast; needs no worker.
"""

import re
from functools import lru_cache
from typing import NamedTuple

from distill.verify.answers import Answer, answered, extract
from distill.verify.item import Item, Judgement
from distill.verify.letters import LONGEST, alone, before_text, plain
from distill.verify.math import compare
from distill.verify.words import words

VERSION = "choice/2"
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
TAIL = 2_000  # characters of the end where a letter without a phrase is looked for

_GLUED = re.compile(r"[A-Z]{2,10}")
_LISTED = re.compile(
    r"\(?[A-Z]\)?(?:\s*(?:,|、|，|;|和|与|及|&|and|,\s*and|\s)\s*\(?[A-Z]\)?)+|(?:\([A-Z]\)\s*){2,}",
    re.IGNORECASE,
)
_CHINESE = re.compile(
    r"(?:故|应|因此|所以|则|可)?选(?:择|项|出)?\s*[:：为是]?\s*((?:[（(]?[A-Z][)）]?\s*[、,，和与]?\s*)+)"
)
_LAST = re.compile(r"(?<!\w)\(([A-Z])\)|(?<![\w(])([A-Z])(?=[.)]*[*`]*\s*$)")
_STATED = re.compile(
    r"(?<!\w)\(?([A-Z])\)?\s+is\s+(?:(?:clearly|indeed|therefore|thus)\s+)?(?:the\s+)?"
    r"(?:(?:correct|right|best|true|answer)\b)|([A-Z])\s*(?:选项|项)?\s*(?:是)?(?:正确|对)(?:的|。|$)"
)
_EITHER = re.compile(r"\(?([A-Z])\)?\s*(?:or|或者?)\s*(?:\(?[A-Z]\)?|[^,.]*$)")
_OPENING = re.compile(r"\W{0,6}\(?([A-Z])(?:\)|[.:：．、,](?=\s|$)|(?=[\u4e00-\u9fff]))")


class Chosen(NamedTuple):
    """The numbers of options from 0, or why there are none."""

    options: frozenset[int] = frozenset()
    why: str | None = None


def check_choice(item: Item) -> Judgement:
    """Judge one response by letters or by option text."""
    choices = tuple(item.choices or ())
    expected = {choose(answer, choices).options for answer in item.answers} - {frozenset()}
    if not expected:
        return Judgement(
            status="checker_error", expected=item.expected, checker=VERSION,
            detail=f"the expected answer '{item.expected}' is neither a letter nor one of the options",
        )  # fmt: skip
    found = extract(item.response, last=False) or (None if item.cut else _elsewhere(item.response))
    if found is None:
        return Judgement(status="no_answer", expected=item.expected, checker=VERSION)
    several = any(len(options) > 1 for options in expected)
    chosen = choose(found.text, choices)
    undecided = found.open and not several
    no_answer = chosen.why or (found.note if undecided else None)
    return Judgement(
        status="no_answer" if no_answer else "correct" if chosen.options in expected else "wrong",
        extracted=found.text,
        expected=item.expected,
        checker=VERSION,
        detail=no_answer or found.note,
    )


@lru_cache(maxsize=4096)
def choose(text: str, choices: tuple[str, ...]) -> Chosen:
    """Which options a text names. A letter beyond the options names none."""
    offered = LETTERS[: len(choices)] if choices else LETTERS
    said = plain(text[:LONGEST])
    letter = alone(said)
    if letter and letter in offered:
        return Chosen(frozenset({offered.index(letter)}))
    named = _by_text(said, choices)
    if named is not None:
        return Chosen(frozenset({named}))
    either = _EITHER.fullmatch(said)
    if either and either.group(1) in offered:
        return Chosen(why="several letters, and the response does not decide")
    letters = _letters(said)
    if letters and set(letters) <= set(offered):
        return Chosen(frozenset(offered.index(letter) for letter in letters))
    return _with_text(said, choices, offered)


def _letters(said: str) -> str:
    """Several letters and nothing else."""
    if _GLUED.fullmatch(said) and len(set(said)) == len(said):
        return said
    return "".join(re.findall(r"\b[A-Z]\b", said)) if _LISTED.fullmatch(said) else ""


def _with_text(said: str, choices: tuple[str, ...], offered: str) -> Chosen:
    """A letter with its option's text or with a reason behind it."""
    found = before_text(said)
    if found is None or found[0] not in offered:
        return Chosen()
    letter, rest = found
    index = offered.index(letter)
    other = _by_text(rest, choices) if rest else None
    if other is not None and other != index:
        return Chosen(why=f"letter {letter} stands beside the text of option {LETTERS[other]}")
    also = re.match(r"(?:or|或者?)\s*\(?([A-Z])\b", rest)
    if also:
        return Chosen(why=f"letters {letter} and {also.group(1)}, and the response does not decide")
    return Chosen(frozenset({index}))


def _by_text(text: str, choices: tuple[str, ...]) -> int | None:
    """The one option that has this text, or else this value."""
    for alike in (_same_text, _same_value):
        same = [index for index, choice in enumerate(choices) if alike(choice, text)]
        if len(same) == 1:
            return same[0]
    return None


def _same_text(choice: str, text: str) -> bool:
    ours, theirs = words(choice), words(text)
    return bool(ours.text) and ours.text == theirs.text


def _same_value(choice: str, text: str) -> bool:
    return compare(choice, text).same is True


def _elsewhere(response: str) -> Answer | None:
    """选 C; else a letter on the last line, or one that opens the response, if there is only one."""
    text = answered(response)[-TAIL:]
    chosen = [found.group(1) for found in _CHINESE.finditer(text)]
    if chosen:
        letters = re.findall("[A-Z]", chosen[-1])
        return Answer("".join(dict.fromkeys(letters)), "phrase")
    single = text.strip()
    if "\n" not in single and len(single) < 200 and _OPENING.match(single):
        found = before_text(plain(single))
        if found and found[1]:
            return Answer(single, "last")
    stated = {found.group(1) or found.group(2) for found in _STATED.finditer(text)}
    if len(stated) == 1:
        return Answer(stated.pop(), "phrase")
    line = text.rstrip().rpartition("\n")[2][-500:]
    last = {next(group for group in match.groups() if group) for match in _LAST.finditer(line)}
    if len(last) == 1:
        return Answer(last.pop(), "last")
    opening = _OPENING.match(answered(response))
    return Answer(opening.group(1), "last") if opening and not last else None
