"""What the shipped cards state: every fact has a source or a reason, and no field is there for nothing."""

import ast
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest

from distill import cards
from distill.cards import SHELVES, Benchmark, Found, ProblemCard, Student, Teacher
from distill.yamlfile import load_yaml

ROOT = Path(__file__).parent.parent
SHAPES: dict[str, dict[str, Any]] = load_yaml(
    ROOT / "tests/train/shapes.yaml", dict[str, dict[str, Any]]
)
FOUND = {f"{shelf}/{one.card.name}": one for shelf, one in cards.all_cards()}
MODELS = {k: f for k, f in FOUND.items() if isinstance(f.card, Teacher | Student)}
TEACHERS = {k: f for k, f in FOUND.items() if isinstance(f.card, Teacher)}
BENCHMARKS = {k: f for k, f in FOUND.items() if isinstance(f.card, Benchmark)}

# The list of the design: what a user is promised.
PROMISED = {
    "students": "tiny-qwen tiny-llama qwen-1.5b qwen-7b qwen-14b qwen-32b llama-8b llama-70b qwen3-0.6b "
    "qwen3-1.7b qwen3-4b qwen3-8b qwen3-14b llama-3.2-1b llama-3.2-3b",
    "teachers": "tiny deepseek-r1 deepseek-r1-0528 qwq-32b qwen3-235b-thinking qwen3-32b gpt-oss-120b "
    "r1-distill-qwen-32b endpoint",
    "eval": "tiny tiny-longer aime24 aime25 amc23 math-500 gpqa-diamond livecodebench gsm8k humaneval mbpp "
    "olympiadbench mmlu-stem",
}


