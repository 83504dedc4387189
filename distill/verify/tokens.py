r"""The words of a formula: LaTeX, plain text and Unicode brought to one small alphabet.

    [token.text for token in tokens(r"1{,}234\,\text{cm} \leqslant x")]     # "1234", "cm", "≤", "x"

Dress goes (sizes, colours, fonts, thin spaces), digit groups become one number, and what means the same
is written the same. Every pattern is linear; the text is bounded by the caller.
"""

import re
from fractions import Fraction
from typing import Any, NamedTuple

from distill.verify.units import is_unit


class Token(NamedTuple):
    """``spaced``: a space stood before it; ``value``: of a number, with the place of its last decimal."""

    kind: str
    text: str
    spaced: bool
    value: tuple[Any, ...] = ()


_GREEK = (
    "alpha beta gamma delta epsilon varepsilon zeta eta theta vartheta iota kappa lambda mu nu xi rho sigma "
    "tau upsilon phi varphi chi psi omega Gamma Delta Theta Lambda Xi Sigma Phi Psi Omega ell hbar"
).split()
_MARKS = {
    "le": "≤", "leq": "≤", "leqslant": "≤", "leqq": "≤", "ge": "≥", "geq": "≥", "geqslant": "≥", "geqq": "≥",
    "lt": "<", "gt": ">", "ne": "≠", "neq": "≠", "approx": "≈", "in": "∈", "cup": "∪", "cap": "∩",
    "setminus": "∖", "backslash": "∖", "cdot": "*", "times": "*", "div": "/", "ast": "*", "pm": "±",
    "mp": "∓",
    "colon": ":", "lor": "or", "vee": "or", "land": "and", "wedge": "and", "lfloor": "⌊", "rfloor": "⌋",
    "lceil": "⌈", "rceil": "⌉", "langle": "⟨", "rangle": "⟩", "lvert": "|", "rvert": "|", "vert": "|",
    "mid": "|", "lbrace": "\\{", "rbrace": "\\}", "lbrack": "[", "rbrack": "]", "bigcup": "∪", "prime": "'",
}  # fmt: skip
_CONSTANTS = {"pi": "pi", "infty": "inf", "emptyset": "empty", "varnothing": "empty"}
_PASSED = {
    "mathbf",
    "boldsymbol",
    "bm",
    "mathit",
    "mathsf",
    "boxed",
    "fbox",
    "vec",
    "hat",
    "ensuremath",
}
_FUNCTIONS = {
    "sin", "cos", "tan", "cot", "sec", "csc", "sinh", "cosh", "tanh", "arcsin", "arccos", "arctan",
    "ln", "log", "lg", "exp", "det", "gcd", "lcm", "max", "min",
}  # fmt: skip
_WORDS = {
    "sqrt": ("sqrt", "sqrt"), "pi": ("const", "pi"), "inf": ("const", "inf"), "infinity": ("const", "inf"),
    "and": ("op", "and"), "or": ("op", "or"), "asin": ("fn", "arcsin"), "acos": ("fn", "arccos"),
    "atan": ("fn", "arctan"), "abs": ("fn", "abs"), "floor": ("fn", "floor"), "ceil": ("fn", "ceil"),
    "或": ("op", "or"), "和": ("op", "and"), "与": ("op", "and"), "且": ("op", "and"), "及": ("op", "and"),
    "或者": ("op", "or"), "以及": ("op", "and"),
    **{name: ("fn", name) for name in _FUNCTIONS},
}  # fmt: skip
_BASES = [
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
]
_MATRICES = {"matrix", "pmatrix", "bmatrix", "Bmatrix", "vmatrix", "array", "smallmatrix"}

