"""Programs against their tests: what counts as code, what passes between function and tests, statuses."""

import asyncio
import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from distill.errors import DistillError
from distill.types import CommandTests, FunctionTests, Problem, StdinTests, Tests, Trace
from distill.verify.check import check
from distill.verify.code import CodeChecker, find_code, same_output
from distill.verify.item import Item, Judgement
from distill.verify.pool import CheckPool
from distill.verify.run import verify_file

TWICE = FunctionTests(
    entry="twice",
    code="def check(candidate):\n    assert candidate(2) == 4\n    assert candidate('a') == 'aa'\n",
)
DOUBLED = StdinTests(cases=[("21\n", "42\n"), ("4\n", "8\n")])


@pytest.fixture(scope="module")
def checker() -> Iterator[CodeChecker]:
    checker = CodeChecker(timeout_s=5)
    yield checker
    checker.close()


def fenced(code: str, label: str = "python") -> str:
    return f"Here it is.\n\n```{label}\n{code}\n```\n"


def judged(checker: CodeChecker, tests: Tests | None, code: str) -> Judgement:
    return checker.judge(Item(problem_id="p", kind="code", tests=tests, response=fenced(code)))


def one_assert(line: str, entry: str = "f") -> FunctionTests:
    return FunctionTests(entry=entry, code=f"def check(candidate):\n    {line}\n")


# ── the code in a response ───────────────────────────────────────────────────────────────────────

RESPONSES = [
    ("```python\nx = 1\n```", "x = 1\n"),
    ("```\nx = 1\n```", "x = 1\n"),
    ("```py\nx = 1\n```\nand better:\n```python3\nx = 2\n```", "x = 2\n"),
    ("```python\nx = 1\n```\nIt prints\n```text\n1\n```", "x = 1\n"),
    ("```python\nx = 1\n```\nRun it:\n```bash\npython x.py\n```\n", "x = 1\n"),
    ("~~~python\nx = 1\n~~~", "x = 1\n"),
    ("````python\nx = '''\n```\n'''\n````", "x = '''\n```\n'''\n"),
    (
        '```python\n"""Use:\n```python\nf()\n"""\nx = 1\n```',
        '"""Use:\n```python\nf()\n"""\nx = 1\n',
    ),
    ("   ```python\nx = 1\n   ```", "x = 1\n"),
    ("```python\nx = 1", "x = 1"),
    ("```python\n\n```", None),
    ("x = 1", None),
    ("`x = 1`", None),
    ("", None),
]


@pytest.mark.parametrize(("response", "code"), RESPONSES)
def test_the_code_is_the_last_fenced_block(response: str, code: str | None) -> None:
    assert find_code(response) == code


def test_a_block_that_the_token_limit_cut_is_no_answer() -> None:
    assert find_code("```python\nx = 1", cut=True) is None
    assert find_code("```python\nx = 1\n```\n```python\nx =", cut=True) == "x = 1\n"


def test_other_languages_are_code_where_the_tests_are_a_command() -> None:
    assert find_code("```cpp\nint x;\n```") is None
    assert find_code("```cpp\nint x;\n```", python=False) == "int x;\n"


def test_a_response_without_code_is_no_answer(checker: CodeChecker) -> None:
    item = Item(problem_id="p", kind="code", tests=TWICE, response="I think it is 4.")
    assert checker.judge(item).status == "no_answer"


# ── stdin and stdout ─────────────────────────────────────────────────────────────────────────────

PROGRAMS = [
    ("print(2 * int(input()))", "correct"),
    ("import sys\nfor line in sys.stdin:\n    print(int(line) * 2, end=' \\n\\n')", "correct"),
    ("def main():\n    print(2 * int(input()))\nif __name__ == '__main__':\n    main()", "correct"),
    (
        "import sys, threading\nthreading.stack_size(1 << 27)\nsys.setrecursionlimit(10**6)\n"
        "def f(n): return f(n - 1) + 2 if n else 0\n"
        "threading.Thread(target=lambda: print(f(int(input())))).start()",
        "correct",
    ),
    ("import os\nos.write(1, b'%d' % (2 * int(os.read(0, 100))))", "correct"),
    ("print(2 * int(input()))\nraise SystemExit", "correct"),
    ("import sys\nprint(2 * int(input()))\nsys.exit(1)", "wrong"),
    ("print(2 * int(input()) + 1)", "wrong"),
    ("print(42)", "wrong"),
    ("print(2 * int(input())", "wrong"),
    ("1 / 0", "wrong"),
    ("import ctypes\nctypes.string_at(0)", "wrong"),
    ("while True: pass", "timeout"),
    ("import time\ntime.sleep(100)", "timeout"),
]


