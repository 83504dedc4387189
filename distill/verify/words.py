r"""Answers in words: yes and no, names, numbers written out, ordinals.

    same_words("Thursday", r"\text{thursday}")      # True
    same_words("7", r"\text{seven}")                # True: a number word is its number
    same_words("even", "odd")                       # False
    same_words("x+1", "1+x")                        # None: no words

Case, fonts, an article and a final point do not count. Nothing here knows synonyms.
"""

import re
from functools import lru_cache
from typing import NamedTuple

_COMMAND = re.compile(
    r"\\(?:text|textbf|textit|textrm|texttt|textsf|mbox|mathrm|mathbf|mathit|mathsf|boldsymbol|operatorname"
    r"|boxed|fbox|emph|underline)\s*(?=\{)"
)
_DRESS = re.compile(r"[{}$*_`\"“”‘’]|\\[ ,;:!()\[\]]|\\(?:quad|displaystyle)(?![a-z])|~")
_SIZES = re.compile(r"\\(?:left|right)\s*\.|\\displaystyle(?![A-Za-z])|\\[()\[\] ,;:!]")
_ARTICLE = re.compile(r"(?:a|an|the)\s+(?=\w)")
_END = re.compile(r"[\s.,;?。！，]+$|(?<=[a-z])!$")
_ORDINAL = re.compile(r"(\d+)\s*\^?\s*(?:st|nd|rd|th)")
_WORDS = re.compile(r"(?=.*[^\W\d_]{2})[^\W_][\w\s,'’.:&/()-]*")
_POINTS = re.compile(r"(?<=\b[a-z])\.(?=[a-z]\b)")  # p.m., U.S.A.
_FORMULA = re.compile(r"[\\^=<>+|]|\d\s*[*/]|[*/]\s*\d")
_DIGITS = re.compile(r"\d{1,300}", re.ASCII)
_UNITS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
    "seventeen eighteen nineteen"
).split()
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()
_ORDINALS = "zeroth first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth".split()
_SCALES = {"hundred": 100, "thousand": 1_000, "million": 1_000_000, "billion": 1_000_000_000}
_CHINESE = {digit: value for value, digit in enumerate("零一二三四五六七八九十")} | {"两": 2}
# One thing said in two ways, each way of one word or so.
_ALIKE = [
    {"yes", "是", "是的"}, {"no", "否", "不是"}, {"true", "正确", "对", "√"}, {"false", "错误", "错", "×"},
    {"none", "no solution", "no solutions", "there is no solution", "there are no solutions", "无解"},
    {"does not exist", "dne", "undefined", "不存在"},
    *({english, chinese, f"周{chinese[-1]}"} for english, chinese in zip(
        "monday tuesday wednesday thursday friday saturday sunday".split(),
        "星期一 星期二 星期三 星期四 星期五 星期六 星期日".split(), strict=True)),
]  # fmt: skip


EMPTY = _ALIKE[4]  # how words say that a set is empty


class Words(NamedTuple):
    """A text without its dress; ``number``: the number that it names; ``ordinal``: third."""

    text: str
    number: int | None
    ordinal: int | None
    formula: bool


@lru_cache(maxsize=8192)
def words(text: str) -> Words:
    """A text as words. ``formula``: it may be mathematics, and words alone cannot tell."""
    plain = _DRESS.sub("", _SIZES.sub("", _COMMAND.sub("", text))).casefold()
    plain = _END.sub("", " ".join(plain.split())).replace("^", "")
    plain = _POINTS.sub("", plain)
    plain = _ARTICLE.sub("", plain, count=1) if _ARTICLE.match(plain) else plain
    ordinal = _ORDINAL.fullmatch(plain)
    rank = int(ordinal.group(1)[:9]) if ordinal else None
    if plain in _ORDINALS:
        rank = _ORDINALS.index(plain)
    shown = _SIZES.sub("", _COMMAND.sub("", text)).replace("^", "", 1 if ordinal else 0)
    formula = bool(_FORMULA.search(shown))
    bare = text.strip("$ \n.")
    number = int(bare) if _DIGITS.fullmatch(bare) else _number(plain)
    formula = formula or (not _WORDS.fullmatch(plain) and rank is None and number is None)
    return Words(plain, number, rank, formula)


def _number(plain: str) -> int | None:
    """A number in words."""
    if plain in _CHINESE:
        return _CHINESE[plain]
    total = part = 0
    seen = False
    for word in plain.replace("-", " ").split():
        if word in _UNITS:
            part += _UNITS.index(word)
        elif word in _TENS:
            part += 10 * _TENS.index(word) + 20
        elif word == "hundred":
            part = (part or 1) * 100
        elif word in _SCALES:
            total, part = total + (part or 1) * _SCALES[word], 0
        elif word != "and" or not seen:
            return None
        seen = True
    return total + part if seen else None


def same_words(gold: str, answer: str) -> bool | None:
    """Whether two texts say the same, or None where one of them is mathematics."""
    ours, theirs = words(gold), words(answer)
    if not ours.text or not theirs.text:
        return None
    if ours.text == theirs.text and not (ours.formula or theirs.formula):
        return True
    if ours.ordinal is not None or theirs.ordinal is not None:
        if ours.formula or theirs.formula:
            return None
        ranks = [said.number if said.ordinal is None else said.ordinal for said in (ours, theirs)]
        return ranks[0] == ranks[1]
    if ours.number is not None and theirs.number is not None:
        return ours.number == theirs.number
    if ours.formula or theirs.formula:
        return None
    if any(ours.text in alike and theirs.text in alike for alike in _ALIKE):
        return True
    if is_wordy(ours) and is_wordy(theirs):
        return _reasoned(ours.text, theirs.text)
    return None


def is_wordy(said: Words) -> bool:
    """Words, and no number, unit or product of letters."""
    letters = sum(character.isalpha() for character in said.text)
    digits = any(character.isdigit() for character in said.text)
    short = said.text.isascii() and letters < 3 and said.text != "no"
    return not said.formula and said.number is None and not digits and not short


def _reasoned(gold: str, answer: str) -> bool:
    """ "Yes, because ..." says yes."""
    if len(answer) <= len(gold) or not answer.startswith(gold):
        return False
    rest = answer[len(gold) :].lstrip()
    return rest[:1] in ",;:，；：(（" or re.match(r"(?:because|since|as)\b", rest) is not None
