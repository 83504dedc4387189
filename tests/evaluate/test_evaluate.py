"""Measuring models through produce, with scripted engines in their place."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from distill import jsonl
from distill.cards import ProblemSource
from distill.engine.protocol import Reply, Request
from distill.errors import DistillError, Missing
from distill.evaluate.benchmarks import load, overlap_count
from distill.evaluate.evaluate import Subject, evaluate_run, subjects
from distill.evaluate.scores import read_scores
from distill.recipe import Evaluate, Recipe
from distill.run import Run
from distill.types import Problem
from distill.world import world_problems

PROBLEMS, SAMPLES = 12, 3
ANSWERS = {p.prompt: str(p.answer) for p in world_problems("test", count=PROBLEMS, seed=5)}


class Scripted:
    """Answers right for a share of identities, by their hash."""

    name, template, in_flight = "scripted", "", 8

    def __init__(self, right: float, dies_after: int | None = None) -> None:
        self.right, self.dies_after, self.asked, self.closed = right, dies_after, 0, False

    async def ask(self, request: Request) -> Reply:
        self.asked += 1
        if self.dies_after is not None and self.asked > self.dies_after:
            raise DistillError("the engine died")
        question = request.messages[-1].content.split("\n")[0]
        lucky = hashlib.sha256(repr(request.identity[1:]).encode()).digest()[0] < 256 * self.right
        answer = ANSWERS[question] if lucky else "46"
        text = f"<think>\nhm\n</think>\n\nIt is \\boxed{{{answer}}}."
        return Reply(text, [], "stop", 20, 10, 0.5)

    async def close(self) -> None:
        self.closed = True


class Lab:
    """A run with one trained student, and the engines that were opened for it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        card = f"name: small\nproblems: {{world: test, count: {PROBLEMS}, seed: 5}}\nsamples: {SAMPLES}\n"
        (folder / "small.yaml").write_text(card)
        (folder / "teacher.yaml").write_text("name: sage\nmodel: ./sage\n")
        (folder / "student.yaml").write_text("name: pupil\nlearning_rate: 1e-3\n")
        self.run = Run(
            folder,
            Recipe(
                problems=[ProblemSource(world="train", count=20)],
                teacher=str(folder / "teacher.yaml"),
                students=[str(folder / "student.yaml")],
                evaluate=Evaluate(benchmarks=[str(folder / "small.yaml")]),
            ),
        )
        for path in (folder / "sage", folder / "bases" / "pupil", self.run.student("pupil")):
            self.weights(path, path.name)
        self.opened: dict[str, Scripted] = {}

    def weights(self, path: Path, content: str) -> None:
        path.mkdir(parents=True, exist_ok=True)
        (path / "model.safetensors").write_text(content)

    def open(self, dies_after: int | None = None) -> Callable[[Recipe, Subject], Scripted]:
        right = {"base": 0.0, "student": 0.5, "teacher": 1.0}

        def opener(run: Run, subject: Subject) -> Scripted:
            engine = Scripted(right[subject.role], dies_after)
            self.opened[subject.role] = engine
            return engine

        return opener


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path)


def test_base_student_and_teacher_are_measured_and_engines_closed(lab: Lab) -> None:
    scores = evaluate_run(lab.run, opener=lab.open())
    assert [(s.role, s.model, s.problems, s.samples) for s in scores] == [
        ("base", "pupil", PROBLEMS, SAMPLES),
        ("student", "pupil", PROBLEMS, SAMPLES),
        ("teacher", "sage", PROBLEMS, SAMPLES),
    ]
    base, student, teacher = scores
    assert base.value == 0.0 < student.value < teacher.value == 1.0
    assert all(sum(s.status_counts.values()) == PROBLEMS * SAMPLES for s in scores)
    assert all(engine.closed for engine in lab.opened.values())
    assert (lab.run.evals / "student-pupil" / "small" / "traces").is_dir()
    assert read_scores(lab.run).scores == scores


def test_a_finished_evaluation_opens_no_model_and_writes_the_same_bytes(lab: Lab) -> None:
    evaluate_run(lab.run, opener=lab.open())
    first = lab.run.scores.read_bytes()
    lab.opened.clear()
    evaluate_run(lab.run, opener=lab.open())
    assert lab.opened == {}
    assert lab.run.scores.read_bytes() == first


def test_an_interrupted_evaluation_asks_only_what_is_missing(lab: Lab) -> None:
    with pytest.raises(DistillError, match="died"):
        evaluate_run(lab.run, opener=lab.open(dies_after=20))
    kept = sum(1 for p in lab.run.evals.rglob("traces/*/*.jsonl") for _ in jsonl.lines(p))
    assert 0 < kept <= 20
    evaluate_run(lab.run, opener=lab.open())
    asked = sum(engine.asked for engine in lab.opened.values())
    assert asked == 3 * PROBLEMS * SAMPLES - kept


