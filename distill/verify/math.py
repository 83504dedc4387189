r"""Whether two mathematical answers are equal: cheap and exact first, sympy last and not on its word alone.

    compare("1/2", "0.50")             # Compared(True, "number")
    compare("(-1,3]", "-1<x<3")        # Compared(False, "formula")
    check_math(item).checker           # "math/2:formula" or "math/2:math-verify-0.9.0+opinion"

The ladder: the same text, the same number, the same words, the same formula (`distill.verify.shapes`:
lists, pairs, sets, intervals, equations, units, and values by exact or high-precision arithmetic). Up to
there everything is bounded and runs anywhere. What none of these can read goes to math-verify in a worker
process, and where that says "equal", `distill.verify.opinion` is asked too: on a contradiction the answer
is wrong, and ``detail`` says so. An expected answer that nothing can read is ``checker_error``, and so
are two numbers too large to be told apart: nobody's answer is wrong for that.
"""

import re
from collections.abc import Iterator
from fractions import Fraction
from importlib import metadata
from typing import NamedTuple

import msgspec

from distill.verify.answers import Answer, extract, last_expression
from distill.verify.formula import parse
from distill.verify.huge import same_huge
from distill.verify.item import Item, Judgement
from distill.verify.letters import is_letter, letter_of
from distill.verify.shapes import same
from distill.verify.tokens import plain
from distill.verify.tree import Node, holds_text, names
from distill.verify.value import is_arithmetic
from distill.verify.words import EMPTY, is_wordy, same_words, words

VERSION = "math/2"
LONGEST = 5_000  # characters; longer ones are not parsed at all

_COUNTED = re.compile(
    r"([-+−]?(?:\d[\d,]*(?:\.\d+)?|\.\d+)(?:/\d+)?%?)\s+(?!or\b|and\b)[A-Za-z]{2,}[^\\$=]*"
)
_CLAUSE = re.compile(r"[,;，；]\s|\bbecause\b|\bsince\b")
_IS = re.compile(r"\b(?:is|are|equals)\b|[是为：:]")
_TEXT = re.compile(r"\\[A-Za-z]+(?:\s*\{[A-Za-z ]*\})?")
_SENTENCE = re.compile(r"(?:[^\W\d_]{2,}[\s,.:'’*()]+){2}|[\u4e00-\u9fff]{3}")
_SPACE = re.compile(r"\s+|\\[,!;: ]|\\left(?![A-Za-z])|\\right(?![A-Za-z])|\$")
_SEPARATORS = re.compile(r"\\\\|&|\s|[pb](?=matrix)")
_SMALL = re.compile(r"[-+]?\d{1,4000}(?:\.\d{1,4000})?")


class Compared(NamedTuple):
    """What a rung said: equal, different, or None (it cannot tell, ``why`` perhaps)."""

    same: bool | None
    rung: str
    why: str | None = None


# ── the quick rungs ──────────────────────────────────────────────────────────────────────────────


def compare(gold: str, answer: str) -> Compared:
    """The verdict of the rungs that run anywhere."""
    ours, theirs = _SPACE.sub("", gold), _SPACE.sub("", answer)
    if ours == theirs and ours:
        return Compared(True, "text")
    left, right = _SMALL.fullmatch(ours), _SMALL.fullmatch(theirs)
    if left and right:
        equal_numbers = Fraction(ours) == Fraction(theirs)
        if (
            equal_numbers or "." not in ours or "." not in theirs
        ):  # of two decimals one may be rounded
            return Compared(equal_numbers, "number")
    if max(len(ours), len(theirs)) > LONGEST:
        return Compared(None, "text")
    if is_letter(gold) or is_letter(answer):
        letters = letter_of(gold), letter_of(answer)
        if None not in letters:
            return Compared(letters[0] == letters[1], "letter")
    said = same_words(gold, answer)
    if said is not None:
        return Compared(said, "words")
    return _by_formula(gold, answer)


def _by_formula(gold: str, answer: str) -> Compared:
    try:
        return _of_formulas(gold, answer)
    except (ArithmeticError, ValueError, RecursionError) as error:
        # What arithmetic makes of a hostile answer must not end the caller's process.
        return Compared(None, "formula", f"not evaluated: {type(error).__name__}")


