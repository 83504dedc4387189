"""Tests of public code sets as ours: MBPP's asserts, HumanEval's and LeetCode's `check`, input/output pairs.

    columns = {"tests": b'["assert twice(2) == 4"]', "code": b'"def twice(n): return 2 * n"'}
    read_tests("mbpp", columns).tests
    # FunctionTests(entry="twice", code="def check(candidate):\\n    twice = candidate\\n    assert ...")

Every form reads the columns ``tests``, ``entry``, ``setup`` and ``code`` as far as the set has them; a card
says which of its columns these are. Python is only parsed here, never run. Tests that need more than the
candidate (a class that only the reference solution defines) cannot be expressed and say so.
"""

import ast
import builtins
import re
import sys
import warnings
from collections.abc import Callable, Iterable
from typing import NamedTuple

import msgspec

from distill import jsonl
from distill.cards import TestsAs
from distill.types import FunctionTests, Record, StdinTests, Tests

_BUILTINS = set(dir(builtins))
_ENTRY = re.compile(r"(?:[A-Za-z_]\w*\(\)\.)?[A-Za-z_]\w*")


class Converted(NamedTuple):
    """Tests of ours, and what a model must be shown of them below the prompt."""

    tests: Tests
    shown: str = ""


class CodeRow(Record, frozen=True, kw_only=True):
    """The columns that a form may read; what they hold is up to the form."""

    tests: msgspec.Raw = msgspec.Raw()
    entry: str | None = None
    setup: str | list[str] | None = None
    code: str | None = None

    @property
    def before(self) -> str:
        """The code that stands before the tests."""
        return self.setup if isinstance(self.setup, str) else "\n".join(self.setup or ())


def read_tests(form: TestsAs, columns: dict[str, msgspec.Raw]) -> Converted:
    """The tests of one row. Raises ``ValueError`` with the reason why they cannot be used."""
    fields = {name: columns[name] for name in CodeRow.__struct_fields__ if name in columns}
    row = jsonl.decode(msgspec.json.encode(fields), CodeRow)
    if not bytes(row.tests) or bytes(row.tests).strip() == b"null":
        raise ValueError("no tests: map their column with 'columns: {tests: NAME}'")
    try:
        return FORMS[form](row)
    except RecursionError:
        raise ValueError("tests that are nested too deeply") from None


def _mbpp(row: CodeRow) -> Converted:
    """A list of asserts that call the function by its name. They are shown, as MBPP's paper does: nothing
    else says what the function is called (arXiv:2108.07732, section 3 and figure 1)."""
    asserts = jsonl.decode(bytes(row.tests), list[str])
    statements = [statement for line in asserts for statement in _parse(line).body]
    entry = row.entry or _called(statements, row)
    if not entry.isidentifier():
        raise ValueError(f"'{entry}' is no name of a function")
    naming = _parse(f"{entry} = candidate").body
    code = _check_function(naming + statements, row.before, always=True)
    lines = "\n".join(line.strip() for line in asserts)
    return Converted(
        FunctionTests(entry=entry, code=code), f"\n\nYour code should pass these tests:\n\n{lines}"
    )


def _called(statements: list[ast.stmt], row: CodeRow) -> str:
    """The one function of the reference solution that every assert calls."""
    solved = _defined(row.code or "")
    known = (_BUILTINS - solved) | _defined(row.before)  # one of MBPP's is called `sum`
    calls = [
        {
            call.func.id
            for call in ast.walk(statement)
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Name)
        }
        - known
        for statement in statements
        if isinstance(statement, ast.Assert)
    ]
    found = set.intersection(*calls) if calls else set()
    if solved and len(found) > 1:
        found &= solved
    if len(found) != 1:
        names = ", ".join(sorted(found)) or "none"
        raise ValueError(f"the tests must call one function each time; found: {names}")
    return found.pop()


def _humaneval(row: CodeRow) -> Converted:
    """Code that defines ``check(candidate)``. Helpers that it shares with the prompt come before it."""
    if not row.entry:
        raise ValueError("no 'entry': the name of the function to test")
    statements = _parse(jsonl.decode(bytes(row.tests), str)).body
    return Converted(FunctionTests(entry=_entry(row.entry), code=_with_check(statements, row)))


