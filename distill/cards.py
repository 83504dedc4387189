"""Cards: facts about a teacher, a student or a benchmark that hold for every run (YAML).

    card = load_teacher("tiny")                 # a shipped card by name
    card = load_teacher("cards/mine.yaml")      # anything with "/" or ending in .yaml is your own

YAML 1.2 through ruamel.yaml, since PyYAML reads ``lr: 1e-5`` as text and lets duplicate keys pass.
An error names file, line, key and the nearest known key. A fact that could not be looked up is
``null`` and ``why`` says so under the field's name; nothing here is guessed.
"""

import io
import math
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, TypeVar, get_args

import msgspec

from distill.errors import DistillError, did_you_mean
from distill.types import Kind, Role

Shelf = Literal["teachers", "students", "eval"]
SHELVES: tuple[Shelf, ...] = get_args(Shelf)
T = TypeVar("T")

# Ranges stand in the types, so that a number outside them is named with its file and line.
Positive = Annotated[int, msgspec.Meta(gt=0, lt=2**53)]
Natural = Annotated[int, msgspec.Meta(ge=0, lt=2**53)]
Above0 = Annotated[float, msgspec.Meta(gt=0)]
NotNegative = Annotated[float, msgspec.Meta(ge=0)]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
# A card's name becomes a folder of the run: nothing in it may lead elsewhere.
Name = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}\Z")]

_MAX_DEPTH = 20  # nothing here needs more than 6; ruamel takes 45 s for 5,000 brackets