def _of_formulas(gold: str, answer: str) -> Compared:
    left, right = parse(gold), parse(answer)
    if left is None or right is None:
        return _of_unread(gold, answer, left, right)
    if left.op == "matrix" and len(left.args) == len(left.args[0]) == 1:
        # A data set that lost the line breaks of its columns: no answer is a matrix of one entry.
        lost = _SEPARATORS.sub("", gold) == _SEPARATORS.sub("", answer)
        return Compared(lost, "text", None if lost else "a matrix of one entry")
    if _says_nothing(left, answer) or _says_nothing(right, gold):
        return Compared(True, "words")
    verdict = same(left, right)
    if verdict is None and _too_large(left, right):
        return Compared(None, "formula", "two numbers too large to be told apart")
    if verdict is not True and holds_text(left) != holds_text(right):
        ours, theirs = words(gold), words(answer)
        return Compared(False if is_wordy(ours) != is_wordy(theirs) else None, "words")
    return Compared(verdict, "formula")


def _says_nothing(node: Node | None, text: str) -> bool:
    """Whether a formula is the empty set, and a text says in words that there is none."""
    empty = node in (Node("set", ()), Node("const", ("empty",)))
    return empty and words(text).text in EMPTY


def _of_unread(gold: str, answer: str, left: Node | None, right: Node | None) -> Compared:
    """Where one side is no formula: words are not equal to a number, and dress alone may differ."""
    if plain(gold).replace(" ", "") == plain(answer).replace(" ", ""):
        return Compared(True, "text")
    ours, theirs = words(gold), words(answer)
    if _says_nothing(left, answer) or _says_nothing(right, gold):
        return Compared(True, "words")
    if (left is not None and is_wordy(theirs)) or (right is not None and is_wordy(ours)):
        known = left or right
        if known is not None and (is_arithmetic(known) and not names(known)):
            return Compared(False, "words")
    return Compared(None, "formula")


def _too_large(left: Node, right: Node) -> bool:
    """Whether both are constants, which only their size keeps from being compared."""
    both = is_arithmetic(left) and is_arithmetic(right)
    return both and not names(left) and not names(right) and same_huge(left, right) is None


def expected_text(gold: str) -> str:
    """The expected answer itself, where a data set gives a worked solution."""
    if "\\boxed" in gold or "\\fbox" in gold or "answer is" in gold:
        found = extract(gold, last=False)
        return found.text if found else gold
    return gold


def quick_math(item: Item) -> Judgement | None:
    """The judgement where no algebra is needed, else None. Never hangs, imports nothing heavy."""
    if not item.answers:
        return Judgement(
            status="checker_error", checker=VERSION, detail="the problem has no answer"
        )
    found = settled(item)
    if found is None:
        return Judgement(status="no_answer", expected=item.expected, checker=f"{VERSION}:extract")
    verdict = None
    undecided = None
    for gold in map(expected_text, item.answers):
        verdict = _of_one(gold, found)
        if verdict.same:
            return _judgement(item, found, "correct", verdict.rung)
        undecided = verdict if verdict.same is None else undecided
    assert verdict is not None
    if undecided is not None:
        if undecided.why is None:
            return None
        return _detail(_judgement(item, found, "checker_error", undecided.rung), undecided.why)
    return _judgement(item, found, "no_answer" if found.open else "wrong", verdict.rung)


def _of_one(gold: str, found: Answer) -> Compared:
    """One expected answer against what was found; several values left open answer only a list."""
    if found.open:
        asked = parse(gold)
        if asked is None or asked.op not in ("list", "set"):
            return Compared(False, "extract", found.note)
    verdict = compare(gold, found.text)
    in_words = verdict == Compared(False, "words") and found.place == "phrase"
    if verdict.same is None or in_words:
        for closer, final in _closer(found):
            nearer = compare(gold, closer)
            if nearer.same or (nearer.same is False and final and not in_words):
                return nearer
    return verdict