def _leetcode(row: CodeRow) -> Converted:
    """``check(candidate)``, called with the candidate in its last line or named by ``entry``; or asserts
    on ``my_solution = Solution()``."""
    statements = _parse(jsonl.decode(bytes(row.tests), str)).body
    if not any(isinstance(s, ast.FunctionDef) and s.name == "check" for s in statements):
        return _asserts_on_object(statements, row)
    entry, kept = row.entry, []
    for statement in statements:
        call = statement.value if isinstance(statement, ast.Expr) else None
        if isinstance(call, ast.Call) and ast.unparse(call.func) == "check" and len(call.args) == 1:
            entry = entry or ast.unparse(call.args[0])
        else:
            kept.append(statement)
    if not entry:
        raise ValueError("the tests do not say what to check: no 'entry' and no call of check()")
    return Converted(FunctionTests(entry=_entry(entry), code=_with_check(kept, row)))


def _asserts_on_object(statements: list[ast.stmt], row: CodeRow) -> Converted:
    made = [s for s in statements if isinstance(s, ast.Assign) and isinstance(s.value, ast.Call)]
    if not made or not isinstance(made[0].targets[0], ast.Name):
        raise ValueError("the tests define no check() and make no object to test")
    renamed = _MethodAsCandidate(made[0].targets[0].id)
    body = [renamed.visit(statement) for statement in statements if statement is not made[0]]
    if len(renamed.methods) != 1:
        found = ", ".join(sorted(renamed.methods)) or "none"
        raise ValueError(f"the tests must call one method each time; found: {found}")
    entry = f"{ast.unparse(made[0].value)}.{renamed.methods.pop()}"
    code = _check_function(body, row.before)
    return Converted(FunctionTests(entry=_entry(entry), code=code))


class _MethodAsCandidate(ast.NodeTransformer):
    """``my_solution.twoSum`` becomes ``candidate``."""

    def __init__(self, name: str) -> None:
        self.name, self.methods = name, set[str]()

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        self.generic_visit(node)
        if not isinstance(node.value, ast.Name) or node.value.id != self.name:
            return node
        self.methods.add(node.attr)
        return ast.copy_location(ast.Name("candidate", node.ctx), node)


class _Cases(Record, frozen=True, kw_only=True):
    """Inputs and outputs as APPS, TACO and CodeContests keep them (``fn_name``: of a function)."""

    inputs: list[object] = msgspec.field(default_factory=list)
    outputs: list[object] = msgspec.field(default_factory=list)
    input: list[object] = msgspec.field(default_factory=list)
    output: list[object] = msgspec.field(default_factory=list)
    fn_name: str | None = None


class _Case(Record, frozen=True, kw_only=True):
    input: object
    output: object


def _stdin(row: CodeRow) -> Converted:
    """Pairs of input and output, as ``{"inputs", "outputs"}`` or a list of ``{"input", "output"}``, possibly
    as JSON within a text. An input that is a list is its lines
    (open-thoughts/open-thoughts@66a50f0 open_thoughts/code/judge.py)."""
    raw = bytes(row.tests)
    if raw.lstrip().startswith(b'"'):
        raw = jsonl.decode(raw, str).encode()
    if raw.lstrip().startswith(b"["):
        pairs = [(case.input, case.output) for case in jsonl.decode(raw, list[_Case])]
        return Converted(StdinTests(cases=_as_text(pairs)))
    cases = jsonl.decode(raw, _Cases)
    inputs, outputs = cases.inputs or cases.input, cases.outputs or cases.output
    if len(inputs) != len(outputs):
        raise ValueError(f"{len(inputs)} inputs and {len(outputs)} outputs")
    found = list(zip(inputs, outputs, strict=True))
    if cases.fn_name:
        return _calls(cases.fn_name, found, row)
    return Converted(StdinTests(cases=_as_text(found)))


def _as_text(pairs: Iterable[tuple[object, object]]) -> list[tuple[str, str]]:
    cases = [(_lines(given), _lines(expected)) for given, expected in pairs]
    if not cases:
        raise ValueError("no tests: the list is empty")
    return cases


def _lines(value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list) and all(isinstance(line, str) for line in value):
        return "\n".join(value)
    raise ValueError(f"an input or output is neither text nor lines but {type(value).__name__}")