@pytest.mark.parametrize(("code", "status"), PROGRAMS)
def test_a_program_is_judged_by_what_it_prints(code: str, status: str) -> None:
    checker = CodeChecker(timeout_s=1)
    try:
        assert judged(checker, DOUBLED, code).status == status
    finally:
        checker.close()


OUTPUTS = [
    ("1 2\n3\n", "1 2\n3", True),
    ("1  2 \r\n\n3\n\n", "1 2\n3\n", True),
    ("0.3333333333", "0.333333", True),
    ("1e-1", "0.1", True),
    ("3", "3.0", True),
    ("0.34", "0.33", False),
    ("0.000001", "0.000002", False),
    ("3.0", "3", False),  # whole numbers are expected: as they are
    ("1 2", "1 2 3", False),
    ("nan", "1.0", False),
    ("yes", "Yes", False),
    ("", "", True),
]


@pytest.mark.parametrize(("found", "expected", "same"), OUTPUTS)
def test_outputs_are_compared_word_by_word(found: str, expected: str, same: bool) -> None:
    assert same_output(found, expected) is same


# ── functions ────────────────────────────────────────────────────────────────────────────────────

FUNCTIONS = [
    ("assert candidate([3, 1]) == [1, 3]", "def f(xs): return sorted(xs)", "correct"),
    (
        "assert candidate(2) == (2, {'a': {1, 2}}, b'x', None, True, 1.5, 1j, frozenset({3}))",
        "def f(n): return (n, {'a': {1, n}}, b'x', None, True, 1.5, 1j, frozenset({3}))",
        "correct",
    ),
    ("assert candidate(2) == [2]", "def f(n): return (n,)", "wrong"),
    ("assert list(candidate(3)) == [0, 1, 2]", "def f(n): yield from range(n)", "correct"),
    ("assert candidate(3) == [0, 1, 2]", "def f(n): yield from range(n)", "wrong"),
    (
        "assert candidate(3) == {'a': 3}",
        "from collections import Counter\ndef f(n): return Counter('aaa')",
        "correct",
    ),
    ("assert candidate(2 ** 70) == 2 ** 20000", "def f(n): return n ** 0 * 2 ** 20000", "correct"),
    ("assert candidate(float('inf')) != candidate(float('nan'))", "def f(x): return x", "correct"),
    ("assert candidate('\\ud800\\0é') == '\\ud800\\0é'", "def f(s): return s", "correct"),
    ("xs = [3, 1]\n    candidate(xs)\n    assert xs == [1, 3]", "def f(xs): xs.sort()", "correct"),
    ("xs = [3, 1]\n    candidate(xs)\n    assert xs == [1, 3]", "def f(xs): pass", "wrong"),
    (
        "grid = [[1], [2]]\n    candidate(grid)\n    assert grid == [[2], [3]]",
        "def f(grid):\n    for row in grid: row[0] += 1",
        "correct",
    ),
    ("assert candidate(int, 3.7) == 3", "def f(kind, x): return kind(x)", "correct"),
    (
        "assert candidate(*range(4), last=5) == 11",
        "def f(*xs, last): return sum(xs) + last",
        "correct",
    ),
    (
        "try:\n        candidate(0)\n        assert False\n"
        "    except ValueError as error:\n        assert 'no' in str(error)",
        "def f(n): raise ValueError('no zero')",
        "correct",
    ),
    (
        "try:\n        candidate(0)\n        assert False\n    except ValueError:\n        pass",
        "def f(n): return n",
        "wrong",
    ),
    ("assert candidate(0) == 1", "def f(n): return 1 / n", "wrong"),
    ("assert len(candidate(0)) == 1", "def f(n): return n", "wrong"),
    ("assert candidate(10 ** 6) == 1", "def f(n): return f(n - 1)", "wrong"),
    ("assert candidate(2) == 4", "def g(n): return 2 * n", "wrong"),
    ("assert candidate(2) == 4", "def f(n) return 2 * n", "wrong"),
    ("assert candidate(2) == 4", "f = 4", "wrong"),
    ("assert candidate(2) == 4", "x = input()\ndef f(n): return 2 * n", "wrong"),
    (
        "assert candidate(2) == 4",
        "print('hello')\ndef f(n):\n    print(n)\n    return 2 * n",
        "correct",
    ),
    (
        "assert candidate([1, 2]) == 3",
        "def f(xs: List[int]) -> int: return reduce(lambda a, b: a + b, xs)",
        "correct",
    ),
]


