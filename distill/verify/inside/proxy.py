"""The tests of a function, in a process of their own: the candidate is a proxy of the one that is tested.

`check` calls it; the arguments go out and plain data comes back (`distill.verify.inside.plain`). What the
tests expect never leaves this process but as one word: passed, failed or broken.
"""

import ast
import builtins
import sys
import traceback
from typing import Any

from distill.verify.inside import plain
from distill.verify.inside.messages import receive, said, send
from distill.verify.inside.prelude import TESTS, new_module

# These end loops and tests quietly where they come from a call: a candidate may not raise them there.
_QUIET = (StopIteration, StopAsyncIteration, AssertionError, GeneratorExit)
_BROKEN = (
    NameError,
    ImportError,
    SyntaxError,
)  # of the tests' own text, not of what they were given


class Raised(Exception):
    """The candidate raised something that has no name here."""


def run_tests(code: str) -> None:
    sys.set_int_max_str_digits(0)
    proxy = _Candidate(new_module(TESTS, "helpers"))
    send(_verdict(code, proxy))


def _verdict(code: str, proxy: "_Candidate") -> dict[str, object]:
    """``passed`` is said here and nowhere else: after `check` has returned and the candidate was called."""
    namespace = proxy.namespace
    try:
        tree = ast.parse(code)
        exec(compile(tree, "tests.py", "exec"), namespace)
        check = namespace.get("check")
    except Exception as error:  # noqa: BLE001  (whatever the tests do)
        return {"broken": f"the tests do not load: {said(error)}"}
    if not callable(check):
        return {"broken": "the tests define no check(candidate)"}
    if not _asserts(tree):
        return {"broken": "zero tests: check() asserts nothing"}
    try:
        check(proxy.call)
        if plain.NotPlain.first:
            raise plain.NotPlain.first
    except plain.NotPlain as error:
        return {"broken" if error.unsure else "failed": str(error)}
    except _BROKEN as error:
        return {"failed" if error is proxy.raised else "broken": _where(error)}
    except Exception as error:  # noqa: BLE001  (an answer of a shape that the tests did not expect)
        return {"failed" if proxy.calls else "broken": _where(error)}
    if not proxy.calls:
        return {"broken": "zero tests: check() never called the candidate"}
    return {"passed": proxy.calls}


def _asserts(tree: ast.Module) -> bool:
    """Whether anything in there can fail: assert, raise, or a function called assert-something."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Assert | ast.Raise):
            return True
        name = getattr(node, "attr", getattr(node, "id", None))
        if isinstance(name, str) and name.startswith("assert"):
            return True
    return False


def _where(error: Exception) -> str:
    """``tests.py:3: AssertionError``: never the tests' text, which holds what is expected."""
    lines = [
        frame.lineno
        for frame in traceback.extract_tb(error.__traceback__)
        if frame.filename == "tests.py"
    ]
    text = "" if type(error) is AssertionError else said(error)
    return f"tests.py:{lines[-1] if lines else '?'}: {text or 'AssertionError'}"


class _Candidate:
    """The function that is tested, as the tests see it: arguments out, plain data back."""

    def __init__(self, namespace: dict[str, Any]) -> None:
        self.namespace = namespace
        self.calls = 0
        self.raised: Exception | None = None

    def call(self, *args: object, **kwargs: object) -> object:
        self.calls += 1
        send({"call": plain.pack((args, kwargs), self._own)})
        try:
            answer = receive()
            if "raised" in answer:
                raise self._error(str(answer["raised"]), str(answer.get("said")))
            value = plain.unpack(answer["value"], self._classes())
            if value is None and "after" in answer:
                self._put_back((args, kwargs), plain.unpack(answer["after"], self._classes()))
        except (ValueError, LookupError, TypeError, RecursionError, MemoryError) as error:
            if error is self.raised:
                raise
            raise plain.NotPlain(
                f"an answer that is not plain data: {said(error)}", False
            ) from None
        return value

    @staticmethod
    def _own(kind: type) -> bool:
        return kind.__module__ == TESTS

    def _classes(self) -> dict[str, type]:
        """Classes that the tests (or our helpers) define themselves, with no metaclass."""
        return {
            name: value
            for name, value in self.namespace.items()
            if type(value) is type and self._own(value) and value.__base__ is object
        }

    def _error(self, name: str, text: str) -> Exception:
        kind = getattr(builtins, name, None)
        known = (
            isinstance(kind, type) and issubclass(kind, Exception) and not issubclass(kind, _QUIET)
        )
        try:
            self.raised = kind(text) if known and kind is not None else Raised(f"{name}: {text}")
        except TypeError:  # UnicodeDecodeError wants five arguments
            self.raised = Raised(f"{name}: {text}")
        return self.raised

    def _put_back(self, given: Any, after: Any) -> None:
        """Bring the arguments into the state that the candidate left them in."""
        (args, kwargs), (args_after, kwargs_after) = given, after
        if len(args) != len(args_after) or kwargs.keys() != kwargs_after.keys():
            raise ValueError("other arguments than were given")
        pairs = [
            *zip(args, args_after, strict=True),
            *((kwargs[k], kwargs_after[k]) for k in kwargs),
        ]
        for old, new in pairs:
            if type(old) is not type(new):
                continue
            if isinstance(old, list | bytearray):
                old[:] = new
            elif isinstance(old, dict | set):
                old.clear()
                old.update(new)
            elif self._own(type(old)):
                vars(old).clear()
                vars(old).update(vars(new))
