"""The labelled pairs are well formed, reproducible, balanced, and right where plain arithmetic can tell.

    pairs.jsonl: {"id": "fractions/06", "gold": "\\frac{1}{2}", "response": "\\boxed{\\frac{2}{4}}", ...}

No checker is asked here: how the checkers fare on the pairs is another matter.
"""

import importlib
import json
import os
import re
import subprocess
import sys
from collections import Counter
from fractions import Fraction
from pathlib import Path

import msgspec
import pytest

ROOT = Path(__file__).parent.parent.parent
PAIRS = Path(__file__).parent / "pairs.jsonl"
LINES = PAIRS.read_text(encoding="utf-8").splitlines()


class Pair(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    id: str
    kind: str
    family: str
    gold: str
    response: str
    choices: list[str] | None = None
    expected: str
    adversarial: bool
    note: str


ROWS = [msgspec.json.decode(line, type=Pair) for line in LINES]
FAMILIES = sorted({row.family for row in ROWS})


def made(row: Pair) -> bool:
    return int(row.id.rpartition("/")[2]) >= 101


def test_every_row_keeps_the_schema() -> None:
    for row in ROWS:
        assert re.fullmatch(rf"{row.family}/\d\d\d?", row.id), row.id
        assert row.kind in ("math", "choice"), row.id
        assert row.expected in ("equal", "unequal", "no_answer"), row.id
        assert (row.kind == "choice") == (row.choices is not None), row.id
        assert row.gold and row.note, row.id
        assert not (row.adversarial and row.expected == "equal"), row.id


def test_ids_and_pairs_are_unique() -> None:
    assert len({row.id for row in ROWS}) == len(ROWS)
    assert len({(row.kind, row.gold, row.response, str(row.choices)) for row in ROWS}) == len(ROWS)


def test_each_line_is_written_in_the_one_form() -> None:
    for line in LINES:
        assert json.dumps(json.loads(line), ensure_ascii=False) == line


def test_choice_golds_are_letters_of_the_options() -> None:
    for row in ROWS:
        if row.choices is not None:
            assert set(row.gold) <= set("ABCDEFGHIJ"[: len(row.choices)]), row.id
            assert len(set(row.choices)) == len(row.choices), row.id


@pytest.mark.parametrize("family", FAMILIES)
def test_each_family_is_large_and_goes_both_ways(family: str) -> None:
    rows = [row for row in ROWS if row.family == family]
    expected = Counter(row.expected == "equal" for row in rows)
    assert len(rows) >= 30
    assert sum(not made(row) for row in rows) >= 12
    assert sum(made(row) for row in rows) >= 12
    assert min(expected[True], expected[False]) >= 10


def test_the_whole_is_balanced() -> None:
    refused = sum(row.expected != "equal" for row in ROWS)
    chinese = sum(bool(re.search("[一-鿿]", row.response)) for row in ROWS)
    assert len(FAMILIES) >= 28 and len(ROWS) >= 1400
    assert 0.45 <= refused / len(ROWS) <= 0.55
    assert sum(row.adversarial for row in ROWS if not made(row)) >= 300
    assert sum(row.expected == "no_answer" for row in ROWS) >= 30
    assert 0.4 <= sum(made(row) for row in ROWS) / len(ROWS) <= 0.6
    assert chinese >= 200


def test_the_script_writes_the_made_half_byte_for_byte(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    script = importlib.import_module("make_pairs")
    assert [line for line in LINES if script.is_made(line)] == script.made()


def test_the_script_does_not_depend_on_the_hash_seed() -> None:
    command = [sys.executable, str(ROOT / "scripts" / "make_pairs.py"), "--check"]
    for seed in ("1", "2"):
        done = subprocess.run(
            command, env=os.environ | {"PYTHONHASHSEED": seed}, capture_output=True
        )
        assert done.returncode == 0, done.stderr


def inner(response: str) -> str:
    """The content of the last box, else of the last dollars or round marks; small, and only for here."""
    start = response.rfind("\\boxed{")
    if start < 0:
        spans = re.findall(r"\$([^$]+)\$|\\\((.+?)\\\)", response)
        return spans[-1][0] or spans[-1][1] if spans else response
    depth = 0
    for end in range(start + 6, len(response)):
        depth += {"{": 1, "}": -1}.get(response[end], 0)
        if depth == 0:
            return response[start + 7 : end]
    return ""


NUMBER = r"\d+(?:\.\d+)?|\.\d+"
POWER = rf"({NUMBER}) ?\\(?:times|cdot) ?10\^\{{?(-?\d+)\}}?"
PLAIN = [
    (rf"({NUMBER})", lambda a: Fraction(a)),
    (r"\\[dt]?frac\{(-?\d+)\}\{(-?\d+)\}", lambda a, b: Fraction(int(a), int(b))),
    (r"(\d+)/(\d+)", lambda a, b: Fraction(int(a), int(b))),
    (r"(\d+)\\[dt]?frac\{(\d+)\}\{(\d+)\}", lambda w, a, b: int(w) + Fraction(int(a), int(b))),
    (r"(\d+)\^\{?(\d+)\}?", lambda a, b: Fraction(int(a) ** int(b))),
    (POWER, lambda a, b: Fraction(a) * Fraction(10) ** int(b)),
]  # fmt: skip


def plain(text: str) -> Fraction | None:
    """The value of a plainly written number, or None."""
    text = re.sub(r"(\d),(?=\d{3}(?:\D|$))", r"\1", text.strip().strip("$"))
    text = re.sub(r"(\d)(?:\{,\}|\\,|,\\!|\\ | )(?=\d{3}(?:\D|$))", r"\1", text)
    size = 100 if text.endswith("%") else 1
    text = text.removesuffix("%").removesuffix("\\")
    sign = -1 if text.startswith("-") else 1
    for pattern, value in PLAIN:
        if found := re.fullmatch(pattern, text.removeprefix("-")):
            return sign * value(*found.groups()) / size
    return None


def disagrees(row: Pair) -> bool | None:
    """Whether exact arithmetic contradicts the label; None where it cannot tell."""
    answer = inner(row.response)
    gold, told = plain(row.gold), plain(answer)
    if gold is None or told is None or row.expected == "no_answer":
        return None
    same = gold == told
    if ("%" in row.gold) != ("%" in answer):  # the sign may be left out or added
        same = told in (gold, gold * 100, gold / 100)
    if "." in row.gold and "frac" in answer:  # a rounded gold stands for what rounds to it
        places = len(row.gold.strip("$").partition(".")[2])
        same = same or (places > 2 and abs(gold - told) * 10**places < Fraction(1, 2))
    return same != (row.expected == "equal")


PLAIN_FAMILIES = (
    "integers",
    "separators",
    "decimals",
    "fractions",
    "percentages",
    "scientific",
    "powers",
)


def test_exact_arithmetic_confirms_the_labels_of_plain_numbers() -> None:
    judged = {row.id: disagrees(row) for row in ROWS if row.family in PLAIN_FAMILIES}
    assert [name for name, wrong in judged.items() if wrong] == []
    assert sum(wrong is not None for wrong in judged.values()) >= 250


def test_a_flipped_label_is_noticed() -> None:
    flip = {"equal": "unequal", "unequal": "equal"}
    for row in ROWS:
        if row.family == "fractions" and disagrees(row) is False:
            assert disagrees(msgspec.structs.replace(row, expected=flip[row.expected]))


@pytest.mark.parametrize("family", ["polynomials", "complex"])
def test_expansion_confirms_the_labels_of_made_products(family: str) -> None:
    from sympy import I, expand
    from sympy.parsing.sympy_parser import (
        implicit_multiplication,
        parse_expr,
        standard_transformations,
    )

    rules = (*standard_transformations, implicit_multiplication)
    for row in ROWS:
        if row.family == family and made(row):
            gold, told = (
                parse_expr(text.strip("$").replace("^", "**"), {"i": I}, rules)
                for text in (row.gold, inner(row.response))
            )
            assert (expand(gold - told) == 0) == (row.expected == "equal"), row.id