_FULL_WIDTH: dict[str, str] = {chr(code): chr(code - 0xFEE0) for code in range(0xFF01, 0xFF5F)}
_CHARACTERS = str.maketrans(_FULL_WIDTH | {
    "−": "-", "–": "-", "—": "-", "﹣": "-", "×": "*", "·": "*", "⋅": "*", "∙": "*", "÷": "/", "⁄": "/",
    "π": "\\pi ", "∞": "\\infty ", "≤": "\\le ", "≥": "\\ge ", "⩽": "\\le ", "⩾": "\\ge ", "≠": "\\ne ",
    "≈": "\\approx ", "∪": "\\cup ", "∩": "\\cap ", "∈": "\\in ", "∅": "\\emptyset ", "ℝ": "\\mathbb{R}",
    "′": "'", "’": "'", "″": "''", "、": ",", "。": " ", "\u3000": " ", "\xa0": " ", "\u202f": " ",
    "\u2009": " ", "θ": "\\theta ", "α": "\\alpha ", "β": "\\beta ", "λ": "\\lambda ", "ω": "\\omega ",
    "∖": "\\setminus ", "½": "\\frac{1}{2}", "¼": "\\frac{1}{4}", "¾": "\\frac{3}{4}", "⅓": "\\frac{1}{3}",
    "⅔": "\\frac{2}{3}", "∠": "\\angle ", "△": "\\triangle ", "℃": "°C",
    "√": "\\sqrt ", "℉": "°F", "±": "\\pm ", "￥": "¥", "∓": "\\mp ", "ⅈ": "i",
})  # fmt: skip
_RAISED = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺ⁿ", "0123456789-+n")
_LOWERED = str.maketrans("₀₁₂₃₄₅₆₇₈₉", "0123456789")
_TEXTS = r"\\(?:text|textbf|textrm|textit|texttt|textsf|textnormal|mbox|mathrm|operatorname\*?|rm)"
_PERCENT = r"(?:percent|per\s?cent|pct)\.?(?![A-Za-z])"
_DOUBLED = "(?:left|right|[dtc]?frac|sqrt|pi|cdot|times|leq?|geq?|infty|text|circ|boxed)"
_BASE = r"(?:base\s*)?\w{1,6}"
_CURRENCIES = {"＄": "dollars", "£": "pounds sterling", "€": "euros", "¥": "yuan", "$": "dollars"}
_UNITS = r"(?:degrees?|deg)(?![A-Za-z])"

