r"""Where the final answer of a response stands.

    extract(r"Adding up gives \boxed{\frac{1}{2}}.")        # Answer(text=r"\frac{1}{2}", place="boxed")
    extract("5 + 7 = 12, so the answer is 12.")             # Answer(text="12", place="phrase")
    extract("She has 12 apples.")                           # Answer(text="12", place="last")
    extract(r"It is \boxed{7} or \boxed{9}.").open          # True: two finals, neither withdrawn

In this order: the last ``<answer>``, the last ``\\boxed{}``, ``####``, the last "the answer is", a code
fence alone, and (`last=True`) the last expression of the last line. Boxes joined by "and" or a comma are
a list. Nothing is taken from thinking that stands in the response, ended or not. Every step is linear in
at most `TAIL` characters, so that it can run anywhere; 100 KB of braces take 20 ms.
"""

import re
from collections import deque
from collections.abc import Iterator
from typing import Literal, NamedTuple

Place = Literal["boxed", "phrase", "last"]

TAIL = 100_000  # characters from the end that are searched
LONGEST_PHRASE = 500  # characters after "the answer is" that can belong to the answer
MOST_BOXES = 200  # from the end
MOST_REMARKS = 3  # last lines like "I think that's the answer." that are passed over
NEAR = 80  # characters between two boxes that can join them

_BRACES = re.compile(
    r"\\{1,2}(?:boxed|fbox)\s*(?:\{|([0-9A-Za-z])(?![A-Za-z]))|\\.|[{}]", re.DOTALL
)
_GAP = r"[\s*_]{0,8}"
_STATES = r"(?:is|est|es|was|would be|must be|should be|equals|[:=：]|(?=\n))"
_PHRASE = re.compile(
    rf"(?P<en>\b(?:answer|r[ée]ponse|respuesta){_GAP}{_STATES}{_GAP}[:：]?{_GAP}"
    rf"|\b(?:correct|right|best) (?:option|choice|answer){_GAP}(?:is|[:：]){_GAP}[:：]?{_GAP})"
    rf"|(?P<zh>(?:答案|结果)(?:应该|应当|应)?{_GAP}[是为為】:：]{_GAP}[:：]?{_GAP})",
    re.IGNORECASE,
)
_MATH = re.compile(
    r"\$\$(.+?)\$\$|(?<!\\)\$((?:[^$\\\n]|\\[^\n])+)\$|\\\((.+?)\\\)|\\\[(.+?)\\\]", re.DOTALL
)
NUMBER = (
    r"[-+−]?(?:\d+(?:(?:,|\{,\}|,?\\!|\\,)\d+)*(?:\.\d+)?|\.\d+)(?:/\d+)?"
    r"(?:\s?(?:[%％]|\\%|percent|pct))?"
)
_LAST = re.compile(
    rf"{_MATH.pattern}|(?<![A-Za-z0-9_.])({NUMBER}(?:\s?(?:°|分钟|小时|元|角|厘米|平方厘米))?)",
    re.DOTALL,
)
_SENTENCE_END = re.compile(r"[.!](?=\s|$|\*)|[。\n]")
_EMPTY = re.compile(r"\\boxed\s*\{\s*\}")
_FENCE = re.compile(r"```[^\n`]*\n(.*?)```", re.DOTALL)
_HASHES = re.compile(r"^#{4}[ \t]*(\S[^\n]*)$", re.MULTILINE)
_DENIED = re.compile(r"(?:not|isn't|n't|不是)\b|不是", re.IGNORECASE)
_HEDGE = re.compile(
    r"\b(?:could (?:also )?be|might be|may be|not sure|unsure|cannot (?:decide|tell|determine)|can't decide"
    r"|undecided|unclear which)\b|无法确定|不确定|不能确定|或许|说不准",
    re.IGNORECASE,
)
_PERHAPS = re.compile(r"\b(?:maybe|perhaps|possibly)\W{0,8}$|也许\W{0,8}$", re.IGNORECASE)
_REFUSED = re.compile(
    r"\bno answer\b"
    r"|\b(?:cannot|can't|could not|unable to) (?:be )?(?:solved?|answer(?:ed)?|determined?|given?)\b"
    r"|无法(?:确定|解答|回答|求解)",
    re.IGNORECASE,
)
_REMARK = re.compile(
    r"\b(?:that's (?:it|all|the (?:right |correct |final )?answer)|confident|checks? out|correct"
    r"|hope (?:it|this|that|these)|confirm(?:s|ed)?|seems (?:right|good|fine)|done"
    r"|consistent|satisf(?:y|ies|ied))\b|正确|完毕|验证",
    re.IGNORECASE,
)
_WITHDRAWN = re.compile(
    r"\b(?:wait|actually|correct(?:ion|ed|ing)?|instead|mistake|slip|wrong|rather|however|but|hmm|oops|no[,:]"
    r"|re-?check|revised?|final)\b|不对|更正|修正|错了|应为|然而|但是|最终",
    re.IGNORECASE,
)
_JOINT = re.compile(
    r"(?P<marks>(?:[\s$.,;、，；*]|\\[()\[\],;:! ]|\\(?:quad|qquad)(?![A-Za-z])|\}|\\text\s*\{)*)"
    r"(?P<word>and|or|和|与|或者?|以及|及|&)?"
    r"(?:[\s$,、，*}]|\\[()\[\],;:! ]|\\(?:quad|qquad)(?![A-Za-z])|[A-Za-z](?:_\{?\w{1,3}\}?)?\s*=)*",
    re.IGNORECASE,
)
_BETWEEN = re.compile(r"\s*(?:and|or|和|与|或者?|以及|及|且|[,，、；;])\s*", re.IGNORECASE)
_ANSWER_IS_IN = re.compile(r"[\w\\?∅]")


