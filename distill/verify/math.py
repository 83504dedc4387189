"""Whether two mathematical answers are equal: cheap and exact first, math-verify for the rest.

    exact("1/2", "0.50")        # True      exact("12", "13")  # False
    exact("x+1", "1+x")         # None: only algebra can tell
    check_math(item).checker    # "math/1:exact" or "math/1:math-verify-0.9.0": which rung decided

The exact rung compares texts after removing what is only dress, and integers, decimals, fractions,
percentages and scientific notation as `Fraction`; its inputs are bounded, so it can run anywhere. The
rest goes through sympy's parsers, which can hang and which evaluate what they read: `check_math` may
only be called where a deadline, a memory limit and an empty environment are (a worker process). An
expected answer that cannot be read is ``checker_error``: nobody's answer is wrong for it.
"""

import re
from fractions import Fraction
from importlib import metadata
from typing import NamedTuple

import msgspec

from distill.verify.answers import NUMBER, Answer, extract
from distill.verify.item import Item, Judgement

VERSION = "math/1"
LONGEST_EXACT = 300  # characters; longer answers are for math-verify
LONGEST = 5_000  # characters; longer ones are not parsed at all
LARGEST_EXPONENT = (
    400  # of ten, in scientific notation: Fraction("1e999999999") would fill the memory
)
CLOSE = Fraction(1, 10_000)  # relative: decimals nearer than this may be roundings of one number

# What changes how an answer looks and not what it says.
_DRESS = [(re.compile(pattern), plain) for pattern, plain in (
    (r"\\[dtc]frac", r"\\frac"),
    (r"\\(?:left|right|displaystyle|limits)(?![A-Za-z])", ""),
    (r"\\[!,;:]", ""),
    (r"\{,\}", ","),
    (r"\\(?:boxed|fbox)\s*\{([^{}]*)\}", r"\1"),
    (r"\\ |\\q?quad(?![A-Za-z])|~", " "),
    (r"\\?\$|\\[()\[\]]", ""),
    (r"\\%|％", "%"),
    (r"[−–]", "-"),
    (r"\^\{?\\circ\}?|°|\\degree(?![A-Za-z])", ""),
    (r"\\frac(\d)(\d)(?!\d)", r"\\frac{\1}{\2}"),
    (r"\s+", " "),
    (r"(?<!\d) | (?!\d)", ""),  # a space between two digits separates two numbers
)]  # fmt: skip
_TEXT = r"\\(?:text|textbf|textrm|mbox|mathrm)\s*\{([^{}]*)\}"
_ALL_TEXT = re.compile(_TEXT)
_UNIT = re.compile(rf"(.*[^\s\\])\s*(?:{_TEXT})\.?", re.DOTALL)
_WORDS = re.compile(r"(?=.*[A-Za-z]{4})[A-Za-z][A-Za-z ,'-]*")
_ASSIGNED = re.compile(r"[A-Za-z]=(.+)")
_COUNTED = re.compile(rf"({NUMBER})\s+(?!or\b|and\b)[A-Za-z]{{2,}}[^\\$=]*")

_DIGITS = r"(?:\d{1,3}(?:,\d{3})+|\d+)"
_DECIMAL = rf"(?:{_DIGITS}(?:\.\d*)?|\.\d+)"
_SCIENTIFIC = re.compile(
    rf"([+-]?{_DECIMAL})(?:[eE]|(?:\\times|\\cdot|×|\*)10\^)\{{?([+-]?\d{{1,3}})\}}?"
)
_PLAIN = re.compile(rf"[+-]?{_DECIMAL}")
_FRACTION = re.compile(
    rf"([+-]?)(?:\\frac\{{([+-]?{_DIGITS})\}}\{{({_DIGITS})\}}|({_DIGITS})/({_DIGITS}))"
)


class Plain(NamedTuple):
    """An answer undressed; ``value`` where it is one number."""

    text: str
    unit: str
    value: Fraction | None
    percent: bool
    decimal: bool
    words: bool


# ── the exact rung ───────────────────────────────────────────────────────────────────────────────


def exact(gold: str, answer: str) -> bool | None:
    """Whether two answers are equal, or None where reading them as text and numbers cannot tell."""
    if len(gold) > LONGEST_EXACT or len(answer) > LONGEST_EXACT:
        return True if gold == answer else None
    ours, theirs = undress(gold), undress(answer)
    if ours.unit and theirs.unit and ours.unit != theirs.unit:
        return None
    if ours.text == theirs.text and ours.percent == theirs.percent:
        return True if ours.text else None
    if (ours.words or theirs.words) and ours.text.casefold() == theirs.text.casefold():
        return True
    if ours.words and theirs.words:
        return False
    if ours.value is not None and theirs.value is not None:
        return _same_number(ours, theirs)
    left, right = _ASSIGNED.fullmatch(ours.text), _ASSIGNED.fullmatch(theirs.text)
    if bool(left) != bool(right) and ("=" in ours.text) != ("=" in theirs.text):
        return exact(left.group(1) if left else gold, right.group(1) if right else answer)
    return None


