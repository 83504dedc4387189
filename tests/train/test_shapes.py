"""Every student's card against the real model's config: its flags, narrow, trained and loaded again."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import MakeRun

from distill import cards
from distill.train.loop import train
from distill.yamlfile import dump_yaml

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")

# What each model's config.json says, as the hub has it: (layers, hidden, MLP, heads, key-value heads,
# vocabulary, tied) and what differs within a family.
QWEN2 = {
    "model_type": "qwen2", "architectures": ["Qwen2ForCausalLM"], "hidden_act": "silu",
    "bos_token_id": 151643, "eos_token_id": 151643, "rms_norm_eps": 1e-6, "torch_dtype": "bfloat16",
    "use_sliding_window": False, "use_mrope": False,
}  # fmt: skip
QWEN3 = {
    "model_type": "qwen3", "architectures": ["Qwen3ForCausalLM"], "hidden_act": "silu",
    "bos_token_id": 151643, "eos_token_id": 151643, "rms_norm_eps": 1e-6, "torch_dtype": "bfloat16",
    "use_sliding_window": False, "sliding_window": None, "rope_scaling": None, "rope_theta": 1000000,
    "attention_bias": False, "head_dim": 128, "max_position_embeddings": 32768,
}  # fmt: skip
LLAMA = {
    "model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_act": "silu",
    "bos_token_id": 128000, "eos_token_id": 128001, "rms_norm_eps": 1e-5, "torch_dtype": "bfloat16",
    "attention_bias": False, "mlp_bias": False, "pretraining_tp": 1, "rope_theta": 500000.0,
    "max_position_embeddings": 131072,
}  # fmt: skip


def qwen2_math(window: int) -> dict[str, Any]:
    positions = {"max_position_embeddings": 4096, "rope_theta": 10000, "sliding_window": 4096}
    return QWEN2 | positions | {"max_window_layers": window}


def qwen2_base(window: int) -> dict[str, Any]:
    positions = {"max_position_embeddings": 131072, "rope_theta": 1000000.0}
    more = {"sliding_window": 131072, "max_window_layers": window, "rms_norm_eps": 1e-5}
    return QWEN2 | positions | more


def llama3(factor: float, head_dim: int | None = None) -> dict[str, Any]:
    scaling = {
        "factor": factor, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "rope_type": "llama3",
        "original_max_position_embeddings": 8192,
    }  # fmt: skip
    return LLAMA | {"rope_scaling": scaling} | ({} if head_dim is None else {"head_dim": head_dim})


Shape = tuple[int, int, int, int, int, int, bool]
REAL: dict[str, tuple[dict[str, Any], Shape]] = {
    "qwen-1.5b": (qwen2_math(21), (28, 1536, 8960, 12, 2, 151936, True)),
    "qwen-7b": (qwen2_math(28), (28, 3584, 18944, 28, 4, 152064, False)),
    "qwen-14b": (qwen2_base(48), (48, 5120, 13824, 40, 8, 152064, False)),
    "qwen-32b": (qwen2_base(64), (64, 5120, 27648, 40, 8, 152064, False)),
    "llama-8b": (llama3(8.0), (32, 4096, 14336, 32, 8, 128256, False)),
    "llama-70b": (llama3(8.0), (80, 8192, 28672, 64, 8, 128256, False)),
    "llama-3.2-1b": (llama3(32.0, 64), (16, 2048, 8192, 32, 8, 128256, True)),
    "llama-3.2-3b": (llama3(32.0, 128), (28, 3072, 8192, 24, 8, 128256, True)),
    "qwen3-0.6b": (QWEN3, (28, 1024, 3072, 16, 8, 151936, True)),
    "qwen3-1.7b": (QWEN3, (28, 2048, 6144, 16, 8, 151936, True)),
    "qwen3-4b": (QWEN3, (36, 2560, 9728, 32, 8, 151936, True)),
    "qwen3-8b": (QWEN3, (36, 4096, 12288, 32, 8, 151936, False)),
    "qwen3-14b": (QWEN3, (40, 5120, 17408, 40, 8, 151936, False)),
}


def config(flags: dict[str, Any], shape: Shape) -> dict[str, Any]:
    layers, hidden, mlp, heads, kv_heads, vocabulary, tied = shape
    return flags | {
        "num_hidden_layers": layers, "hidden_size": hidden, "intermediate_size": mlp,
        "num_attention_heads": heads, "num_key_value_heads": kv_heads, "vocab_size": vocabulary,
        "tie_word_embeddings": tied,
    }  # fmt: skip


def read_config(folder: Path, values: dict[str, Any]) -> Any:
    """A config as transformers reads it from a hub's config.json."""
    from transformers import AutoConfig

    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(values))
    return AutoConfig.from_pretrained(folder)