class Answer(NamedTuple):
    """A final answer as written, where it stood, and what is worth knowing about it. ``open``: several
    values were left open, which is an answer only to a question for several. ``parts``: the boxes or phrases
    that it was put together from; if they say the same, they are one."""

    text: str
    place: Place
    note: str | None = None
    open: bool = False
    parts: tuple[str, ...] = ()


class Box(NamedTuple):
    """The content of a box and where the box stands."""

    content: str
    start: int
    end: int


def extract(response: str, *, last: bool = True) -> Answer | None:
    """The final answer of a response, or None. ``last``: whether a bare last expression will do."""
    text = answered(response[-TAIL:])
    tagged = _tag(text)
    if tagged is not None:
        text = tagged
        if not _boxes(text)[0]:
            inside = _undress(text)
            return Answer(inside, "phrase") if inside else None
    boxes, cut = _boxes(text)
    if cut:
        return None
    if boxes:
        return _of_boxes(text, boxes)
    empty = _last(_EMPTY, text)
    if empty:
        return _of_phrases(text[empty.end() :])[0]
    hashes = _last(_HASHES, text)
    if hashes and (inside := _undress(hashes.group(1))):
        return Answer(inside, "phrase")
    found, denied = _of_phrases(text)
    if found or denied:
        return found if found is None or found.text else None
    return _last_expression_of(text) if last else None


def answered(text: str) -> str:
    """What stands after the thinking; nothing where the thinking never ended."""
    if "think>" not in text:
        return text
    _, _, text = text.rpartition("</think>")
    return text.partition("<think>")[0]


def _tag(text: str) -> str | None:
    """What stands in the last ``<answer>``."""
    if "<answer>" not in text:
        return None
    before, closed, _ = text.rpartition("</answer>")
    inside = (before if closed else text).rpartition("<answer>")
    return inside[2] if inside[1] else None


def _undress(text: str) -> str:
    """Without emphasis, code marks and dollars around the whole."""
    text = text.strip()
    fence = _FENCE.fullmatch(text)
    text = fence.group(1).strip() if fence else text.strip("*_` \n")
    maths = _MATH.fullmatch(text)
    return (_inside(maths) or "") if maths else text


# ── boxes ────────────────────────────────────────────────────────────────────────────────────────


