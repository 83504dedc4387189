"""Write the made half of tests/verify/pairs.jsonl; the other half was written by hand and stays as it is.

    python scripts/make_pairs.py            # rewrites the made rows in place
    python scripts/make_pairs.py --check    # exit 1 if the file's made rows differ

Each family draws values, writes one in two forms (equal) and spoils the other (near miss). The label is
the comparison of the values themselves, as integers, fractions or tuples of them: no checker is asked.
Made rows have numbers from 101 in their id, hand-written ones below. The forms are those that occur in
public answer sets: grouped digits, TeX and slash fractions, mixed numbers, percent, powers of ten, units,
degrees, money, radicals, towers, multiples of pi, pairs, sets, intervals, lines, roots of quadratics,
matrices, products, logarithms, complex numbers, digits in a base, words, option letters, and the places
in a reply where an answer may stand.
"""

import argparse
import json
import random
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from pair_forms import FORMS, Case

PAIRS = Path(__file__).parent.parent / "tests" / "verify" / "pairs.jsonl"
FIRST_MADE = 101
WHOLE = {"choice", "places", "currency", "text"}  # their cases hold the whole response


# Where the answer stands; @ is the answer.
DRESSES = [
    "\\boxed{@}",
    "Adding the cases gives $\\boxed{@}$.",
    "<think>Perhaps \\boxed{1000}? No, a case is missing.</think>\n\nHence\n\\[\\boxed{@}\\]",
    "**Answer:** $@$",
    "The answer is $@$.",
    "所以答案是 $@$。",
    "综上，结果为 $\\boxed{@}$。",
    "<answer>$@$</answer>",
    "After simplifying, the final answer is: \\(@\\)",
]


def text(rng: random.Random) -> Iterator[Case]:
    words = [("Monday", "Sunday"), ("June", "July"), ("red", "read"), ("Emma", "Emily")]
    for right, wrong in words + [
        ("increasing", "decreasing"),
        ("odd", "even"),
        ("星期一", "星期二"),
    ]:
        yield Case(right, f"\\boxed{{\\text{{{right}}}}}", True, "text command")
        yield Case(f"\\text{{{right}}}", f"**Answer:** {right.upper()}", True, "capitals")
        yield Case(right, f"\\boxed{{\\text{{{wrong}}}}}", right == wrong, "other word")
        yield Case(right, f"It is not {right}. The answer is {wrong}.", right == wrong, "denied")


LETTERS = [
    "\\boxed{@}", "\\boxed{(@)}", "$\\boxed{\\text{@}}$", "$\\boxed{\\textbf{(@) } #}$", "Answer: @",
    "The answer is (@).", "The correct choice is **@**.", "<answer>@</answer>", "\\boxed{@. #}",
    "**Final answer: (@) #**", "故选：@．", "答案为 @。", "【答案】@", "因此应选 @ 项。", "\\boxed{#}",
    "<think>It looks like %.</think>\n\nThe answer is @.",
    "% is tempting but wrong, so the answer is @.",
]  # fmt: skip


def choice(rng: random.Random) -> Iterator[Case]:
    for dress in LETTERS:
        numbers = [rng.randrange(20 * k, 20 * k + 19) for k in range(1, 5)]
        options = [str(n) for n in numbers]
        right = rng.randrange(4)
        wrong = (right + 1 + rng.randrange(3)) % 4
        for told, other in ((right, wrong), (wrong, right)):
            reply = dress.replace("@", "ABCD"[told]).replace("#", options[told])
            reply = reply.replace("%", "ABCD"[other])
            note = "right letter" if told == right else "other letter"
            yield Case("ABCD"[right], reply, told == right, note, options)


PLACES = [  # @ is stated last, % came before
    "We first count % pairs. In the end there are $\\boxed{@}$.",
    "Part one gives $\\boxed{%}$. Adding part two, the final answer is $\\boxed{@}$.",
    "<think>\\boxed{%}? No.</think>\n\nSo we get $\\boxed{@}$.",
    "<think>The answer is %.</think>\n\nThe answer is @.",
    "It seems to be \\boxed{%}.</think>\n\n\\[\\boxed{@}\\]",
    "% - 3 is too small.\n#### @",
    "先得到 %，再修正，所以最终答案是 @。",
    "<think>答案是 %。</think>\n\n答案：@",
    "Starting from %, we find\n\n**Final Answer**: $@$",
    "<answer>@</answer>",
    "At first I had $\\boxed{%}$; that was a slip. Corrected: $\\boxed{@}$.",
]  # fmt: skip
NOWHERE = [
    "<think>So \\boxed{@}.</think>\n\nThis finishes the argument.",
    "<think>So \\boxed{@}, but let me check again",
    "The answer is \\boxed{@} or \\boxed{%}.",
    "The answer is @. The answer is %.",
    "<think>@</think>\n\n\\boxed{}",
    "Hence the total is \\boxed{@",
    "<think>答案是 @。</think>\n\n证明完毕。",
]


def places(rng: random.Random) -> Iterator[Case]:
    for template in PLACES:
        last, before = rng.randrange(1000, 5000), rng.randrange(5000, 9000)
        reply = template.replace("@", str(last)).replace("%", str(before))
        yield Case(str(last), reply, True, "stated last")
        yield Case(str(before), reply, last == before, "not the final one")
    for template in NOWHERE:
        last, before = rng.randrange(1000, 5000), rng.randrange(5000, 9000)
        reply = template.replace("@", str(last)).replace("%", str(before))
        yield Case(str(last), reply, None, "no final answer")


FAMILIES: dict[str, Callable[[random.Random], Iterator[Case]]] = FORMS | {
    "text": text,
    "choice": choice,
    "places": places,
}


def row(family: str, number: int, case: Case) -> dict[str, object]:
    whole = family in WHOLE
    dress = "@" if whole else DRESSES[number % len(DRESSES)]
    # Several answer sets keep the dollars around the gold.
    dollars = not whole and number % 5 == 4
    expected = {True: "equal", False: "unequal", None: "no_answer"}[case.same]
    out: dict[str, object] = {
        "id": f"{family}/{FIRST_MADE + number}",
        "kind": "choice" if case.choices else "math",
        "family": family,
        "gold": f"${case.gold}$" if dollars else case.gold,
        "response": dress.replace("@", case.answer),
    }
    if case.choices:
        out["choices"] = case.choices
    return out | {"expected": expected, "adversarial": expected != "equal", "note": case.note}


def made() -> list[str]:
    """The made half, one JSON line each."""
    lines = []
    for family, cases in FAMILIES.items():
        unique = {(case.gold, case.answer): case for case in cases(random.Random(family))}
        for number, case in enumerate(unique.values()):
            lines.append(json.dumps(row(family, number, case), ensure_ascii=False))
    return lines


def is_made(text: str) -> bool:
    return int(json.loads(text)["id"].rpartition("/")[2]) >= FIRST_MADE


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help="compare, write nothing")
    wanted = parser.parse_args()
    lines = PAIRS.read_text(encoding="utf-8").splitlines()
    new = [text for text in lines if not is_made(text)] + made()
    if wanted.check:
        sys.exit(
            0 if new == lines else f"{PAIRS.name}: made rows differ; run scripts/make_pairs.py"
        )
    PAIRS.write_text("\n".join(new) + "\n", encoding="utf-8")
    print(f"{PAIRS.name}: {len(new)} rows, {len(made())} of them made")


if __name__ == "__main__":
    main()
