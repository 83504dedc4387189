"""Tests of public code sets: what each form becomes, and what cannot be used and why."""

import json

import msgspec
import pytest

from distill.problemsets import FORMS, Converted, read_tests
from distill.types import FunctionTests, StdinTests


def read(form: str, **columns: object) -> Converted:
    raws = {name: msgspec.Raw(json.dumps(value).encode()) for name, value in columns.items()}
    return read_tests(form, raws)  # type: ignore[arg-type]


def passes(tests: object, solution: str) -> bool:
    """Run trusted code of this file: a solution against its tests."""
    assert isinstance(tests, FunctionTests)
    solved: dict = {}
    checked: dict = {}
    exec(solution, solved)
    exec(tests.code, checked)
    try:
        checked["check"](eval(tests.entry, solved))
    except AssertionError:
        return False
    return True


TWICE = "def twice(n): return 2 * n"
THRICE = TWICE.replace("2 *", "3 *")
METHOD = "class Solution:\n    def twice(self, n): return 2 * n"

CHECK = "def check(candidate):\n    assert candidate(n = 2) == 4\n\n\n"
# (form, columns, entry, a solution that passes)
FUNCTIONS = [
    ("mbpp", {"tests": ["assert twice(2) == 4"], "code": TWICE}, "twice", TWICE),
    ("mbpp", {"tests": ["assert twice(2) == 4"]}, "twice", TWICE),
    ("mbpp", {"tests": ["assert set(twice((1,))) == set(twice((1,)))", "assert twice(2) == 4"]},
     "twice", TWICE.replace("2 * n", "n * 2")),
    # the tests need an import that the solution happens to have, and a value from the setup
    ("mbpp", {"tests": ["assert twice(sys.maxsize) > four", "assert twice(2) == four"],
              "setup": "four = 4"}, "twice", TWICE),
    ("mbpp", {"tests": ["assert math.isclose(twice(2), 4)"], "setup": ["import math"]},
     "twice", TWICE),
    # a function that is called like a builtin
    ("mbpp", {"tests": ["assert sum(2) == 4"], "code": TWICE.replace("twice", "sum")},
     "sum", TWICE.replace("twice", "sum")),
    ("humaneval", {"tests": CHECK, "entry": "twice"}, "twice", TWICE),
    # a check that calls a helper of the prompt, and one that calls the function by its name
    ("humaneval", {"tests": CHECK.replace("== 4", "== helped(2)"), "entry": "twice",
                   "setup": "def helped(n): return n + n\n\ndef twice(n):\n    '''Doubles.'''"},
     "twice", TWICE),
    ("humaneval", {"tests": CHECK.replace("(n = 2) == 4", "(2) == twice(2) == 4"), "entry": "twice",
                   "setup": "def twice(n):\n    '''Doubles.'''"}, "twice", TWICE),
    ("leetcode", {"tests": CHECK + "check(Solution().twice)"}, "Solution().twice", METHOD),
    ("leetcode", {"tests": CHECK, "entry": "Solution().twice", "setup": "from typing import *"},
     "Solution().twice", METHOD),
    ("leetcode", {"tests": 'my_solution = Solution()\n\ntest_input = {"n": 2}\n'
                           "assert my_solution.twice(**test_input) == 4\n"},
     "Solution().twice", METHOD),
    ("stdin", {"tests": {"inputs": [[2], [3]], "outputs": [4, [6]], "fn_name": "twice"}},
     "twice", TWICE),
    ("stdin", {"tests": {"inputs": [[2]], "outputs": [4], "fn_name": "twice"},
               "code": "class Solution:\n    def twice(self, n):"}, "Solution().twice", METHOD),
    ("stdin", {"tests": {"inputs": [[2]], "outputs": [[4, [2]]], "fn_name": "twice"}},
     "twice", "def twice(n): return 2 * n, (n,)"),
]  # fmt: skip


@pytest.mark.parametrize(("form", "columns", "entry", "solution"), FUNCTIONS)
def test_tests_of_functions_pass_the_right_solution_and_fail_a_wrong_one(
    form: str, columns: dict, entry: str, solution: str
) -> None:
    tests = read(form, **columns).tests
    assert isinstance(tests, FunctionTests)
    assert tests.entry == entry
    assert passes(tests, solution)
    assert not passes(tests, solution.replace("2 * n", "5").replace("n * 2", "{n}"))