def _boxes(text: str) -> tuple[list[Box], bool]:
    """The closed outermost boxes that hold something, in order; and whether the end cuts the last one."""
    start = min((at for at in (text.find("\\boxed"), text.find("\\fbox")) if at >= 0), default=-1)
    if start < 0:
        return [], False
    opened: list[int] = []  # where the content of each open brace starts; negative: not a box
    begun: list[int] = []
    found: list[Box] = []
    for token in _BRACES.finditer(text, start):
        word = token.group()
        if word == "{":
            opened.append(-1)
        elif token.group(1):
            found.append(Box(token.group(1), token.start(), token.end()))
        elif word.endswith("{") and len(word) > 2:  # an escaped brace has two
            opened.append(token.end())
            begun.append(token.start())
        elif word == "}" and opened and (content := opened.pop()) >= 0:
            at = begun.pop()
            while found and found[-1].start >= at:
                found.pop()
            found.append(Box(text[content : token.start()].strip(), at, token.end()))
    cut = bool(begun) and not any(box.start > begun[-1] for box in found[-1:])
    if cut and len(opened) == 1 and text.endswith("\\}") and "\\{" not in text[opened[0] :]:
        found.append(Box(text[opened[0] : -2].strip(), begun[0], len(text)))  # a stray backslash
        cut = False
    return [box for box in found[-MOST_BOXES:] if box.content], cut


def _of_boxes(text: str, boxes: list[Box]) -> Answer:
    """The last box, or the list that the last boxes make together."""
    run, word = [boxes[-1]], ""
    for box in reversed(boxes[:-1]):
        between = text[box.end : run[0].start]
        joint = _JOINT.fullmatch(between) if len(between) <= NEAR else None
        if joint is None or not (
            joint.group("word") or set(joint.group("marks")) & set(",;、，；")
        ):
            break
        word = (joint.group("word") or word).casefold()
        run.insert(0, box)
    contents = list(dict.fromkeys(box.content for box in run))
    different = len({box.content for box in boxes})
    if len(contents) > 1:
        either = word in ("or", "或", "或者")
        note = "several boxes, left open" if either else "several boxes make one list"
        return Answer(", ".join(contents), "boxed", note, either, tuple(contents))
    if different == 1:
        return Answer(boxes[-1].content, "boxed")
    between = text[boxes[-2].end : boxes[-1].start][-500:]
    if _HEDGE.search(between + text[boxes[-1].end :][:200]) or _PERHAPS.search(between):
        both = boxes[-2].content, boxes[-1].content
        note = "several boxes, and the response does not decide"
        return Answer(", ".join(both), "boxed", note, True, both)
    return Answer(
        boxes[-1].content, "boxed", f"{different} different \\boxed{{}}, the last one counts"
    )


# ── phrases ──────────────────────────────────────────────────────────────────────────────────────


class _Said(NamedTuple):
    text: str
    start: int
    end: int


def phrase(text: str) -> str | None:
    """What follows the last "the answer is" (or 答案是), up to the end of its sentence."""
    found, _ = _of_phrases(text)
    return found.text if found and found.place == "phrase" else None


def _of_phrases(text: str) -> tuple[Answer | None, bool]:
    """The answer that a phrase announces; and whether there was a phrase that rules out any other."""
    said = deque(_phrases(text), maxlen=3)
    if not said:
        return None, False
    final = said[-1]
    if _DENIED.match(final.text):
        return None, "\n" not in text[final.end :].strip()
    if _HEDGE.search(final.text):
        return Answer(final.text, "phrase", "the response does not decide", True), True
    if not _ANSWER_IS_IN.search(final.text) or final.text == "?":
        return None, True
    before = [each for each in said if each is not final and not _DENIED.match(each.text)]
    if before and before[-1].text.casefold() != final.text.casefold():
        between = text[before[-1].end : final.start]
        if len(between) < NEAR and not _WITHDRAWN.search(text[before[-1].end : final.end]):
            both = before[-1].text, final.text
            note = "several answers, none withdrawn"
            return Answer(", ".join(both), "phrase", note, True, both), True
    if _is_prose(final.text):
        last = _last_expression_of(text)
        return (last, True) if last else (Answer(final.text, "phrase"), True)
    return Answer(final.text, "phrase"), True