def each(found: Mapping[str, Found]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("found", found.values(), ids=found.keys())


@pytest.mark.parametrize("shelf", PROMISED)
def test_every_promised_card_is_there(shelf: str) -> None:
    assert set(PROMISED[shelf].split()) <= set(cards.names(shelf))


# ── facts and reasons ────────────────────────────────────────────────────────────────────────────


@each(FOUND)
def test_a_reason_stands_under_the_name_of_a_field_that_exists(found: Found) -> None:
    for name in found.card.why:
        value: Any = found.card
        for step in name.split("."):
            value = getattr(value, step)


@each(MODELS)
def test_a_missing_fact_about_a_model_has_its_reason(found: Found) -> None:
    card = found.card
    assert isinstance(card, Teacher | Student)
    facts = ["revision", "licence", "context", "parameters"]
    if isinstance(card, Teacher):
        facts += ["model", *([] if card.name == "tiny" else ["price_per_million_tokens"])]
    if card.name == "endpoint":
        facts.remove("parameters")
    for fact in facts:
        assert getattr(card, fact) is not None or card.why.get(fact), f"{fact}: null, and why?"


@each(BENCHMARKS)
def test_a_missing_fact_about_a_benchmark_has_its_reason(found: Found) -> None:
    card = found.card
    assert isinstance(card, Benchmark)
    assert card.licence or card.why.get("licence")
    assert card.source
    if card.problems.dataset:
        assert card.problems.revision or card.why.get("problems.revision")


@each(MODELS)
def test_what_is_not_arithmetic_names_its_source(found: Found) -> None:
    card = found.card
    assert isinstance(card, Teacher | Student)
    for score in card.published:
        assert score.source and 0 < score.value <= 100
        assert score.benchmark in cards.names("eval")
    if card.serve.gpus:
        assert card.serve.source
    if isinstance(card, Teacher):
        assert card.sampling.source
    else:
        assert card.source and card.learning_rate < 1e-2 and 1 <= card.epochs <= 5


@each(FOUND)
def test_a_revision_is_a_whole_commit(found: Found) -> None:
    card = found.card
    revision = card.problems.revision if isinstance(card, Benchmark) else card.revision
    assert revision is None or (len(revision) == 40 and int(revision, 16))
    key = "problems.revision" if isinstance(card, Benchmark) else "revision"
    assert not (revision and key in card.why), "pinned, and yet a reason why not"


# ── licences and access ──────────────────────────────────────────────────────────────────────────


@each(MODELS)
def test_llama_asks_for_its_name_and_is_gated_and_nobody_else_is(found: Found) -> None:
    """Llama's licences: "Llama" first in a derived model's name, "Built with Llama" shown."""
    card = found.card
    assert isinstance(card, Teacher | Student)
    if (card.model or "").startswith("meta-llama/"):
        assert (card.licence or "").startswith("llama3.")
        assert '"Llama" at the beginning' in str(card.licence_asks)
        assert "Built with Llama" in str(card.licence_asks)
        assert str(card.access).startswith("gated") and str(card.model) in str(card.access)
    else:
        assert card.access is None and card.licence in {"Apache-2.0", "MIT", None}


def test_gpqa_says_that_it_is_gated() -> None:
    card = FOUND["eval/gpqa-diamond"].card
    assert isinstance(card, Benchmark) and "gated" in str(card.access)


# ── marks ────────────────────────────────────────────────────────────────────────────────────────

OPENED = {"deepseek-r1", "qwq-32b", "qwen3-235b-thinking", "r1-distill-qwen-32b"}


@each(TEACHERS)
def test_the_template_opens_the_marks_where_its_source_says_so(found: Found) -> None:
    card = found.card
    assert isinstance(card, Teacher)
    assert card.marks.opened == (card.name in OPENED)
    assert (card.marks.open, card.marks.close) == ("<think>", "</think>")
    if card.marks.opened:
        line = next(
            i for i in found.path.read_text().splitlines() if i.strip().startswith("opened:")
        )
        comment = "#" in line or "template" in found.path.read_text()
        assert comment, "which source says that the template opens them?"


# ── arithmetic ───────────────────────────────────────────────────────────────────────────────────


def test_every_student_with_weights_has_its_shape_on_record() -> None:
    with_weights = {
        f.card.name for f in MODELS.values() if isinstance(f.card, Student) and f.card.model
    }
    assert with_weights == set(SHAPES)


def parameters(shape: Mapping[str, Any]) -> int:
    """Embeddings, attention with its biases or norms, the gated MLP, two norms a layer and one at the end."""
    hidden, head = shape["hidden"], shape["head"]
    query, key = shape["heads"] * head, shape["kv_heads"] * head
    attention = hidden * (2 * query + 2 * key)
    attention += {"qwen2": query + 2 * key, "qwen3": 2 * head, "llama": 0}[shape["architecture"]]
    layer = attention + 3 * hidden * shape["mlp"] + 2 * hidden
    words = shape["words"] * hidden * (1 if shape["tied"] else 2)
    return int(words + shape["layers"] * layer + hidden)


@pytest.mark.parametrize("name", SHAPES)
def test_the_parameters_of_a_student_are_the_arithmetic_of_its_shape(name: str) -> None:
    card = cards.load_student(name)
    assert card.parameters == parameters(SHAPES[name])
    says = SHAPES[name]["says"]
    assert says is None or math.isclose(card.parameters / 1e9, says, rel_tol=0.015)


def config_of(shape: Mapping[str, Any]) -> Any:
    from transformers import LlamaConfig, Qwen2Config, Qwen3Config

    kind = {"qwen2": Qwen2Config, "qwen3": Qwen3Config, "llama": LlamaConfig}[shape["architecture"]]
    return kind(
        vocab_size=shape["words"],
        hidden_size=shape["hidden"],
        intermediate_size=shape["mlp"],
        num_hidden_layers=shape["layers"],
        num_attention_heads=shape["heads"],
        num_key_value_heads=shape["kv_heads"],
        head_dim=shape["head"],
        max_position_embeddings=shape["positions"],
        tie_word_embeddings=shape["tied"],
    )


@pytest.mark.parametrize("name", SHAPES)
def test_transformers_builds_a_model_of_just_as_many_parameters(name: str) -> None:
    """On the meta device: shapes without memory, 70 billion parameters included."""
    import torch
    from transformers import AutoModelForCausalLM

    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config_of(SHAPES[name]), dtype=torch.bfloat16)
    assert sum(p.numel() for p in model.parameters()) == cards.load_student(name).parameters


