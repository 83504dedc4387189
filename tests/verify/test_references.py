"""Reference solutions of public sets: none may be rejected by its own tests."""

import json
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from distill.problemsets import read_tests
from distill.types import Tests
from distill.verify.code import CodeChecker
from distill.verify.item import Item, Judgement


def judged(checker: CodeChecker, tests: Tests, code: str) -> Judgement:
    response = f"```python\n{code}\n```"
    return checker.judge(Item(problem_id="p", kind="code", tests=tests, response=response))


def references(data: Path, name: str) -> Iterator[tuple[Tests, str]]:
    """Tests as the converters make them, and the solution that comes with them."""
    files = {
        "leetcode": "rllm_code/leetcode_test.jsonl",
        "mbpp": "mbpp/mbpp_full.jsonl",
        "humaneval": "humaneval/test.jsonl",
    }
    for line in (data / files[name]).read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        if name == "leetcode":
            columns = {"tests": row["tests"]["functional"], "code": row["solutions"]}
        elif name == "mbpp":
            if row["task_id"] in (367, 601, 927):  # their tests need a class of the reference's
                continue
            columns = {
                "tests": row["test_list"],
                "setup": row["test_setup_code"],
                "code": row["code"],
            }
        else:
            code = row["prompt"] + row["canonical_solution"]
            columns = {
                "tests": row["test"],
                "entry": row["entry_point"],
                "setup": row["prompt"],
                "code": code,
            }
        raw = {key: msgspec.Raw(msgspec.json.encode(value)) for key, value in columns.items()}
        yield read_tests(name, raw).tests, columns["code"]  # type: ignore[arg-type]


@pytest.mark.slow
@pytest.mark.parametrize("place", ["bubblewrap", "landlock"])
@pytest.mark.parametrize("name", ["leetcode", "humaneval", "mbpp"])
def test_no_reference_solution_is_rejected(real_data: Path, name: str, place: str) -> None:
    """6 to 30 s each."""
    checker = CodeChecker(timeout_s=10, sandbox=place)
    try:
        rejected = [
            (code, found.status, found.detail)
            for tests, code in references(real_data, name)
            if (found := judged(checker, tests, code)).status != "correct"
        ]
    finally:
        checker.close()
    assert not rejected


@pytest.mark.slow
def test_a_wrong_constant_in_a_reference_is_noticed(real_data: Path) -> None:
    """10 s: so that accepting everything would not pass for accepting what is right."""
    checker = CodeChecker(timeout_s=10)
    noticed = total = 0
    for tests, code in references(real_data, "leetcode"):
        broken = code.rpartition("return ")
        total += 1
        noticed += (
            judged(checker, tests, f"{broken[0]}return ({broken[2].strip()}, 1)").status == "wrong"
        )
    checker.close()
    assert noticed >= 0.95 * total
