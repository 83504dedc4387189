"""Where a final answer is found, and where it is not."""

import time

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from distill.verify.answers import extract


@pytest.mark.parametrize(
    ("response", "text", "place"),
    [
        # boxes
        (r"So \boxed{5}.", "5", "boxed"),
        (r"\boxed{\frac{1}{2}}", r"\frac{1}{2}", "boxed"),
        (r"\boxed {x^{2^{3}}}", "x^{2^{3}}", "boxed"),
        (r"\boxed{\{1, 2\}}", r"\{1, 2\}", "boxed"),
        (r"\boxed{\left\{1,2\right.} and so on", r"\left\{1,2\right.", "boxed"),
        (r"\fbox{7}", "7", "boxed"),
        (r"\boxed{1}, no: \boxed{2}", "2", "boxed"),
        (r"\boxed{\boxed{5}}", r"\boxed{5}", "boxed"),
        (r"\boxed{} or \boxed{5} or \boxed{ }", "5", "boxed"),
        (r"the answer is 4, no, \boxed{5}", "5", "boxed"),
        (r"\boxed{\boxed{5} is open", "5", "boxed"),
        # phrases
        ("The answer is 12.", "12", "phrase"),
        ("The final answer is: $\\frac{3}{4}$. Done.", "\\frac{3}{4}", "phrase"),
        ("**Answer:** 12.5", "12.5", "phrase"),
        ("### Final Answer:\n\n\\[ x = 2 \\]", "x = 2", "phrase"),
        ("Answer: 4\nWait.\nAnswer: **5**\nThanks", "5", "phrase"),
        ("所以答案是 12。", "12", "phrase"),
        ("答案为：$\\frac{1}{2}$", "\\frac{1}{2}", "phrase"),
        # last expressions
        ("First 3.\nShe has 12 apples.", "12", "last"),
        ("It costs $1,234.50", "1,234.50", "last"),
        ("So we get $x + 1$", "x + 1", "last"),
        ("Therefore\n\\[\nx + 1\n\\]", "x + 1", "last"),
        ("Therefore\n$$\nx + 1\n$$\n", "x + 1", "last"),
        ("It is -3/4", "-3/4", "last"),
        # tags, hashes, fences
        ("<answer> $5$ </answer> or so", "5", "phrase"),
        (r"<answer>\boxed{5}</answer>", "5", "boxed"),
        ("3 + 2 = <<3+2=5>>5\n#### 5", "5", "phrase"),
        ("```\n5\n```", "5", "last"),
        ("The answer is\n```text\n5\n```", "5", "phrase"),
        ("【答案】5", "5", "phrase"),
        (r"$\boxed5$", "5", "boxed"),
        # several that belong together
        (r"The legs are $\boxed{9}$ and $\boxed{12}$.", "9, 12", "boxed"),
        ("解得 $x_1=1$，$x_2=2$。", "x_1=1, x_2=2", "last"),
        # remarks after the answer
        ("So the sum is 23.\n\nI think that's the answer.", "23", "last"),
        # thinking is no place
        (r"<think>\boxed{4}</think> So \boxed{5}", "5", "boxed"),
        (r"maybe \boxed{4}</think> So \boxed{5}", "5", "boxed"),
        (r"<think>\boxed{5}", None, None),
        (r"<think>\boxed{5}</think> Done.", None, None),
        # nothing
        (r"So the total is \boxed{12", None, None),
        (r"\boxed{}", None, None),
        ("<answer></answer>", None, None),
        ("Answer: ?", None, None),
        ("It lists 42 pupils. More is needed, so no answer can be given.", None, None),
        ("12 apples.\nI do not know.", None, None),
        ("", None, None),
        ("The answer is not 5.\nno number here", None, None),
    ],
)
def test_an_answer_is_taken_from_where_it_stands(
    response: str, text: str | None, place: str | None
) -> None:
    found = extract(response)
    assert (found.text, found.place) == (text, place) if found else text is None


def test_several_different_boxes_are_noted_and_the_last_counts() -> None:
    found = extract(r"\boxed{1} \boxed{1} \boxed{2}")
    assert found is not None and found.text == "2"
    assert found.note is not None and found.note.startswith("2 different")


@pytest.mark.parametrize(
    "response",
    [
        r"\boxed{7} or \boxed{9}",
        r"It could be \boxed{7}. It could also be \boxed{9}. I am not sure which.",
        "The answer is 41. The answer is 42.",
        "答案是 42 或 24，无法确定。",
    ],
)
def test_several_finals_are_left_open(response: str) -> None:
    found = extract(response)
    assert found is not None and found.open and found.note


@pytest.mark.parametrize(
    "response",
    [
        r"At first \boxed{7}; that was a slip. Corrected: \boxed{9}",
        "The answer is 7. Wait, no. The answer is 9.",
        r"Step 1 gives \boxed{7}. Adding two, the final answer is \boxed{9}.",
    ],
)
def test_what_is_withdrawn_or_a_step_conflicts_with_nothing(response: str) -> None:
    found = extract(response)
    assert found is not None and found.text.rstrip(".") == "9" and not found.open


def test_the_last_expression_can_be_ruled_out() -> None:
    assert extract("She has 12 apples.", last=False) is None


balanced = st.recursive(
    st.text(alphabet=st.characters(exclude_characters="{}\\", exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3).map(lambda parts: "{" + "".join(parts) + "}"),
)


@given(st.lists(balanced).map("".join), st.text(max_size=30))
def test_whatever_has_balanced_braces_survives_its_box(content: str, before: str) -> None:
    assume("think>" not in content + before)
    before = before.replace("\\", "").replace("{", "").replace("}", "")
    found = extract(f"{before}\\boxed{{{content}}} end")
    assert (found.text if found and found.place == "boxed" else "") == content.strip()


@given(st.text(alphabet="\\boxed{}$[]() .1answeris:\n"))
def test_no_text_breaks_the_search(text: str) -> None:
    extract(text)


@pytest.mark.parametrize(
    "bait",
    [
        "\\boxed{",
        "{",
        "}",
        "\\boxed{}",
        "$",
        "\\(",
        "\\[",
        "answer is ",
        "answer" + " " * 50,
        "1,",
        "\\",
    ],
)
def test_100_kb_of_anything_takes_no_time(bait: str) -> None:
    started = time.process_time()
    extract(bait * (100_000 // len(bait)))
    assert time.process_time() - started < 1.0
