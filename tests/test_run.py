"""The run folder: which recipe it has, what it refuses, what it writes down."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest

from distill import __version__, jsonl
from distill.errors import DistillError, Missing
from distill.run import Run, flat, open_run, versions
from distill.types import Problem

MINIMAL = "problems:\n  - world: train\n"


@pytest.fixture
def recipes(tmp_path: Path) -> Path:
    (tmp_path / "one.yaml").write_text(MINIMAL)
    (tmp_path / "two.yaml").write_text(MINIMAL + "seed: 2\n")
    return tmp_path


def test_a_new_folder_keeps_the_recipe_as_resolved(recipes: Path) -> None:
    run = open_run(recipes / "new" / "run", str(recipes / "two.yaml"))
    assert "samples: 4" in (run.path / "recipe.yaml").read_text()
    assert open_run(run.path).recipe == run.recipe
    assert open_run(run.path).recipe.seed == 2


def test_the_same_recipe_continues_and_another_is_refused(recipes: Path) -> None:
    folder = recipes / "run"
    jsonl.write_rows(open_run(folder, str(recipes / "one.yaml")).problems, [])
    open_run(folder, str(recipes / "one.yaml"))
    with pytest.raises(
        DistillError, match=r"'seed' is 0 in the folder and 2 in the recipe; use another"
    ):
        open_run(folder, str(recipes / "two.yaml"))


def test_a_folder_in_which_nothing_was_made_takes_the_mended_recipe(recipes: Path) -> None:
    open_run(recipes / "run")
    assert open_run(recipes / "run", str(recipes / "two.yaml")).recipe.seed == 2
    assert open_run(recipes / "run").recipe.seed == 2


def test_students_that_a_recipe_names_later_are_added(recipes: Path) -> None:
    run = open_run(recipes / "run", str(recipes / "one.yaml"))
    jsonl.write_rows(run.problems, [])
    other = open_run(run.path)
    run.add_students(["tiny-llama"])
    other.add_students(["qwen-1.5b"])  # it opened the run before the first one was added
    with pytest.raises(DistillError, match="unknown student 'none'"):
        run.add_students(["none"])
    (recipes / "one.yaml").write_text(MINIMAL + "students: [tiny-qwen]\n")
    open_run(recipes / "run", str(recipes / "one.yaml"))
    assert open_run(recipes / "run").recipe.students == ["tiny-llama", "qwen-1.5b", "tiny-qwen"]


@pytest.mark.parametrize(
    "line,sentence",
    [
        ("teacher: tny\n", "unknown teacher 'tny'; did you mean 'tiny'?"),
        ("students: [tiny-qwem]\n", "unknown student 'tiny-qwem'; did you mean 'tiny-qwen'?"),
        ("eval: {benchmarks: [none.yaml]}\n", "none.yaml: no such file"),
    ],
)
def test_an_unknown_card_is_named_before_the_folder_is_made(
    line: str, sentence: str, recipes: Path
) -> None:
    (recipes / "bad.yaml").write_text(MINIMAL + line)
    with pytest.raises(DistillError) as raised:
        open_run(recipes / "run", str(recipes / "bad.yaml"))
    assert sentence in str(raised.value) and "bad.yaml" in str(raised.value)
    assert not (recipes / "run").exists()


def test_a_bad_recipe_makes_no_folder(recipes: Path) -> None:
    (recipes / "bad.yaml").write_text("problems: []\n")
    with pytest.raises(DistillError):
        open_run(recipes / "run", str(recipes / "bad.yaml"))
    assert not (recipes / "run").exists()


def test_a_file_in_the_place_of_the_folder_is_one_sentence(recipes: Path) -> None:
    (recipes / "taken").write_text("")
    for place in (recipes / "taken", recipes / "taken" / "run"):
        with pytest.raises(DistillError, match="--run DIR"):
            open_run(place, str(recipes / "one.yaml"))


@pytest.mark.parametrize("folder,option", [("run", ""), ("elsewhere", " --run elsewhere")])
def test_a_missing_stage_is_named_with_the_command_that_makes_it(
    folder: str, option: str, recipes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(recipes)
    run = open_run(Path(folder), "./one.yaml")
    with pytest.raises(Missing) as raised:
        run.read_problems()
    assert str(raised.value) == (
        f"{folder}/problems.jsonl is not there yet: run 'distill generate{option}' first"
    )


def test_problems_come_back_in_order(recipes: Path) -> None:
    run = open_run(recipes / "run", str(recipes / "one.yaml"))
    problems = [Problem(id=f"s/{n}", prompt="?", answer=str(n)) for n in range(3)]
    jsonl.write_rows(run.problems, problems)
    assert list(run.read_problems()) == problems


def test_the_manifest_has_its_format_and_one_entry_per_stage(recipes: Path) -> None:
    run = open_run(recipes / "run", str(recipes / "one.yaml"))
    run.record("filter", kept=1)
    run.record("train", steps=2)
    run.record("filter", kept=3)
    manifest = msgspec.json.decode(run.manifest.read_bytes())
    assert manifest["format"] == 1
    assert manifest["distill"] == __version__
    assert manifest["stages"] == {"filter": {"kept": 3}, "train": {"steps": 2}}


@pytest.mark.parametrize("text", ['{"format": 2}', "{", "", "[]", '{"format": 1}'])
def test_a_manifest_of_another_version_or_a_broken_one_is_one_sentence(
    text: str, recipes: Path
) -> None:
    run = open_run(recipes / "run", str(recipes / "one.yaml"))
    run.manifest.write_text(text)
    with pytest.raises(DistillError, match=r"manifest\.json: "):
        run.record("filter", kept=1)


def test_the_log_has_a_line_per_event(recipes: Path) -> None:
    run = open_run(recipes / "run", str(recipes / "one.yaml"))
    run.log("train", "step", loss=1.5, text="a\u2028b\ud800")
    run.log("train", "step", loss=float("nan"))
    rows = list(jsonl.read(run.path / "log.jsonl", dict))
    assert [row["event"] for row in rows] == ["step", "step"]
    assert rows[0]["text"] == "a\u2028b\ufffd"
    assert rows[1]["loss"] is None


def test_versions_name_what_is_installed_and_leave_out_the_rest() -> None:
    found = versions()
    assert "python" in found
    assert "vllm" not in found or found["vllm"]


def test_nested_keys_are_spelled_as_a_person_would() -> None:
    value = {"a": 1, "b": {"c": [True, {"d": None}]}, "e": []}
    assert flat(value) == {"a": 1, "b.c[0]": True, "b.c[1].d": None}


def test_paths_of_a_run_lie_inside_it(tmp_path: Path, recipes: Path) -> None:
    run = open_run(recipes / "run", str(recipes / "one.yaml"))
    assert isinstance(run, Run)
    paths = [value for value in vars(run).values() if isinstance(value, Path)]
    assert all(path.is_relative_to(run.path) for path in paths)
    assert run.student("tiny-qwen") == run.path / "students" / "tiny-qwen"


def test_two_stages_that_record_at_once_lose_nothing(recipes: Path) -> None:
    run = open_run(recipes / "run", str(recipes / "one.yaml"))
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda n: run.record(f"train/{n}", step=n), range(40)))
    assert len(run.read_manifest()["stages"]) == 40