def test_a_retrained_student_is_measured_anew_and_its_old_traces_stay(lab: Lab) -> None:
    evaluate_run(lab.run, opener=lab.open())
    lab.weights(lab.run.student("pupil"), "trained once more")
    lab.opened.clear()
    evaluate_run(lab.run, opener=lab.open())
    assert list(lab.opened) == ["student"]
    assert len(list((lab.run.evals / "student-pupil").glob("small*"))) == 2


def test_more_samples_keep_the_first_ones(lab: Lab) -> None:
    evaluate_run(lab.run, opener=lab.open())
    more = msgspec.structs.replace(lab.run.recipe.evaluate, samples=SAMPLES + 2)
    lab.run.recipe = msgspec.structs.replace(lab.run.recipe, evaluate=more)
    evaluate_run(lab.run, opener=lab.open())
    assert lab.opened["student"].asked == 2 * PROBLEMS


def test_without_a_student_the_command_that_makes_one_is_named(lab: Lab) -> None:
    (lab.run.student("pupil") / "model.safetensors").unlink()
    with pytest.raises(Missing, match="distill train"):
        evaluate_run(lab.run, opener=lab.open())
    with pytest.raises(Missing, match="distill train --student nobody"):
        evaluate_run(lab.run, students=["nobody"], opener=lab.open())


def test_no_test_problem_occurs_in_training_and_a_planted_one_is_counted(lab: Lab) -> None:
    benchmark = load(str(lab.folder / "small.yaml"), lab.run.recipe.evaluate)
    assert overlap_count(lab.run, benchmark.problems) is None
    training = world_problems("train", count=20, seed=0)
    jsonl.write_rows(lab.run.problems, training)
    assert overlap_count(lab.run, benchmark.problems) == 0
    same_words = Problem(id="mine/1", prompt=f"  {benchmark.problems[0].text.upper()}", answer="1")
    jsonl.write_rows(lab.run.problems, [*training, same_words, benchmark.problems[1]])
    assert overlap_count(lab.run, benchmark.problems) == 2


def test_shipped_tiny_benchmarks_share_no_sequence_with_each_other_or_training() -> None:
    tiny, longer = load("tiny", Evaluate()), load("tiny-longer", Evaluate())
    training = {p.id for p in world_problems("train", count=500, seed=1)}
    sets = [{p.id for p in b.problems} for b in (tiny, longer)]
    assert [len(ids) for ids in sets] == [300, 150]
    assert sets[0].isdisjoint(sets[1]) and training.isdisjoint(sets[0] | sets[1])


def test_a_benchmark_with_a_bad_row_is_refused_by_file_and_line(lab: Lab) -> None:
    rows = lab.folder / "rows.jsonl"
    rows.write_text('{"prompt": "1+1?", "answer": "2"}\n{"prompt": "no answer"}\n')
    card = lab.folder / "mine.yaml"
    card.write_text(f"name: mine\nproblems: {{file: {rows}}}\n")
    with pytest.raises(DistillError, match=r"rows\.jsonl:2"):
        load(str(card), Evaluate())


def test_a_student_by_path_starts_from_the_model_beside_its_card(tmp_path: Path) -> None:
    card = tmp_path / "cards" / "file.yaml"
    card.parent.mkdir()
    card.write_text("name: mine\nmodel: ./base\nlearning_rate: 1e-3\nmarks: {open: <a>}\n")
    recipe = Recipe(problems=[ProblemSource(world="train")], students=[str(card)])
    base, student, _ = subjects(Run(tmp_path, recipe), ["mine"])
    assert base.served.model == str(card.parent / "base")
    assert base.served.marks.open == student.served.marks.open == "<a>"


def test_a_mended_benchmark_is_asked_anew_as_often_as_it_changes(lab: Lab) -> None:
    """The same ids with another text: what was written before answers other problems."""
    rows = lab.folder / "rows.jsonl"
    card = f"name: small\nproblems: {{file: {rows}}}\nsamples: 1\ninstruction: ''\n"
    (lab.folder / "small.yaml").write_text(card)
    one, two = list(ANSWERS)[:2]
    for prompt, asked in ((one, 1), (two, 1), (two, 0), (one, 1)):
        rows.write_text(json.dumps({"id": 1, "prompt": prompt, "answer": "2"}) + "\n")
        lab.opened.clear()
        evaluate_run(lab.run, opener=lab.open())
        assert sum(engine.asked for engine in lab.opened.values()) == 3 * asked
    assert len(list((lab.run.evals / "teacher-sage").glob("small*"))) == 3