@pytest.mark.parametrize(("line", "code", "status"), FUNCTIONS)
def test_a_function_is_judged_by_its_asserts(
    checker: CodeChecker, line: str, code: str, status: str
) -> None:
    found = judged(checker, one_assert(line), code)
    assert found.status == status, found.detail


def test_methods_get_one_object_and_leetcodes_names(checker: CodeChecker) -> None:
    code = "class Solution:\n    def f(self, xs: List[int]) -> int:\n        return heappop(xs) + gcd(4, 6)"
    assert (
        judged(checker, one_assert("assert candidate(xs=[3]) == 5", "Solution().f"), code).status
        == "correct"
    )


LISTS = """
def check(candidate):
    assert is_same_list(candidate(head = list_node([1, 2, 3])), list_node([3, 2, 1]))
    assert is_same_list(candidate(head = list_node(list(range(5000)))), list_node(list(range(4999, -1, -1))))
    assert candidate(head = list_node([])) is None
"""
REVERSE = """
class Solution:
    def reverse(self, head: Optional[ListNode]) -> Optional[ListNode]:
        back = None
        while head:
            head.next, back, head = back, head, head.next
        return back
"""


def test_linked_lists_and_trees_pass_as_data(checker: CodeChecker) -> None:
    tests = FunctionTests(entry="Solution().reverse", code=LISTS)
    assert judged(checker, tests, REVERSE).status == "correct"
    assert judged(checker, tests, REVERSE.replace("return back", "return head")).status == "wrong"
    own = "class ListNode:\n    def __init__(self, val=0, next=None): self.val, self.next = val, next\n"
    assert judged(checker, tests, own + REVERSE).status == "correct"
    trees = one_assert(
        "assert is_same_tree(candidate(tree_node([1, 2, None, 3])), tree_node([1, None, 2, None, 3]))"
    )
    mirror = "def f(t):\n    if t: t.left, t.right = f(t.right), f(t.left)\n    return t"
    assert judged(checker, trees, mirror).status == "correct"


BROKEN = [
    ("def check(candidate):\n    pass", "asserts nothing"),
    ("def check(candidate):\n    assert True", "never called"),
    ("def check(candidate):\n    for x in []:\n        assert candidate(x)", "never called"),
    ("def test(candidate):\n    assert candidate(1)", "no check"),
    ("def check(candidate:\n", "do not load"),
    ("import nonesuch\ndef check(candidate):\n    assert candidate(1) == 2", "nonesuch"),
    ("def check(candidate):\n    assert candidate(1) == undefined", "undefined"),
    ("def check(candidate):\n    assert candidate(lambda n: n) == 2", "class 'function'"),
    ("def check(candidate):\n    assert candidate(1).value == 2", None),
    (
        "import sys\ndef check(candidate):\n    assert candidate(1) == 2\n    sys.exit(0)",
        "did not report",
    ),
    (
        "import os\nos._exit(0)\ndef check(candidate):\n    assert candidate(1) == 2",
        "did not report",
    ),
    (
        "import time\ndef check(candidate):\n    assert candidate(1) == 2\n    while True: pass",
        "did not report",
    ),
]


@pytest.mark.parametrize(("code", "words"), BROKEN)
def test_tests_that_cannot_be_run_are_an_error_and_no_verdict(code: str, words: str | None) -> None:
    checker = CodeChecker(timeout_s=1)
    solution = "def f(n): return 2 * n" if words else "class V: value = 2\ndef f(n): return V()"
    try:
        found = judged(checker, FunctionTests(entry="f", code=code), solution)
    finally:
        checker.close()
    assert found.status == "checker_error"
    assert (words or "look into an object") in str(found.detail)


@pytest.mark.parametrize(
    "tests", [None, StdinTests(cases=[]), CommandTests(files={"a": "{code}"}, run=[])]
)
def test_zero_tests_are_an_error(checker: CodeChecker, tests: Tests | None) -> None:
    found = judged(checker, tests, "print(1)")
    assert found.status == "checker_error" and "zero tests" in str(found.detail)


