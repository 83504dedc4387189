"""Recipes: the choices of one run (YAML), each with its default.

    recipe = load_recipe("quickstart")          # shipped in examples/
    recipe = load_recipe("my/recipe.yaml")

A recipe names cards (facts) and says what to do with them. Two levels, no third: no includes, tags,
inheritance or templating. The run folder keeps the recipe as resolved, defaults written out.
"""

from typing import Annotated, Literal

import msgspec

from distill.cards import (
    Above0,
    Natural,
    NotNegative,
    Positive,
    ProblemSource,
    Share,
    find,
    load_benchmark,
    load_student,
    load_teacher,
    resolve,
)
from distill.errors import DistillError
from distill.types import Kind, Status
from distill.yamlfile import Strict, load_yaml

Engine = Literal["auto", "local", "vllm", "endpoint"]

# The directive of DeepSeek-R1's own usage recommendations (its README, "Usage Recommendations").
BOXED = "Please reason step by step, and put your final answer within \\boxed{}."


class Generate(Strict, frozen=True, kw_only=True):
    """How the teacher is asked. Null sampling fields take the card's recommendation."""

    samples: Positive = 4
    temperature: NotNegative | None = None
    top_p: Share | None = None
    top_k: Natural | None = None
    max_tokens: Positive | None = None
    batch: Positive = 256


class Filter(Strict, frozen=True, kw_only=True):
    """What is trained on. ``per_problem`` keeps the first so many by sample index."""

    keep_status: list[Status] = msgspec.field(default_factory=lambda: ["correct"])
    per_problem: Positive = 4
    duplicates: bool = True
    overlap: bool = True


class Train(Strict, frozen=True, kw_only=True):
    """How students are fine-tuned. Null fields take the student card's values.

    ``zero`` says what processes share instead of repeat: 1 Adam's moments, 2 gradients too, 3 weights
    too. ``offload`` keeps that share in the host's memory: ``optimizer`` the moments and the fp32
    weights that Adam updates, ``all`` every parameter as well.
    """

    objective: Literal["sft"] = "sft"
    epochs: Above0 | None = None
    max_steps: Positive | None = None
    learning_rate: Above0 | None = None
    final_learning_rate: Share = 0.1
    warmup: Share = 0.03
    weight_decay: NotNegative = 0.0
    beta2: Share = 0.95
    clip: Above0 = 1.0
    length: Positive = 32768
    tokens_per_step: Positive = 524288
    rows_per_forward: Positive = 1
    zero: Literal[0, 1, 2, 3] = 2
    offload: Literal["none", "optimizer", "all"] = "none"
    dtype: Literal["auto", "fp32", "bf16"] = "auto"
    checkpoint_minutes: Above0 = 10.0
    checkpoint_steps: Positive | None = None
    keep_checkpoints: Positive = 2
    seed: Natural = 0

    def __post_init__(self) -> None:
        if self.offload == "all" and self.zero != 3:
            raise ValueError(f"'offload: all' needs 'zero: 3', and this says 'zero: {self.zero}'")
        if self.offload == "optimizer" and self.zero == 0:
            raise ValueError(
                "'offload: optimizer' needs 'zero: 1' or more, and this says 'zero: 0'"
            )


class Judging(Strict, frozen=True, kw_only=True):
    """The model that grades problems of kind `judge`: a teacher's card. With several ``samples`` more than
    half must say right. Null: the shipped rubric, the card's ``max_tokens``."""

    teacher: str
    rubric: str | None = None
    samples: Positive = 1
    temperature: NotNegative = 0.0
    max_tokens: Positive | None = None
    engine: Engine = "auto"

    def __post_init__(self) -> None:
        if self.samples > 1 and self.temperature == 0:
            raise ValueError(
                f"'samples: {self.samples}' of a judge needs a 'temperature' above 0: they would all "
                "be the same"
            )


class Evaluate(Strict, frozen=True, kw_only=True):
    """Which benchmarks, and how often each problem is asked. Null fields take the benchmark card's."""

    benchmarks: list[str] = []
    samples: Positive | None = None
    temperature: NotNegative | None = None
    top_p: Share | None = None
    max_tokens: Positive | None = None
    teacher: bool = True
    base: bool = True
    seed: Natural = 0


class Recipe(Strict, frozen=True, kw_only=True):
    """Everything one run decides. ``sandbox``: where programs of kind `code` run: ``auto``, ``bubblewrap``,
    ``landlock``, ``container``, ``none``, or the command that starts a container."""

    problems: Annotated[list[ProblemSource], msgspec.Meta(min_length=1)]
    teacher: str = "tiny"
    engine: Engine = "auto"
    students: list[str] = []
    seed: Natural = 0
    instruction: dict[Kind, str] = msgspec.field(
        default_factory=lambda: {"math": BOXED, "choice": BOXED}
    )
    show_instruction: bool = True
    check_timeout_s: Above0 = 10.0
    sandbox: str = "auto"
    judge: Judging | None = None
    generate: Generate = Generate()
    filter: Filter = Filter()
    train: Train = Train()
    evaluate: Evaluate = msgspec.field(name="eval", default=Evaluate())


def load_recipe(name: str) -> Recipe:
    """A shipped recipe by name, or a file by path, checked beyond what its types say."""
    path = find(name, "examples")
    recipe = load_yaml(path, Recipe)
    for number, source in enumerate(recipe.problems):
        try:
            resolve(source)
        except DistillError as error:
            raise DistillError(f"{path}: problems[{number}]: {error}") from None
    return recipe


def require_cards(recipe: Recipe, name: str) -> None:
    """Refuse a recipe that names a card which is not there, before anything is paid for."""
    try:
        load_teacher(recipe.teacher)
        if recipe.judge is not None:
            load_teacher(recipe.judge.teacher)
        for student in recipe.students:
            load_student(student)
        for benchmark in recipe.evaluate.benchmarks:
            load_benchmark(benchmark)
    except DistillError as error:
        raise DistillError(f"recipe '{name}': {error}") from None
