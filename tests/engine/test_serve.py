"""``distill serve``: what a name or folder means, and who may use the server."""

import socket
from pathlib import Path

import pytest
from pretended import pretend

from distill.engine.serve import serve, to_serve
from distill.errors import DistillError

ROOT = Path(__file__).parent.parent.parent


@pytest.mark.parametrize("name", ["tiny", "teachers/tiny", str(ROOT / "teachers/tiny.yaml")])
def test_a_card_is_served_as_it_says(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # beside the cards, teachers/tiny is a folder as well
    served = to_serve(name)
    assert (served.name, served.context) == ("tiny", 4096)
    assert served.model == str(ROOT / "teachers/tiny")


def test_a_hub_model_keeps_its_id() -> None:
    assert to_serve("students/qwen3-0.6b").model == "Qwen/Qwen3-0.6B-Base"


def test_a_stretched_student_s_start_keeps_the_context_that_it_comes_with() -> None:
    """vLLM refuses more than the config says; with rope_theta the card's is for training."""
    assert to_serve("students/qwen-7b").context is None
    assert to_serve("students/qwen-14b").context == 32768


def test_a_model_folder_is_served_under_its_own_name(tmp_path: Path) -> None:
    folder = tmp_path / "students/mine"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    served = to_serve(str(folder))
    assert (served.name, served.model, served.context) == ("mine", str(folder), None)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("teachers/tinny", "did you mean 'teachers/tiny'"),
        ("endpoint", "names no model that could be served"),
        ("tiny-qwen", "starts at random.*distill serve run/students/tiny-qwen"),
        ("eval/gsm8k", "eval/gsm8k is no model"),
        (str(ROOT / "tests"), "no config.json"),
    ],
)
def test_what_cannot_be_served_is_one_sentence(name: str, sentence: str) -> None:
    with pytest.raises(DistillError, match=sentence):
        to_serve(name)


LISTENS = """
from http.server import BaseHTTPRequestHandler, HTTPServer
class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        ends = self.path.endswith("/models") and self.headers["Authorization"] == "Bearer k-1"
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps({"data": [{"id": "tiny"}]}).encode())
        if ends:
            os._exit(0)
HTTPServer((argument("--host"), int(argument("--port"))), Handler).serve_forever()
"""


def test_listening_beyond_this_machine_is_said_and_the_user_s_key_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server of this test ends as soon as it is asked with the key."""
    pretend(tmp_path, monkeypatch, LISTENS)
    monkeypatch.setenv("VLLM_API_KEY", "k-1")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    said: list[str] = []
    with pytest.raises(DistillError, match=r"ended \(exit status 0\) .*'tiny': see its log above"):
        serve("tiny", host="0.0.0.0", port=port, extra_args=[], say=said.append, out=said.append)
    assert "will listen on 0.0.0.0" in said[0] and "VLLM_API_KEY" in said[0]
    assert f"http://127.0.0.1:{port}/v1" in said
    assert not any("k-1" in line for line in said)