@pytest.mark.parametrize("name", SHAPES)
def test_the_context_fits_the_positions_or_the_rope_base_changes_with_it(name: str) -> None:
    card, shape = cards.load_student(name), SHAPES[name]
    assert (card.rope_theta is not None) == (card.context > shape["positions"])


@each(MODELS)
def test_the_gpus_are_those_that_the_arguments_ask_for_and_hold_the_weights(found: Found) -> None:
    card = found.card
    assert isinstance(card, Teacher | Student)
    args = dict(zip(card.serve.args, card.serve.args[1:], strict=False))
    sizes = [int(args.get(f"--{way}-parallel-size", 1)) for way in ("tensor", "pipeline", "data")]
    if card.serve.gpus:
        assert card.serve.gpus == math.prod(sizes)
    if card.parameters and card.name not in {"tiny"}:
        fp8, mxfp4 = card.name.startswith("deepseek-r1"), card.name == "gpt-oss-120b"
        weights_gb = card.parameters / 1e9 * (0.55 if mxfp4 else 1 if fp8 else 2)
        assert weights_gb < 0.9 * 80 * card.serve.gpus


def test_active_parameters_are_for_mixtures_and_fewer() -> None:
    for found in TEACHERS.values():
        card = found.card
        assert isinstance(card, Teacher)
        if card.active_parameters is not None:
            assert card.parameters and card.active_parameters < card.parameters / 5


# ── benchmarks ───────────────────────────────────────────────────────────────────────────────────


@each(BENCHMARKS)
def test_a_benchmark_has_one_way_to_its_problems_and_room_for_long_chains(found: Found) -> None:
    card = found.card
    assert isinstance(card, Benchmark)
    source = cards.resolve(card.problems)
    if source.world is None:
        assert source.dataset and source.kind and card.max_tokens == 32768
        assert (card.temperature, card.top_p) == (0.6, 0.95)
        assert source.split


# ── nothing for nothing ──────────────────────────────────────────────────────────────────────────

# Written for people, who read them in the file: `distill cards SHELF/NAME` prints it.
FOR_PEOPLE = {"source", "why"}


def records() -> Iterator[type]:
    """Every record type of the cards: the card types and all that they hold."""
    todo: list[Any] = [Teacher, Student, Benchmark, ProblemCard]
    seen: set[type] = set()
    while todo:
        type_ = todo.pop()
        todo += get_args(type_)
        if isinstance(type_, type) and issubclass(type_, msgspec.Struct) and type_ not in seen:
            seen.add(type_)
            yield type_
            todo += [field.type for field in msgspec.structs.fields(type_)]


def names_read() -> set[str]:
    """Every attribute that distill takes a value from, outside cards.py itself."""
    read: set[str] = set()
    for path in (ROOT / "distill").rglob("*.py"):
        if path == ROOT / "distill/cards.py":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
                read.add(node.attr)
    return read


def dead_fields(types: Iterator[type] | list[type]) -> set[str]:
    read = names_read() | FOR_PEOPLE
    return {
        f"{type_.__name__}.{field.name}"
        for type_ in types
        for field in msgspec.structs.fields(type_)
        if field.name not in read
    }


def test_every_field_of_every_card_is_read_somewhere() -> None:
    assert dead_fields(records()) == set()


def test_a_field_that_nothing_reads_would_be_seen() -> None:
    class Planted(Teacher, frozen=True, kw_only=True):
        phase_of_the_moon: str | None = None

    assert dead_fields([Planted]) == {"Planted.phase_of_the_moon"}
    assert {"Marks", "Serve", "Endpoint", "Published", "RandomStart", "ProblemSource"} <= {
        type_.__name__ for type_ in records()
    }


def test_all_shelves_are_looked_at() -> None:
    assert {name.split("/")[0] for name in FOUND} == set(SHELVES)
