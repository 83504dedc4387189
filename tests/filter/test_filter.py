"""The whole stage, over runs and files: every judged trace once, with a reason, in plan order."""

import collections
import random
from collections.abc import Iterable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distill import jsonl
from distill.cards import ProblemSource
from distill.errors import DistillError, Missing
from distill.filter import export
from distill.filter.filter import filter_file, filter_run
from distill.recipe import Evaluate, Filter, Recipe
from distill.run import Run
from distill.types import STATUSES, Dropped, Example, Finish, Problem, Status, Trace, Verdict
from distill.world import solved_problems

RESULTS = ("kept.jsonl", "dropped.jsonl", "funnel.json")


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One judged trace of a made-up run."""

    problem: int = 0
    sample: int = 0
    series: str = "5e41e5000000"
    status: Status = "correct"
    finish: Finish = "stop"
    reasoning: str | None = None  # None: one of its own
    response: str = "\\boxed{1}"


def make_run(
    folder: Path, rows: Sequence[Row], *, segments: int = 1, seed: int = 0, **choices: object
) -> Run:
    """A run of three problems whose traces came in a random order, in a few segments."""
    card = "name: teacher\nmodel: ./nowhere\nlicence: Apache-2.0\n"
    jsonl.write_bytes(folder / "teacher.yaml", card.encode())
    recipe = Recipe(
        problems=[ProblemSource(world="train", count=3)],
        teacher=str(folder / "teacher.yaml"),
        filter=msgspec.convert(choices, Filter),
    )
    run = Run(folder / "run", recipe)
    problems = [
        Problem(id=f"p/{n}", prompt=f"Problem {n}?", answer="1", source="src") for n in range(3)
    ]
    jsonl.write_rows(run.problems, problems)
    order = list(rows)
    random.Random(seed).shuffle(order)
    for number in range(segments):
        part = order[number::segments]
        name = f"{number % 2}/{number:06}.jsonl"
        jsonl.write_rows(run.traces / name, [trace_of(row) for row in part])
        jsonl.write_rows(run.verdicts / name, [verdict_of(row) for row in reversed(part)])
    return run


def trace_of(row: Row) -> Trace:
    own = f"Thought {row.series} {row.problem} {row.sample}."
    return Trace(
        series=row.series, problem_id=f"p/{row.problem}", sample=row.sample, response=row.response,
        reasoning=own if row.reasoning is None else row.reasoning, finish=row.finish, completion_tokens=7,
    )  # fmt: skip


def verdict_of(row: Row) -> Verdict:
    return Verdict(
        series=row.series, problem_id=f"p/{row.problem}", sample=row.sample, status=row.status,
        extracted="3", expected="1", checker="math 1", detail="why",
    )  # fmt: skip


def read_kept(run: Run) -> list[Example]:
    return list(jsonl.read(run.kept, Example))


def read_dropped(run: Run) -> list[Dropped]:
    return list(jsonl.read(run.dropped, Dropped))


def contents(folder: Path, names: Iterable[str] = RESULTS) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in names}


def test_a_run_becomes_kept_rows_dropped_rows_and_a_funnel(tmp_path: Path) -> None:
    rows = [
        *[Row(problem=0, sample=n) for n in range(4)],
        Row(problem=0, sample=4, reasoning="Thought 5e41e5000000  0 0.\n"),
        Row(problem=1, sample=0, status="wrong"),
        Row(problem=1, sample=1, finish="length", response=""),
        Row(problem=2, sample=0),
    ]
    run = make_run(tmp_path, rows, segments=3, per_problem=3)
    funnel = filter_run(run)
    assert funnel.line() == (
        "8 traces → 4 kept, 4 dropped (duplicate 1, surplus 1, truncated 1, wrong 1)"
    )
    assert (funnel.problems, funnel.problems_kept) == (3, 2)
    assert msgspec.json.decode(run.funnel.read_bytes(), type=type(funnel)) == funnel
    kept = [(row.problem_id, row.sample) for row in read_kept(run)]
    assert kept == [("p/0", 0), ("p/0", 1), ("p/0", 2), ("p/2", 0)]
    dropped = [(row.problem_id, row.sample, row.reason, row.evidence) for row in read_dropped(run)]
    assert dropped == [
        ("p/0", 3, "surplus", "as many as per_problem (3) are kept already"),
        ("p/0", 4, "duplicate", "repeats sample 0 of series '5e41e5000000'"),
        ("p/1", 0, "wrong", "says 3, expected 1"),
        ("p/1", 1, "truncated", "finish 'length' after 7 tokens, before its thinking ended"),
    ]


def test_the_manifest_names_the_files_by_hash(tmp_path: Path) -> None:
    run = make_run(tmp_path, [Row(sample=0), Row(sample=1, status="wrong")])
    filter_run(run)
    facts = run.read_manifest()["stages"]["filter"]
    assert facts["kept"] == jsonl.seal(run.kept)._asdict()
    assert facts["dropped"] == jsonl.seal(run.dropped)._asdict()
    assert facts["funnel"]["dropped"] == {"wrong": 1}


@pytest.mark.parametrize(("show", "asked"), [(True, "Problem 0?\nBox it."), (False, "Problem 0?")])
def test_a_student_sees_the_instruction_only_if_the_recipe_shows_it(
    tmp_path: Path, show: bool, asked: str
) -> None:
    run = make_run(tmp_path, [Row(reasoning="I think.", response="So 1.")])
    run.recipe = msgspec.structs.replace(
        run.recipe, instruction={"math": "Box it."}, show_instruction=show
    )
    filter_run(run)
    [example] = read_kept(run)
    assert [message.content for message in example.messages] == [
        asked, "<think>\nI think.\n</think>\n\nSo 1."
    ]  # fmt: skip
    assert (example.thinking, example.tokens) == (True, 7)


identities = st.tuples(st.integers(0, 2), st.integers(0, 6), st.sampled_from(["a" * 12, "b" * 12]))
mixes = st.lists(
    st.builds(
        lambda identity, status, finish, text, response: Row(
            problem=identity[0], sample=identity[1], series=identity[2],
            status=status, finish=finish, reasoning=text, response=response,
        ),
        identities,
        st.sampled_from(STATUSES),
        st.sampled_from(["stop", "stop", "length"]),
        st.sampled_from([None, None, "same", "so </think>", ""]),
        st.sampled_from(["1", "", "\ud800"]),
    ),
    min_size=1, max_size=25, unique_by=lambda row: (row.problem, row.sample, row.series),
)  # fmt: skip


@settings(max_examples=40, deadline=None)
@given(mixes, st.integers(1, 3), st.booleans(), st.integers(1, 4), st.integers(0, 9))
def test_kept_and_dropped_are_what_was_judged_in_whatever_order_it_came(
    rows: list[Row], per_problem: int, duplicates: bool, segments: int, seed: int
) -> None:
    # Without fsync: three of four milliseconds here wait for the disk.
    with TemporaryDirectory() as one, TemporaryDirectory() as other, patch("os.fsync"):
        choices = {"per_problem": per_problem, "duplicates": duplicates}
        run = make_run(Path(one), rows, **choices)
        again = make_run(Path(other), rows, segments=segments, seed=seed, **choices)
        funnel = filter_run(run)
        filter_run(again)
        assert contents(run.path) == contents(again.path)
        kept, dropped = read_kept(run), read_dropped(run)
    identities = [row.identity for row in kept] + [row.identity for row in dropped]
    assert collections.Counter(identities) == collections.Counter(
        verdict_of(row).identity for row in rows
    )
    assert (funnel.judged, funnel.kept) == (len(rows), len(kept))
    assert funnel.dropped == collections.Counter(row.reason for row in dropped)
    assert all(row.evidence for row in dropped)
    places = [(row.problem_id, row.series, row.sample) for row in kept]
    assert places == sorted(places)
    assert all(n <= per_problem for n in collections.Counter(r.problem_id for r in kept).values())
    good = {verdict_of(row).identity for row in rows if row.status == "correct"}
    assert {row.identity for row in kept} <= good


def test_the_data_set_loads_with_datasets_and_has_the_same_bytes_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(export, "SHARD", 4)
    monkeypatch.setattr(export, "GROUP", 3)
    rows = [Row(problem=n % 3, sample=n // 3) for n in range(10)]
    run = make_run(tmp_path / "1", rows)
    again = make_run(tmp_path / "2", rows, segments=3, seed=5)
    filter_run(run)
    filter_run(again)
    files = sorted(path.relative_to(run.dataset) for path in run.dataset.rglob("*.*"))
    assert [str(path) for path in files] == [
        "README.md", *(f"data/train-0000{n}-of-00003.parquet" for n in range(3))
    ]  # fmt: skip
    names = [str(path) for path in files]
    assert contents(run.dataset, names) == contents(again.dataset, names)
    loaded = datasets.load_dataset(
        str(run.dataset), cache_dir=str(tmp_path / "cache"), split="train"
    )
    assert loaded.column_names == [
        "messages", "problem_id", "series", "sample", "source", "tokens"
    ]  # fmt: skip
    kept = read_kept(run)
    assert [row["sample"] for row in loaded] == [row.sample for row in kept]
    assert loaded[0]["messages"] == msgspec.to_builtins(kept[0].messages)
    assert set(loaded["source"]) == {"src"}


def test_a_run_without_a_good_trace_has_an_empty_data_set(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    run = make_run(tmp_path, [Row(status="wrong")])
    assert filter_run(run).kept == 0
    assert run.kept.read_bytes() == b""
    [shard] = (run.dataset / "data").iterdir()
    table = parquet.read_table(shard)
    assert (table.num_rows, table.column_names[0]) == (0, "messages")


def test_filtering_again_replaces_everything(tmp_path: Path) -> None:
    run = make_run(tmp_path, [Row(sample=n) for n in range(4)])
    filter_run(run)
    run.recipe = msgspec.structs.replace(run.recipe, filter=Filter(per_problem=1))
    assert filter_run(run).dropped == {"surplus": 3}
    assert len(read_kept(run)) == 1
    assert not list(run.path.glob("*.tmp")), "nothing is left lying about"


def test_a_trace_without_verdict_is_an_error_that_names_the_command(tmp_path: Path) -> None:
    run = make_run(tmp_path, [Row(sample=0), Row(sample=1)])
    [segment] = run.verdicts.rglob("*.jsonl")
    segment.write_bytes(segment.read_bytes().splitlines(keepends=True)[0])
    with pytest.raises(Missing, match=r"has no verdict; run 'distill verify --run .*' first"):
        filter_run(run)
    assert not run.kept.exists()


def test_a_run_without_traces_names_the_command_that_makes_them(tmp_path: Path) -> None:
    with pytest.raises(Missing, match="run 'distill generate"):
        filter_run(make_run(tmp_path, []))


def test_a_trace_of_an_unknown_problem_is_an_error(tmp_path: Path) -> None:
    run = make_run(tmp_path, [Row(problem=7)])
    with pytest.raises(DistillError, match="traces of problem 'p/7', which is not in problems"):
        filter_run(run)


def test_an_identity_that_was_written_twice_is_kept_once(tmp_path: Path) -> None:
    rows = [Row(sample=0, reasoning="one"), Row(sample=0, reasoning="two")]
    funnels = []
    for seed in range(4):
        run = make_run(tmp_path / str(seed), rows, seed=seed, segments=2)
        funnels.append((filter_run(run), run.kept.read_bytes()))
    assert funnels[0][0].dropped == {"duplicate": 1}
    assert all(funnel == funnels[0] for funnel in funnels)


def with_benchmark(run: Run, folder: Path, *prompts: str) -> Run:
    """The run, measured on a benchmark of these problems."""
    rows = [{"id": n, "prompt": prompt, "answer": "1"} for n, prompt in enumerate(prompts)]
    jsonl.write_rows(folder / "bench.jsonl", rows)
    card = f"name: bench\nproblems:\n  file: {folder / 'bench.jsonl'}\n"
    jsonl.write_bytes(folder / "bench.yaml", card.encode())
    evaluate = Evaluate(benchmarks=[str(folder / "bench.yaml")])
    run.recipe = msgspec.structs.replace(run.recipe, evaluate=evaluate)
    return run


@pytest.mark.parametrize(("overlap", "dropped"), [(True, {"overlap": 2}), (False, {})])
def test_traces_of_a_benchmark_problem_are_dropped_unless_the_recipe_says_otherwise(
    tmp_path: Path, overlap: bool, dropped: dict[str, int]
) -> None:
    rows = [Row(problem=n // 2, sample=n % 2) for n in range(6)]
    run = make_run(tmp_path, rows, overlap=overlap)
    run = with_benchmark(run, tmp_path, "Who?", "PROBLEM  1?")
    assert filter_run(run).dropped == dropped
    for row in read_dropped(run):
        assert (row.problem_id, row.evidence) == ("p/1", "the same text as bench/1 of bench")


def test_a_benchmark_out_of_reach_is_an_error_with_the_way_out(tmp_path: Path) -> None:
    run = with_benchmark(make_run(tmp_path, [Row()]), tmp_path, "Who?")
    (tmp_path / "bench.jsonl").unlink()
    with pytest.raises(DistillError, match=r"cannot be read to look for overlap.*overlap: false"):
        filter_run(run)


def test_a_benchmark_row_that_does_not_read_is_an_error_too(tmp_path: Path) -> None:
    run = with_benchmark(make_run(tmp_path, [Row()]), tmp_path, "Who?")
    with (tmp_path / "bench.jsonl").open("ab") as file:
        file.write(b'{"answer": "1"}\n')
    with pytest.raises(DistillError, match=r"bench\.jsonl:2: .*overlap: false"):
        filter_run(run)


def test_solved_problems_of_the_embedded_world_all_pass(tmp_path: Path) -> None:
    run = make_run(tmp_path, [])
    solved = solved_problems("train", count=30, seed=1)
    jsonl.write_rows(run.problems, [each.problem for each in solved])
    traces = [
        Trace(series="s", problem_id=problem.id, sample=0, reasoning=reasoning, response=response)
        for problem, reasoning, response in solved
    ]
    verdicts = [
        Verdict(series="s", problem_id=trace.problem_id, sample=0, status="correct")
        for trace in traces
    ]
    jsonl.write_rows(run.traces / "0/000000.jsonl", traces)
    jsonl.write_rows(run.verdicts / "0/000000.jsonl", verdicts)
    assert filter_run(run).kept == 30


# ── files ────────────────────────────────────────────────────────────────────────────────────────


def write_file(folder: Path, rows: list[dict[str, object]], statuses: list[Status]) -> Path:
    """A trace file and, beside it, verdicts in its order."""
    path = folder / "answers.jsonl"
    jsonl.write_rows(path, rows)
    seen: collections.Counter[object] = collections.Counter()
    verdicts = []
    for row, status in zip(rows, statuses, strict=False):
        problem_id = str(row.get("problem_id", row.get("id")))
        verdicts.append(Verdict(
            series="", problem_id=problem_id, status=status, extracted="3", expected="1",
            sample=int(str(row.get("sample", seen[problem_id]))),
        ))  # fmt: skip
        seen[problem_id] += 1
    jsonl.write_rows(folder / "verdicts.jsonl", verdicts)
    return path


def answer(number: int, thought: str, **more: object) -> dict[str, object]:
    return {
        "id": number, "problem": f"Problem {number}?", "answer": 1,
        "response": f"<think>\n{thought}\n</think>\n\n\\boxed{{1}}", **more,
    }  # fmt: skip


def test_a_file_is_filtered_and_its_own_columns_stay(tmp_path: Path) -> None:
    rows = [answer(1, "a", note="x", tokens="mine"), answer(1, "b"), answer(2, "c", score=0.50)]
    path = write_file(tmp_path, rows, ["correct", "wrong", "correct"])
    with path.open("ab") as file:
        file.write(b"not json\n")
    funnel = filter_file(path, tmp_path / "out", Filter())
    assert funnel.line() == "3 traces → 2 kept, 1 dropped (wrong 1); 1 rows rejected"
    kept = list(jsonl.read(tmp_path / "out/kept.jsonl", dict[str, object]))
    assert [row["id"] for row in kept] == [1, 2]
    assert (kept[0]["note"], kept[0]["tokens"], kept[1]["score"]) == ("x", 0, 0.5)
    assert [m.content for m in msgspec.convert(kept[0], Example).messages] == [
        "Problem 1?", "<think>\na\n</think>\n\n\\boxed{1}"
    ]  # fmt: skip
    [dropped] = jsonl.read(tmp_path / "out/dropped.jsonl", dict[str, object])
    assert (dropped["id"], dropped["sample"], dropped["reason"]) == (1, 1, "wrong")
    [rejected] = jsonl.read(tmp_path / "out/rejected.jsonl", dict[str, str])
    assert rejected["where"] == f"{path}:4"


def test_surplus_rows_of_a_file_keep_their_columns_but_not_their_texts(tmp_path: Path) -> None:
    path = write_file(tmp_path, [answer(1, "a"), answer(1, "b", note="x")], ["correct"] * 2)
    filter_file(path, tmp_path / "out", Filter(per_problem=1))
    [dropped] = jsonl.read(tmp_path / "out/dropped.jsonl", dict[str, object])
    assert dropped == {
        "series": "", "problem_id": "1", "sample": 1, "reason": "surplus",
        "evidence": "as many as per_problem (1) are kept already", "id": 1, "note": "x",
    }  # fmt: skip


def test_a_shuffled_file_gives_the_same_bytes(tmp_path: Path) -> None:
    rows = [answer(n % 4, f"thought {n % 3}", problem_id=n % 4, sample=n // 4) for n in range(16)]
    statuses: list[Status] = ["correct" if n % 5 else "wrong" for n in range(16)]
    found = []
    for seed in range(3):
        order = random.Random(seed).sample(range(16), 16)
        folder = tmp_path / str(seed)
        path = write_file(folder, [rows[n] for n in order], [statuses[n] for n in order])
        funnel = filter_file(path, folder / "out", Filter(per_problem=2))
        assert funnel.judged == 16
        found.append(contents(folder / "out"))
    assert found[0] == found[1] == found[2]


def test_verdicts_of_another_file_are_refused(tmp_path: Path) -> None:
    path = write_file(tmp_path, [answer(1, "a"), answer(2, "b")], ["correct", "correct"])
    jsonl.write_rows(path, [answer(1, "a"), answer(3, "b")])
    with pytest.raises(DistillError, match=r"was not made from .*answers.jsonl as it is now"):
        filter_file(path, tmp_path / "out", Filter())
    jsonl.write_rows(path, [answer(1, "a")])
    with pytest.raises(DistillError, match="first difference: problem '2'"):
        filter_file(path, tmp_path / "out", Filter())


def test_a_file_without_verdicts_names_the_command(tmp_path: Path) -> None:
    path = write_file(tmp_path, [answer(1, "a")], ["correct"])
    (tmp_path / "verdicts.jsonl").unlink()
    with pytest.raises(Missing, match=r"run 'distill verify .*answers.jsonl --out .*' first"):
        filter_file(path, tmp_path / "out", Filter())


def test_a_row_of_a_kind_that_nothing_checks_is_set_aside(tmp_path: Path) -> None:
    rows = [answer(1, "a"), answer(2, "b", kind="code"), answer(3, "c")]
    path = write_file(tmp_path, [rows[0], rows[2]], ["correct", "correct"])
    jsonl.write_rows(path, rows)
    funnel = filter_file(path, tmp_path / "out", Filter())
    assert (funnel.kept, funnel.rejected) == (2, 1)


def test_a_file_is_not_overwritten_by_its_own_result(tmp_path: Path) -> None:
    write_file(tmp_path, [answer(1, "a")], ["correct"]).rename(tmp_path / "kept.jsonl")
    with pytest.raises(DistillError, match="would be overwritten"):
        filter_file(tmp_path / "kept.jsonl", tmp_path, Filter())