def _closer(found: Answer) -> Iterator[tuple[str, bool]]:
    """What is said inside a sentence: of "12 apples are left" 12, of "the largest n is 34" 34. ``final``:
    if that is different, the answer is."""
    counted = _COUNTED.fullmatch(found.text)
    if counted:
        yield counted.group(1), True
    if found.place == "phrase":
        clause = _CLAUSE.split(found.text, maxsplit=1)[0].strip()
        if clause and clause != found.text:
            yield clause, True
        if words(clause.partition(" ")[0]).number is not None and clause.count(" ") > 1:
            yield clause.partition(" ")[0], True  # "three boxes hold neither": three
    if found.text[:1].isalpha() and ("$" in found.text or "\\(" in found.text):
        yield last_expression(found.text) or "", True
    said = _IS.split(found.text)[-1].strip()
    if said != found.text and any(mark.isdigit() or mark == "\\" for mark in said):
        yield said, False
    if _SENTENCE.search(_TEXT.sub("", found.text)):
        inside = extract(found.text)
        if inside and inside.text != found.text:
            yield inside.text, True


def settled(item: Item) -> Answer | None:
    """The final answer; boxes or phrases that say the same value are one."""
    found = extract(item.response, last=not item.cut)
    if found and found.parts:
        *others, final = found.parts
        if all(compare(final, other).same for other in others):
            return Answer(final, found.place)
    return found


# ── the slow rungs ───────────────────────────────────────────────────────────────────────────────


def check_math(item: Item) -> Judgement:
    """Judge one response. May hang or fill the memory: only for worker processes."""
    quick = quick_math(item)
    if quick is not None:
        return quick
    found = settled(item)
    assert found is not None, "quick_math answers for a response without one"
    return _with_math_verify(item, found)


def _with_math_verify(item: Item, found: Answer) -> Judgement:
    from distill.verify.opinion import opinion

    rung = f"math-verify-{metadata.version('math-verify')}"
    base = _judgement(item, found, "checker_error", rung)
    golds = [expected_text(gold) for gold in item.answers]
    longest = max(len(text) for text in [found.text, *golds])
    if longest > LONGEST:
        return _detail(
            base, f"an answer of {longest:,} characters is not parsed (limit {LONGEST:,})"
        )
    answer = parse_expressions(found.text)
    unread = doubted = None
    for gold in golds:
        if _of_one(gold, found).same is False:
            continue
        parsed = parse_expressions(gold)
        if all(isinstance(expression, str) for expression in parsed):
            unread = gold
        if equal(parsed, answer):
            why = opinion(parsed, answer)
            if why is None:
                return _judgement(item, found, "correct", f"{rung}+opinion")
            doubted = f"math-verify says equal, the second opinion: {why}"
    wrong = _judgement(item, found, "no_answer" if found.open else "wrong", rung)
    if doubted is not None:
        return _detail(msgspec.structs.replace(wrong, checker=f"{VERSION}:{rung}+opinion"), doubted)
    if unread is not None:
        return _detail(base, f"the expected answer '{unread}' cannot be read as mathematics")
    return wrong


def prepare_math() -> None:
    """What is slow once: the imports, and the tables of sympy's parser (1.6 s and 0.3 s)."""
    equal(parse_expressions("x+1"), parse_expressions("1+x"))


def parse_expressions(text: str) -> list[object]:
    """What math-verify reads in a text: sympy expressions, then the text itself."""
    from math_verify import parse as parse_text

    # \boxed{} and not $...$: 145 against 144 of 168 equal pairs of its own and other suites accepted,
    # 2 against 3 of 29 unequal ones. Its SIGALRM time-out is off: the parent's deadline is the one.
    return list(parse_text(f"\\boxed{{{text}}}", parsing_timeout=None, raise_on_error=True))


def equal(gold: list[object], answer: list[object]) -> bool:
    """Whether any reading of one equals any reading of the other, by math-verify."""
    from math_verify import verify

    return any(
        verify(left, right, timeout_seconds=None, raise_on_error=True) for left in gold for right in answer
    )  # fmt: skip


def _judgement(item: Item, found: Answer, status: str, rung: str) -> Judgement:
    return Judgement(
        status=status,  # type: ignore[arg-type]
        extracted=found.text,
        expected=item.expected,
        checker=f"{VERSION}:{rung}",
        detail=found.note,
    )


def _detail(judgement: Judgement, detail: str) -> Judgement:
    return msgspec.structs.replace(judgement, detail=detail)
