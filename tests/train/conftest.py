"""A tokenizer of our own, a run with kept traces of the embedded world, and a very small student."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from distill import jsonl
from distill.cards import ProblemSource
from distill.recipe import Recipe, Train
from distill.run import Run
from distill.types import Example, Message
from distill.world import solved_problems
from distill.yamlfile import dump_yaml

TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
# How Qwen2 splits text: transformers takes this for model type qwen2, whatever tokenizer.json says.
QWEN2 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def kept_examples(count: int) -> list[Example]:
    """Rows as the filter writes them, from worked solutions of the embedded world."""
    return [
        Example(
            series="0" * 12,
            problem_id=solved.problem.id,
            sample=0,
            messages=[
                Message(role="user", content=solved.problem.text),
                Message(
                    role="assistant",
                    content=f"<think>\n{solved.reasoning}\n</think>\n\n{solved.response}",
                ),
            ],
        )
        for solved in solved_problems("train", count=count, seed=1)
    ]


def make_tokenizer(template: str | None = TEMPLATE) -> Any:
    """A byte-level BPE of about 300 words with the control tokens and think marks of Qwen."""
    from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(QWEN2), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    trainer = trainers.BpeTrainer(
        vocab_size=300,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(
        [m.content for row in kept_examples(60) for m in row.messages], trainer
    )
    tokenizer.add_tokens(["<think>", "</think>"])
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="<|im_end|>", pad_token="<|endoftext|>"
    )
    fast.add_special_tokens({"additional_special_tokens": ["<|im_start|>"]})
    fast.chat_template = template
    return fast


@pytest.fixture(scope="session")
def tokenizer() -> Any:
    return make_tokenizer()


@pytest.fixture(scope="session")
def tokenizer_folder(tmp_path_factory: pytest.TempPathFactory, tokenizer: Any) -> Path:
    folder = tmp_path_factory.mktemp("tokenizer")
    tokenizer.save_pretrained(folder)
    return folder


def write_student(
    folder: Path,
    tokenizer_folder: Path,
    architecture: str = "qwen2",
    *,
    tied: bool = True,
    width: int = 32,
) -> str:
    """A student card in ``folder`` (and the name to call it by): two layers, two heads."""
    path = folder / f"small-{architecture}{'' if tied else '-untied'}.yaml"
    path.write_text(
        f"name: {path.stem}\nlearning_rate: 1e-2\ncontext: 512\nlicence: Apache-2.0\n"
        f"start: {{architecture: {architecture}, tokenizer: {tokenizer_folder}, "
        f"hidden_size: {width}, intermediate_size: {2 * width}, layers: 2, heads: 2, kv_heads: 1, "
        f"tied: {str(tied).lower()}}}\n"
    )
    return str(path)


def kept_run(folder: Path, rows: int, **settings: Any) -> Run:
    """A run whose traces are kept already."""
    values = {
        "length": 256,
        "tokens_per_step": 1024,
        "rows_per_forward": 2,
        "epochs": 1.0,
        **settings,
    }
    recipe = Recipe(problems=[ProblemSource(world="train", count=rows)], train=Train(**values))
    folder.mkdir()
    jsonl.write_bytes(folder / "recipe.yaml", dump_yaml(recipe).encode())
    jsonl.write_rows(folder / "kept.jsonl", kept_examples(rows))
    return Run(folder, recipe)


MakeRun = Callable[..., Run]


@pytest.fixture
def make_run(tmp_path: Path) -> MakeRun:
    """``make_run(rows=80, name="run", **train_settings)``: `kept_run` in this test's own folder."""

    def make(rows: int = 80, name: str = "run", **settings: Any) -> Run:
        return kept_run(tmp_path / name, rows, **settings)

    return make


def losses(path: Path) -> list[float]:
    """The loss curve of a ``training.jsonl``."""
    return [msgspec.json.decode(line.data)["loss"] for line in jsonl.lines(path)]