_GROUPED = re.compile(r"(?<![\d.])[1-9]\d{0,2}(?:(?:\{,\}|,?\\! ?|\\[, ]|,\\! | )\d{3})+(?!\d)")
_COMMAS = re.compile(r"(?<![\d,.])[1-9]\d{0,2}(?:,\d{3})+(?!,?\d)")
_NOT_DIGITS = re.compile(r"[^\d]")
_DRESS = [(re.compile(pattern), plain) for pattern, plain in (
    (r"[⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺ⁿ]+", lambda m: "^{" + m.group().translate(_RAISED) + "}"),
    (r"[₀-₉]+", lambda m: "_{" + m.group().translate(_LOWERED) + "}"),
    (rf"(?<!\\)\\\\(?={_DOUBLED}(?![a-z]))", r"\\"),
    (r"\\[dtc]frac(?![A-Za-z])", r"\\frac"),
    (r"\\[dt]binom(?![A-Za-z])", r"\\binom"),
    (r"\\(?:left|right)\s*\.", ""),
    (r"\\(?:left|right|[bB]igg?[lrm]?|(?:display|text)style|(?:no)?limits|middle)(?![A-Za-z])", " "),
    (r"\\(?:text)?color\s*\{[^{}]*\}|\\hspace\*?\s*\{[^{}]*\}|\\(?:tag|label)\s*\{[^{}]*\}", " "),
    (r"(\d{0,9}\.\d{0,9}?)(\d{1,6}?)\2{2,9}\s*(?:\.{3}|…|\\[lc]?dots(?![a-z]))", r"\1\\overline{\2}"),
    (r"\^\s*(?:\{\s*\\circ\s*\}|\\circ(?![A-Za-z]))|\\degree(?![A-Za-z])|\\textdegree", "°"),
    (r"\\(?:text|mathrm)\s*\{\s*°\s*\}", "°"),
    (rf"{_TEXTS}\s*\{{\s*{_UNITS}\s*\}}|(?<=\d)\s*{_UNITS}", "°"),
    (rf"\s*\\?%|\s*{_TEXTS}\s*\{{\s*{_PERCENT}\s*\}}|\s*(?<![A-Za-z]){_PERCENT}", "%"),
    (rf"(?<=\d)\s*\^\s*\{{?\s*{_TEXTS}\s*\{{\s*(?:st|nd|rd|th)\s*\}}\s*\}}?", ""),
    (r"\^\s*\{\s*\\prime\s*\}|\^\s*\\prime(?![A-Za-z])", "'"),
    (r"(?<=\d)\s*[xX]\s*(?=10\s*\^)", "*"),
    (r"\\sqrt\s+(\d+)", r"\\sqrt{\1}"),
    (r"\\\$", "＄"),
    (rf"{_TEXTS}\s*\{{\s*([£€¥＄])\s*\}}", r"\1"),
    (r"(?<!\\)\\[()\[\] ,;:!]|\\(?:quad|qquad|thinspace)(?![A-Za-z])|~", " "),
)]  # fmt: skip
_LEADING = re.compile(rf"^\s*{_TEXTS}\s*\{{[^{{}}]*(?:\bis|\bare|是|为|[:=：])\s*\}}")
_TOKEN = re.compile(
    rf"""(?P<space>\s+)
    |(?P<repeating>\d*\.\d*\\(?:overline|bar|dot)\s*\{{\d{{1,40}}\}})
    |(?P<based>\(?(?=[A-Z]{{0,40}}\d)[0-9A-Z]{{1,300}}\)?_(?:\{{\s*{_TEXTS}\s*\{{\s*{_BASE}\s*\}}\s*\}}|\{{\s*{_BASE}\s*\}}|\d))
    |(?P<science>(?:\d+(?:\.\d+)?|\.\d+)[eE][+-]?\d{{1,6}}(?![A-Za-z0-9.]))
    |(?P<num>\d+\.\d+|\d+|\.\d+)
    |(?P<text>{_TEXTS}\s*\{{[^{{}}]*\}})
    |(?P<begin>\\begin\s*\{{\w+\*?\}}(?:\s*\{{[^{{}}]*\}})?)
    |(?P<end>\\end\s*\{{\w+\*?\}})
    |(?P<label>\\(?:angle|triangle|overline|overrightarrow|widehat|measuredangle|odot)\s*\{{?\s*[A-Za-z]{{1,5}}\s*\}}?)
    |(?P<reals>\\(?:mathbb|mathbf|Bbb)\s*\{{?\s*R\s*\}}?|\\R(?![A-Za-z]))
    |(?P<command>\\[A-Za-z]+)
    |(?P<escaped>\\[{{}}|\\])
    |(?P<word>[A-Za-z]+)
    |(?P<chinese>[\u4e00-\u9fff]+)
    |(?P<relation><=|>=|!=|==|\*\*)
    |(?P<primes>'+)
    |(?P<other>.)""",
    re.VERBOSE | re.DOTALL,
)
_DIGITS = re.compile(r"\d+(?:\.\d+)?|\.\d+")
_BASED = re.compile(rf"\(?([0-9A-Z]+)\)?_\{{?\s*(?:{_TEXTS}\s*\{{)?\s*(?:base)?\s*(\w+)")
_INDEX = re.compile(
    rf"\s*_\s*(?:\{{((?:[^{{}}]|{_TEXTS}\s*\{{[^{{}}]*\}}){{1,40}})\}}|([A-Za-z0-9]|\\[a-z]+))"
)


