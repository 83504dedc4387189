"""What the vLLM launcher finds, refuses and puts on the command line. Nothing is started here."""

import socket
import sys
from pathlib import Path

import pytest
from pretended import pretend

from distill.cards import Endpoint, Serve
from distill.engine import vllm
from distill.engine.gpus import VISIBLE, gpu_count
from distill.engine.protocol import Served
from distill.engine.vllm import Vllm, find_vllm, start_server
from distill.errors import DistillError

ROOT = Path(__file__).parent.parent.parent
TINY = Served("tiny", str(ROOT / "teachers/tiny"), context=4096)

# ── GPUs ─────────────────────────────────────────────────────────────────────────────────────────

NVIDIA_2 = ["dev/nvidia0", "dev/nvidia1", "dev/nvidiactl", "dev/nvidia-uvm"]
AMD_1 = ["dev/kfd", "sys/class/kfd/kfd/topology/nodes/0/properties"]


@pytest.mark.parametrize(
    ("files", "visible", "count"),
    [
        ([], {}, 0),
        (NVIDIA_2, {}, 2),
        (NVIDIA_2, {"CUDA_VISIBLE_DEVICES": "1"}, 1),
        (NVIDIA_2, {"CUDA_VISIBLE_DEVICES": "0,1,2,3"}, 2),
        (NVIDIA_2, {"CUDA_VISIBLE_DEVICES": "0,-1,1"}, 1),
        (NVIDIA_2, {"CUDA_VISIBLE_DEVICES": ""}, 0),
        (NVIDIA_2, {"CUDA_VISIBLE_DEVICES": "-1"}, 0),
        (["proc/driver/nvidia/gpus/0000:01:00.0/information"], {}, 1),
        (["dev/nvidiactl"], {}, 0),
        (AMD_1, {}, 1),
        (AMD_1, {"HIP_VISIBLE_DEVICES": ""}, 0),
    ],
)
def test_gpus_are_counted_as_the_environment_leaves_them(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    files: list[str],
    visible: dict[str, str],
    count: int,
) -> None:
    for name in files:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("cpu_cores_count 0\nsimd_count 440\n")
    monkeypatch.setenv("PATH", str(tmp_path))  # no nvidia-smi
    for name in VISIBLE:
        monkeypatch.delenv(name, raising=False)
    for name, value in visible.items():
        monkeypatch.setenv(name, value)
    assert gpu_count(tmp_path) == count


# ── what is found, what is refused ───────────────────────────────────────────────────────────────


def test_vllm_is_looked_up_in_the_named_python_and_never_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = pretend(tmp_path, monkeypatch)
    assert find_vllm() == Vllm(str(path), "0.32.0", cpu=True)
    pretend(tmp_path, monkeypatch, "", '{"vllm": "0.21.1"}')
    assert find_vllm() == Vllm(str(path), "0.21.1", cpu=False)
    assert "vllm" not in sys.modules


@pytest.mark.parametrize(
    ("named", "sentence"),
    [
        ("/nowhere/python", "no such program"),
        ("/bin/true", "does not work as a Python"),
        (None, "has no vLLM"),
    ],
)
def test_a_named_python_that_cannot_serve_is_an_error_not_a_reason_to_take_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: str | None, sentence: str
) -> None:
    pretend(tmp_path, monkeypatch, "", "{}")
    if named is not None:
        monkeypatch.setenv("DISTILL_VLLM_PYTHON", named)
    with pytest.raises(DistillError, match=sentence):
        find_vllm()


@pytest.mark.parametrize("version", ["0.21.9", "0.17.1", "0.10.1", "0.9.0.1", "v0.14.0rc1", "0.17"])
def test_a_version_with_known_holes_is_refused_with_the_way_out(version: str) -> None:
    with pytest.raises(DistillError, match=r"install 0\.22\.0 or newer.*DISTILL_VLLM_PYTHON"):
        vllm.require_safe(Vllm("/opt/python", version))


@pytest.mark.parametrize("version", ["0.22.0", "0.32.0+cpu", "1.0", "0.1.dev9+gabc", "nightly"])
def test_a_newer_version_and_one_that_does_not_say_are_taken(version: str) -> None:
    vllm.require_safe(Vllm("/opt/python", version))


def test_a_card_s_arguments_are_held_to_the_list_and_the_user_s_own_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(tmp_path, monkeypatch)
    odd = ["--kv-transfer-config", "{}"]
    with pytest.raises(DistillError, match="the card of 'tiny' gives vLLM '--kv-transfer-config'"):
        start_server(TINY._replace(serve=Serve(args=odd)), logs=None, say=print)
    with pytest.raises(DistillError, match="asks for 8 GPUs"):  # the next thing that is looked at
        start_server(TINY._replace(serve=Serve(gpus=8)), logs=None, say=print, extra_args=odd)


def test_a_card_s_arguments_come_after_ours_and_code_stays_off() -> None:
    served = TINY._replace(revision="abc", serve=Serve(args=["--dtype", "bfloat16"]))
    line = vllm.arguments(
        served, Vllm("py", "0.32.0", cpu=True), "127.0.0.1", 8000, ["--seed", "3"]
    )
    assert line[:3] == ["py", "-m", "vllm.entrypoints.openai.api_server"]
    assert line.index("bfloat16") > line.index("float32")
    assert line[line.index("--revision") + 1] == "abc"
    assert line[line.index("--max-model-len") + 1] == "4096"
    assert line[-3:] == ["--seed", "3", "--no-trust-remote-code"]


def test_keys_of_endpoints_do_not_reach_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DISTILL_API_KEY", "MY_KEY", "VLLM_API_KEY", "PYTHONOPTIMIZE", "HF_HUB_OFFLINE"):
        monkeypatch.setenv(name, "1")
    served = TINY._replace(endpoint=Endpoint(urls=["http://x/v1"], key="MY_KEY"))
    private = vllm.environment(served, Vllm("py", "0.32.0", cpu=True), private=True)
    names = {"DISTILL_API_KEY", "MY_KEY", "VLLM_API_KEY", "PYTHONOPTIMIZE"}
    assert not names & private.keys() and private["HF_HUB_OFFLINE"] == "1"
    shared = vllm.environment(served, Vllm("py", "0.32.0", cpu=True), private=False)
    assert names & shared.keys() == {"VLLM_API_KEY"}  # `distill serve`: the user's protection


def test_more_gpus_than_there_are_is_one_sentence_with_both_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(tmp_path, monkeypatch)
    with pytest.raises(DistillError, match="asks for 8 GPUs and 0 are here"):
        start_server(TINY._replace(serve=Serve(gpus=8)), logs=None, say=print)


def test_a_port_that_is_taken_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(tmp_path, monkeypatch)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(DistillError, match=f"port {port} .*in use.*--port"):
            start_server(TINY, logs=None, say=print, port=port)
