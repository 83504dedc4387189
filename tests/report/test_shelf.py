"""`distill cards`: the list as a user reads it, and one card as a working copy."""

import json
import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from distill import cards
from distill.cards import Endpoint, Serve, Student, Teacher
from distill.report.shelf import card_text, line_of, shelf_text

ROOT = Path(__file__).parent.parent.parent


def run(*arguments: str, cwd: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "distill", "cards", *arguments], cwd=cwd, capture_output=True,
        text=True, env={**os.environ, "PYTHONPATH": str(ROOT)}, timeout=60,
    )  # fmt: skip


TEACHER = Teacher(name="t", model="a/b")


@pytest.mark.parametrize(
    "changes,column,text",
    [
        ({"parameters": 671 * 10**9, "active_parameters": 37 * 10**9}, "size", "671.0B (37.0B active)"),
        ({"parameters": 1_453_248}, "size", "1.5M"),
        ({}, "size", "-"),
        ({"licence": "MIT"}, "licence", "MIT"),
        ({"serve": Serve(gpus=1)}, "needs", "1 GPU of 80 GB to serve"),
        ({"serve": Serve(gpus=8), "access": "ask"}, "needs", "8 GPUs of 80 GB to serve; gated access"),
        ({"price_per_million_tokens": 2.19}, "needs", "a CPU will do; 2.19 a million tokens"),
        ({"endpoint": Endpoint(urls=["u"])}, "needs", "an endpoint"),
        ({"revision": "0123456789" * 4}, "revision", "01234567"),
        ({}, "revision", "not pinned"),
        ({"model": "./t"}, "revision", "-"),
        ({"model": None}, "revision", "-"),
    ],
)  # fmt: skip
def test_a_line_says(changes: dict[str, object], column: str, text: str) -> None:
    assert getattr(line_of(msgspec.structs.replace(TEACHER, **changes)), column) == text


def test_a_benchmark_that_takes_its_rows_from_a_problem_card_is_pinned_by_that_card() -> None:
    assert (
        line_of(cards.load_benchmark("gsm8k")).revision
        == line_of(cards.load_problem_card("gsm8k")).revision
    )


def test_the_list_has_every_card_once_below_the_name_of_its_shelf() -> None:
    lines = shelf_text(cards.all_cards()).splitlines()
    heads = [line for line in lines if line and not line.startswith(" ")]
    assert heads == list(cards.SHELVES)
    listed = [line.split()[0] for line in lines if line.startswith("  ")]
    assert listed.count("name") == len(heads)
    assert sorted(name for name in listed if name != "name") == sorted(
        name for shelf in cards.SHELVES for name in cards.names(shelf)
    )


def test_a_card_is_shown_with_its_comments_and_reads_back_the_same(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(run("teachers/endpoint", cwd=tmp_path).stdout)
    assert cards.load_teacher(str(tmp_path / "mine.yaml")) == cards.load_teacher("endpoint")
    assert "# Any OpenAI-compatible URL" in (tmp_path / "mine.yaml").read_text()


@pytest.mark.parametrize("name", ["teachers/tiny", "students/tiny-qwen", "students/tiny-llama"])
def test_a_copy_of_a_card_beside_whose_file_a_model_lies_still_finds_it(
    name: str, tmp_path: Path
) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(run(name, cwd=tmp_path).stdout)
    card = cards.find_card(str(path)).card
    given = card.start.tokenizer if isinstance(card, Student) and card.start else card.model  # type: ignore[union-attr]
    assert (Path(str(given)) / "tokenizer.json").is_file()


def test_a_folder_whose_name_yaml_would_misread_is_quoted(tmp_path: Path) -> None:
    folder = tmp_path / "a: b #c"
    folder.mkdir()
    (folder / "mine.yaml").write_text("name: mine\nmodel: ./weights # here\n")
    (tmp_path / "copy.yaml").write_text(card_text(cards.find_card(str(folder / "mine.yaml"))))
    assert cards.load_teacher(str(tmp_path / "copy.yaml")).model == str(folder / "weights")


def test_several_cards_and_json(tmp_path: Path) -> None:
    both = run("qwq-32b", "students/qwen-7b", cwd=tmp_path).stdout
    assert "name: qwq-32b" in both and "\n---\n" in both and "name: qwen-7b" in both
    rows = json.loads(run("qwq-32b", "students/qwen-7b", "--json", cwd=tmp_path).stdout)
    assert [row["name"] for row in rows] == ["qwq-32b", "qwen-7b"]
    assert json.loads(run("eval/tiny", "--json", cwd=tmp_path).stdout)["name"] == "tiny"
