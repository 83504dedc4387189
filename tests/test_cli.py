"""The command line as a user meets it: one sentence for a mistake, exit codes, JSON, the flags."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import click
import pytest

from distill.cli import cli

ROOT = Path(__file__).parent.parent
SECONDS = str(ROOT / "tests/recipes/seconds.yaml")


def distill(
    *arguments: str, cwd: Path = ROOT, **more: object
) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "distill", *arguments], cwd=cwd, capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)}, timeout=300, **more,  # type: ignore[call-overload]
    )  # fmt: skip


MISTAKES = [
    (["generat"], "no command 'generat'; did you mean 'generate'?"),
    (["run", "quickstrat"], "unknown recipe 'quickstrat'; did you mean 'quickstart'?"),
    (["run", "none.yaml"], "none.yaml: no such file"),
    (["filter"], "run 'distill generate' first"),
    (["train"], "run 'distill filter' first"),
    (["train", "--student", "tiny-qwem"], "did you mean 'tiny-qwen'?"),
    (["report"], "run is no run folder"),
    (["verify"], "run is no run folder"),
    (["verify", "none.jsonl"], "none.jsonl: no such file"),
    (["cards", "teachers/tinny"], "did you mean 'teachers/tiny'?"),
    (["filter", "traces.json"], "traces.json: no such file"),
    (["generate", "--engine", "vlm"], "'vlm' is not one of"),
    (["train", "--processes", "0"], "0 is not in the range x>=1"),
]


@pytest.mark.parametrize(("arguments", "sentence"), MISTAKES)
def test_a_mistake_is_one_sentence_and_exit_2(
    tmp_path: Path, arguments: list[str], sentence: str
) -> None:
    done = distill(*arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr and done.stdout == ""


def test_an_unknown_key_names_file_line_and_the_nearest_key(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("problems:\n  - world: train\nsamples: 3\nstudens: [x]\n")
    done = distill("run", "mine.yaml", cwd=tmp_path)
    assert done.returncode == 2
    assert "mine.yaml:" in done.stderr and "unknown key" in done.stderr


def test_problems_without_answers_are_counted_and_named(tmp_path: Path) -> None:
    (tmp_path / "p.jsonl").write_text('{"prompt": "1+1?"}\n')
    (tmp_path / "mine.yaml").write_text("problems:\n  - file: p.jsonl\n")
    done = distill("generate", "mine.yaml", cwd=tmp_path)
    assert done.returncode == 2
    assert "p.jsonl:1: no answer" in done.stderr and "no usable problem" in done.stderr


def test_another_recipe_for_the_same_folder_is_refused_with_the_first_difference(
    tmp_path: Path,
) -> None:
    text = Path(SECONDS).read_text().replace("tests/recipes/few.yaml", "tiny")
    (tmp_path / "one.yaml").write_text(text)
    (tmp_path / "two.yaml").write_text(text.replace("samples: 2\n  max_tokens: 120", "samples: 3"))
    distill("eval", "one.yaml", cwd=tmp_path)
    (tmp_path / "run/problems.jsonl").write_text("")
    done = distill("generate", "two.yaml", cwd=tmp_path)
    assert done.returncode == 2 and "'generate.max_tokens' is 120" in done.stderr


def test_a_student_too_big_for_this_machine_says_what_it_needs_and_what_fits(
    tmp_path: Path,
) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run/recipe.yaml").write_text("problems:\n  - world: train\n")
    (tmp_path / "run/kept.jsonl").write_text("")
    done = distill("train", "--student", "qwen-1.5b", cwd=tmp_path)
    assert done.returncode == 2
    assert "GiB" in done.stderr and "tiny-qwen" in done.stderr


def test_cards_lists_every_shelf_and_shows_one() -> None:
    listed = json.loads(distill("cards", "--json").stdout)
    assert {row["shelf"] for row in listed} == {"teachers", "students", "eval", "sources"}
    shown = distill("cards", "teachers/tiny").stdout
    assert "name: tiny" in shown and "make_tiny_teacher" in shown
    assert (
        json.loads(distill("cards", "students/tiny-qwen", "--json").stdout)["name"] == "tiny-qwen"
    )


FLAGS = {
    "generate": ["--engine", "--json", "--run"],
    "serve": ["--host", "--port"],
    "verify": ["--again", "--json", "--judge", "--kind", "--out", "--run", "--sandbox"],
    "filter": ["--json", "--kind", "--out", "--run"],
    "train": ["--processes", "--run", "--student"],
    "eval": ["--engine", "--json", "--run", "--student"],
    "report": ["--run"],
    "run": ["--engine", "--run"],
    "cards": ["--json", "--out", "--pin"],
}


def test_the_command_line_stays_small() -> None:
    """A new flag is a decision: it goes into this table and into the README, or into the recipe."""
    found = {
        name: sorted(o for p in command.params if isinstance(p, click.Option) for o in p.opts)
        for name, command in cli.commands.items()
    }
    assert found == FLAGS


@pytest.mark.parametrize("name", sorted(FLAGS))
def test_every_help_ends_with_examples(name: str) -> None:
    text = cli.commands[name].help or ""
    assert "Examples:" in text and f"distill {name}" in text.partition("Examples:")[2]


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["generate", "train", "eval"])
def test_ctrl_c_is_130_one_sentence_and_the_same_command_goes_on(
    tmp_path: Path, stage: str
) -> None:
    """About 30 s each: the stages before it, Ctrl-C two seconds into its work, and again."""
    folder = str(tmp_path / "run")
    before = {
        "generate": [],
        "train": ["generate", "filter"],
        "eval": ["generate", "filter", "train"],
    }
    for name in before[stage]:
        assert distill(name, SECONDS, "--run", folder).returncode == 0
    process = subprocess.Popen(
        [sys.executable, "-m", "distill", stage, SECONDS, "--run", folder], cwd=ROOT,
        stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    assert process.stderr is not None
    for line in process.stderr:  # strike once it is at work
        if line.startswith(stage):
            break
    time.sleep(1)
    os.killpg(process.pid, signal.SIGINT)
    _, talk = process.communicate(timeout=60)
    assert process.returncode == 130, talk
    assert "the same command" in talk and "Traceback" not in talk
    again = distill(stage, SECONDS, "--run", folder)
    assert again.returncode == 0, again.stderr


@pytest.mark.slow
def test_a_full_disk_is_one_sentence_and_what_was_written_stays(tmp_path: Path) -> None:
    """About 20 s. A limit of 120 KiB a file stands in for the disk: problems.jsonl (75 KiB) fits, the
    traces (190 KiB) do not."""
    folder = str(tmp_path / "run")
    command = f"{sys.executable} -m distill generate {SECONDS} --run {folder}"
    limited = ["bash", "-c", f"ulimit -f 120; exec {command}"]
    done = subprocess.run(limited, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 2, done.stderr
    assert "what was written so far is kept" in done.stderr and "Traceback" not in done.stderr
    (segment,) = Path(folder, "traces/0").glob("*.jsonl")
    assert segment.stat().st_size > 10_000
    again = distill("generate", SECONDS, "--run", folder)
    assert again.returncode == 0 and "400 of 400" in again.stdout


def test_verdicts_of_another_file_are_not_taken_for_those_of_this_one(tmp_path: Path) -> None:
    """The same ids, another model's answers: an older file, filtered into the same folder."""
    for name, answer in (("wrong", 5), ("right", 4)):
        row = {"id": 1, "answer": "4", "response": f"\\boxed{{{answer}}}"}
        (tmp_path / f"{name}.jsonl").write_text(json.dumps(row) + "\n")
    lines = [
        distill("filter", f"{name}.jsonl", cwd=tmp_path).stdout.strip()
        for name in ("right", "wrong", "right", "right")
    ]
    kept, dropped = "1 traces → 1 kept, 0 dropped", "1 traces → 0 kept, 1 dropped (wrong 1)"
    assert lines == [kept, dropped, kept, kept]