def undress(answer: str) -> Plain:
    """Remove what is only dress and read the number, if it is one. Linear in a short text."""
    text = answer.strip().removesuffix(".").strip()
    unit, words = "", False
    whole = _ALL_TEXT.fullmatch(text.strip("$ "))
    if whole:
        text, words = whole.group(1).strip(), True
    elif (found := _UNIT.fullmatch(text)) and _is_unit(*found.groups()):
        text, unit = found.group(1), re.sub(r"\s", "", found.group(2)).casefold()
    words = (words or bool(_WORDS.fullmatch(text))) and not any(c.isdigit() for c in text)
    if words:
        return Plain(" ".join(text.split()), unit, None, False, False, True)
    for pattern, plain in _DRESS:
        text = pattern.sub(plain, text)
    text = text.strip()
    percent = text.endswith("%")
    text = text.removesuffix("%")
    return Plain(text, unit, number(text), percent, "." in text or "e" in text.lower(), False)


def _is_unit(before: str, word: str) -> bool:
    """Whether a trailing ``\\text{}`` is a unit: after a number, and no constant like ``\\mathrm{e}``."""
    return any(c.isdigit() for c in before) and word.strip() not in ("e", "i", "d")


def number(text: str) -> Fraction | None:
    """An undressed integer, decimal, fraction or number in scientific notation."""
    if _PLAIN.fullmatch(text):
        return Fraction(_digits(text))
    if found := _FRACTION.fullmatch(text):
        sign, *parts = found.groups()
        above, below = (Fraction(_digits(part)) for part in parts if part)
        if below == 0:
            return None
        return -above / below if sign == "-" else above / below
    if found := _SCIENTIFIC.fullmatch(text):
        exponent = int(found.group(2))
        if abs(exponent) <= LARGEST_EXPONENT:
            return Fraction(_digits(found.group(1))) * Fraction(10) ** exponent
    return None


def _digits(text: str) -> str:
    plain = text.replace(",", "")
    return plain + "0" if plain.endswith(".") else plain


def _same_number(ours: Plain, theirs: Plain) -> bool | None:
    """Equal, different, or None: two decimals so near that one may be the other rounded."""
    assert ours.value is not None and theirs.value is not None
    left, right = ours.value, theirs.value
    if left == right:
        return True
    if ours.percent != theirs.percent:  # "what percent" is answered by 50, by 50% and by 0.5
        left, right = (left / 100, right) if ours.percent else (left, right / 100)
    if left == right:
        return True
    near = abs(left - right) <= CLOSE * max(abs(left), abs(right))
    return None if near and (ours.decimal or theirs.decimal) else False


# ── the checker ──────────────────────────────────────────────────────────────────────────────────


def quick_math(item: Item) -> Judgement | None:
    """The judgement where no algebra is needed, else None. Never hangs, imports nothing heavy."""
    if not item.answers:
        return Judgement(
            status="checker_error", checker=VERSION, detail="the problem has no answer"
        )
    found = final_answer(item)
    if found is None:
        return Judgement(status="no_answer", expected=item.expected, checker=f"{VERSION}:extract")
    results = [exact(gold, found.text) for gold in item.answers]
    if True in results:
        return _judgement(item, found, True, "exact")
    return None if None in results else _judgement(item, found, False, "exact")


def final_answer(item: Item) -> Answer | None:
    """The final answer; of "the answer is 12 apples" the 12. Where the model was cut off, the last
    number of the last line is no answer."""
    found = extract(item.response, last=not item.cut)
    if found and found.place == "phrase" and (counted := _COUNTED.fullmatch(found.text)):
        return found._replace(text=counted.group(1))
    return found


def check_math(item: Item) -> Judgement:
    """Judge one response. May hang or fill the memory: only for worker processes."""
    quick = quick_math(item)
    if quick is not None:
        return quick
    found = final_answer(item)
    assert found is not None, "quick_math answers for a response without one"
    return _with_math_verify(item, found)


def _with_math_verify(item: Item, found: Answer) -> Judgement:
    rung = f"math-verify-{metadata.version('math-verify')}"
    base = Judgement(
        status="checker_error", extracted=found.text, expected=item.expected, checker=f"{VERSION}:{rung}"
    )  # fmt: skip
    longest = max(len(text) for text in [found.text, *item.answers])
    if longest > LONGEST:
        return _detail(
            base, f"an answer of {longest:,} characters is not parsed (limit {LONGEST:,})"
        )
    answer = parse_expressions(found.text)
    unread = None
    for gold in item.answers:
        parsed = parse_expressions(gold)
        if all(isinstance(expression, str) for expression in parsed):
            unread = gold
        if equal(parsed, answer):
            return _judgement(item, found, True, rung)
    if unread is not None:
        return _detail(base, f"the expected answer '{unread}' cannot be read as mathematics")
    return _judgement(item, found, False, rung)


def parse_expressions(text: str) -> list[object]:
    """What math-verify reads in a text: sympy expressions, then the text itself."""
    from math_verify import parse

    # \boxed{} and not $...$: 145 against 144 of 168 equal pairs of its own and other suites accepted,
    # 2 against 3 of 29 unequal ones. Its SIGALRM time-out is off: the parent's deadline is the one.
    return list(parse(f"\\boxed{{{text}}}", parsing_timeout=None, raise_on_error=True))


def equal(gold: list[object], answer: list[object]) -> bool:
    """Whether any reading of one equals any reading of the other, by math-verify."""
    from math_verify import verify

    return any(
        verify(left, right, timeout_seconds=None, raise_on_error=True) for left in gold for right in answer
    )  # fmt: skip


def _judgement(item: Item, found: Answer, same: bool, rung: str) -> Judgement:
    return Judgement(
        status="correct" if same else "wrong",
        extracted=found.text,
        expected=item.expected,
        checker=f"{VERSION}:{rung}",
        detail=found.note,
    )


def _detail(judgement: Judgement, detail: str) -> Judgement:
    return msgspec.structs.replace(judgement, detail=detail)
