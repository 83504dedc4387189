"""Recipes: defaults, ranges, and which key makes two of them differ."""

from pathlib import Path

import msgspec
import pytest

from distill import cards
from distill.errors import DistillError
from distill.recipe import Recipe, load_recipe
from distill.run import first_difference
from distill.yamlfile import dump_yaml

MINIMAL = "problems:\n  - world: train\n"


def recipe(text: str, tmp_path: Path) -> Recipe:
    path = tmp_path / "r.yaml"
    path.write_text(text, encoding="utf-8")
    return load_recipe(str(path))


def test_everything_but_the_problems_has_a_default(tmp_path: Path) -> None:
    found = recipe(MINIMAL, tmp_path)
    assert found.teacher == "tiny"
    assert found.train.zero == 2
    assert found.filter.keep_status == ["correct"]
    assert found.evaluate.samples is None


def test_the_resolved_recipe_reads_back_the_same(tmp_path: Path) -> None:
    found = recipe(MINIMAL + "train: {learning_rate: 1e-3}\neval: {benchmarks: [tiny]}\n", tmp_path)
    assert recipe(dump_yaml(found), tmp_path) == found


def test_problems_by_card_and_by_gym_read_back_the_same(tmp_path: Path) -> None:
    found = recipe(
        "problems:\n"
        "  - {card: openr1-math, count: 10000, where: {question_type: [MCQ, proof]}}\n"
        "  - {card: gsm8k, file: my/gsm8k.jsonl, columns: {topic: null}}\n"
        "  - {gym: chain_sum, count: 100, seed: 3, gym_config: {max_terms: 4}}\n",
        tmp_path,
    )
    assert [source.card for source in found.problems] == ["openr1-math", "gsm8k", None]
    assert found.problems[2].gym_config == {"max_terms": 4}
    assert recipe(dump_yaml(found), tmp_path) == found


@pytest.mark.parametrize("name", cards.names("examples"))
def test_every_shipped_recipe_loads_and_names_cards_that_exist(name: str) -> None:
    found = load_recipe(name)
    cards.load_teacher(found.teacher)
    for student in found.students:
        cards.load_student(student)
    for benchmark in found.evaluate.benchmarks:
        cards.load_benchmark(benchmark)


@pytest.mark.parametrize(
    "text,sentence",
    [
        ("teacher: tiny\n", "r.yaml:1: key 'problems' is missing"),
        ("problems: []\n", "r.yaml:1: key 'problems': expected `array` of length >= 1"),
        ("problems:\n  - {}\n", "problems[0]: a source of problems needs exactly one of 'world',"),
        (
            "problems:\n  - {world: train, file: x}\n",
            "problems[0]: a source of problems needs exactly one of",
        ),
        ("problems:\n  - {card: gsm9k}\n", "unknown problem card 'gsm9k'; did you mean 'gsm8k'?"),
        ("problems:\n  - {card: gsm8k, world: train}\n", "problems[0]: a source of problems needs"),
        ("problems:\n  - {card: reasoning-gym}\n", "says how rows are read, not where they are"),
        ("problems:\n  - {wrld: train}\n", "r.yaml:2: unknown key 'wrld'; did you mean 'world'?"),
        (
            MINIMAL + "  - {file: x, columns: {promt: q}}\n",
            "r.yaml:3: key 'problems': 'columns' has no 'promt'; did you mean 'prompt'?",
        ),
        (
            MINIMAL + "  - {world: test, where: {a: 1}}\n",
            "r.yaml:3: key 'problems': a source by 'world' cannot use 'where': take it out",
        ),
        ("problems: [{world: train, columns: {prompt: q}}]\n", "cannot use 'columns'"),
        ("problems: [{file: x, split: test}]\n", "a source by 'file' cannot use 'split'"),
        ("problems: [{file: x, card: gsm8k, seed: 1}]\n", "a source by 'file' cannot use 'seed'"),
        ("problems: [{dataset: a/b, seed: 1}]\n", "a source by 'dataset' cannot use 'seed'"),
        ("problems: [{card: gsm8k, seed: 1}]\n", "a source by 'card' cannot use 'seed'"),
        ("problems: [{dataset: a/b, gym_config: {a: 1}}]\n", "cannot use 'gym_config'"),
        ("problems: [{gym: chain_sum, split: test}]\n", "a source by 'gym' cannot use 'split'"),
        (
            "problems: [{gym: chain_sum, gym_config: {size: 5}}]\n",
            "'size' inside 'gym_config': write 'count' beside it instead",
        ),
        (
            "problems: [{gym: chain_sum, gym_config: {seed: 5}}]\n",
            "'seed' inside 'gym_config': write 'seed' beside it instead",
        ),
        (MINIMAL + "generate:\n  samples: 0\n", "r.yaml:4: key 'samples': expected `int` >= 1"),
        (MINIMAL + "generate:\n  top_p: 1.5\n", "r.yaml:4: key 'top_p': expected `float` <= 1.0"),
        (MINIMAL + "train:\n  zero: 4\n", "r.yaml:4: key 'zero': invalid enum value 4"),
        (MINIMAL + "train:\n  lr: 1e-5\n", "r.yaml:4: unknown key 'lr'"),
        (MINIMAL + "check_timeout_s: 0\n", "r.yaml:3: key 'check_timeout_s': expected `float` > 0"),
        (
            MINIMAL + "filter:\n  keep_status:\n    - right\n",
            "r.yaml:5: key 'keep_status': invalid enum",
        ),
        (MINIMAL + "instruction:\n  maths: x\n", "key 'instruction': invalid enum value 'maths'"),
        (MINIMAL + "evaluate: {}\n", "r.yaml:3: unknown key 'evaluate'"),
        (MINIMAL + "seed: -1\n", "r.yaml:3: key 'seed': expected `int` >= 0"),
    ],
)
def test_a_mistake_is_one_sentence_with_its_line(text: str, sentence: str, tmp_path: Path) -> None:
    with pytest.raises(DistillError) as raised:
        recipe(text, tmp_path)
    assert sentence in str(raised.value)


@pytest.mark.parametrize(
    "ours,theirs,difference",
    [
        ("", "", None),
        ("generate: {samples: 4}\n", "", None),  # a default written out is the same recipe
        ("students: [tiny-qwen]\nengine: local\n", "students: []\n", None),
        (
            "generate: {samples: 8}\n",
            "",
            "'generate.samples' is 8 in the folder and 4 in the recipe",
        ),
        ("seed: 1\ngenerate: {samples: 8}\n", "", "'generate.samples' is 8"),
        ("teacher: a.yaml\n", "", "'teacher' is 'a.yaml' in the folder and 'tiny' in the recipe"),
        (
            "eval: {benchmarks: [tiny]}\n",
            "",
            "'eval.benchmarks[0]' is 'tiny' in the folder and None",
        ),
        ("filter: {keep_status: [correct, wrong]}\n", "", "'filter.keep_status[1]' is 'wrong'"),
        ("train: {seed: 1}\n", "", "'train.seed' is 1 in the folder and 0 in the recipe"),
    ],
)
def test_the_first_key_that_differs_is_named(
    ours: str, theirs: str, difference: str | None, tmp_path: Path
) -> None:
    found = first_difference(recipe(MINIMAL + ours, tmp_path), recipe(MINIMAL + theirs, tmp_path))
    assert found is None if difference is None else found and difference in found


def test_a_recipe_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        Recipe(problems=[]).seed = 1  # type: ignore[misc]
    assert msgspec.structs.replace(Recipe(problems=[]), seed=1).seed == 1
