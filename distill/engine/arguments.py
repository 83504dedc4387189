"""Which vLLM arguments a card may give, and which even its user may not.

    require_allowed(["--tensor-parallel-size", "2"], "the card of 'x'") # fine
    require_allowed(["--tokenizer", "other"], "the card of 'x'")        # DistillError
    require_harmless(["--tokenizer", "other"], "the command line")      # fine: the user's own hand

A card may come from anybody, and many of vLLM's options load Python code by a name or a path inside a
JSON value, or change what is asked without the series knowing (a tokenizer, a chat template). So a card
has a list of what it may say: sizes, memory, number formats. What a user types after ``distill serve
CARD --`` is refused only where it cannot work or loads code by its very purpose: that is not a sandbox.
"""

import json
import re
from collections.abc import Mapping, Sequence

from distill.errors import DistillError

# Not for anybody to say. Those that load Python code would be a way around trust_remote_code.
OURS = ("model", "host", "port", "served-model-name", "api-key", "config")
CODE = (
    "trust-remote-code", "tool-parser-plugin", "reasoning-parser-plugin", "io-processor-plugin",
    "middleware", "logits-processors", "model-class-overrides", "worker-cls", "worker-extension-cls",
    "scheduler-cls",
)  # fmt: skip
ELSEWHERE = (
    "ssl-keyfile", "ssl-certfile", "ssl-ca-certs", "ssl-cert-reqs", "uds", "headless", "root-path",
)  # fmt: skip
WHOLE_NAMES = ("reasoning-parser",)  # options by themselves, though others begin like that

# ── what a card may say ──────────────────────────────────────────────────────────────────────────

FLAGS = frozenset({
    "enable-expert-parallel", "enforce-eager", "enable-prefix-caching", "enable-chunked-prefill",
    "enable-reasoning", "async-scheduling", "enable-eplb", "enable-dbo", "language-model-only",
    "disable-custom-all-reduce", "disable-log-stats", "disable-log-requests",
    "disable-uvicorn-access-log",
})  # fmt: skip
NUMBER = r"\d+(\.\d+)?([kmgtKMGT]i?)?"
WORD = r"[A-Za-z0-9_][A-Za-z0-9_-]*"  # no dots, slashes or colons: no module, no file
VALUES: Mapping[str, str] = {
    **dict.fromkeys((
        "tensor-parallel-size", "pipeline-parallel-size", "data-parallel-size",
        "data-parallel-size-local", "data-parallel-rank", "data-parallel-start-rank",
        "decode-context-parallel-size", "prefill-context-parallel-size",
        "gpu-memory-utilization", "kv-cache-memory-bytes", "num-gpu-blocks-override",
        "max-num-seqs", "max-num-batched-tokens", "swap-space", "cpu-offload-gb", "block-size",
        "seed", "max-cudagraph-capture-size",
    ), NUMBER),
    "max-model-len": rf"{NUMBER}|auto",
    **dict.fromkeys((
        "dtype", "quantization", "kv-cache-dtype", "reasoning-parser", "attention-backend",
        "all2all-backend", "expert-placement-strategy",
    ), WORD),
    # Not pt and its like, which unpickle; tensorizer and others take an address.
    "load-format": "auto|hf|safetensors|fastsafetensors|runai_streamer|mistral|bitsandbytes|dummy",
    "tokenizer-mode": "auto|hf|slow|mistral|deepseek_v32",
    "config-format": "auto|hf|mistral",
    "model-impl": "auto|vllm|transformers",
    "distributed-executor-backend": "mp|ray|uni",  # else a class to import
}  # fmt: skip
SHORT = {
    "-tp": "tensor-parallel-size", "-pp": "pipeline-parallel-size", "-dp": "data-parallel-size",
    "-dpl": "data-parallel-size-local", "-ep": "enable-expert-parallel", "-q": "quantization",
}  # fmt: skip
OVERRIDES = "hf-overrides"
ROPE = ("rope_theta", "rope_scaling", "rope_parameters", "max_position_embeddings")