def test_mbpp_shows_its_asserts_since_nothing_else_names_the_function() -> None:
    shown = read("mbpp", tests=["assert twice(2) == 4 ", "assert twice(0) == 0"]).shown
    assert shown == (
        "\n\nYour code should pass these tests:\n\nassert twice(2) == 4\nassert twice(0) == 0"
    )
    assert read("humaneval", tests=CHECK, entry="twice").shown == ""


STDIN = [
    {"inputs": ["1\n2\n"], "outputs": ["3\n"]},
    json.dumps({"inputs": [["1", "2\n"]], "outputs": [["3\n"]]}),
    {"input": ["1\n2\n"], "output": ["3\n"], "fn_name": None},
    [{"input": "1\n2\n", "output": "3\n"}],
]


@pytest.mark.parametrize("tests", STDIN)
def test_pairs_of_input_and_output_are_read_in_their_usual_forms(tests: object) -> None:
    assert read("stdin", tests=tests).tests == StdinTests(cases=[("1\n2\n", "3\n")])


BAD = [
    ("mbpp", {}, "no tests: map their column"),
    ("mbpp", {"tests": None}, "no tests: map their column"),
    ("mbpp", {"tests": []}, "call one function each time; found: none"),
    ("mbpp", {"tests": ["assert f(1) == g(1)"]}, "call one function each time; found: f, g"),
    ("mbpp", {"tests": ["assert f(1)", "assert g(1)"]}, "found: none"),
    ("mbpp", {"tests": ["assert depth(root) == 1"], "setup": "root = Node(1)"}, "the tests use 'Node'"),
    ("mbpp", {"tests": ["print(f(1))"], "entry": "f"}, "nothing is asserted"),
    ("mbpp", {"tests": ["assert f(1"]}, "not Python"),
    ("mbpp", {"tests": ["assert f('\x00')"]}, "not Python"),
    ("mbpp", {"tests": ["assert f(" + "(" * 500 + ")" * 500 + ")"]}, "not Python|too deeply"),
    ("mbpp", {"tests": ["assert f(" + "-" * 50000 + "1)"]}, "not Python|too deeply"),
    ("mbpp", {"tests": ["assert f(1)"], "entry": "os.system"}, "'os.system' is no name of a function"),
    ("humaneval", {"tests": CHECK}, "no 'entry'"),
    ("humaneval", {"tests": "x = 1", "entry": "f"}, "define no check"),
    ("humaneval", {"tests": "def check(): assert 1", "entry": "f"}, "define no check"),
    ("humaneval", {"tests": "def check(candidate): candidate(1)", "entry": "f"}, "asserts nothing"),
    ("humaneval", {"tests": CHECK, "entry": "__import__('os').system"}, "neither a function nor"),
    ("leetcode", {"tests": CHECK}, "do not say what to check"),
    ("leetcode", {"tests": CHECK.replace("== 4", "== list_node([4])"), "entry": "f"},
     "the tests use 'list_node'"),
    ("leetcode", {"tests": "assert 1"}, "make no object"),
    ("leetcode", {"tests": "s = S()\nassert s.push(1) == s.pop()"}, "found: pop, push"),
    ("stdin", {"tests": {"inputs": [], "outputs": []}}, "the list is empty"),
    ("stdin", {"tests": []}, "the list is empty"),
    ("stdin", {"tests": {"inputs": ["1"], "outputs": []}}, "1 inputs and 0 outputs"),
    ("stdin", {"tests": {"inputs": [5], "outputs": ["1"]}}, "neither text nor lines but int"),
    ("stdin", {"tests": {"inputs": ["1"], "outputs": ["1"], "fn_name": "f"}}, "not a list"),
    ("stdin", {"tests": {"inputs": [], "outputs": [], "fn_name": "f"}}, "the list is empty"),
    ("stdin", {"tests": "not json"}, "not JSON"),
]  # fmt: skip


@pytest.mark.parametrize(("form", "columns", "reason"), BAD)
def test_tests_that_cannot_be_used_say_why(form: str, columns: dict, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        read(form, **columns)


def test_every_form_that_a_card_may_name_is_read() -> None:
    from typing import get_args

    from distill.cards import TestsAs

    assert set(FORMS) == set(get_args(TestsAs))
