"""Cards: every shipped one loads, and every mistake in one's own is a sentence with its line."""

from pathlib import Path

import pytest

from distill import cards
from distill.cards import SHELVES, Benchmark, ProblemCard, Student, Teacher
from distill.errors import DistillError
from distill.yamlfile import dump_yaml

GOOD = """\
name: mine
learning_rate: 1e-5
start:
  architecture: qwen2
  tokenizer: tiny
  hidden_size: 64
  intermediate_size: 128
  layers: 2
  heads: 4
  kv_heads: 2
"""


def student(text: str, tmp_path: Path) -> Student:
    path = tmp_path / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    return cards.load_student(str(path))


def test_an_exponent_without_a_dot_is_a_number(tmp_path: Path) -> None:
    """PyYAML reads it as text."""
    assert student(GOOD, tmp_path).learning_rate == 1e-5


def test_off_is_text_and_false_is_false(tmp_path: Path) -> None:
    card = student(GOOD.replace("name: mine", "name: off") + "  tied: false\n", tmp_path)
    assert card.name == "off"
    assert card.start
    assert card.start.tied is False


def test_a_byte_order_mark_is_dropped(tmp_path: Path) -> None:
    assert student("\ufeff" + GOOD, tmp_path).name == "mine"


@pytest.mark.parametrize(
    "text,sentence",
    [
        # unknown keys, at the top and inside
        (GOOD + "licens: MIT\n", "mine.yaml:11: unknown key 'licens'; did you mean 'licence'?"),
        (GOOD + "  head: 4\n", "mine.yaml:11: unknown key 'head'; did you mean 'heads'?"),
        (GOOD + "zzz: 1\n", "mine.yaml:11: unknown key 'zzz'; known: access, context, epochs, "),
        (GOOD + "marks: {clos: <t>}\n", "mine.yaml:11: unknown key 'clos'; did you mean 'close'?"),
        (GOOD + "1: x\n", "unknown key '1'"),
        (
            GOOD + "marks:\n  close: ''\n",
            "mine.yaml:12: key 'close': expected `str` of length >= 1",
        ),
        (
            GOOD + "marks: {open: '|', close: '|'}\n",
            "mine.yaml:11: key 'marks': 'open' and 'close' are both '|', and must differ",
        ),
        # missing keys
        ("name: mine\n", "mine.yaml:1: key 'learning_rate' is missing"),
        (
            "learning_rate: 1\nname: x\nstart: {}\n",
            "mine.yaml:3: key 'architecture' is missing in 'start'",
        ),
        # wrong types and values
        (
            GOOD.replace("1e-5", "fast"),
            "mine.yaml:2: key 'learning_rate': expected `float`, got `str`",
        ),
        (GOOD.replace("1e-5", "-1"), "mine.yaml:2: key 'learning_rate': expected `float` > 0"),
        (GOOD.replace("1e-5", ".nan"), "not a number that can be used here"),
        (GOOD.replace("1e-5", ".inf"), "not a number that can be used here"),
        (GOOD.replace("layers: 2", "layers: two"), "mine.yaml:8: key 'layers': expected `int`"),
        (
            GOOD.replace("qwen2", "gpt5"),
            "mine.yaml:4: key 'architecture': invalid enum value 'gpt5'",
        ),
        (GOOD.replace("mine", "2024-01-01"), "a value of type date is not allowed here"),
        ("", "expected `object`, got `null`"),
        ("- a\n- b\n", "expected `object`, got `array`"),
        # a name becomes a folder of the run
        (GOOD.replace("mine", "../../mine"), "mine.yaml:1: key 'name': only letters, digits"),
        (GOOD.replace("mine", ".."), "mine.yaml:1: key 'name': only letters, digits"),
        # not what we take YAML for
        (GOOD + "name: again\n", 'mine.yaml:11: found duplicate key "name"'),
        ("name: !!python/object/apply:os.system [date]\n", "mine.yaml:1: the tag"),
        ("name: x\nstart: !!python/object:builtins.dict {}\n", "mine.yaml:2: the tag"),
        ("name: x\nlicence: !env HOME\n", "mine.yaml:2: the tag '!env' is not allowed here"),
        ("name: &a x\nlicence: *a\n", "mine.yaml:2: the alias '*a' is not allowed here"),
        ("a: &a [x, x]\nb: &b [*a, *a]\n", "the alias '*a' is not allowed here"),
        ("name: [\n", "mine.yaml:2: "),
        ("name: 'open\n", "mine.yaml:2: "),
        ("name: a\n---\nname: b\n", "mine.yaml:"),
        ("\tname: a\n", "mine.yaml:1: "),
        ("name: \0\n", "mine.yaml: not YAML: "),
        ("name: " + "[" * 5000 + "]" * 5000, "nested too deeply"),
        ("parameters: " + "9" * 5000, "not YAML: "),
    ],
)
def test_a_mistake_is_one_sentence_with_file_line_and_key(
    text: str, sentence: str, tmp_path: Path
) -> None:
    with pytest.raises(DistillError) as raised:
        student(text, tmp_path)
    assert sentence in str(raised.value)
    assert "\n" not in str(raised.value)
    assert str(tmp_path / "mine.yaml") in str(raised.value)


def test_a_line_is_named_inside_lists(tmp_path: Path) -> None:
    path = tmp_path / "t.yaml"
    path.write_text(
        "name: t\nmodel: a/b\npublished:\n"
        "  - {benchmark: x, value: 1, source: s}\n"
        "  - {benchmark: y, value: high, source: s}\n"
    )
    with pytest.raises(DistillError, match=r"t\.yaml:5: key 'value': expected `float`, got `str`"):
        cards.load_teacher(str(path))


