"""The in-process engine: keyed noise, sampling settings, limits, and a clean end."""

import asyncio
import os
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch

from distill.cards import load_teacher, local_model
from distill.engine.local import KeyedSampling, LocalEngine, Waiting, key_of, uniforms
from distill.engine.protocol import PromptTooLong, Reply, Request
from distill.errors import Missing
from distill.problems import render_prompt
from distill.types import Identity, Message, Sampling
from distill.world import INSTRUCTION, world_problems

TINY = local_model("tiny", "teachers", load_teacher("tiny").model)


def request(number: int, sampling: Sampling, text: str | None = None, seed: int = 0) -> Request:
    problem = world_problems("test", count=12, seed=1)[number % 12]
    messages = [Message(role="user", content=text)] if text else render_prompt(problem, INSTRUCTION)
    return Request(Identity("s", problem.id, number), messages, sampling, seed=seed)


def answer(requests: list[Request], batch: int = 8) -> list[Reply]:
    async def go() -> list[Reply]:
        engine = LocalEngine(TINY, batch=batch)
        try:
            return list(await asyncio.gather(*(engine.ask(r) for r in requests)))
        finally:
            await engine.close()

    return asyncio.run(go())


@pytest.fixture(scope="module")
def replies() -> list[Reply]:
    return answer([request(n, Sampling(max_tokens=120)) for n in range(12)])


def test_the_teacher_reasons_inside_its_marks_and_stops(replies: list[Reply]) -> None:
    assert sum(reply.finish == "stop" for reply in replies) >= 11
    assert all(reply.text.startswith("<think>\n") for reply in replies)
    assert all("<|im_end|>" not in reply.text for reply in replies)
    assert all(reply.completion_tokens == len(reply.token_ids) for reply in replies)


def test_who_shares_a_batch_does_not_change_what_is_drawn(replies: list[Reply]) -> None:
    alone = answer([request(n, Sampling(max_tokens=120)) for n in reversed(range(6))], batch=2)
    assert [r.text for r in reversed(alone)] == [r.text for r in replies[:6]]


def test_greedy_answers_are_those_of_transformers_own_generate() -> None:
    """Its own cache, one row at a time: padding, batching and our cache change nothing."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(TINY)
    model = AutoModelForCausalLM.from_pretrained(TINY, dtype=torch.float32)
    asked = [request(n, Sampling(temperature=0, max_tokens=90)) for n in range(5)]
    for one, reply in zip(asked, answer(asked), strict=True):
        messages = [{"role": m.role, "content": m.content} for m in one.messages]
        prompt = tokenizer.apply_chat_template(
            messages, add_generation_prompt=True, return_tensors="pt", return_dict=True
        )
        out = model.generate(**prompt, max_new_tokens=90, do_sample=False)
        assert out[0, prompt["input_ids"].shape[1] :].tolist() == reply.token_ids


def test_another_seed_or_sample_draws_anew() -> None:
    hot = Sampling(temperature=2.0, max_tokens=30)
    same = [request(0, hot), request(0, hot), request(0, hot, seed=1), request(12, hot)]
    first, again, seeded, sample = (reply.text for reply in answer(same))
    assert first == again
    assert first != seeded and first != sample


def test_max_tokens_cuts_a_row_alone() -> None:
    long, short = answer([request(0, Sampling(max_tokens=100)), request(1, Sampling(max_tokens=5))])
    assert (short.finish, short.completion_tokens) == ("length", 5)
    assert long.finish == "stop" and long.completion_tokens > 5


def test_a_prompt_without_room_to_answer_is_refused() -> None:
    with pytest.raises(PromptTooLong, match="4,096"):
        answer([request(0, Sampling(), text="bean " * 5000)])


def test_a_folder_without_a_model_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(Missing, match="no model there"):
        LocalEngine(str(tmp_path))


def test_damaged_weights_are_one_sentence(tmp_path: Path) -> None:
    shutil.copytree(TINY, tmp_path / "model")
    os.truncate(tmp_path / "model" / "model.safetensors", 100)
    with pytest.raises(Missing, match="cannot be loaded: "):
        LocalEngine(str(tmp_path / "model"))


def test_closing_stops_a_running_batch_soon() -> None:
    async def go() -> None:
        engine = LocalEngine(TINY)
        endless = Sampling(temperature=5.0, max_tokens=4000)
        asking = asyncio.create_task(engine.ask(request(0, endless)))
        await asyncio.sleep(0.5)
        await asyncio.wait_for(engine.close(), timeout=20)
        await asyncio.wait({asking}, timeout=5)
        assert asking.done()

    asyncio.run(go())


def draws(sampling: Sampling, scores: list[float], count: int = 4000) -> Counter[int]:
    """What `KeyedSampling` picks for many identities from the same scores."""
    group = [
        Waiting(Request(Identity("s", "p", n), [], sampling), [0], None)  # type: ignore[arg-type]
        for n in range(count)
    ]
    scores_BV = torch.tensor([scores]).expand(count, -1)
    picked = KeyedSampling(group, 1)(torch.zeros(count, 3, dtype=torch.long), scores_BV)
    assert bool(((picked == 0).sum(-1) == 1).all())
    return Counter(picked.argmax(-1).tolist())


SCORES = [float(np.log(p)) for p in (0.5, 0.3, 0.15, 0.05)]


@pytest.mark.parametrize(
    ("sampling", "expected"),
    [
        (Sampling(), [0.5, 0.3, 0.15, 0.05]),
        (Sampling(temperature=0), [1, 0, 0, 0]),
        (Sampling(temperature=0.5), [0.6849, 0.2466, 0.0616, 0.0068]),
        (Sampling(top_k=2), [0.625, 0.375, 0, 0]),
        (Sampling(top_p=0.6), [0.625, 0.375, 0, 0]),
        (Sampling(top_p=0.5), [1, 0, 0, 0]),
        (Sampling(top_k=3, top_p=0.9), [0.5263, 0.3158, 0.1579, 0]),
    ],
)
def test_tokens_are_drawn_with_the_probabilities_of_the_settings(
    sampling: Sampling, expected: list[float]
) -> None:
    found = draws(sampling, SCORES)
    for token, share in enumerate(expected):
        # Four standard deviations of a share over 4,000 draws.
        assert abs(found[token] / 4000 - share) <= 4 * (share * (1 - share) / 4000) ** 0.5


def test_noise_is_uniform_and_differs_by_key_and_position() -> None:
    keys = np.array([key_of(request(n, Sampling())) for n in range(2000)], dtype=np.uint64)
    first, second = uniforms(keys, 0), uniforms(keys, 1)
    assert len(set(first)) == len(set(first) | set(second)) - len(set(second)) == 2000
    assert abs(first.mean() - 0.5) < 0.03 and 0 <= first.min() and first.max() < 1
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.1
