"""Problems of a run that stand in a benchmark: their traces would teach the test.

    index = OverlapIndex([("math-500", problem), ...])
    leaked = find_overlap(lambda: run.read_problems(), index)
    leaked["mine/17"]       # "the same text as MATH-500/3 of math-500"

Two rules. *Exact*: the same words and operators, letter forms, spacing, light punctuation and the
order of choices aside. *Runs of 13 words* (the length that GPT-3 used, arXiv 2005.14165, appendix C):
runs that stand in both prompts make up at least `COVERED` of the words of the shorter one, so half a
problem is caught, and so is one inside a longer text. A run does not count if it is a template: with
numbers and capitalised words blanked it stands in more than `TEMPLATE` different texts of run and
benchmarks together. So "in the form m/n where m and n are relatively prime positive integers, find
m + n" is no leak, and neither are two chains of a generated family that agree for a few steps.

Measured with 8 and 0.8: MATH train against MATH-500 9 of 7,474 (0.12%: renumbered twins), GSM8K train
against GSM8K test 0 of 7,473, 20,000 problems of the embedded world against 2,000 of its test splits 0.
At 0.5 it was 45 in MATH, most of them boilerplate, and up to 3 in the world. Of GSM8K test and MATH-500
planted in those sets it found all when re-cased or re-spaced, 100% and 87% inside a longer text, 93% and
57% cut to half their letters, 52% and 82% with sentences in another order. It does not find paraphrases
or changed numbers, and prompts under 13 words only by the exact rule.

Memory: about 300 bytes per 13-word run of the benchmarks (GSM8K test: 1,319 problems, 46,283 runs);
of the run only the problems that share one.
"""

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from distill.types import Problem

RUN_WORDS = 13
TEMPLATE = 8
COVERED = 0.8

# Each Chinese or Japanese character counts as a word: these are written without spaces.
_CJK = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff"
_WORD = re.compile(rf"[{_CJK}]|[^\W_{_CJK}]+")
# Everything but white space, and but the punctuation that copies of one problem differ in.
_TOKEN = re.compile(rf"[{_CJK}]|[^\W_{_CJK}]+|[^\w\s.,;:!?'\"’‘“”$\\{{}}]")


class _Words(NamedTuple):
    """A prompt's words as they are compared, and the same with numbers and capitalised words blank."""

    words: list[str]
    forms: list[str]


class _Owner(NamedTuple):
    """A benchmark's problem, as evidence names it, and how many words its prompt has."""

    benchmark: str
    problem_id: str
    words: int

    def __str__(self) -> str:
        return f"{self.problem_id} of {self.benchmark}"


class _Run(NamedTuple):
    """A run of 13 words of a benchmark's problem: whose it is, and its form as it is written there."""

    owner: _Owner
    form: int


class OverlapIndex:
    """The problems of the benchmarks, by whole text and by runs of 13 words (as 8-byte hashes)."""

    def __init__(self, problems: Iterable[tuple[str, Problem]]) -> None:
        self.texts: dict[int, _Owner] = {}
        self.runs: dict[int, _Run] = {}
        self.forms: dict[int, set[int]] = {}  # the different texts that a form stands in, capped
        for benchmark, problem in problems:
            text = exact_hash(problem)
            if text is None:
                continue
            words = _words(problem)
            owner = _Owner(benchmark, problem.id, len(words.words))
            self.texts.setdefault(text, owner)
            for start in _starts(words):
                form = _hash(words.forms, start)
                self.runs.setdefault(_hash(words.words, start), _Run(owner, form))
                _count(self.forms.setdefault(form, set()), text)

    def exact(self, problem: Problem) -> str | None:
        """Evidence that the whole text is a benchmark's."""
        text = exact_hash(problem)
        owner = None if text is None else self.texts.get(text)
        return f"the same text as {owner}" if owner else None


def find_overlap(problems: Callable[[], Iterator[Problem]], index: OverlapIndex) -> dict[str, str]:
    """Problem id to evidence, for the problems that overlap.

    ``problems`` is called up to three times: what is a template is known only after all were seen.
    """
    leaked: dict[str, str] = {}
    sharing: set[str] = set()
    forms: dict[int, set[int]] = {}
    for problem in problems():
        if evidence := index.exact(problem):
            leaked[problem.id] = evidence
            continue
        for _, run in _shared_runs(_words(problem), index):
            sharing.add(problem.id)
            forms.setdefault(run.form, set(index.forms[run.form]))
    if not sharing:
        return leaked
    for problem in problems():
        words, text = _words(problem), exact_hash(problem)
        for start in _starts(words):
            if (texts := forms.get(_hash(words.forms, start))) is not None and text is not None:
                _count(texts, text)
    templates = {form for form, texts in forms.items() if len(texts) > TEMPLATE}
    for problem in problems():
        if problem.id in sharing and (evidence := _covered(problem, index, templates)):
            leaked.setdefault(problem.id, evidence)
    return leaked


def _covered(problem: Problem, index: OverlapIndex, templates: set[int]) -> str | None:
    """Evidence if runs shared with one benchmark problem make up enough of the shorter prompt."""
    words = _words(problem)
    covered: dict[_Owner, set[int]] = {}
    for start, run in _shared_runs(words, index):
        if run.form not in templates:
            covered.setdefault(run.owner, set()).update(range(start, start + RUN_WORDS))
    for owner, places in covered.items():
        if len(places) >= COVERED * min(len(words.words), owner.words):
            first = min(places)
            quote = " ".join(words.words[first : first + RUN_WORDS])
            return f"shares {len(places)} words with {owner}: '{quote}…'"
    return None


def _shared_runs(words: _Words, index: OverlapIndex) -> Iterator[tuple[int, _Run]]:
    """Where runs of 13 words begin that a benchmark has too, each with the benchmark's."""
    for start in _starts(words):
        run = index.runs.get(_hash(words.words, start))
        if run:
            yield start, run


def exact_hash(problem: Problem) -> int | None:
    """A hash of the whole prompt, choices included in any order; None if there are no words in it."""
    parts = [_tokens(problem.text), *sorted(_tokens(choice) for choice in problem.choices or [])]
    return hash(tuple(parts)) if parts[0] else None


def _tokens(text: str) -> tuple[str, ...]:
    return tuple(_TOKEN.findall(unicodedata.normalize("NFKC", text).casefold()))


def _words(problem: Problem) -> _Words:
    found: Sequence[str] = _WORD.findall(unicodedata.normalize("NFKC", problem.text))
    blanked = ["#" if word[0].isupper() or not word.isalpha() else word for word in found]
    return _Words([word.casefold() for word in found], blanked)


def _starts(words: _Words) -> range:
    return range(len(words.words) - RUN_WORDS + 1)


def _hash(words: list[str], start: int) -> int:
    return hash(tuple(words[start : start + RUN_WORDS]))


def _count(texts: set[int], text: int) -> None:
    if len(texts) <= TEMPLATE:
        texts.add(text)
