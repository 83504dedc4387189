"""Greedy continuations by whichever transformers, or vLLM, runs this.

    python tests/train/greedy.py transformers PROMPTS.json OUT.json MODEL...

PROMPTS.json is a list of texts, rendered already. OUT.json: {MODEL: [[prompt ids, new ids], ...]}, 32
new tokens a prompt, in fp32. Needs nothing of this package: it runs in vLLM's own environment, too.
"""

import json
import sys
from pathlib import Path
from typing import Any

NEW_TOKENS = 32


def by_transformers(model: str, prompts: list[str]) -> list[Any]:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model)
    network = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32).eval()
    pairs = []
    for prompt in prompts:
        ids = tokenizer.encode(prompt, add_special_tokens=False)
        out = network.generate(
            torch.tensor([ids]), do_sample=False, max_new_tokens=NEW_TOKENS, eos_token_id=None,
            pad_token_id=0,
        )  # fmt: skip
        pairs.append([ids, out[0, len(ids) :].tolist()])
    return pairs


def by_vllm(model: str, prompts: list[str]) -> list[Any]:
    from vllm import LLM, SamplingParams

    engine = LLM(
        model, dtype="float32", enforce_eager=True, max_model_len=512, gpu_memory_utilization=0.3
    )
    sampling = SamplingParams(temperature=0, max_tokens=NEW_TOKENS, ignore_eos=True)
    tokenizer = engine.get_tokenizer()
    ids = [tokenizer.encode(prompt, add_special_tokens=False) for prompt in prompts]
    outputs = engine.generate(
        [{"prompt_token_ids": prompt} for prompt in ids], sampling, use_tqdm=False
    )
    return [[p, list(o.outputs[0].token_ids)] for p, o in zip(ids, outputs, strict=True)]


if __name__ == "__main__":
    answer = {"transformers": by_transformers, "vllm": by_vllm}[sys.argv[1]]
    texts = json.loads(Path(sys.argv[2]).read_text())
    found = {model: answer(model, texts) for model in sys.argv[4:]}
    Path(sys.argv[3]).write_text(json.dumps(found))