def _calls(name: str, pairs: list[tuple[object, object]], row: CodeRow) -> Converted:
    """Calls with arguments. The sets wrap some results in a list of one, and keep tuples as lists; both
    count (the same source, `execute_cb_code`)."""
    if not pairs:
        raise ValueError("no tests: the list is empty")
    if any(not isinstance(given, list) for given, _ in pairs):
        raise ValueError("the arguments of a call are not a list")
    method = re.search(r"^class\s+(\w+)", row.code or "", re.MULTILINE)
    lines = [f"    assert same(candidate(*{given!r}), {expected!r})" for given, expected in pairs]
    code = "\n".join([_SAME, "def check(candidate):", *lines, ""])
    entry = f"{method.group(1)}().{name}" if method else name
    return Converted(FunctionTests(entry=_entry(entry), code=code))


_SAME = """\
def plain(value):
    return [plain(item) for item in value] if isinstance(value, (list, tuple)) else value


def same(found, expected):
    return plain(found) == expected or (isinstance(expected, list) and [plain(found)] == expected)


"""


# ── Python as text ───────────────────────────────────────────────────────────────────────────────


def _parse(code: str) -> ast.Module:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a "\d" in somebody's tests is not the user's concern
            return ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ValueError(
            f"tests that are not Python: {str(error) or 'nested too deeply'}"
        ) from None


def _entry(name: str) -> str:
    if not _ENTRY.fullmatch(name):
        raise ValueError(f"'{name}' is neither a function nor Class().method")
    return name


def _with_check(statements: list[ast.stmt], row: CodeRow) -> str:
    """Statements that define ``check``, behind the setup where they need it. Some of HumanEval's checks call
    the function by its name, too: that is the candidate."""
    found = (s for s in statements if isinstance(s, ast.FunctionDef) and s.name == "check")
    check = next(found, None)
    if check is None or len(check.args.args) != 1:
        raise ValueError("the tests define no check(candidate)")
    if not any(isinstance(node, ast.Assert) for node in ast.walk(check)):
        raise ValueError("no tests: check() asserts nothing")
    if row.entry in _missing(ast.Module(body=statements, type_ignores=[])):
        check.body = [*_parse(f"{row.entry} = {check.args.args[0].arg}").body, *check.body]
    return _standing_alone(statements, row.before)


def _check_function(body: list[ast.stmt], setup: str, *, always: bool = False) -> str:
    """``def check(candidate)`` around asserts."""
    if not any(isinstance(statement, ast.Assert) for statement in body):
        raise ValueError("no tests: nothing is asserted")
    check = _parse("def check(candidate): pass").body[0]
    assert isinstance(check, ast.FunctionDef)
    check.body = body
    return _standing_alone([check], setup, always=always)


def _standing_alone(statements: list[ast.stmt], setup: str, *, always: bool = False) -> str:
    """Code in which every name is defined: with the setup if it is needed (or ``always``)."""
    module = ast.Module(body=statements, type_ignores=[])
    before = _parse(setup)
    if before.body and (always or _missing(module)):
        module.body = before.body + module.body
    missing = _missing(module)
    modules = sorted(
        missing & sys.stdlib_module_names
    )  # as in `sys.maxsize`: the solution imports it
    module.body = [*(_parse(f"import {name}").body[0] for name in modules), *module.body]
    missing -= set(modules)
    if missing:
        names = "', '".join(sorted(missing))
        raise ValueError(f"the tests use '{names}', which they do not define")
    return ast.unparse(module) + "\n"


def _missing(module: ast.Module) -> set[str]:
    """Names that are read and nowhere set; none where a star import may set any."""
    nodes = list(ast.walk(module))
    if any(alias.name == "*" for n in nodes if isinstance(n, ast.ImportFrom) for alias in n.names):
        return set()
    read = {n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}
    return read - _set_by(nodes) - _BUILTINS - {"__name__", "__file__"}


def _defined(code: str) -> set[str]:
    """Every name that some code sets, whatever its scope."""
    return _set_by(ast.walk(_parse(code)))


def _set_by(nodes: Iterable[ast.AST]) -> set[str]:
    names: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Constant):  # nine in ten
            continue
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            names.add(node.id)
        elif isinstance(node, ast.arg):
            names.add(node.arg)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names |= {(alias.asname or alias.name).split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ExceptHandler) and node.name:
            names.add(node.name)
    return names


FORMS: dict[TestsAs, Callable[[CodeRow], Converted]] = {
    "mbpp": _mbpp,
    "humaneval": _humaneval,
    "leetcode": _leetcode,
    "stdin": _stdin,
}