def plain(text: str) -> str:
    """A formula without its dress, digit groups joined."""
    text = text.strip().translate(_CHARACTERS).strip()
    text = _LEADING.sub("", text)
    text = _GROUPED.sub(lambda found: _NOT_DIGITS.sub("", found.group()), text)
    text = _COMMAS.sub(lambda found: _joined(text, found), text)
    for pattern, replacement in _DRESS:
        text = pattern.sub(replacement, text)
    if text.count("$") % 2:
        text = re.sub(r"\$(?=\s*[\d.])", "＄", text, count=1)
    return text.replace("$", " ").strip().rstrip(".\\").strip()


def _joined(text: str, found: re.Match[str]) -> str:
    """Digits of a number with commas; in brackets it is a list and stays."""
    before = text[: found.start()]
    opened = sum(before.count(mark) for mark in ("(", "[", "\\{"))
    closed = sum(before.count(mark) for mark in (")", "]", "\\}"))
    return found.group() if opened > closed else found.group().replace(",", "")


def tokens(text: str) -> list[Token]:
    """The tokens of an answer."""
    text = plain(text)
    stream: list[Token] = []
    euler = "\\frac" in text or "e^" in text  # then 2e-1 is no scientific notation
    at, spaced, currency = 0, False, ""
    while at < len(text):
        found = _TOKEN.match(text, at)
        assert found is not None and found.lastgroup is not None
        if euler and found.lastgroup == "science":
            found = _DIGITS.match(text, at)
            assert found is not None
            at = found.end()
            stream.append(Token("num", found.group(), spaced, _number(found.group())))
            spaced = False
            continue
        at = found.end()
        if found.lastgroup == "space":
            spaced = True
            continue
        if found.group() in _CURRENCIES:
            currency = _CURRENCIES[found.group()]
            if stream and stream[-1].kind == "num":
                stream.append(Token("text", currency, spaced))
                currency = ""
            continue
        kind = str(found.lastgroup)
        made = _make(kind, found.group(), stream)
        if made and made[0].kind == "name":
            index = _INDEX.match(text, at)
            if index:
                at = index.end()
                made[-1] = Token("name", made[-1].text + "_" + _index(index), False)
        if made:
            made[0] = made[0]._replace(spaced=spaced)
        stream += made
        spaced = False
        if currency:
            stream += [Token("text", currency, False)] * bool(made and made[0].kind == "num")
            currency = ""
    return stream


def _index(found: re.Match[str]) -> str:
    return re.sub(r"[^A-Za-z0-9]", "", re.sub(_TEXTS, "", found.group(1) or found.group(2)))


def _make(kind: str, text: str, before: list[Token]) -> list[Token]:
    if kind in ("num", "science"):
        return [Token("num", text, False, _number(text))]
    if kind == "repeating":
        return [Token("num", text, False, (_repeating(text), None))]
    if kind == "based":
        return _based(text, before)
    if kind == "text":
        return _words(text[text.index("{") + 1 : -1], text, before)
    if kind in ("begin", "end"):
        name = text[text.index("{") + 1 : text.index("}")].rstrip("*")
        if name not in _MATRICES:
            return [Token("unknown", text, False)]
        return [Token("matrix" if kind == "begin" else "end-matrix", name, False)]
    if kind == "label":
        return _label(text)
    if kind == "reals":
        return [Token("const", "reals", False)]
    if kind == "command":
        return _command(text[1:])
    if kind == "word":
        return _letters(text, before)
    if kind == "chinese":
        return [_known(text) or Token("text", text, False)]
    if kind == "escaped":
        return [Token("op", "|" if text == "\\|" else text, False)]
    marks = {"<=": "≤", ">=": "≥", "!=": "≠", "==": "=", "**": "^"}
    return [Token("op", marks.get(text, text), False)]