def _phrases(text: str) -> Iterator[_Said]:
    for found in _PHRASE.finditer(text):
        rest = text[found.end() : found.end() + LONGEST_PHRASE]
        lead = len(rest) - len(rest.lstrip("# \n*_:："))
        rest = rest[lead:]
        said = _said(rest)
        if said and not _PHRASE.search(said):  # "Final answer: the answer is 5" says it once
            yield _Said(said, found.start(), found.end() + lead + len(said))


def _said(rest: str) -> str | None:
    """The answer at the start of a text: a formula, a code fence, or the rest of the sentence."""
    fence = _FENCE.match(rest)
    if fence:
        return fence.group(1).strip() or None
    maths = _MATH.match(rest)
    if maths:
        after = _SENTENCE_END.split(rest[maths.end() :], maxsplit=1)[0].strip(" *_`")
        if re.match(r"(?:or|and|或|和|,|，|、)\s*[$\\]", after):
            return re.sub(r"\$|\\[()]", " ", f"{maths.group()} {after}").strip()
        return _inside(maths)
    sentence = _SENTENCE_END.split(rest, maxsplit=1)[0].strip()
    return sentence.strip("*_` ").removesuffix("<eoa>").strip("*_` ") or None


def _is_prose(said: str) -> bool:
    """Whether a phrase goes on as a sentence, in which the answer stands somewhere."""
    if re.match(r"that\b", said):
        return True
    words = re.findall(
        r"[A-Za-z]{2,}|[\u4e00-\u9fff]", re.sub(r"\\[A-Za-z]+|\\text\{[^}]*\}", "", said)
    )
    starts = re.match(r"[$\\(\[{\-+−.]?\s*\d|\$|\\|[^\W_]{1,20}\s*(?:[,;:(，；（]|$)", said)
    return len(words) > 2 and not starts and any(c.isdigit() for c in said)


# ── the last expression ──────────────────────────────────────────────────────────────────────────


def _last_expression_of(text: str) -> Answer | None:
    body = text.strip()
    fence = _FENCE.fullmatch(body)
    if fence:
        inside = fence.group(1).strip()
        return Answer(inside, "last") if inside and "\n" not in inside else None
    for _ in range(MOST_REMARKS):
        before, _, line = body.rpartition("\n")
        if not _REMARK.search(line) or _LAST.search(line) or not before:
            break
        body = before.rstrip()
    line = body.rpartition("\n")[2]
    if _REFUSED.search(line):
        return None
    found = last_expression(body)
    if found and _HEDGE.search(line):
        return Answer(found, "last", "the response does not decide", True)
    return Answer(found, "last") if found else None


def last_expression(text: str) -> str | None:
    """The last number or LaTeX expression of the last line (or of the display block that ends it), with
    those that "and", "or" or a comma join to it."""
    body = text.rstrip()
    line_start = body.rfind("\n") + 1
    ended = body.rstrip(". ")
    if ended.endswith(("$$", "\\]")):
        opening = "$$" if ended.endswith("$$") else "\\["
        line_start = max(0, min(line_start, body.rfind(opening, 0, len(ended) - 2)))
    line = body[line_start:][-LONGEST_PHRASE * 4 :]
    found = deque(_LAST.finditer(line), maxlen=20)
    if not found:
        return None
    run = [found.pop()]
    while found and _BETWEEN.fullmatch(line[found[-1].end() : run[0].start()]):
        run.insert(0, found.pop())
    return ", ".join(inside for each in run if (inside := _inside(each))) or None


def _last(pattern: re.Pattern[str], text: str) -> re.Match[str] | None:
    matches = deque(pattern.finditer(text), maxlen=1)
    return matches[0] if matches else None


def _inside(found: re.Match[str]) -> str | None:
    content = next((group for group in found.groups() if group is not None), "")
    return content.strip() or None
