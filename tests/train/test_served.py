"""What is exported here is the same model elsewhere: in vLLM's older transformers, and in vLLM."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from conftest import kept_run, write_student

from distill.train.loop import train
from distill.world import solved_problems
from tests.conftest import FULL, needs

GREEDY = Path(__file__).parent / "greedy.py"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning"),
]

Found = dict[str, list[Any]]  # model folder: prompt ids and new ids, per prompt


class Exported(NamedTuple):
    """Six students, the prompts asked, and what our own transformers makes of both."""

    models: list[str]
    prompts: Path
    expected: Found


def greedy(python: str, engine: str, prompts: Path, models: list[str]) -> Found:
    """What `greedy.py` finds, run by that Python."""
    out = prompts.with_name("out.json")
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "VLLM_CPU_KVCACHE_SPACE": "1"}
    done = subprocess.run(
        [python, str(GREEDY), engine, str(prompts), str(out), *models],
        env=environment, text=True, capture_output=True, timeout=900,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    found: Found = json.loads(out.read_text())
    return found


@pytest.fixture(scope="module")
def exported(
    tmp_path_factory: pytest.TempPathFactory, tokenizer_folder: Path, tokenizer: Any
) -> Exported:
    folder = tmp_path_factory.mktemp("served")
    # Trained until it means what it says: between weights at random, words are all but equally likely
    # and rounding decides.
    run = kept_run(folder / "run", 400, epochs=4.0)
    models = [
        train(run, write_student(folder, tokenizer_folder, kind, tied=tied, width=64)).path
        for kind in ("qwen2", "qwen3", "llama")
        for tied in (True, False)
    ]
    texts = []
    for number, solved in enumerate(solved_problems("test", count=20, seed=5)):
        asked = [{"role": "user", "content": solved.problem.text}]
        prompt = tokenizer.apply_chat_template(asked, tokenize=False, add_generation_prompt=True)
        begun = f"<think>\n{solved.reasoning}\n</think>\n\n{solved.response}"
        texts.append(prompt + begun[: number * len(begun) // 20])  # each goes on from another place
    prompts = folder / "prompts.json"
    prompts.write_text(json.dumps(texts))
    expected = greedy(sys.executable, "transformers", prompts, models)
    for model in models:
        assert len({tuple(new) for _, new in expected[model]}) >= 15, model
    return Exported(models, prompts, expected)


@pytest.fixture(scope="module")
def other_python() -> str:
    python = os.environ.get("DISTILL_VLLM_PYTHON")
    if not python:
        needs("vllm", "set DISTILL_VLLM_PYTHON to the Python that has vLLM")
    return str(python)


def test_vllms_older_transformers_gives_the_same_ids_and_greedy_tokens(
    other_python: str, exported: Exported
) -> None:
    """170 s with the six trainings."""
    code = "import transformers as t; assert t.__version__.startswith('5.1'), t.__version__"
    subprocess.run([other_python, "-c", code], check=True)
    found = greedy(other_python, "transformers", exported.prompts, exported.models)
    assert found == exported.expected


def test_vllm_gives_the_same_ids_and_greedy_tokens(other_python: str, exported: Exported) -> None:
    """150 s: six starts of vLLM one after another; without DISTILL_FULL two (tied Qwen2, untied Llama)."""
    models = exported.models if FULL else [exported.models[0], exported.models[-1]]
    found = greedy(other_python, "vllm", exported.prompts, models)
    assert found == {model: exported.expected[model] for model in models}
