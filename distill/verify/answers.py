"""Where the final answer of a response stands.

    extract(r"Adding up gives \boxed{\frac{1}{2}}.")        # Answer(text=r"\frac{1}{2}", place="boxed")
    extract("5 + 7 = 12, so the answer is 12.")             # Answer(text="12", place="phrase")
    extract("She has 12 apples.")                           # Answer(text="12", place="last")

The last ``\\boxed{}`` counts, else the last "the answer is", else (`last=True`) the last expression of
the last line. Only the response is searched, never the reasoning: a number that a model considered is
not an answer that it gave. Every step is one linear pass over at most `TAIL` characters, so that it can
run anywhere; 100 KB of braces take 20 ms.
"""

import re
from collections import deque
from typing import Literal, NamedTuple

Place = Literal["boxed", "phrase", "last"]

TAIL = 100_000  # characters from the end that are searched
LONGEST_PHRASE = 500  # characters after "the answer is" that can belong to the answer

# `\\.` swallows escaped braces, so that the set \boxed{\{1, 2\}} is balanced.
_BRACES = re.compile(r"\\(?:boxed|fbox)\s*\{|\\.|[{}]", re.DOTALL)
_PHRASE = re.compile(
    r"\banswer[\s*_]{0,8}(?:is|[:=])[\s*_:]{0,8}|答案[\s*_]{0,8}(?:[是为為:：])[\s*_:：]{0,8}",
    re.IGNORECASE,
)
_MATH = re.compile(r"\$\$(.+?)\$\$|\$([^$\n]+)\$|\\\((.+?)\\\)|\\\[(.+?)\\\]", re.DOTALL)
NUMBER = r"[-+−]?(?:\d[\d,]*(?:\.\d+)?|\.\d+)(?:/\d+)?%?"
_LAST = re.compile(rf"{_MATH.pattern}|(?<![\w.])({NUMBER})", re.DOTALL)
_SENTENCE_END = re.compile(r"\.(?=\s|$)|[。\n]")


class Answer(NamedTuple):
    """A final answer as written, where it stood, and what is worth knowing about it."""

    text: str
    place: Place
    note: str | None = None


def extract(response: str, *, last: bool = True) -> Answer | None:
    """The final answer of a response, or None. ``last``: whether a bare last expression will do."""
    text = response[-TAIL:]
    boxes = [box for box in boxed(text) if box]
    if boxes:
        different = len(set(boxes))
        note = f"{different} different \\boxed{{}}, the last one counts" if different > 1 else None
        return Answer(boxes[-1], "boxed", note)
    found = phrase(text)
    if found:
        return Answer(found, "phrase")
    found = last_expression(text) if last else None
    return Answer(found, "last") if found else None


def boxed(text: str) -> list[str]:
    """The contents of every closed ``\\boxed{}``, outermost only, in order."""
    open_at: list[int] = []  # where the content of each open brace starts; negative: not a box
    spans: list[tuple[int, int]] = []
    for token in _BRACES.finditer(text):
        word = token.group()
        if word == "{":
            open_at.append(-1)
        elif word.endswith("{") and len(word) > 2:  # an escaped brace has two
            open_at.append(token.end())
        elif word == "}" and open_at and (start := open_at.pop()) >= 0:
            while spans and spans[-1][0] >= start:
                spans.pop()
            spans.append((start, token.start()))
    return [text[start:end].strip() for start, end in spans]


def phrase(text: str) -> str | None:
    """What follows the last "the answer is" (or 答案是), up to the end of its sentence."""
    found = _last(_PHRASE, text)
    if found is None:
        return None
    rest = text[found.end() : found.end() + LONGEST_PHRASE].lstrip()
    maths = _MATH.match(rest)
    if maths:
        return _inside(maths)
    said = _SENTENCE_END.split(rest, maxsplit=1)[0].strip().strip("*_").strip()
    return None if re.match(r"(?:not|that)\b", said, re.IGNORECASE) else said or None


def last_expression(text: str) -> str | None:
    """The last number or LaTeX expression of the last line (or of the display block that ends it)."""
    body = text.rstrip()
    line_start = body.rfind("\n") + 1
    if body.endswith(("$$", "\\]")):
        opening = "$$" if body.endswith("$$") else "\\["
        line_start = max(0, min(line_start, body.rfind(opening, 0, len(body) - 2)))
    found = _last(_LAST, body[line_start:][-LONGEST_PHRASE * 4 :])
    return _inside(found) if found else None


def _last(pattern: re.Pattern[str], text: str) -> re.Match[str] | None:
    matches = deque(pattern.finditer(text), maxlen=1)
    return matches[0] if matches else None


def _inside(found: re.Match[str]) -> str | None:
    content = next((group for group in found.groups() if group is not None), "")
    return content.strip() or None
