"""Cards: facts about a teacher, a student or a benchmark that hold for every run (YAML).

    card = load_teacher("tiny")                 # a shipped card by name
    card = load_teacher("cards/mine.yaml")      # anything with "/" or ending in .yaml is your own

A fact that could not be looked up is ``null`` and ``why`` says so under the field's name; nothing here
is guessed.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, get_args

import msgspec

from distill.errors import DistillError, did_you_mean
from distill.types import Kind, Problem, Role
from distill.yamlfile import Strict, load_yaml

Shelf = Literal["teachers", "students", "eval", "sources"]
SHELVES: tuple[Shelf, ...] = get_args(Shelf)

# Ranges stand in the types, so that a number outside them is named with its file and line.
Positive = Annotated[int, msgspec.Meta(gt=0, lt=2**53)]
Natural = Annotated[int, msgspec.Meta(ge=0, lt=2**53)]
Above0 = Annotated[float, msgspec.Meta(gt=0)]
NotNegative = Annotated[float, msgspec.Meta(ge=0)]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
# A card's name becomes a folder of the run: nothing in it may lead elsewhere.
Name = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}\Z")]
Variable = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z_][A-Za-z0-9_]*\Z")]
Text = Annotated[str, msgspec.Meta(min_length=1)]
Value = str | int | float | bool
# The forms of tests that distill/problemsets.py reads.
TestsAs = Literal["mbpp", "humaneval", "leetcode", "stdin"]
# What a row can have: a problem's fields, and what tests are read with.
COLUMNS = (*Problem.__struct_fields__, "entry", "setup", "code")
WAYS = ("world", "file", "dataset", "gym")


class Marks(Strict, frozen=True, kw_only=True):
    """How a model sets its reasoning apart. ``opened``: the template itself writes the opening mark."""

    open: Text = "<think>"
    close: Text = "</think>"
    opened: bool = False

    def __post_init__(self) -> None:
        if self.open == self.close:
            raise ValueError(f"'open' and 'close' are both '{self.open}', and must differ")


class CardSampling(Strict, frozen=True, kw_only=True):
    """The vendor's recommended sampling and where it says so."""

    temperature: NotNegative = 1.0
    top_p: Share = 1.0
    top_k: Natural = 0
    source: str | None = None


class Serve(Strict, frozen=True, kw_only=True):
    """How to serve the model: extra vLLM arguments and the GPUs one replica needs (0: a CPU will do)."""

    args: list[str] = []
    gpus: Natural = 0
    source: str | None = None


class Endpoint(Strict, frozen=True, kw_only=True):
    """Where somebody else serves the model: base URLs of the OpenAI protocol (they end in ``/v1``).

    ``key`` names the environment variable that holds the key; the key itself stands in no file.
    ``in_flight`` is of all URLs together. ``api: completions`` renders prompts here, by the model's own
    tokenizer, and sends token ids.
    """

    urls: Annotated[list[str], msgspec.Meta(min_length=1)]
    api: Literal["chat", "completions"] = "chat"
    key: Variable = "DISTILL_API_KEY"
    in_flight: Positive = 64


class Published(Strict, frozen=True, kw_only=True):
    """A score that somebody else measured, in percent, on a benchmark card's problems."""

    benchmark: str
    value: float
    source: str


class Teacher(Strict, frozen=True, kw_only=True):
    """A model that writes traces (``teachers/NAME.yaml``). ``model`` is null where only the owner of an
    endpoint can say it; ``template_args`` go to the chat template (``reasoning_effort: high``)."""

    name: Name
    model: str | None
    revision: str | None = None
    licence: str | None = None
    licence_asks: str | None = None
    access: str | None = None
    parameters: Positive | None = None
    active_parameters: Positive | None = None
    marks: Marks = Marks()
    template_args: dict[str, str | bool | int] = {}
    context: Positive | None = None
    max_tokens: Positive = 32768
    sampling: CardSampling = CardSampling()
    serve: Serve = Serve()
    endpoint: Endpoint | None = None
    price_per_million_tokens: float | None = None
    published: list[Published] = []
    made: str | None = None
    why: dict[str, str] = {}


