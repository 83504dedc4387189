"""What a student starts from: a model of a hub, a folder, or an architecture at random start.

    base = base_model(run, "tiny-qwen")         # a path or hub id: what training starts from, and eval's base
    model = load(base, card, dtype)

Weights are read from safetensors only and no code from a hub is ever run. A random start is made
once per run, from the card and the recipe's seed, and kept as an ordinary checkpoint, so that the
untrained student can be measured beside the trained one. The finished student is `export.py`.
"""

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from distill import cards, jsonl
from distill.cards import RandomStart, Student
from distill.errors import DistillError
from distill.run import Run
from distill.train.attention import IMPLEMENTATION, register

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

_PROBE = "Put in 17 of 203 beans. 7 + 5 = 12.\n\nIt's \\boxed{-12}, isn't it?\n"
MARKER = "distill.json"  # written last: a student folder without it is not finished


def base_model(run: Run, student: str) -> str:
    """What training starts from: a hub id, a folder, or the seeded random start (made on first use)."""
    card = cards.load_student(student)
    if card.model is not None:
        return cards.local_model(student, "students", card.model)
    folder, seed = run.path / "bases" / card.name, run.recipe.train.seed
    marker = folder / MARKER
    if not (marker.exists() and marker.read_bytes() == _start_facts(card, seed)):
        make_base(card, student, folder, seed=seed)
    return str(folder)


def make_base(card: Student, student: str, folder: Path, *, seed: int) -> None:
    """Write the random start of a card as an ordinary checkpoint: the same bytes for the same seed."""
    import torch
    from transformers import AutoModelForCausalLM

    if card.start is None:
        raise DistillError(f"students/{card.name}: needs 'model' or 'start'")
    tokenizer = load_tokenizer(cards.local_model(student, "students", card.start.tokenizer))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = AutoModelForCausalLM.from_config(
            random_config(card, tokenizer), dtype=torch.float32
        )
    temporary = fresh(folder.with_name(folder.name + ".tmp"))
    quiet()
    with disk_may_fill(folder):
        model.save_pretrained(temporary)
        tokenizer.save_pretrained(temporary)
        jsonl.write_bytes(temporary / MARKER, _start_facts(card, seed))
        sync_all(temporary)
    if folder.exists():
        shutil.rmtree(folder)
    os.replace(temporary, folder)
    jsonl.sync_folder(folder.parent)


def _start_facts(card: Student, seed: int) -> bytes:
    """What decides a random start, as its marker spells it: a changed card makes another start."""
    return msgspec.json.encode(
        {"student": card.name, "seed": seed, "context": card.context, "start": card.start}
    )


def random_config(card: Student, tokenizer: "PreTrainedTokenizerBase") -> Any:
    """The transformers config of a card's random start, sized for the tokenizer."""
    from transformers import LlamaConfig, Qwen2Config, Qwen3Config

    start = card.start
    assert isinstance(start, RandomStart)
    kind = {"qwen2": Qwen2Config, "qwen3": Qwen3Config, "llama": LlamaConfig}[start.architecture]
    # Qwen3 takes heads of 128 whatever the width, Llama and Qwen2 the width over the heads.
    sized = {"head_dim": start.hidden_size // start.heads} if start.architecture == "qwen3" else {}
    return kind(
        **sized,
        vocab_size=len(tokenizer),
        hidden_size=start.hidden_size,
        intermediate_size=start.intermediate_size,
        num_hidden_layers=start.layers,
        num_attention_heads=start.heads,
        num_key_value_heads=start.kv_heads,
        max_position_embeddings=card.context,
        rope_parameters={"rope_type": "default", "rope_theta": start.rope_theta},
        tie_word_embeddings=start.tied,
        initializer_range=start.initializer_range,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )


def load_tokenizer(source: str, revision: str | None = None) -> "PreTrainedTokenizerBase":
    """A tokenizer, without running anybody's code."""
    from transformers import AutoTokenizer

    try:
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
            source, revision=revision, trust_remote_code=False
        )
    except (OSError, ValueError) as error:
        raise DistillError(f"{source}: cannot load a tokenizer: {first_line(error)}") from None
    refuse_if_rebuilt(tokenizer, Path(source))
    return tokenizer


def refuse_if_rebuilt(tokenizer: "PreTrainedTokenizerBase", folder: Path) -> None:
    """transformers 5 ignores tokenizer.json's own splitting for some model types (qwen2 among them).

    It builds the family's tokenizer from the vocabulary instead, and then gives other ids than
    every program that reads the file. A folder where the two differ is refused.
    """
    from tokenizers import Tokenizer

    file = folder / "tokenizer.json"
    if not file.is_file():
        return
    if Tokenizer.from_file(str(file)).encode(
        _PROBE, add_special_tokens=False
    ).ids != tokenizer.encode(_PROBE, add_special_tokens=False):
        raise DistillError(
            f"{file}: transformers loads this model's tokenizer with other rules than the file's "
            f"({type(tokenizer).__name__}), so ids would differ between programs; give the file the "
            "pre-tokenizer of that family (special words as added tokens)"
        )


def load(base: str, card: Student, dtype: "torch.dtype") -> "PreTrainedModel":
    """The start of training: packed attention, the card's context and RoPE base set.

    Inside `zero.partitioned` each process keeps its part only; the first one reads the files.
    """
    from transformers import AutoConfig, AutoModelForCausalLM

    register()
    quiet()
    revision = card.revision if card.model else None
    try:
        config = AutoConfig.from_pretrained(base, revision=revision, trust_remote_code=False)
        config.max_position_embeddings = max(card.context, config.max_position_embeddings)
        if card.rope_theta is not None:
            config.rope_parameters = {**config.rope_parameters, "rope_theta": card.rope_theta}
        model: PreTrainedModel = AutoModelForCausalLM.from_pretrained(
            base,
            config=config,
            revision=revision,
            dtype=dtype,
            attn_implementation=IMPLEMENTATION,
            trust_remote_code=False,
            use_safetensors=True,
        )
    except (OSError, ValueError) as error:
        raise DistillError(f"{base}: cannot load the model: {first_line(error)}") from None
    return model


def fresh(folder: Path) -> Path:
    """An empty folder of that name, whatever a killed process left there."""
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    return folder


@contextlib.contextmanager
def disk_may_fill(folder: Path) -> Iterator[None]:
    """A full disk as one sentence, whichever library met it."""
    from safetensors import SafetensorError

    try:
        yield
    except OSError as error:
        raise jsonl.disk_error(folder, error) from None
    except SafetensorError as error:
        raise jsonl.disk_error(folder, OSError(0, str(error))) from None
    except RuntimeError as error:
        # How torch.save's own writer words a write that failed, depending on where it happened.
        if not any(
            word in str(error) for word in ("PytorchStreamWriter", "inline_container", "iostream")
        ):
            raise
        full = OSError(0, "the disk is full or cannot be written")
        raise jsonl.disk_error(folder, full) from None


def quiet() -> None:
    """No bars of transformers between our own lines."""
    from transformers.utils import logging

    logging.disable_progress_bar()


def sync_all(folder: Path) -> None:
    """Make a folder's files survive a power cut."""
    for path in folder.rglob("*"):
        if path.is_file():
            sync_file(path)
    jsonl.sync_folder(folder)


def sync_file(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0]