class Strict(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Base of what a person writes by hand: an unknown key is an error with a suggestion."""


class Marks(Strict, frozen=True, kw_only=True):
    """How a model sets its reasoning apart. ``opened``: the template itself writes the opening mark."""

    open: str = "<think>"
    close: str = "</think>"
    opened: bool = False


class CardSampling(Strict, frozen=True, kw_only=True):
    """The vendor's recommended sampling and where it says so."""

    temperature: NotNegative = 1.0
    top_p: Share = 1.0
    top_k: Natural = 0
    source: str | None = None


class Serve(Strict, frozen=True, kw_only=True):
    """How to serve the model: extra vLLM arguments and the GPUs one replica needs."""

    args: list[str] = []
    gpus: int = 0


class Published(Strict, frozen=True, kw_only=True):
    """A score that somebody else measured."""

    benchmark: str
    value: float
    source: str


class Teacher(Strict, frozen=True, kw_only=True):
    """A model that writes traces (``teachers/NAME.yaml``)."""

    name: Name
    model: str
    revision: str | None = None
    licence: str | None = None
    licence_asks: str | None = None
    parameters: int | None = None
    marks: Marks = Marks()
    context: Positive | None = None
    max_tokens: Positive = 32768
    sampling: CardSampling = CardSampling()
    serve: Serve = Serve()
    price_per_million_tokens: float | None = None
    published: list[Published] = []
    made: str | None = None
    why: dict[str, str] = {}


class RandomStart(Strict, frozen=True, kw_only=True):
    """A student without weights: an architecture at random start, with a tokenizer to copy."""

    architecture: Literal["qwen2", "llama"]
    tokenizer: str
    hidden_size: int
    intermediate_size: int
    layers: int
    heads: int
    kv_heads: int
    rope_theta: float = 10000.0
    tied: bool = True
    initializer_range: Above0 = 0.02


class Student(Strict, frozen=True, kw_only=True):
    """A model that is fine-tuned (``students/NAME.yaml``). ``model`` is null for a random start."""

    name: Name
    model: str | None = None
    start: RandomStart | None = None
    revision: str | None = None
    licence: str | None = None
    licence_asks: str | None = None
    parameters: int | None = None
    marks: Marks = Marks()
    context: int = 32768
    rope_theta: float | None = None
    learning_rate: Above0
    epochs: Above0 = 3.0
    source: str | None = None
    why: dict[str, str] = {}


class ProblemSource(Strict, frozen=True, kw_only=True):
    """Where problems come from: one of ``world``, ``file``, ``dataset``, and how its columns map."""

    world: Literal["train", "test", "longer"] | None = None
    file: str | None = None
    dataset: str | None = None
    subset: str | None = None
    split: str = "train"
    revision: str | None = None
    columns: dict[str, str] = {}
    answer_after: str | None = None
    kind: Kind | None = None
    source: str | None = None
    licence: str | None = None
    language: str | None = None
    count: Positive | None = None
    seed: Natural = 0


class Benchmark(Strict, frozen=True, kw_only=True):
    """A fixed list of problems that models are compared on (``eval/NAME.yaml``)."""

    name: Name
    problems: ProblemSource
    instruction: str | None = None
    samples: Positive = 1
    temperature: NotNegative = 0.6
    top_p: Share = 0.95
    max_tokens: Positive = 32768
    metric: Literal["pass@1"] = "pass@1"
    licence: str | None = None
    source: str | None = None
    published: list[Published] = []
    why: dict[str, str] = {}


Card = Teacher | Student | Benchmark
_TYPES: dict[Shelf, type[Any]] = {"teachers": Teacher, "students": Student, "eval": Benchmark}
ROLE_SHELF: dict[Role, Shelf] = {"teacher": "teachers", "student": "students", "base": "students"}


class Found(NamedTuple):
    """A card and the file it came from (relative model paths are relative to that file)."""

    card: Card
    path: Path


# ── finding ──────────────────────────────────────────────────────────────────────────────────────


def shipped(folder: str) -> Path:
    """A folder that ships with distill: inside the package in a wheel, beside it in a checkout."""
    inside = Path(__file__).parent / folder
    return inside if inside.is_dir() else Path(__file__).parent.parent / folder


def is_path(name: str) -> bool:
    """Whether a card or recipe is named by path rather than by the name of a shipped one."""
    return "/" in name or name.endswith((".yaml", ".yml"))


def find(name: str, folder: str) -> Path:
    """The YAML file behind a name or path; a `DistillError` with the nearest name otherwise."""
    if is_path(name):
        path = Path(name)
        if not path.is_file():
            raise DistillError(f"{name}: no such file")
        return path
    path = shipped(folder) / f"{name}.yaml"
    if not path.is_file():
        what = {"teachers": "teacher", "students": "student", "eval": "benchmark"}.get(
            folder, "recipe"
        )
        raise DistillError(f"unknown {what} '{name}'{did_you_mean(name, names(folder))}")
    return path


def names(folder: str) -> list[str]:
    """Names of the shipped files of one folder, sorted."""
    return sorted(path.stem for path in shipped(folder).glob("*.yaml"))


def load_teacher(name: str) -> Teacher:
    return load_yaml(find(name, "teachers"), Teacher)


def load_student(name: str) -> Student:
    return load_yaml(find(name, "students"), Student)


def load_benchmark(name: str) -> Benchmark:
    return load_yaml(find(name, "eval"), Benchmark)


def all_cards() -> Iterator[tuple[Shelf, Found]]:
    """Every shipped card, shelf by shelf."""
    for shelf in SHELVES:
        for name in names(shelf):
            path = find(name, shelf)
            yield shelf, Found(load_yaml(path, _TYPES[shelf]), path)


def find_card(name: str) -> Card:
    """A card as ``SHELF/NAME``, a bare name that only one shelf has, or a path ``SHELF/FILE.yaml``."""
    shelf, _, short = name.rpartition("/")
    shelves: list[Shelf] = [s for s in SHELVES if s == shelf.rsplit("/", 1)[-1]] or list(SHELVES)
    if is_path(name) and Path(name).is_file():
        card: Card = load_yaml(Path(name), _TYPES[shelves[0]])
        return card
    for candidate in shelves:
        if short in names(candidate):
            card = load_yaml(find(short, candidate), _TYPES[candidate])
            return card
    known = [f"{s}/{n}" for s in SHELVES for n in names(s)]
    raise DistillError(f"no card '{name}'{did_you_mean(name, known)}")


def local_model(name: str, shelf: Shelf, model: str) -> str:
    """A card's ``model`` as transformers takes it: a hub id, or a path when it starts with ``./``
    (relative to the card)."""
    return str((find(name, shelf).parent / model).resolve()) if model.startswith(".") else model


# ── reading YAML ─────────────────────────────────────────────────────────────────────────────────


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
    if "matching regex" in reason:
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
