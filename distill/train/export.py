"""The finished student: an ordinary Hugging Face checkpoint, written by all processes together.

    export(model, tokenizer, run.student("tiny-qwen"), facts, end_id=2, world=world)
    read_facts(run.student("tiny-qwen"))        # what it was made from; None while it is not finished

Weights go to the disk shard by shard: each is gathered in every process (ZeRO-3 spreads it) and let go
again; the first process keeps copies of one shard, then writes it. So a process needs its own part and
the largest weight, the first one a shard more, and never the whole model. The files are those that
`save_pretrained` would write, tied weights once. Not here: architectures whose files hold other tensors
than the model does (mixtures of experts).
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from distill import jsonl
from distill.train.student import MARKER, disk_may_fill, fresh, quiet, sync_all, sync_file
from distill.train.zero import World, count, gathered

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

SHARD_BYTES = 5 * 10**9


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What a finished student was made from and what it took (``students/NAME/distill.json``)."""

    student: str
    base: str
    revision: str | None
    licence: str | None
    fingerprint: str
    kept_sha256: str
    parameters: int
    documents: int
    too_long: int
    control_token: int
    steps: int
    tokens: int
    learned: int
    loss: float
    seconds: float
    processes: int
    settings: dict[str, Any]


def export(model: "PreTrainedModel", tokenizer: "PreTrainedTokenizerBase", folder: Path, facts: Facts, *,
           end_id: int, world: World) -> None:  # fmt: skip
    """Write the checkpoint into ``folder``; `MARKER` last, so all or nothing. All processes call it."""
    temporary = folder / "export.tmp"
    quiet()
    with disk_may_fill(folder):
        if world.leads:
            fresh(temporary)
            write_configs(model, tokenizer, temporary, end_id=end_id)
        write_weights(model, temporary, world)
        if world.leads:
            (temporary / "README.md").write_text(model_card(facts), encoding="utf-8")
            sync_all(temporary)
            for path in sorted(temporary.iterdir()):
                os.replace(path, folder / path.name)
            temporary.rmdir()
            jsonl.sync_folder(folder)
            text = msgspec.json.format(msgspec.json.encode(facts), indent=2)
            jsonl.write_bytes(folder / MARKER, text + b"\n")
    world.wait()


def write_configs(model: "PreTrainedModel", tokenizer: "PreTrainedTokenizerBase", folder: Path, *,
                  end_id: int) -> None:  # fmt: skip
    """Everything but weights: what the model is, how it stops, its tokenizer."""
    own = [] if tokenizer.eos_token_id is None else [tokenizer.eos_token_id]
    if model.generation_config is not None:
        model.generation_config.eos_token_id = list(dict.fromkeys([end_id, *own]))
        model.generation_config.pad_token_id = tokenizer.pad_token_id
        model.generation_config.save_pretrained(folder)
    config = model.config
    config.eos_token_id = end_id
    config.dtype = str(model.dtype).removeprefix("torch.")
    config.architectures = [type(model).__name__]
    config.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def write_weights(
    model: "PreTrainedModel", folder: Path, world: World, *, shard_bytes: int = SHARD_BYTES
) -> None:
    """The weights as safetensors files of at most ``shard_bytes`` (a larger weight has its own)."""
    import torch
    from huggingface_hub import split_torch_state_dict_into_shards
    from safetensors.torch import save_file

    weights = own_weights(model)
    shapes = {
        name: torch.empty(getattr(w, "ds_shape", w.shape), dtype=w.dtype, device="meta")
        for name, w in weights.items()
    }
    plan = split_torch_state_dict_into_shards(shapes, max_shard_size=shard_bytes)
    for file, names in plan.filename_to_tensors.items():
        shard: dict[str, torch.Tensor] = {}
        for name in names:
            with gathered(weights[name]):
                if world.leads:
                    shard[name] = weights[name].detach().to("cpu", copy=True).contiguous()
        if world.leads:
            save_file(shard, folder / file, metadata={"format": "pt"})
            sync_file(folder / file)  # now, so that the others never wait for more than one shard
    if plan.is_sharded and world.leads:
        parameters = sum(count(w) for w in model.parameters())
        index = {
            "metadata": {"total_parameters": parameters, **plan.metadata},
            "weight_map": dict(sorted(plan.tensor_to_filename.items())),
        }
        text = msgspec.json.format(msgspec.json.encode(index, order="sorted"), indent=2)
        (folder / "model.safetensors.index.json").write_bytes(text + b"\n")


def own_weights(model: "PreTrainedModel") -> "dict[str, torch.Tensor]":
    """Weights and kept buffers in the order of their names, a tied one under its first name only."""
    weights: dict[str, torch.Tensor] = {}
    seen: set[int] = set()
    for name, weight in model.state_dict(keep_vars=True).items():
        if id(weight) not in seen:
            seen.add(id(weight))
            weights[name] = weight
    return dict(sorted(weights.items(), key=lambda item: _in_layers(item[0])))


def _in_layers(name: str) -> list[tuple[int, str]]:
    """``layers.10.`` after ``layers.9.``, as `save_pretrained` sorts them."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in name.split(".")]


def read_facts(folder: Path) -> Facts | None:
    """The facts of a finished student, None while it is not finished."""
    marker = folder / MARKER
    return jsonl.read_blob(marker, Facts) if marker.exists() else None


def model_card(facts: Facts) -> str:
    """README.md of the checkpoint: where it comes from, what it learned from, what it took."""
    licence = (facts.licence or "other").lower()
    random = facts.base.startswith("bases/")
    base = "" if random else f"base_model: {facts.base}\n"
    start = "a random start" if random else f"`{facts.base}`"
    settings = "".join(f"- {name}: {value}\n" for name, value in facts.settings.items())
    return (
        f"---\nlibrary_name: transformers\nlicense: {licence}\n{base}tags: [reasoning, distillation]\n---\n\n"
        f"# {facts.student}\n\n"
        f"Fine-tuned from {start} on {facts.documents:,} kept traces "
        f"(`kept.jsonl`, sha256 `{facts.kept_sha256}`) with distill.\n\n"
        f"- parameters: {facts.parameters:,}\n"
        f"- steps: {facts.steps:,}; tokens: {facts.tokens:,}, of which learned: {facts.learned:,}\n"
        f"- training loss at the end: {facts.loss:.4f}\n"
        f"- dropped before training: too long {facts.too_long:,}, "
        f"control token in the answer {facts.control_token:,}\n\n"
        f"## Settings\n\n{settings}\n"
        "Scores stand in the run's report; this card states none that were not measured.\n"
    )
