"""What a card may hand to vLLM, and what its user may by hand."""

import pytest

from distill.cards import Student, Teacher, all_cards
from distill.engine.arguments import require_allowed, require_harmless
from distill.errors import DistillError

REFUSED = [
    ("--trust-remote-code", "loads code"),
    ("--trust_remote_code", "loads code"),
    ("--trust-remote-code=true", "loads code"),
    ("--trust", "loads code"),
    ('--hf-overrides={"trust_remote_code": true}', "loads code"),
    ("--tool-parser-plugin", "loads code"),
    ("--middleware=evil.Thing", "loads code"),
    ("--worker-cls", "loads code"),
    ("--api-key=sk-1", "can read a command line"),
    ("--api_key", "can read a command line"),
    ("--host", "distill sets"),
    ("--port=1", "distill sets"),
    ("--por", "distill sets"),
    ("--served-model-name", "distill sets"),
    ("--model", "distill sets"),
    ("--config", "distill sets"),
    ("--uds=/x", "would not find the server"),
    ("--headless", "would not find the server"),
    ("--ssl-keyfile=k", "would not find the server"),
    ("--root_path=/x", "would not find the server"),
]


@pytest.mark.parametrize(("given", "why"), REFUSED)
def test_arguments_that_are_ours_or_load_code_are_refused_to_cards_and_users(
    given: str, why: str
) -> None:
    for whose in ("the card of 'x'", "the command line"):
        with pytest.raises(DistillError, match=f"{whose} gives vLLM .*{why}") as error:
            if whose == "the command line":
                require_harmless(["--max-num-seqs", "8", given], whose)
            else:
                require_allowed(["--max-num-seqs", "8", given], whose)
        assert "sk-1" not in str(error.value)


BY_HAND = [
    ["--structured-outputs-config", '{"reasoning_parser_plugin": "/x.py"}'],
    ["--structured-outputs-config.reasoning_parser_plugin=/x.py"],
    ["--kv-transfer-config", '{"kv_connector_module_path": "evil"}'],
    ["--ec-transfer-config", '{"ec_connector_module_path": "evil"}'],
    ["-cc.backend=mod.fn"],
    ["-cc", '{"backend": "mod.fn"}'],
    ["-sc", '{"model": "/x"}'],
    ["-O3"],
    ["--speculative-config={}"],
    ["--additional-config", "{}"],
    ["--tokenizer", "other"],
    ["--revision=other"],
    ["--generation-config", "auto"],
    ["--chat-template=x.jinja"],
    ["--max-num-seq", "8"],  # a beginning
    ["--hf-overrides.architectures=X"],
    ["-tp2"],
    ["tensor-parallel-size", "2"],
    ["8"],
    ["--"],
    ["-"],
    [""],
]


@pytest.mark.parametrize("given", BY_HAND)
def test_what_is_not_on_the_list_is_for_the_user_s_own_hand_only(given: list[str]) -> None:
    with pytest.raises(DistillError) as error:
        require_allowed([*given, "--seed", "1"], "the card of 'x'")
    message = str(error.value)
    assert message.startswith("the card of 'x' gives vLLM '") and "\n" not in message
    assert "by hand with 'distill serve CARD -- " in message
    require_harmless(given, "the command line")


VALUES = [
    ["--distributed-executor-backend", "mod.Class"],
    ["--distributed_executor_backend=mod.Class"],
    ["--quantization", "mod.Class"],
    ["-q=mod.Class"],
    ["--dtype=torch.float16"],
    ["--reasoning-parser", "/x.py"],
    ["--reasoning-parser"],
    ["--seed", "--enforce-eager"],
    ["--load-format", "pt"],
    ["--load-format=tensorizer"],
    ["--tokenizer-mode", "mine"],
    ["--max-model-len", "1\n"],
    ["--enforce-eager", "--block-size="],
    ["--hf-overrides", '{"auto_map": {"AutoConfig": "x.Y"}}'],
    ["--hf-overrides", '{"architectures": ["Other"]}'],
    ["--hf-overrides", '{"rope_scaling": {"rope_type": "mod.fn"}}'],
    ["--hf-overrides", '{"rope_scaling": {"a.b": 1}}'],
    ["--hf-overrides", "mod.fn"],
    ["--hf-overrides", "[" * 9999],
    ["--hf-overrides=[]"],
]


@pytest.mark.parametrize("given", VALUES)
def test_values_of_a_card_are_plain_and_never_repeated(given: list[str]) -> None:
    with pytest.raises(DistillError, match="with a value that a card may not set") as error:
        require_allowed(given, "the card of 'x'")
    assert not any(word in str(error.value) for word in ("mod.", "/x.py", "auto_map", "[["))


ALLOWED = [
    ["--tensor-parallel-size", "8", "--enable-expert-parallel"],
    ["--tensor_parallel_size=8", "-tp", "2", "-pp=2", "-dp", "4", "-ep"],
    ["--hf-overrides", '{"rope_theta": 1e6}'],
    ["--hf-overrides={\"rope_scaling\": {\"rope_type\": \"yarn\", \"factor\": 4.0}}"],
    ["--config-format", "hf", "--model-impl", "transformers"],
    ["--reasoning-parser", "deepseek_r1", "--tokenizer-mode", "deepseek_v32"],
    ["--max-model-len", "32k", "--gpu-memory-utilization", "0.92", "--max-num-batched-tokens=8192"],
    ["--no-enable-prefix-caching", "--no-async-scheduling", "--disable-log-stats"],
    ["--quantization", "compressed-tensors", "--kv-cache-dtype", "fp8_e4m3", "--load-format=dummy"],
    ["--distributed-executor-backend", "mp"],
    [],
]  # fmt: skip


@pytest.mark.parametrize("given", ALLOWED)
def test_arguments_that_a_card_may_give_pass(given: list[str]) -> None:
    require_allowed(given, "the card of 'x'")


def test_the_shipped_cards_give_only_what_cards_may() -> None:
    models = [one.card for _, one in all_cards() if isinstance(one.card, Teacher | Student)]
    assert sum(bool(card.serve.args) for card in models) > 5
    for card in models:
        require_allowed(card.serve.args, card.name)