def test_every_shipped_student_of_a_hub_is_here() -> None:
    assert set(REAL) == {name for name in cards.names("students") if cards.load_student(name).model}


@pytest.mark.parametrize("name", REAL)
def test_a_cards_parameters_are_those_of_its_config(name: str, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(read_config(tmp_path, config(*REAL[name])))
    assert sum(p.numel() for p in model.parameters()) == cards.load_student(name).parameters


@pytest.mark.parametrize("name", REAL)
def test_a_narrow_model_with_the_real_flags_trains_and_loads_with_the_cards_positions(
    name: str, make_run: MakeRun, tmp_path: Path, tokenizer: Any
) -> None:
    import msgspec
    from transformers import AutoModelForCausalLM

    flags, (_, _, _, heads, kv_heads, _, tied) = REAL[name]
    padded = len(tokenizer) + 61  # as Qwen's 151,936 rows for 151,665 words
    narrow = config(flags, (2, 8 * heads, 64, heads, kv_heads, padded, tied))
    narrow |= {"bos_token_id": 0, "eos_token_id": 0} | (
        {"head_dim": 16} if "head_dim" in flags else {}
    )
    plain = read_config(tmp_path / "model", narrow)
    torch.manual_seed(0)
    AutoModelForCausalLM.from_config(plain, dtype=torch.bfloat16).save_pretrained(
        tmp_path / "model"
    )
    (tmp_path / "model/config.json").write_text(json.dumps(narrow))  # the hub's form, not ours
    tokenizer.save_pretrained(tmp_path / "model")
    card = cards.load_student(name)
    own = msgspec.structs.replace(card, model="./model", revision=None, parameters=None)
    (tmp_path / "own.yaml").write_text(dump_yaml(own))
    result = train(make_run(20, max_steps=2), str(tmp_path / "own.yaml"))
    model = AutoModelForCausalLM.from_pretrained(result.path)
    found = model.config
    assert found.max_position_embeddings == max(card.context, plain.max_position_embeddings)
    theta = card.rope_theta or plain.rope_parameters["rope_theta"]
    assert found.rope_parameters == {**plain.rope_parameters, "rope_theta": theta}
    if flags.get("rope_scaling") is None:
        size = narrow.get("head_dim", 8)
        expected = theta ** -(torch.arange(0, size, 2) / size)
        torch.testing.assert_close(model.model.rotary_emb.inv_freq, expected)
    else:  # long waves are stretched: the lowest frequency is the factor below the plain one
        lowest = theta ** -((narrow.get("head_dim", 8) - 2) / narrow.get("head_dim", 8))
        factor = flags["rope_scaling"]["factor"]
        assert model.model.rotary_emb.inv_freq[-1].item() == pytest.approx(lowest / factor)
    assert model.get_input_embeddings().weight.shape[0] == padded
    assert found.tie_word_embeddings is tied
    assert (model.lm_head.weight.data_ptr() == model.model.embed_tokens.weight.data_ptr()) is tied
    biases = [n for n, _ in model.named_parameters() if n.endswith("bias")]
    assert len(biases) == (6 if flags["model_type"] == "qwen2" else 0)