class RandomStart(Strict, frozen=True, kw_only=True):
    """A student without weights: an architecture at random start, with a tokenizer to copy."""

    architecture: Literal["qwen2", "qwen3", "llama"]
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
    """A model that is fine-tuned (``students/NAME.yaml``). ``model`` is null for a random start;
    ``published`` is what others' students from this start reached."""

    name: Name
    model: str | None = None
    start: RandomStart | None = None
    revision: str | None = None
    licence: str | None = None
    licence_asks: str | None = None
    access: str | None = None
    parameters: Positive | None = None
    marks: Marks = Marks()
    context: Positive = 32768
    rope_theta: Above0 | None = None
    serve: Serve = Serve()
    learning_rate: Above0
    epochs: Above0 = 3.0
    published: list[Published] = []
    source: str | None = None
    why: dict[str, str] = {}


class RowMap(Strict, frozen=True, kw_only=True):
    """Where rows are and how they become problems: what a problem card and a recipe's entry share.

    ``columns`` gives a column of ours the set's name for it (``a.b`` reaches into nested ones; of a list
    of names, `choices` makes a list and everything else one text of lines). Only rows that have the values
    of ``where`` and none of ``where_not`` are chosen. A null inside these three drops what a card says there,
    and ``answer_in: whole`` how it finds the answer.
    ``answer_in: index`` counts from 0; ``first``: the first choice is the right one, and a hash decides the
    order in which they are asked.
    """

    dataset: str | None = None
    gym: str | None = None
    subset: str | None = None
    split: str | None = None
    revision: str | None = None
    columns: dict[str, str | list[str] | None] = {}
    answer_in: Literal["whole", "boxed", "index", "first"] | None = None
    answer_after: str | None = None
    no_answer: list[str] | None = None
    where: dict[str, Value | list[Value] | None] = {}
    where_not: dict[str, Value | list[Value] | None] = {}
    tests: TestsAs | None = None
    kind: Kind | None = None
    licence: str | None = None
    language: str | None = None

    def __post_init__(self) -> None:
        for name in self.columns:
            if name not in COLUMNS:
                raise ValueError(f"'columns' has no '{name}'{did_you_mean(name, COLUMNS)}")


class ProblemSource(RowMap, frozen=True, kw_only=True):
    """Where problems come from: one of ``world``, ``file``, ``dataset``, ``card``, ``gym``, and how their
    columns map. `resolve` puts a card's mapping underneath what is set here."""

    card: str | None = None
    world: Literal["train", "test", "longer"] | None = None
    file: str | None = None
    gym_config: dict[str, object] = {}
    source: str | None = None
    count: Positive | None = None
    seed: Natural = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        ways = [way for way in WAYS if getattr(self, way)] or ["card"]
        unused = [f for f in self.__struct_fields__ if getattr(self, f) and _unused(ways[0], f)]
        if unused and len(ways) == 1:
            raise ValueError(f"a source by '{ways[0]}' cannot use '{unused[0]}': take it out")
        for name, ours in (("size", "count"), ("seed", "seed")):
            if name in self.gym_config:
                raise ValueError(f"'{name}' inside 'gym_config': write '{ours}' beside it instead")


def _unused(way: str, setting: str) -> bool:
    """Whether a setting would say nothing about rows that come this way (`resolve` looks at the ways)."""
    if setting in (*WAYS, "card"):
        return False
    if way == "world":
        return setting not in ("count", "seed", "source")
    places = ("subset", "split", "revision")
    if way == "gym":
        return setting in (*places, "tests")
    return setting in ("seed", "gym_config", *(places if way == "file" else ()))


class ProblemCard(RowMap, frozen=True, kw_only=True):
    """A public problem set and how its rows are read (``sources/NAME.yaml``). ``rows``: how many each split
    has; ``source``: where these facts stand."""

    name: Name
    rows: dict[str, Positive] | None = None
    access: str | None = None
    source: str
    why: dict[str, str] = {}


class Benchmark(Strict, frozen=True, kw_only=True):
    """A fixed list of problems that models are compared on (``eval/NAME.yaml``)."""

    name: Name
    problems: ProblemSource
    instruction: str | None = None
    samples: Positive = 1
    temperature: NotNegative = 0.6
    top_p: Share = 0.95
    max_tokens: Positive = 32768
    licence: str | None = None
    access: str | None = None
    source: str | None = None
    why: dict[str, str] = {}


Card = Teacher | Student | Benchmark | ProblemCard
_TYPES: dict[Shelf, type[Any]] = {
    "teachers": Teacher, "students": Student, "eval": Benchmark, "sources": ProblemCard,
}  # fmt: skip
_CALLED: dict[str, str] = dict(
    zip(SHELVES, ("teacher", "student", "benchmark", "problem card"), strict=True)
)
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
        what = _CALLED.get(folder, "recipe")
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
    path = find(name, "eval")
    card = load_yaml(path, Benchmark)
    try:
        resolve(card.problems)
    except DistillError as error:
        raise DistillError(f"{path}: key 'problems': {error}") from None
    return card