def test_bytes_that_are_not_utf8_are_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "t.yaml"
    path.write_bytes(b"name: \xff\n")
    with pytest.raises(DistillError, match="not YAML"):
        cards.load_teacher(str(path))


@pytest.mark.parametrize(
    "load,name,sentence",
    [
        (cards.load_teacher, "tinny", "unknown teacher 'tinny'; did you mean 'tiny'?"),
        (cards.load_student, "tiny-qwem", "unknown student 'tiny-qwem'; did you mean 'tiny-qwen'?"),
        (
            cards.load_benchmark,
            "tiny-long",
            "unknown benchmark 'tiny-long'; did you mean 'tiny-longer'?",
        ),
        (cards.load_teacher, "cards/none.yaml", "cards/none.yaml: no such file"),
        (cards.load_teacher, "none.yaml", "none.yaml: no such file"),
        (cards.load_teacher, "../teachers", "../teachers: no such file"),
    ],
)
def test_an_unknown_card_is_one_sentence_with_the_nearest_name(
    load: object, name: str, sentence: str
) -> None:
    assert callable(load)
    with pytest.raises(DistillError) as raised:
        load(name)
    assert sentence in str(raised.value)


@pytest.mark.parametrize("shelf", SHELVES)
def test_every_shipped_card_loads_and_is_called_as_its_file(shelf: cards.Shelf) -> None:
    found = [entry for where, entry in cards.all_cards() if where == shelf]
    assert found
    for card, path in found:
        assert isinstance(card, Teacher | Student | Benchmark | ProblemCard)
        assert card.name == path.stem


def test_what_was_written_reads_back_the_same(tmp_path: Path) -> None:
    card = student(GOOD + 'licence_asks: "keep: the name, \u2028 and # this"\n', tmp_path)
    path = tmp_path / "again.yaml"
    path.write_text(dump_yaml(card), encoding="utf-8")
    assert cards.load_student(str(path)) == card


# ── finding one ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "text,type_",
    [
        (GOOD, Student),
        ("name: mine\nmodel: a/b\n", Teacher),
        ("name: mine\nproblems: {world: test}\n", Benchmark),
        ("name: mine\ndataset: a/b\nsource: s\n", ProblemCard),
    ],
)
def test_a_card_of_ones_own_is_recognised_by_what_only_its_kind_has(
    text: str, type_: type, tmp_path: Path
) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    found = cards.find_card(str(path))
    assert isinstance(found.card, type_) and found.path == path


def test_the_folder_decides_which_kind_a_card_is_before_its_keys_do(tmp_path: Path) -> None:
    path = tmp_path / "teachers" / "mine.yaml"
    path.parent.mkdir()
    path.write_text("name: mine\nmodel: a/b\nlearning_rate: 1e-5\n")
    with pytest.raises(DistillError, match="unknown key 'learning_rate'"):
        cards.find_card(str(path))


@pytest.mark.parametrize(
    "name,shelf",
    [("qwq-32b", "teachers"), ("students/tiny-qwen", "students"), ("eval/tiny", "eval")],
)
def test_a_shipped_card_is_found_by_name(name: str, shelf: str) -> None:
    found = cards.find_card(name)
    assert found.path.parent.name == shelf and found.card.name == name.split("/")[-1]


@pytest.mark.parametrize(
    "name,sentence",
    [
        ("qwq-32", "no card 'qwq-32'; did you mean 'qwq-32b'?"),
        ("teachers/qwq-32", "no card 'teachers/qwq-32'; did you mean 'teachers/qwq-32b'?"),
        ("students/qwq-32b", "no card 'students/qwq-32b'"),
        ("gsm8k", "several cards are called 'gsm8k': say 'eval/gsm8k' or 'sources/gsm8k'"),
        # the last word alone is not enough
        ("nowhere/qwq-32b", "nowhere/qwq-32b: no such file, and no shipped card (SHELF/NAME)"),
        ("run/students/qwen3-0.6b", "run/students/qwen3-0.6b: no such file"),
        ("./qwq-32b", "./qwq-32b: no such file"),
        ("/qwq-32b", "/qwq-32b: no such file"),
        ("mine.yaml", "mine.yaml: no such file"),
    ],
)
def test_a_card_that_is_not_there_or_not_the_only_one_is_one_sentence(
    name: str, sentence: str
) -> None:
    with pytest.raises(DistillError) as raised:
        cards.find_card(name)
    assert sentence in str(raised.value) and "\n" not in str(raised.value)


def test_a_bare_name_can_be_looked_for_on_some_shelves_only() -> None:
    assert cards.find_card("tiny", among=("teachers", "students")).path.parent.name == "teachers"


@pytest.mark.parametrize("key", ["sk-secret123", "1secret", "secret key", "secret\\n", ""])
def test_what_is_no_name_of_a_variable_may_be_a_key_and_is_not_shown(
    key: str, tmp_path: Path
) -> None:
    path = tmp_path / "t.yaml"
    path.write_text(f'name: t\nmodel: m\nendpoint:\n  urls: [http://x/v1]\n  key: "{key}"\n')
    with pytest.raises(DistillError) as raised:
        cards.load_teacher(str(path))
    assert "t.yaml:5: key 'key': not the name of an environment variable" in str(raised.value)
    assert "secret" not in str(raised.value)
