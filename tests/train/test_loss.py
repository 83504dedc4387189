"""The loss against a plain reference, and documents that must not see each other."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from distill.errors import DistillError
from distill.train import attention
from distill.train.attention import IMPLEMENTATION, Layout, lay_out, register
from distill.train.corpus import Corpus, Counts
from distill.train.isolation import prove_isolation
from distill.train.loss import hidden_states, learner, summed_cross_entropy
from distill.train.pack import collate

LENGTHS = [9, 30, 17, 1 + 64, 12]


def small(architecture: str = "qwen2", **more: Any) -> Any:
    """A random model of two layers with grouped attention, packed attention switched on."""
    from transformers import AutoModelForCausalLM, LlamaConfig, Qwen2Config, Qwen3Config

    register()
    kind = {"qwen2": Qwen2Config, "qwen3": Qwen3Config, "llama": LlamaConfig}[architecture]
    shape = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4,
             "num_key_value_heads": 2, "head_dim": 8, "vocab_size": 50, "initializer_range": 0.3}  # fmt: skip
    torch.manual_seed(0)
    config = kind(**{**shape, **more})
    return AutoModelForCausalLM.from_config(config, attn_implementation=IMPLEMENTATION)


def corpus() -> Corpus:
    ends = np.concatenate([[0], np.cumsum(LENGTHS)])
    ids = np.random.default_rng(0).integers(0, 50, ends[-1]).astype(np.int32)
    learned_from = np.asarray([4, 10, 1, 5, 11], dtype=np.int32)
    return Corpus(ids, ends, learned_from, Counts(5, 5, 0, 0, int(ends[-1]), 0))


def one_by_one(model: Any) -> torch.Tensor:
    """The summed loss, each document alone, in float64 with transformers' own attention."""
    data, total = corpus(), torch.zeros((), dtype=torch.float64)
    model = model.double()
    model.set_attn_implementation("eager")
    for d in range(len(LENGTHS)):
        ids = torch.from_numpy(data.document(d).astype(np.int64))
        logits = model(input_ids=ids[None]).logits[0]
        start = int(data.learned_from[d])
        total = total + cross_entropy(logits[start - 1 : -1], ids[start:], reduction="sum")
    return total


@pytest.mark.parametrize("architecture", ["qwen2", "qwen3", "llama"])
def test_the_packed_loss_and_gradient_equal_each_document_alone(architecture: str) -> None:
    model = small(architecture)
    loss = learner(model)(collate(corpus(), np.arange(5)))
    loss.backward()
    gradients = [p.grad.double() for p in model.parameters()]
    reference_model = small(architecture)
    reference = one_by_one(reference_model)
    reference.backward()
    assert loss.item() == pytest.approx(reference.item(), rel=1e-6)
    for ours, parameter in zip(gradients, reference_model.parameters(), strict=True):
        torch.testing.assert_close(ours, parameter.grad, rtol=1e-3, atol=1e-4)


def test_a_loss_in_chunks_is_the_same_loss() -> None:
    model = small()
    batch = collate(corpus(), np.arange(5))
    hidden = hidden_states(model, batch)[batch.places_N].detach().requires_grad_(True)
    whole = summed_cross_entropy(hidden, batch.labels_N, model)
    (expected,) = torch.autograd.grad(whole, hidden)
    parts = summed_cross_entropy(hidden, batch.labels_N, model, chunk_bytes=4 * 50 * 7)
    (found,) = torch.autograd.grad(parts, hidden)
    assert parts.item() == pytest.approx(whole.item(), rel=1e-6)
    torch.testing.assert_close(found, expected)


def test_a_batch_that_learns_nothing_gives_zero_gradients() -> None:
    model = small()
    loss = learner(model)(collate(corpus(), np.arange(2), learn=False))
    loss.backward()
    assert loss.item() == 0
    assert all(not p.grad.any() for p in model.parameters())


@pytest.mark.parametrize("architecture", ["qwen2", "qwen3", "llama"])
def test_documents_are_proven_apart(architecture: str) -> None:
    prove_isolation(small(architecture))


def test_a_leak_between_documents_refuses_to_train(monkeypatch: pytest.MonkeyPatch) -> None:
    def leaky(lengths: Any, *, device: str = "cpu") -> Layout:
        return lay_out(np.asarray([int(np.sum(lengths))]), device=device)

    monkeypatch.setattr("distill.train.pack.lay_out", leaky)
    with pytest.raises(DistillError, match="are not kept apart"):
        prove_isolation(small())


def test_an_architecture_that_does_not_take_the_boundaries_refuses_to_train() -> None:
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    AttentionInterface.register("all_in_reach", sdpa_attention_forward)
    AttentionMaskInterface.register("all_in_reach", lambda *args, **kwargs: None)
    model = small()
    model.set_attn_implementation("all_in_reach")
    with pytest.raises(DistillError, match="are not kept apart"):
        prove_isolation(model)


def test_a_window_shorter_than_a_document_is_refused() -> None:
    model = small(use_sliding_window=True, sliding_window=16, max_window_layers=0)
    with pytest.raises(DistillError, match="windows of 16 tokens"):
        hidden_states(model, collate(corpus(), np.arange(5)))


def test_a_layout_reads_every_token_back_to_its_place() -> None:
    layout = attention.lay_out(np.asarray(LENGTHS))
    places = torch.cat([block.reshape(-1) for block in layout.blocks])
    assert places[layout.back].tolist() == list(range(sum(LENGTHS)))


def test_the_tokenizer_file_and_what_transformers_makes_of_it_must_agree(
    tmp_path: Path, tokenizer: Any
) -> None:
    from tokenizers import Regex, Tokenizer, pre_tokenizers

    from distill.train.student import load_tokenizer

    tokenizer.save_pretrained(tmp_path)
    small().config.save_pretrained(tmp_path)
    load_tokenizer(str(tmp_path))
    own = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    own.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(r"\S+"), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    own.save(str(tmp_path / "tokenizer.json"))
    with pytest.raises(DistillError, match="with other rules than the file's"):
        load_tokenizer(str(tmp_path))
