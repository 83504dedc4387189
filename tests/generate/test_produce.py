"""The production loop over a scripted engine: every planned identity once, whatever happens."""

import asyncio
from pathlib import Path

import pytest
from scripted_engine import ScriptedEngine

from distill.cards import Marks
from distill.engine.protocol import PromptTooLong, Reply, Request
from distill.errors import DistillError
from distill.generate.produce import Tally, produce, to_trace
from distill.series import Asker
from distill.traces import read_judged
from distill.types import Identity, Sampling
from distill.verify.pool import CheckPool
from distill.world import Solved, solved_problems

ASKER = Asker(model="scripted", sampling=Sampling(temperature=1.0))


def make(folder: Path, solved: list[Solved], engine: ScriptedEngine, asker: Asker = ASKER) -> Tally:
    async def go() -> Tally:
        with CheckPool(workers=1) as pool:
            problems = [s.problem for s in solved]
            return await produce(folder, problems, asker, engine, pool, samples=2)

    return asyncio.run(go())


def identities(folder: Path) -> list[Identity]:
    return sorted(judged.trace.identity for judged in read_judged(folder))


def planned(solved: list[Solved]) -> list[Identity]:
    return sorted(Identity(ASKER.series, s.problem.id, n) for s in solved for n in (0, 1))


def test_every_planned_identity_gets_one_trace_and_its_verdict(tmp_path: Path) -> None:
    solved = solved_problems("train", count=60, seed=1)
    tally = make(tmp_path, solved, ScriptedEngine(solved, delay_s=0.002))
    assert identities(tmp_path) == planned(solved)
    assert all(judged.verdict is not None for judged in read_judged(tmp_path))
    assert tally.fresh == 120 and tally.statuses["correct"] > 60
    assert {"correct", "wrong", "no_answer"} == set(tally.statuses)


def test_a_second_start_asks_nothing(tmp_path: Path) -> None:
    solved = solved_problems("train", count=10, seed=1)
    make(tmp_path, solved, ScriptedEngine(solved))
    again = ScriptedEngine(solved)
    tally = make(tmp_path, solved, again)
    assert again.asked == [] and tally.before == 20 and tally.fresh == 0


class Dies(ScriptedEngine):
    """Fails for good after ``left`` replies, as a dead server would."""

    left = 37

    async def ask(self, request: Request) -> Reply:
        reply = await super().ask(request)
        self.left -= 1
        if self.left < 0:
            raise DistillError("the server is gone")
        return reply


def test_after_an_engine_dies_only_what_was_in_flight_is_asked_again(tmp_path: Path) -> None:
    solved = solved_problems("train", count=60, seed=2)
    with pytest.raises(DistillError, match="the server is gone"):
        make(tmp_path, solved, Dies(solved, in_flight=8, delay_s=0.001))
    kept = identities(tmp_path)
    assert 37 - 8 <= len(kept) <= 37
    again = ScriptedEngine(solved)
    make(tmp_path, solved, again)
    assert sorted(again.asked) == sorted(set(planned(solved)) - set(kept))
    assert identities(tmp_path) == planned(solved)


def test_a_trace_whose_verdict_was_lost_is_judged_on_restart(tmp_path: Path) -> None:
    solved = solved_problems("train", count=10, seed=3)
    make(tmp_path, solved, ScriptedEngine(solved))
    (verdicts,) = (tmp_path / "verdicts").glob("*/*.jsonl")
    whole = verdicts.read_bytes()
    verdicts.write_bytes(whole[: len(whole) // 2])  # also tears a line
    make(tmp_path, solved, ScriptedEngine(solved))
    assert all(judged.verdict is not None for judged in read_judged(tmp_path))
    assert verdicts.with_name(verdicts.name + ".torn").exists()


@pytest.mark.parametrize("cut", range(1, 60, 7))
def test_a_torn_last_trace_is_made_again(tmp_path: Path, cut: int) -> None:
    solved = solved_problems("train", count=5, seed=4)
    with pytest.raises(DistillError):
        make_unsealed(tmp_path, solved)
    (traces,) = (tmp_path / "traces").glob("*/*.jsonl")
    traces.write_bytes(traces.read_bytes()[:-cut])
    again = ScriptedEngine(solved)
    make(tmp_path, solved, again)
    assert len(again.asked) >= 1
    assert identities(tmp_path) == planned(solved)


def make_unsealed(folder: Path, solved: list[Solved]) -> None:
    """All but the last traces, then a failure: the segment stays open, as after a kill."""
    engine = Dies(solved, in_flight=1)
    engine.left = 8
    make(folder, solved, engine)


def test_another_series_is_refused_and_the_change_is_named(tmp_path: Path) -> None:
    solved = solved_problems("train", count=3, seed=1)
    make(tmp_path, solved, ScriptedEngine(solved))
    hotter = Asker(model="scripted", sampling=Sampling(temperature=0.5))
    with pytest.raises(DistillError, match="temperature changed"):
        make(tmp_path, solved, ScriptedEngine(solved), hotter)


class TooLong(ScriptedEngine):
    async def ask(self, request: Request) -> Reply:
        if request.identity.sample == 1:
            raise PromptTooLong("prompt of 9 tokens does not fit a context of 8")
        return await super().ask(request)


def test_a_prompt_that_does_not_fit_is_failed_once_and_never_a_trace(tmp_path: Path) -> None:
    solved = solved_problems("train", count=5, seed=1)
    tally = make(tmp_path, solved, TooLong(solved))
    assert tally.failed == 5 and len(identities(tmp_path)) == 5
    assert b"prompt_too_long" in (tmp_path / "failed.jsonl").read_bytes()
    assert make(tmp_path, solved, TooLong(solved)).fresh == 0


@pytest.mark.parametrize(
    ("text", "reasoning", "response", "raw_kept"),
    [
        ("<think>\na\n</think>\n\nb", "a", "b", False),
        ("<think>a</think>b", "a", "b", True),
        ("<think>\na", "a", "", True),
        ("just b", None, "just b", False),
        ("a\n</think>\n\nb", "a", "b", True),
    ],
)
def test_a_reply_is_split_and_its_raw_text_kept_only_where_it_cannot_be_rebuilt(
    text: str, reasoning: str | None, response: str, raw_kept: bool
) -> None:
    reply = Reply(text, [], "stop", 1, 1, 0.0)
    trace = to_trace(Identity("s", "p", 0), reply, "m", Marks())
    assert (trace.reasoning, trace.response, trace.text is not None) == (
        reasoning,
        response,
        raw_kept,
    )


@pytest.mark.parametrize("name", ["series.json", "traces/0/sealed.json"])
@pytest.mark.parametrize("damage", ["garbage", "[]", ""])
def test_a_damaged_file_of_our_own_is_one_sentence_and_removing_it_mends_it(
    tmp_path: Path, name: str, damage: str
) -> None:
    solved = solved_problems("train", count=4, seed=1)
    make(tmp_path, solved, ScriptedEngine(solved))
    (tmp_path / name).write_text(damage)
    with pytest.raises(DistillError, match="remove it and run the same command again"):
        make(tmp_path, solved, ScriptedEngine(solved))
    (tmp_path / name).unlink()
    again = ScriptedEngine(solved)
    make(tmp_path, solved, again)
    assert again.asked == [] and identities(tmp_path) == planned(solved)
