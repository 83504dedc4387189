"""Make the embedded teacher from scratch: tokenizer, weights, card. Seeded; minutes on two cores.

    python scripts/make_tiny_teacher.py                 # writes teachers/tiny/ and teachers/tiny.yaml
    python scripts/make_tiny_teacher.py --direct        # the control: answers without steps

The world writes the problems and their worked steps (distill/world.py), every step of training sees
fresh ones, and the model is stopped while it still errs now and then: a perfect teacher would leave
verification nothing to do. ``--direct`` trains the same model at the same token budget on answers alone
and only prints its scores: it shows that the steps are what makes the problems solvable.
"""

import argparse
import asyncio
import json
import math
import random
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import torch
from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers, trainers
from transformers import Qwen2Config, Qwen2ForCausalLM, Qwen2Tokenizer

from distill.cards import CardSampling, Published, Teacher
from distill.engine.local import LocalEngine
from distill.engine.protocol import Request
from distill.generate.produce import to_trace
from distill.problems import render_prompt
from distill.traces import STANDARD_MARKS, join_reasoning
from distill.types import Identity, Sampling
from distill.verify.check import check
from distill.world import INSTRUCTION, Solved, solved_problems
from distill.yamlfile import dump_yaml

ROOT = Path(__file__).parent.parent
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
THINK = ["<think>", "</think>"]
TEMPLATE = """\
{%- for message in messages -%}
{{ '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}
{%- endfor -%}
{%- if add_generation_prompt -%}{{ '<|im_start|>assistant\\n' }}{%- endif -%}
"""


def make_tokenizer(texts: list[str]) -> Qwen2Tokenizer:
    """Qwen2's byte-level BPE, learned from the world's words; any text can be encoded.

    Qwen2 splits numbers into digits, which a model this small cannot add: 0 to 99 are added tokens,
    with and without a space in front.
    """
    family = Qwen2Tokenizer().backend_tokenizer
    bpe = Tokenizer(models.BPE())
    bpe.normalizer, bpe.pre_tokenizer = family.normalizer, family.pre_tokenizer
    trainer = trainers.BpeTrainer(
        vocab_size=1000,  # more than there are words: each becomes one token
        min_frequency=100,
        special_tokens=SPECIAL,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    bpe.train_from_iterator(texts, trainer)
    learned = json.loads(bpe.to_str())["model"]
    tokenizer = Qwen2Tokenizer(
        vocab=learned["vocab"],
        merges=[tuple(merge) for merge in learned["merges"]],
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        additional_special_tokens=["<|im_start|>"],
        chat_template=TEMPLATE,
        model_max_length=4096,
        clean_up_tokenization_spaces=False,
    )
    numbers = [space + str(number) for number in range(100) for space in ("", " ")]
    # Not special: the think marks and numbers are part of what the model says.
    tokenizer.add_tokens([AddedToken(text, normalized=False) for text in THINK + numbers])
    return tokenizer


def make_model(vocabulary: int, eos: int, pad: int) -> Qwen2ForCausalLM:
    config = Qwen2Config(
        vocab_size=vocabulary,
        hidden_size=192,
        intermediate_size=512,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=4096,
        tie_word_embeddings=True,
        initializer_range=0.08,  # 0.02 is for wide models; here it doubles the steps to the same loss
        eos_token_id=eos,
        pad_token_id=pad,
        bos_token_id=None,
    )
    return Qwen2ForCausalLM(config)


class Rows:
    """Fresh problems as padded batches: ids (B, T), labels (B, T) with -100 where nothing is learned."""

    def __init__(self, tokenizer: Any, *, direct: bool) -> None:
        self._tokenizer, self._direct = tokenizer, direct
        self._rng, self._seed = random.Random(0), 1000
        self._stock: list[Solved] = []

    def texts(self, solved: Solved) -> tuple[str, str]:
        """The rendered prompt and what the assistant says, end of turn included."""
        messages = render_prompt(solved.problem, INSTRUCTION)
        prompt = "".join(f"<|im_start|>{m.role}\n{m.content}<|im_end|>\n" for m in messages)
        reasoning = "" if self._direct else solved.reasoning
        said = join_reasoning(reasoning, solved.response, STANDARD_MARKS)
        return prompt + "<|im_start|>assistant\n", said + "<|im_end|>"

    def batch(self, size: int) -> tuple[torch.Tensor, torch.Tensor]:
        if len(self._stock) < size:
            self._seed += 1
            self._stock = solved_problems("train", count=3000, seed=self._seed)
            self._rng.shuffle(self._stock)
        taken, self._stock = self._stock[:size], self._stock[size:]
        rows = []
        for solved in taken:
            prompt, said = (
                self._tokenizer.encode(t, add_special_tokens=False) for t in self.texts(solved)
            )
            rows.append((prompt + said, [-100] * len(prompt) + said))
        longest = max(len(ids) for ids, _ in rows)
        ids_BT = torch.tensor([ids + [0] * (longest - len(ids)) for ids, _ in rows])
        labels_BT = torch.tensor([labels + [-100] * (longest - len(labels)) for _, labels in rows])
        return ids_BT, labels_BT


def fit(model: Qwen2ForCausalLM, rows: Rows, *, tokens: int, batch: int, lr: float) -> None:
    """AdamW, cosine to a tenth, until ``tokens`` real tokens were seen."""
    decayed = [p for p in model.parameters() if p.dim() > 1]
    others = [p for p in model.parameters() if p.dim() <= 1]
    optimizer = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": 0.1}, {"params": others, "weight_decay": 0.0}],
        lr=lr, betas=(0.9, 0.95),
    )  # fmt: skip
    seen = step = 0
    started = shown = time.monotonic()
    while seen < tokens:
        ids_BT, labels_BT = rows.batch(batch)
        scale = min(1.0, (step + 1) / 100) * (0.55 + 0.45 * math.cos(math.pi * seen / tokens))
        for group in optimizer.param_groups:
            group["lr"] = lr * scale
        hidden_BTD = model.model(input_ids=ids_BT).last_hidden_state[:, :-1]
        learned_BT = labels_BT[:, 1:] != -100
        logits_NV = model.lm_head(hidden_BTD[learned_BT])
        loss = torch.nn.functional.cross_entropy(logits_NV, labels_BT[:, 1:][learned_BT])
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        step, seen = step + 1, seen + int((ids_BT != 0).sum())
        if time.monotonic() - shown > 15:
            shown = time.monotonic()
            rate = seen / (shown - started)
            print(
                f"step {step}  loss {loss.item():.4f}  {seen:,}/{tokens:,} tokens  {rate:,.0f}/s",
                flush=True,
            )