def _number(text: str) -> tuple[Fraction, Fraction | None]:
    """The value and, of a decimal, the place of its last digit."""
    mantissa, _, exponent = text.lower().partition("e")
    shift = int(exponent or 0)
    if abs(shift) > 400:
        return Fraction(0), Fraction(-1)  # refused where it is used: it fits no ordinary number
    scale = Fraction(10**shift) if shift >= 0 else Fraction(1, 10**-shift)
    decimals = len(mantissa.partition(".")[2])
    unit = scale / 10**decimals if "." in mantissa else None
    return Fraction(mantissa if mantissa[0] != "." else "0" + mantissa) * scale, unit


def _repeating(text: str) -> Fraction:
    lead, _, again = text.partition("\\")
    whole, _, fixed = lead.partition(".")
    again = _NOT_DIGITS.sub("", again)
    start = int((whole + fixed) or "0")
    period = Fraction(int(again), 10 ** len(again) - 1)
    return (start + period) / Fraction(10 ** len(fixed))


def _based(text: str, before: list[Token]) -> list[Token]:
    found = _BASED.match(text)
    assert found is not None
    digits, word = found.groups()
    base = int(word) if word.isdigit() else _BASES.index(word) + 2 if word in _BASES else 0
    if 2 <= base <= 36 and all(int(digit, 36) < base for digit in digits):
        return [Token("based", text, False, (digits, base))]
    if len(digits) == 1 or not digits.isdigit():
        return [Token("unknown", text, False)]
    return [Token("unknown", text, False)]


def _words(content: str, text: str, before: list[Token]) -> list[Token]:
    """A ``\\text{}``: a connective, a constant, a number, or words."""
    content = content.strip(" ,.")
    known = _known(content.casefold())
    if known and not (before and before[-1].kind == "num" and is_unit(content)):
        return [known]
    if text.startswith(("\\mathrm", "\\operatorname", "\\rm")):
        if content in ("e", "i"):
            return [Token("const", content, False)]
        if content == "d":
            return [Token("name", "d", False)]
    if content.isdigit():
        return [Token("num", content, False, (Fraction(int(content)), None))]
    first, _, connective = content.rpartition(" ")
    if connective in ("and", "or") and first:
        return [Token("text", first.rstrip(" ,"), False), Token("op", connective, False)]
    return [Token("text", content, False)] if content else []


def _known(word: str) -> Token | None:
    kind, text = _WORDS.get(word, ("", ""))
    return Token(kind, text, False) if kind else None


def _label(text: str) -> list[Token]:
    name, _, rest = text[1:].partition("{")
    letters = re.sub(r"[^A-Za-z]", "", rest) or re.sub(r"^[a-z]+\s*", "", name)
    command = re.match(r"[a-z]+", text[1:])
    return [Token("label", text, False, ((command.group() if command else "") + letters,))]


def _command(name: str) -> list[Token]:
    if name in _MARKS:
        return [Token("op", _MARKS[name], False)]
    if name in _CONSTANTS:
        return [Token("const", _CONSTANTS[name], False)]
    if name in _GREEK:
        return [Token("name", name, False)]
    if name in _FUNCTIONS:
        return [Token("fn", name, False)]
    if name in ("frac", "sqrt", "binom"):
        return [Token(name, name, False)]
    return [] if name in _PASSED else [Token("unknown", name, False)]


def _letters(word: str, before: list[Token]) -> list[Token]:
    """A plain word: a function, a unit behind a number, a product of letters, or text."""
    known = _known(word) or _known(word.lower() if len(word) > 1 else word)
    if known:
        return [known]
    after_number = bool(before) and before[-1].kind == "num"
    unit_before = bool(before) and before[-1].kind == "text"
    if len(word) > 3 or ((after_number or unit_before) and len(word) > 1 and is_unit(word)):
        return [Token("text", word, False)]
    if unit_before or (before and before[-1].text == "°" and word in ("C", "F")):
        return [Token("text", word, False)]
    made = []
    for letter in word:
        constant = letter in ("e", "i")
        made.append(Token("const" if constant else "name", letter, False))
    return made
