r"""The letter of an option in its usual dresses.

    letter_of(r"\textbf{(B)}\ 7")       # "B"
    letter_of("option C, because ...")  # "C"
    letter_of("a circle")               # None: an article is no choice

It knows no options: whether the text behind a letter is that option's is for `distill.verify.choice`.
"""

import re
from functools import lru_cache

LONGEST = 500  # characters of an answer that can name an option

_DRESS = re.compile(
    r"\\(?:text|textbf|textrm|textit|mathrm|mathbf|mathsf|mbox|boxed|fbox)\s*\{([^{}]*)\}"
)
_SPACE = re.compile(r"\\[ ,;:!]|\\q?quad(?![A-Za-z])|~")
_NAMED = re.compile(
    r"(?:the\s+)?(?:correct\s+)?(?:options?|choices?|letters?|answers?|选项|选)\s*(?:is|are|[:：])?\s*"
    r"(?=\W*[A-Za-z]\b|\W*[A-Z])",
    re.IGNORECASE,
)
_ALONE = re.compile(r"\(?\s*([A-Za-z])\s*[).．、]?\s*(?:项)?")
_BEFORE_TEXT = re.compile(
    r"(?:\(([A-Za-z])\)|([A-Z])(?:[.:)、．：,;]|(?=\s*[（(])|(?=[\u4e00-\u9fff])))\s*(.*)",
    re.DOTALL,
)
_BEFORE_WORD = re.compile(r"([B-HJ-Z])\s+(?![=+\-*/])(.*)", re.DOTALL)  # A and I are words
_LONE = re.compile(r"(?<![\w\\(])[A-Z](?![\w(])")


def plain(text: str) -> str:
    """An answer without LaTeX text commands, emphasis and a leading 'option'."""
    for _ in range(3):
        text = _DRESS.sub(r"\1", text)
    text = _SPACE.sub(" ", text).replace("（", "(").replace("）", ")")
    text = text.replace("$", "").strip().strip("*_`").strip()
    text = text.strip("。．").strip() if len(text) < 20 else text
    named = _NAMED.match(text)
    return text[named.end() :].strip() if named else text


def alone(text: str) -> str | None:
    """The letter, in capitals, of a plain text that is nothing else."""
    found = _ALONE.fullmatch(text)
    return found.group(1).upper() if found else None


def before_text(text: str) -> tuple[str, str] | None:
    """A letter with what stands behind it, in a plain text: its option's text, or a reason."""
    matched = _BEFORE_TEXT.fullmatch(text) or _BEFORE_WORD.fullmatch(text)
    if matched is None:
        return None
    *found, rest = matched.groups()
    return next(letter for letter in found if letter).upper(), rest


@lru_cache(maxsize=4096)
def letter_of(text: str) -> str | None:
    """The one option that an answer names by its letter, whatever else it says."""
    said = plain(text[:LONGEST])
    letter = alone(said)
    if letter:
        return letter
    found = before_text(said)
    if found:
        return found[0]
    clause = re.split(r"[,;，；]|\.\s", said, maxsplit=1)[0]
    named = set(_LONE.findall(clause)) - {"A", "I"} if len(clause.split()) > 1 else set()
    return named.pop() if len(named) == 1 and not re.search(r"[\\=+^\d]", clause) else None


def is_letter(text: str) -> bool:
    """Whether an answer is the letter of an option: a capital, in any dress."""
    letter = alone(plain(text[:40]))
    return letter is not None and letter <= "J" and letter in text