def load_problem_card(name: str) -> ProblemCard:
    return load_yaml(find(name, "sources"), ProblemCard)


def resolve(source: ProblemSource) -> ProblemSource:
    """A source with its card's mapping underneath: what the source sets wins (`columns` and the conditions
    key by key). Where it names a file, a data set or a gym task of its own, nothing of where the card's rows
    lie holds any more. Raises `DistillError` unless there is exactly one way to get rows."""
    ways = [way for way in WAYS if getattr(source, way)]
    if len(ways) + (source.card is not None and not ways) != 1 or (source.card and source.world):
        raise DistillError(
            "a source of problems needs exactly one of 'world', 'file', 'dataset', 'gym' and 'card' "
            "('card' also goes with 'file', 'dataset' or 'gym')"
        )
    if source.card is None and source.gym is None:
        return source
    card = load_problem_card(source.card or "reasoning-gym")
    merged: dict[str, Any] = {"source": source.source or card.name}
    for field in RowMap.__struct_fields__:
        ours, theirs = getattr(source, field), getattr(card, field)
        both = {**theirs, **ours} if isinstance(ours, dict) else ours
        merged[field] = theirs if both is None else both
    places = ["dataset", "gym", "subset", "revision", "split"] if ways else []
    answers = ["answer_in", "answer_after"] if source.answer_in or source.answer_after else []
    merged |= {field: getattr(source, field) for field in places + answers}
    if not source.file and not merged["dataset"] and not merged["gym"]:
        raise DistillError(
            f"problem card '{card.name}' says how rows are read, not where they are: add 'file:'"
            " (or 'gym:', the name of a task, for reasoning-gym)"
        )
    return msgspec.structs.replace(source, **merged)


def all_cards() -> Iterator[tuple[Shelf, Found]]:
    """Every shipped card, shelf by shelf."""
    for shelf in SHELVES:
        for name in names(shelf):
            path = find(name, shelf)
            yield shelf, Found(load_yaml(path, _TYPES[shelf]), path)


def find_card(name: str, among: Sequence[Shelf] = SHELVES) -> Found:
    """A card as ``SHELF/NAME``, a bare name that only one shelf has (of those ``among`` which it is looked
    for), or the path of a file. Raises `DistillError` for one that is not there or not the only one."""
    if is_path(name) and Path(name).is_file():
        return Found(load_yaml(Path(name), _TYPES[_shelf_of(Path(name))]), Path(name))
    shelf, slash, short = name.rpartition("/")
    shelves = [s for s in SHELVES if s == shelf] if slash else among
    if not shelves or (not slash and is_path(name)):
        raise DistillError(f"{name}: no such file, and no shipped card (SHELF/NAME)")
    having = [s for s in shelves if short in names(s)]
    if len(having) > 1:
        both = " or ".join(f"'{s}/{name}'" for s in having)
        raise DistillError(f"several cards are called '{name}': say {both}")
    if not having:
        known = [f"{s}/{n}" if slash else n for s in shelves for n in names(s)]
        raise DistillError(f"no card '{name}'{did_you_mean(name, set(known))}")
    path = find(short, having[0])
    return Found(load_yaml(path, _TYPES[having[0]]), path)


def _shelf_of(path: Path) -> Shelf:
    """Which kind of card a file is: by its folder, else by what only one kind has."""
    for shelf in SHELVES:
        if path.resolve().parent.name == shelf:
            return shelf
    keys = load_yaml(path, dict[str, Any])
    marks: dict[str, Shelf] = {
        "problems": "eval", "learning_rate": "students", "dataset": "sources", "gym": "sources",
    }  # fmt: skip
    return next((shelf for key, shelf in marks.items() if key in keys), "teachers")


def model_of(name: str) -> str | None:
    """A teacher's model as transformers takes it (`local_model`); None where its card names none."""
    model = load_teacher(name).model
    return None if model is None else local_model(name, "teachers", model)


def local_model(name: str, shelf: Shelf, model: str) -> str:
    """A card's ``model`` as transformers takes it: a hub id, or a path (``./``, relative to the card)."""
    return str((find(name, shelf).parent / model).resolve()) if model.startswith(".") else model
