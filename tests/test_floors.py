"""The shape of the code base, read from its syntax trees: who may import whom, and what nobody may."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parent.parent
SOURCES = sorted((ROOT / "distill").rglob("*.py"))

TOP = {"cli", "stages", "__main__", "__init__"}
GROUND = {path.stem for path in (ROOT / "distill").glob("*.py")} - TOP
FLOORS: dict[str, set[str]] = {
    "ground": set(),
    "engine": {"ground"},
    "verify": {"ground", "engine"},
    "generate": {"ground", "engine", "verify"},
    "filter": {"ground"},
    "train": {"ground"},
    "evaluate": {"ground", "engine", "verify", "generate"},
    "report": {"ground", "evaluate"},  # it shows scores as eval prints them
    "stages": {"ground", "engine", "verify", "generate", "filter", "train", "evaluate", "report"},
    "cli": {
        "stages",
        "ground",
        "engine",
        "verify",
        "generate",
        "filter",
        "train",
        "evaluate",
        "report",
    },
    "__main__": {"cli"},
    "__init__": set(),
}
# Imported where they are needed: each costs 0.3 to 4 s, and `distill --help` must answer at once.
HEAVY = {
    *("torch", "transformers", "deepspeed", "vllm", "sympy", "ray", "math_verify", "datasets"),
    *("latex2sympy2_extended", "pyarrow", "tokenizers", "safetensors", "pandas"),
    "reasoning_gym",
}
FORBIDDEN_MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "shelve", "marshal", "yaml"}
FORBIDDEN_CALLS = {"eval", "exec", "compile", "__import__"}
INSIDE = ROOT / "distill/verify/inside"  # runs in the sandbox, in the place of a model's program


class Import(NamedTuple):
    module: str
    line: int
    top: bool  # runs when the module is imported


def imports(tree: ast.AST, top: bool = True) -> Iterator[Import]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield from (Import(alias.name, node.lineno, top) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: imports are absolute"
            module = str(node.module)
            names = [f"{module}.{alias.name}" for alias in node.names]
            yield from (Import(name, node.lineno, top) for name in names)
        elif isinstance(node, ast.If) and _is_type_checking(node.test):
            yield from imports(ast.Module(body=node.body, type_ignores=[]), top=False)
            yield from imports(ast.Module(body=node.orelse, type_ignores=[]), top)
        else:
            inside = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            yield from imports(node, top and not inside)


def _is_type_checking(test: ast.expr) -> bool:
    return isinstance(test, ast.Name) and test.id == "TYPE_CHECKING"


def part_of(module: str) -> str:
    """``distill.train.loop`` is ``train``; ``distill.jsonl`` is ``ground``."""
    names = module.split(".")
    first = names[1] if len(names) > 1 else "__init__"
    if first in GROUND or first == "__version__":
        return "ground"
    return first


def module_of(path: Path) -> str:
    names = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(names[:-1] if names[-1] == "__init__" else names)


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def where(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", SOURCES, ids=where)
def test_a_floor_imports_only_floors_below_it(path: Path) -> None:
    here = part_of(module_of(path))
    assert here in FLOORS, f"{where(path)}: give '{here}' a floor in this test and in CONTRIBUTING"
    wrong = [
        f"{where(path)}:{found.line}: {here} may not import {found.module}"
        for found in imports(tree_of(path))
        if found.module.split(".")[0] == "distill"
        and part_of(found.module) not in {here} | FLOORS[here] | {"__init__"}
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("path", SOURCES, ids=where)
def test_heavy_packages_are_imported_inside_the_functions_that_need_them(path: Path) -> None:
    wrong = [
        f"{where(path)}:{found.line}: {found.module}"
        for found in imports(tree_of(path))
        if found.top and found.module.split(".")[0] in HEAVY
    ]
    assert not wrong, "\n".join(wrong)


def dangers(path: Path) -> Iterator[str]:
    """What law 4 forbids: pickle, eval, exec, unsafe YAML, code of a model's repository, a shell."""
    tree = tree_of(path)
    for found in imports(tree):
        if found.module.split(".")[0] in FORBIDDEN_MODULES:
            yield f"{where(path)}:{found.line}: imports {found.module}"
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        at = f"{where(path)}:{node.lineno}"
        forbidden = set() if path.parent == INSIDE else FORBIDDEN_CALLS
        if isinstance(node.func, ast.Name) and node.func.id in forbidden:
            yield f"{at}: calls {node.func.id}()"
        named = {keyword.arg: keyword.value for keyword in node.keywords}
        for word, allowed in (
            ("trust_remote_code", False),
            ("weights_only", True),
            ("shell", False),
        ):
            value = named.get(word)
            if value is not None and not (
                isinstance(value, ast.Constant) and value.value is allowed
            ):
                yield f"{at}: {word} must be the literal {allowed}"
        if ast.unparse(node.func) == "torch.load" and "weights_only" not in named:
            yield f"{at}: torch.load needs weights_only=True"
        if "typ" in named and ast.unparse(named["typ"]) == "'unsafe'":
            yield f"{at}: unsafe YAML"


@pytest.mark.parametrize("path", SOURCES, ids=where)
def test_untrusted_text_stays_text(path: Path) -> None:
    assert not list(dangers(path))


@pytest.mark.parametrize(
    "code",
    [
        "import pickle",
        "from yaml import load",
        "def f():\n    import dill",
        "eval(text)",
        "exec(text)",
        "M.from_pretrained(x, trust_remote_code=True)",
        "M.from_pretrained(x, trust_remote_code=flag)",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "subprocess.run(text, shell=True)",
        "YAML(typ='unsafe')",
    ],
)
def test_the_check_for_untrusted_text_sees(
    code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"{__name__}.ROOT", tmp_path)
    path = tmp_path / "planted.py"
    path.write_text(code)
    assert list(dangers(path))


@pytest.mark.parametrize("path", SOURCES, ids=where)
def test_every_module_says_what_it_is(path: Path) -> None:
    assert ast.get_docstring(tree_of(path))


def test_no_module_is_called_eval() -> None:
    """It would shadow the folder of benchmark cards in a wheel."""
    assert not (ROOT / "distill" / "eval.py").exists()
    assert not (ROOT / "distill" / "eval").exists()


def test_what_runs_inside_the_sandbox_needs_nothing_but_the_standard_library() -> None:
    ours = {"distill"} | sys.stdlib_module_names
    for path in INSIDE.glob("*.py"):
        for found in imports(tree_of(path)):
            assert found.module.split(".")[0] in ours, f"{where(path)}:{found.line}: {found.module}"
            if found.module.startswith("distill"):
                assert found.module.startswith("distill.verify.inside"), (
                    f"{where(path)}:{found.line}"
                )