def require_allowed(given: Sequence[str], whose: str) -> None:
    """Refuse what is not on the list. Names are whole ones and values plain, so that vLLM's
    parser cannot read something else into them."""
    require_harmless(given, whose)
    left = list(given)
    while left:
        argument = left.pop(0)
        spelled, equals, value = argument.partition("=")
        name = SHORT.get(spelled, spelled.removeprefix("--").replace("_", "-"))
        option = spelled in SHORT or spelled.startswith("--")
        if option and not equals and name.removeprefix("no-") in FLAGS:
            continue
        if option and name == OVERRIDES:
            value = value if equals else left.pop(0) if left else ""
            if _only_rope(value):
                continue
            allowed = f"a JSON object with numbers and plain words for {', '.join(ROPE)} only"
        elif option and name in VALUES:
            value = value if equals else left.pop(0) if left else ""
            if re.fullmatch(VALUES[name], value, re.ASCII):
                continue
            words = VALUES[name] not in (NUMBER, WORD) and name != "max-model-len"
            allowed = VALUES[name].replace("|", ", ") if words else "a number or a plain word"
        else:
            raise DistillError(
                f"{whose} gives vLLM '{_shown(spelled)}', which is not among the options that a card "
                f"may set: take it out, or give it by hand with 'distill serve CARD -- {_shown(spelled)} …'"
            )
        # The value may be a key, and is not shown.
        raise DistillError(
            f"{whose} gives vLLM '{_shown(spelled)}' with a value that a card may not set ({allowed}): "
            f"correct it, or give it by hand with 'distill serve CARD -- {_shown(spelled)} …'"
        )


def _only_rope(text: str) -> bool:
    """Whether it is JSON that only stretches positions."""
    try:
        read = json.loads(text)
    except (ValueError, RecursionError):
        return False
    return isinstance(read, dict) and set(read) <= set(ROPE) and _is_plain(read)


def _is_plain(value: object) -> bool:
    if isinstance(value, dict):
        return all(re.fullmatch(WORD, key) and _is_plain(inner) for key, inner in value.items())
    if isinstance(value, list):
        return all(map(_is_plain, value))
    return not isinstance(value, str) or re.fullmatch(WORD, value, re.ASCII) is not None


def _shown(spelled: str) -> str:
    return spelled if len(spelled) <= 60 and spelled.isprintable() else f"{spelled[:60]!a}…"


# ── what nobody may say ──────────────────────────────────────────────────────────────────────────


def require_harmless(given: Sequence[str], whose: str) -> None:
    """Refuse arguments that are ours to say or that load code. As vLLM reads them: ``_`` for ``-``,
    any unambiguous beginning, ``--name=value`` and ``--name.key``."""
    for argument in given:
        spelled = argument.replace("_", "-")
        name = re.split(r"[=.+]", spelled.removeprefix("--"))[0] if spelled[:2] == "--" else ""
        begun = [word for word in (*OURS, *CODE, *ELSEWHERE) if name and word.startswith(name)]
        refused = begun[0] if begun and name not in WHOLE_NAMES else None
        shown = _shown(argument.partition("=")[0])  # the value may be a key
        if "trust-remote-code" in spelled or refused in CODE:
            raise DistillError(
                f"{whose} gives vLLM '{shown}', which loads code that comes with a model or a card: "
                "take it out"
            )
        if refused == "api-key":
            raise DistillError(
                f"{whose} gives vLLM '{shown}', and every user of this machine can read a command "
                "line: take it out"
            )
        if refused in ELSEWHERE:
            raise DistillError(
                f"{whose} gives vLLM '{shown}', so that distill would not find the server: take it out"
            )
        if refused is not None:
            raise DistillError(f"{whose} gives vLLM '{shown}', which distill sets: take it out")
