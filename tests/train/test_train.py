"""A whole training: what it leaves, how it resumes, and what it refuses."""

import os
import resource
import signal
from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch
from conftest import MakeRun, kept_examples, losses, write_student

from distill import cards, jsonl
from distill.errors import DistillError, Missing
from distill.recipe import Train, load_recipe
from distill.run import Run
from distill.train import loop
from distill.train.fits import Machine, check_fits
from distill.train.loop import learning_rate, train
from distill.train.student import base_model

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


def curve(run: Run, student: str) -> list[float]:
    return losses(run.student(cards.load_student(student).name) / "training.jsonl")


class Killed(BaseException):
    """What a test raises where a kill would strike."""


def killed_at(monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    """The process dies in the middle of a step (0-based)."""
    real = loop.learning_rate

    def dies(at: int, steps: int, settings: Train) -> float:
        if at == step:
            raise Killed
        return real(at, steps, settings)

    monkeypatch.setattr(loop, "learning_rate", dies)


@pytest.fixture
def student(tmp_path: Path, tokenizer_folder: Path) -> str:
    return write_student(tmp_path, tokenizer_folder)


@pytest.mark.parametrize(
    ("architecture", "tied"),
    [("qwen2", True), ("qwen2", False), ("qwen3", True), ("llama", True), ("llama", False)],
)
def test_the_export_is_an_ordinary_checkpoint_with_the_trained_weights(
    make_run: MakeRun, tmp_path: Path, tokenizer_folder: Path, architecture: str, tied: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    from transformers import AutoModelForCausalLM, AutoTokenizer

    seen: dict[str, Any] = {}
    real = loop.finish

    def spy(job: Any, model: Any, *rest: Any) -> Any:
        ids = torch.arange(20)[None]
        # Outside training a lone document is an ordinary prompt: transformers' own attention.
        model.eval().set_attn_implementation("sdpa")
        seen["logits"] = model(input_ids=ids).logits
        return real(job, model, *rest)

    monkeypatch.setattr(loop, "finish", spy)
    run = make_run(40, max_steps=4)
    result = train(run, write_student(tmp_path, tokenizer_folder, architecture, tied=tied))
    model = AutoModelForCausalLM.from_pretrained(result.path)
    torch.testing.assert_close(model(input_ids=torch.arange(20)[None]).logits, seen["logits"])
    assert (model.lm_head.weight.data_ptr() == model.model.embed_tokens.weight.data_ptr()) is tied
    end = AutoTokenizer.from_pretrained(result.path).convert_tokens_to_ids("<|im_end|>")
    assert model.generation_config.eos_token_id in (end, [end])
    assert "sha256" in (Path(result.path) / "README.md").read_text()
    assert not (Path(result.path) / "checkpoints").exists()
    assert len(losses(Path(result.path) / "training.jsonl")) == 4 == result.facts.steps
    recorded = run.read_manifest()["stages"][f"train/{result.facts.student}"]
    assert recorded["kept_sha256"] == jsonl.seal(run.kept).sha256 and recorded["state"] == "done"


def test_in_bf16_every_zero_stage_and_offload_learns_alike(make_run: MakeRun, student: str) -> None:
    ways = [(0, "none"), (1, "none"), (2, "none"), (3, "none"), (2, "optimizer"), (3, "all")]
    found = []
    for zero, offload in ways:
        run = make_run(
            40, f"{zero}{offload}", max_steps=8, zero=zero, offload=offload, dtype="bf16"
        )
        train(run, student)
        found.append(curve(run, student))
    for other in found[1:]:
        assert other == pytest.approx(found[0], rel=5e-3)


def test_training_learns_and_a_second_call_does_nothing(make_run: MakeRun, student: str) -> None:
    run = make_run(80, epochs=3.0)
    first = train(run, student)
    assert curve(run, student)[-1] < 0.7 * curve(run, student)[0]
    assert not first.already
    weights = (Path(first.path) / "model.safetensors").stat().st_mtime_ns
    again = train(run, student)
    assert again.already and again.facts == first.facts
    assert (Path(first.path) / "model.safetensors").stat().st_mtime_ns == weights


def test_a_finished_student_of_other_data_is_refused(make_run: MakeRun, student: str) -> None:
    run = make_run(40, max_steps=1)
    train(run, student)
    jsonl.write_rows(run.kept, kept_examples(41))
    with pytest.raises(DistillError, match="was trained with other kept traces; move or remove"):
        train(run, student)


@pytest.mark.parametrize(
    ("zero", "offload"),
    [(0, "none"), (1, "none"), (2, "none"), (3, "none"), (2, "optimizer"), (3, "all")],
)
def test_a_killed_run_continues_to_the_same_curve(
    make_run: MakeRun, student: str, zero: int, offload: str, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    settings = {
        "max_steps": 9,
        "zero": zero,
        "checkpoint_steps": 3,
        "tokens_per_step": 512,
        "offload": offload,
    }
    whole = make_run(60, "whole", **settings)
    train(whole, student)
    broken = make_run(60, "broken", **settings)
    with monkeypatch.context() as patch:
        killed_at(patch, 5)
        with pytest.raises(Killed):
            train(broken, student)
    assert len(curve(broken, student)) == 5
    train(broken, student)
    assert "continuing after step 3 of 9" in capsys.readouterr().err
    assert curve(broken, student) == pytest.approx(curve(whole, student), rel=1e-6)


def test_a_checkpoint_that_was_tampered_with_is_passed_over(
    make_run: MakeRun,
    student: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = make_run(60, max_steps=8, checkpoint_steps=2, tokens_per_step=512)
    with monkeypatch.context() as patch:
        killed_at(patch, 5)
        with pytest.raises(Killed):
            train(run, student)
    folder = run.student(cards.load_student(student).name) / "checkpoints"
    newest = sorted(folder.glob("step-*"))[-1]
    victim = next(newest.rglob("*.pt"))
    data = bytearray(victim.read_bytes())
    data[len(data) // 2] ^= 1
    victim.write_bytes(data)
    train(run, student)
    said = capsys.readouterr().err
    assert f"{newest}: does not match what this run recorded" in said
    assert "continuing after step 2 of 8" in said


def test_changed_settings_refuse_the_checkpoint(
    make_run: MakeRun, student: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(60, max_steps=6, checkpoint_steps=2)
    with monkeypatch.context() as patch:
        killed_at(patch, 3)
        with pytest.raises(Killed):
            train(run, student)
    changed = msgspec.structs.replace(run.recipe.train, learning_rate=1e-4)
    other = Run(run.path, msgspec.structs.replace(run.recipe, train=changed))
    with pytest.raises(DistillError, match="changed since the checkpoint at step 2; remove"):
        train(other, student)


def test_ctrl_c_saves_the_step_and_the_same_command_continues(
    make_run: MakeRun, student: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(60, max_steps=6)
    real = loop.learning_rate

    def interrupts(at: int, steps: int, settings: Train) -> float:
        if at == 2:
            os.kill(os.getpid(), signal.SIGINT)
        return real(at, steps, settings)

    with monkeypatch.context() as patch:
        patch.setattr(loop, "learning_rate", interrupts)
        with pytest.raises(KeyboardInterrupt):
            train(run, student)
    name = cards.load_student(student).name
    assert [p.name for p in (run.student(name) / "checkpoints").glob("step-*")] == ["step-00000003"]
    assert train(run, student).facts.steps == 6 == len(curve(run, student))


def test_a_disk_that_fills_is_one_sentence_and_the_same_command_continues(
    make_run: MakeRun, student: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(60, max_steps=6, checkpoint_steps=2)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    real = loop.checkpoints.save

    def fills(engine: Any, folder: Path, state: Any, *rest: Any, **more: Any) -> None:
        if state.step == 4:  # no file may grow beyond 32 KiB: the writes fail as on a full disk
            resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 15, hard))
        real(engine, folder, state, *rest, **more)

    with monkeypatch.context() as patch:
        patch.setattr(loop.checkpoints, "save", fills)
        try:
            with pytest.raises(DistillError, match="and run the same command again"):
                train(run, student)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert train(run, student).facts.steps == 6


def test_the_start_is_the_same_for_the_same_seed(make_run: MakeRun, student: str) -> None:
    bases = [
        base_model(make_run(5, name, seed=seed), student)
        for name, seed in [("a", 1), ("b", 1), ("c", 2)]
    ]
    first, same, other = ((Path(base) / "model.safetensors").read_bytes() for base in bases)
    assert first == same != other


def test_a_changed_card_makes_another_start(make_run: MakeRun, student: str) -> None:
    run = make_run(5)
    before = (Path(base_model(run, student)) / "model.safetensors").read_bytes()
    card = Path(student)
    card.write_text(card.read_text().replace("layers: 2", "layers: 1"))
    assert (Path(base_model(run, student)) / "model.safetensors").read_bytes() != before


def test_no_kept_traces_yet_names_the_command(make_run: MakeRun, student: str) -> None:
    run = make_run(5)
    run.kept.unlink()
    with pytest.raises(Missing, match="run 'distill filter"):
        train(run, student)


def test_the_learning_rate_warms_up_and_falls_along_a_cosine_to_its_share() -> None:
    settings = Train(learning_rate=1.0, warmup=0.1, final_learning_rate=0.1)
    rates = [learning_rate(step, 100, settings) for step in range(100)]
    assert rates[:3] == pytest.approx([0.1, 0.2, 0.3]) and max(rates) == rates[9] == 1.0
    assert rates[55] == pytest.approx(0.55, abs=0.01) and rates[99] == pytest.approx(0.1, abs=0.01)
    assert rates[10:] == sorted(rates[10:], reverse=True)


def test_a_student_that_does_not_fit_says_what_it_needs_and_which_do() -> None:
    card = msgspec.structs.replace(
        cards.load_student("tiny-qwen"), name="big", parameters=1_500_000_000
    )
    laptop = Machine(gpus=0, memory_bytes=16 << 30, cores=4)
    with pytest.raises(
        DistillError, match=r"^student 'big' does not fit this machine: .*22\.4 GiB"
    ) as raised:
        check_fits(card, Train(), laptop)
    assert "tiny-llama, tiny-qwen" in str(raised.value)
    with pytest.raises(DistillError, match="would take about .* hours on these 4 CPU cores"):
        check_fits(card, Train(), laptop._replace(memory_bytes=256 << 30))
    check_fits(card, Train(), Machine(gpus=1, memory_bytes=80 << 30, cores=4))


def test_a_student_that_would_fit_with_other_settings_says_which() -> None:
    card = cards.load_student("qwen-32b")
    node = Machine(gpus=8, memory_bytes=8 * (80 << 30), cores=96, host_bytes=1 << 40)
    with pytest.raises(DistillError, match="with 'zero: 3' and 'offload: none' it would fit"):
        check_fits(card, Train(zero=2), node)
    check_fits(card, Train(zero=3), node)
    half = node._replace(gpus=4, memory_bytes=4 * (80 << 30))
    with pytest.raises(
        DistillError, match=r"122\.\d GiB a GPU .*'offload: optimizer' it would fit"
    ):
        check_fits(card, Train(zero=3), half)
    check_fits(card, Train(zero=3, offload="optimizer"), half)
    with pytest.raises(DistillError, match=r"GiB on the host before activations"):
        check_fits(card, Train(zero=3, offload="all"), half._replace(host_bytes=64 << 30))


@pytest.mark.parametrize(
    ("zero", "offload", "sentence"),
    [
        (0, "optimizer", "'offload: optimizer' needs 'zero: 1' or more"),
        (0, "all", "'offload: all' needs 'zero: 3'"),
        (2, "all", "'offload: all' needs 'zero: 3'"),
    ],
)
def test_offload_that_this_stage_cannot_do_is_refused_with_the_recipes_line(
    tmp_path: Path, zero: int, offload: str, sentence: str
) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(f"problems:\n  - world: train\ntrain:\n  zero: {zero}\n  offload: {offload}\n")
    with pytest.raises(DistillError, match=f"mine.yaml:3: key 'train': {sentence}"):
        load_recipe(str(path))