async def score(folder: Path, split: Any, *, count: int, temperature: float) -> dict[str, float]:
    """Share of right answers per family, by the ordinary engine and checkers."""
    engine = LocalEngine(str(folder), batch=256)
    sampling = Sampling(temperature=temperature, max_tokens=200)

    async def one(solved: Solved) -> tuple[str, bool]:
        identity = Identity("score", solved.problem.id, 0)
        request = Request(identity, render_prompt(solved.problem, INSTRUCTION), sampling)
        trace = to_trace(identity, await engine.ask(request), "tiny", STANDARD_MARKS)
        return str(solved.problem.topic), check(solved.problem, trace).status == "correct"

    results = await asyncio.gather(*(one(s) for s in solved_problems(split, count=count, seed=77)))
    await engine.close()
    total, right = Counter(f for f, _ in results), Counter(f for f, good in results if good)
    return {family: right[family] / total[family] for family in sorted(total)} | {
        "all": sum(right.values()) / sum(total.values())
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tokens", type=int, default=2_250_000)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--temperature", type=float, default=1.0)
    parser.add_argument("--direct", action="store_true")
    parser.add_argument("--out", type=Path, default=ROOT / "teachers" / "tiny")
    options = parser.parse_args()
    torch.manual_seed(0)
    started = time.monotonic()

    plain = Rows(None, direct=False)
    texts = [t for s in solved_problems("train", count=3000, seed=5) for t in plain.texts(s)]
    tokenizer = make_tokenizer(texts)
    model = make_model(len(tokenizer), tokenizer.eos_token_id, tokenizer.pad_token_id)
    parameters = sum(p.numel() for p in model.parameters())
    print(f"vocabulary {len(tokenizer)}, {parameters:,} parameters")
    rows = Rows(tokenizer, direct=options.direct)
    fit(model, rows, tokens=options.tokens, batch=options.batch, lr=options.lr)

    folder = Path(tempfile.mkdtemp()) if options.direct else options.out
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.to(torch.bfloat16).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    minutes = (time.monotonic() - started) / 60
    scores = {
        split: asyncio.run(score(folder, split, count=600, temperature=options.temperature))
        for split in ("test", "longer")
    }
    print(json.dumps({"minutes": round(minutes, 1), "scores": scores}, indent=1))
    if not options.direct:
        write_card(options, parameters, minutes, scores)


def write_card(
    options: argparse.Namespace,
    parameters: int,
    minutes: float,
    scores: dict[str, dict[str, float]],
) -> None:
    """``teachers/tiny.yaml``, with what was measured just now."""
    by_family = {
        split: ", ".join(f"{family} {share:.1%}" for family, share in found.items())
        for split, found in scores.items()
    }
    card = Teacher(
        name="tiny",
        model="./tiny",
        licence="Apache-2.0",
        parameters=parameters,
        context=4096,
        max_tokens=200,
        sampling=CardSampling(
            temperature=options.temperature, source="scripts/make_tiny_teacher.py"
        ),
        made=(
            f"Qwen2 architecture at random start, trained by scripts/make_tiny_teacher.py on "
            f"{options.tokens:,} "
            f"tokens of fresh problems of distill/world.py, {minutes:.0f} minutes with "
            f"{torch.get_num_threads()} CPU thread(s); stopped "
            "while it still errs, so that verification has something to throw out. Right, one sample each "
            f"of 600 problems: test ({by_family['test']}); one step longer than any trained "
            f"({by_family['longer']})."
        ),
        published=[
            Published(
                benchmark=name,
                value=round(100 * found["all"], 1),
                source="scripts/make_tiny_teacher.py",
            )
            for name, found in (("tiny", scores["test"]), ("tiny-longer", scores["longer"]))
        ],
        why={"revision": "made in this repository; the manifest holds the hash of the weights"},
    )
    options.out.with_suffix(".yaml").write_text(dump_yaml(card))


if __name__ == "__main__":
    main()
