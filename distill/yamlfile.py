"""YAML files that a person writes: read into records, every mistake one sentence with file and line.

    card = load_yaml(Path("teachers/tiny.yaml"), Teacher)
    text = dump_yaml(card)

YAML 1.2 through ruamel.yaml, since PyYAML reads ``lr: 1e-5`` as text and lets duplicate keys pass. An
error names file, line, key and the nearest known key. No tags, aliases or merge keys.
"""

import io
import math
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar, get_args

import msgspec

from distill.errors import DistillError, did_you_mean

T = TypeVar("T")

_MAX_DEPTH = 20  # nothing here needs more than 6; ruamel takes 45 s for 5,000 brackets


class Strict(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Base of what a person writes by hand: an unknown key is an error with a suggestion."""


def load_yaml(path: Path, type_: type[T]) -> T:
    """Read one YAML file into a record; every mistake in it is one sentence with file, line and key."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    try:
        text = path.read_text(encoding="utf-8-sig")
        _refuse_tricks(YAML(typ="rt", pure=True).parse(text), path)
        tree = YAML(typ="rt", pure=True).load(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark
        line = mark.line + 1 if mark else 1
        problem = str(error.problem).split("\n")[0]
        raise DistillError(f"{path}:{line}: {problem}") from None
    except (YAMLError, ValueError) as error:  # ValueError: not UTF-8, or a number of 4,300 digits
        raise DistillError(f"{path}: not YAML: {str(error).splitlines()[0]}") from None
    except OSError as error:
        raise DistillError(f"{path}: {error.strerror}") from None
    try:
        return msgspec.convert(_plain(tree, path), type_)
    except msgspec.ValidationError as error:
        raise DistillError(_explain(path, tree, str(error), type_)) from None


def dump_yaml(value: object) -> str:
    """A record as YAML, defaults included: what was resolved is what is written."""
    from ruamel.yaml import YAML

    out = io.StringIO()
    yaml = YAML()
    yaml.default_flow_style = False
    yaml.width = 10_000
    yaml.dump(msgspec.to_builtins(value), out)
    return out.getvalue()


def _refuse_tricks(events: Iterable[Any], path: Path) -> None:
    """Tags (``!!python/...``), aliases (``*base``) and towers of brackets have no place here."""
    depth = 0
    for event in events:
        depth += type(event).__name__.endswith("StartEvent")
        depth -= type(event).__name__.endswith("EndEvent")
        if depth > _MAX_DEPTH:
            raise DistillError(f"{path}:{event.start_mark.line + 1}: nested too deeply")
        if getattr(event, "tag", None) is not None:
            what = f"the tag '{event.tag}'"
        elif type(event).__name__ == "AliasEvent":
            what = f"the alias '*{event.anchor}'"
        else:
            continue
        raise DistillError(
            f"{path}:{event.start_mark.line + 1}: {what} is not allowed here; use plain YAML"
        )


def _plain(node: object, path: Path) -> object:
    """ruamel's line-keeping nodes as plain values; dates and the like are refused."""
    if isinstance(node, dict):
        return {str(key): _plain(value, path) for key, value in node.items()}
    if isinstance(node, list):
        return [_plain(value, path) for value in node]
    if isinstance(node, float) and not math.isfinite(node):
        raise DistillError(f"{path}: {node} is not a number that can be used here")
    for plain in (bool, int, float, str):
        if isinstance(node, plain):
            return plain(node)
    if node is None:
        return None
    raise DistillError(
        f"{path}: a value of type {type(node).__name__} is not allowed here; use plain YAML"
    )


def _explain(path: Path, tree: Any, message: str, type_: type) -> str:
    """msgspec's ``Object contains unknown field `x` - at `$.a[0]``` as ``file:line: unknown key 'x'``."""
    what, _, where = message.partition(" - at ")
    steps: list[str | int] = [
        int(index) if index else name
        for name, index in re.findall(r"\.([\w@-]+)|\[(\d+)\]", where.strip("`"))
    ]
    unknown = re.search(r"unknown field `(.+?)`", what)
    key = unknown.group(1) if unknown else None
    line = _line(tree, [*steps, key] if key else steps)
    if key:
        return f"{path}:{line}: unknown key '{key}'{did_you_mean(key, _fields(type_, steps))}"
    named = next((step for step in reversed(steps) if isinstance(step, str)), None)
    missing = re.search(r"missing required field `(.+?)`", what)
    if missing:
        inside = f" in '{named}'" if named else ""
        return f"{path}:{line}: key '{missing.group(1)}' is missing{inside}"
    reason = what[0].lower() + what[1:]
    if "matching regex" in reason and named == "key":  # it may be the key itself: never shown
        reason = (
            "not the name of an environment variable (letters, digits and '_', no digit first); put the "
            "key into a variable, DISTILL_API_KEY for one, and name that"
        )
    elif "matching regex" in reason:
        reason = "only letters, digits, '.', '_' and '-' can stand here, a letter or digit first"
    return f"{path}:{line}: key '{named}': {reason}" if named else f"{path}:{line}: {reason}"


def _line(tree: Any, steps: list[str | int]) -> int:
    """The 1-based line of the node that a path of keys and indices leads to."""
    line = 0
    for step in steps:
        try:
            line = tree.lc.item(step)[0] if isinstance(step, int) else tree.lc.key(step)[0]
            tree = tree[step]
        except (AttributeError, KeyError, IndexError, TypeError):
            break
    return int(line) + 1


def _fields(type_: Any, steps: list[str | int]) -> list[str]:
    """The known keys at a path inside a record type, for suggestions."""
    for step in steps:
        if isinstance(step, str) and isinstance(type_, type) and issubclass(type_, msgspec.Struct):
            found = {f.encode_name: f.type for f in msgspec.structs.fields(type_)}
            type_ = found.get(step)
        options = [type_, *get_args(type_)]
        nested = [o for o in options if isinstance(o, type) and issubclass(o, msgspec.Struct)]
        if isinstance(step, str) and not nested:
            options = [inner for option in options for inner in get_args(option)] + options
            nested = [o for o in options if isinstance(o, type) and issubclass(o, msgspec.Struct)]
        type_ = nested[0] if nested else type_
    if isinstance(type_, type) and issubclass(type_, msgspec.Struct):
        return [f.encode_name for f in msgspec.structs.fields(type_)]
    return []