def test_a_detail_never_tells_what_is_expected(checker: CodeChecker) -> None:
    found = judged(
        checker, one_assert("assert candidate(1) == 987654, 'it is 987654'"), "def f(n): return n"
    )
    assert found.status == "wrong" and "987654" not in str(found.detail)


# ── commands ─────────────────────────────────────────────────────────────────────────────────────


def test_other_languages_run_by_command(checker: CodeChecker) -> None:
    files = {"src/run.sh": "{code}"}
    cases = [("21", "42"), ("4", "8")]
    tests = CommandTests(files=files, run=["sh", "src/run.sh"], cases=cases)
    good, bad = "read n; echo $((2 * n))", "read n; echo 42"
    assert judged(checker, tests, good).status == "correct"
    assert judged(checker, tests, bad).status == "wrong"
    assert judged(checker, msgspec.structs.replace(tests, cases=[]), "exit 0").status == "correct"
    assert judged(checker, msgspec.structs.replace(tests, cases=[]), "exit 3").status == "wrong"


def test_a_command_that_is_not_there_is_an_error(checker: CodeChecker) -> None:
    tests = CommandTests(files={"a": "{code}"}, run=["nonesuch", "a"])
    found = judged(checker, tests, "x")
    assert found.status == "checker_error" and "cannot run 'nonesuch'" in str(found.detail)


@pytest.mark.parametrize("path", ["/etc/x", "../x"])
def test_files_of_a_command_stay_in_its_folder(checker: CodeChecker, path: str) -> None:
    tests = CommandTests(files={path: "{code}"}, run=["sh", path])
    assert judged(checker, tests, "x").status == "checker_error"


def test_a_command_without_a_place_for_the_code_is_an_error(checker: CodeChecker) -> None:
    found = judged(checker, CommandTests(files={"a": "x"}, run=["sh", "a"]), "x")
    assert found.status == "checker_error" and "{code}" in str(found.detail)


# ── the pool, files and checks ───────────────────────────────────────────────────────────────────


def pair(code: str, sample: int = 0) -> tuple[Problem, Trace]:
    problem = Problem(id="p", prompt="", kind="code", tests=TWICE)
    return problem, Trace(series="s", problem_id="p", sample=sample, response=fenced(code))


def test_the_pool_judges_programs_in_input_order_and_from_asyncio() -> None:
    codes = [
        "def twice(n): return n + n",
        "def twice(n): return n",
        "import os; os._exit(0)",
        "nothing",
    ] * 3
    with CheckPool(workers=2, timeout_s=5) as pool:
        found = [v.status for v in pool.judge_all(pair(code, k) for k, code in enumerate(codes))]
        assert found == ["correct", "wrong", "wrong", "wrong"] * 3

        async def ask() -> list[str]:
            return [
                v.status for v in await asyncio.gather(*(pool.judge(*pair(c)) for c in codes[:4]))
            ]

        assert asyncio.run(ask()) == ["correct", "wrong", "wrong", "wrong"]


def test_a_closed_checker_says_so_and_gives_no_verdict() -> None:
    checker = CodeChecker(timeout_s=30)
    said: list[object] = []

    def ask() -> None:
        try:
            said.append(judged(checker, DOUBLED, "while True: pass"))
        except DistillError as error:
            said.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    while not checker._wardens:
        thread.join(0.05)
    thread.join(0.3)
    checker.kill()
    thread.join(20)
    checker.close()
    assert len(said) == 1 and isinstance(said[0], DistillError)


def test_one_check_needs_no_pool() -> None:
    assert check(*pair("def twice(n): return n + n")).checker.startswith("code/1:")


def test_a_file_of_programs_is_verified(tmp_path: Path) -> None:
    tests = msgspec.to_builtins(TWICE)
    codes = ["def twice(n): return n * 2", "def twice(n): return n", "no code"]
    rows = [
        {
            "id": k,
            "kind": "code",
            "tests": tests,
            "response": fenced(code) if "def" in code else code,
        }
        for k, code in enumerate(codes)
    ]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    done = verify_file([tmp_path / "in.jsonl"], tmp_path / "out", workers=1)
    assert done.statuses == {"correct": 1, "wrong": 1, "no_answer": 1}


def test_the_sandboxed_environment_is_not_ours(
    checker: CodeChecker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DISTILL_SECRET", "SECRET")
    code = "import os\ndef twice(n): return 2 * n if not os.environ else None"
    assert judged(checker, TWICE, code).status == "correct"
    assert os.environ["DISTILL_SECRET"] == "SECRET"
