"""Pinning cards against a small hub of our own on 127.0.0.1, over the real client."""

import contextlib
import json
import os
import resource
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distill import cards
from distill.errors import DistillError
from distill.pin import with_revision

ROOT = Path(__file__).parent.parent
SHA = "0123456789abcdef0123456789abcdef01234567"


OTHER = {"alist": b"[]", "empty": b"{}", "page": b"<html>hello</html>", "text": b'"x"'}


class Hub(BaseHTTPRequestHandler):
    """Answers as a hub does: by the id that is asked for."""

    def do_GET(self) -> None:
        self.server.asked.append(self.path)  # type: ignore[attr-defined]
        status, headers, body = 200, {}, {"id": "x", "sha": SHA}
        if "gated" in self.path:
            status, headers, body = 403, {"X-Error-Code": "GatedRepo"}, {"error": "gated"}
        elif "gone" in self.path:
            status, headers, body = 404, {"X-Error-Code": "RepoNotFound"}, {"error": "no"}
        elif "broken" in self.path:
            status, body = 500, {"error": "sorry"}
        elif "nothing" in self.path:
            body = {"id": "x"}
        data = json.dumps(body).encode()
        for word, other in OTHER.items():
            data = other if word in self.path else data
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(data))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextlib.contextmanager
def hub() -> Iterator[ThreadingHTTPServer]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    server.asked = []  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def pin(
    *arguments: str, at: str, cwd: Path, offline: str = "0", **more: object
) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "distill", "cards", "--pin", *arguments], cwd=cwd,
        capture_output=True, text=True, timeout=120,
        env={**os.environ, "PYTHONPATH": str(ROOT), "HF_ENDPOINT": at, "HF_HUB_OFFLINE": offline,
             "HF_HOME": str(cwd / "hf")}, **more,  # type: ignore[call-overload]
    )  # fmt: skip


def address(server: ThreadingHTTPServer) -> str:
    return f"http://127.0.0.1:{server.server_address[1]}"


TEACHER = """\
# mine, and it stays mine
name: mine
model: someone/{model}   # where it is
revision: null  # not yet
licence: MIT
why:
  licence: none
  revision: >-
    no hub could be reached,
    twice
  context: unknown
"""
PINNED = f"""\
# mine, and it stays mine
name: mine
model: someone/model   # where it is
revision: {SHA}  # not yet
licence: MIT
why:
  licence: none
  context: unknown
"""


def write(folder: Path, name: str = "mine", model: str = "model") -> str:
    path = folder / f"{name}.yaml"
    path.write_text(TEACHER.format(model=model))
    return f"./{path.name}"


def test_a_card_is_pinned_in_place_and_every_other_byte_stays(tmp_path: Path) -> None:
    card = write(tmp_path)
    with hub() as server:
        done = pin(card, at=address(server), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"./mine.yaml: {SHA} (mine.yaml)\n"
    assert (tmp_path / "mine.yaml").read_text() == PINNED
    assert cards.load_teacher(str(tmp_path / "mine.yaml")).revision == SHA
    assert "/api/models/someone/model" in server.asked  # type: ignore[attr-defined]
    assert not list(tmp_path.glob("*.tmp"))


def test_one_that_cannot_be_pinned_is_a_sentence_and_the_others_go_on(tmp_path: Path) -> None:
    names = ["gated", "gone", "broken", "nothing", "model"]
    given = [write(tmp_path, name, name) for name in names]
    with hub() as server:
        done = pin(*given, at=address(server), cwd=tmp_path)
        home = address(server)
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines() == [
        f"./gated.yaml: 'someone/gated' is gated; accept its terms at {home}/someone/gated, then "
        "`hf auth login` or set HF_TOKEN",
        "./gone.yaml: the hub shows no model 'someone/gone'; check the id, or log in if it is private",
        "./broken.yaml: the hub answered 500 for 'someone/broken'",
        "./nothing.yaml: the hub names no revision of 'someone/nothing' (it said None)",
    ]
    assert done.stdout.count(SHA) == 1
    for name in names[:-1]:
        assert (tmp_path / f"{name}.yaml").read_text() == TEACHER.format(model=name)


def test_something_that_is_no_hub_is_a_sentence_a_card_and_the_others_go_on(tmp_path: Path) -> None:
    given = [write(tmp_path, name, name) for name in [*OTHER, "model"]]
    with hub() as server:
        done = pin(*given, at=address(server), cwd=tmp_path)
        home = address(server)
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines() == [
        f"./{name}.yaml: the hub at {home} answered something else than a model's facts for "
        f"'someone/{name}'; is HF_ENDPOINT a hub?"
        for name in OTHER
    ]
    assert done.stdout.count(SHA) == 1


def test_a_link_its_mode_and_the_ends_of_lines_stay(tmp_path: Path) -> None:
    write(tmp_path, "real")
    real, link = tmp_path / "real.yaml", tmp_path / "mine.yaml"
    real.write_bytes(real.read_bytes().replace(b"\n", b"\r\n"))
    real.chmod(0o640)
    link.symlink_to("real.yaml")
    with hub() as server:
        done = pin("./mine.yaml", at=address(server), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert link.is_symlink() and real.stat().st_mode & 0o777 == 0o640
    assert real.read_bytes() == PINNED.encode().replace(b"\n", b"\r\n")


def test_a_file_in_place_of_the_folder_for_copies_is_one_sentence(tmp_path: Path) -> None:
    card = write(tmp_path)
    (tmp_path / "taken").write_text("x")
    for out, sentence in (("taken", "--out taken is a file"), ("taken/in", "cannot be written")):
        with hub() as server:
            done = pin(card, "--out", out, at=address(server), cwd=tmp_path)
        assert done.returncode == 2 and sentence in done.stderr
        assert "Traceback" not in done.stderr and (tmp_path / "taken").read_text() == "x"


def test_no_hub_is_one_sentence_a_card_and_exit_2(tmp_path: Path) -> None:
    given = [write(tmp_path, name) for name in ("one", "two")]
    done = pin(*given, at="http://127.0.0.1:9", cwd=tmp_path)
    assert done.returncode == 2 and done.stdout == ""
    one, two, last = done.stderr.splitlines()
    assert one.startswith("./one.yaml: the hub at http://127.0.0.1:9 cannot be reached: ")
    assert two.startswith("./two.yaml: the hub at http://127.0.0.1:9 cannot be reached: ")
    assert last == "distill: no revision could be filled in"


def test_offline_by_the_users_own_wish_is_said(tmp_path: Path) -> None:
    done = pin(write(tmp_path), at="http://127.0.0.1:9", cwd=tmp_path, offline="1")
    assert done.returncode == 2 and "HF_HUB_OFFLINE is set" in done.stderr


def test_every_shipped_card_can_be_pinned_as_copies_that_differ_by_the_revision_only(
    tmp_path: Path,
) -> None:
    with hub() as server:
        done = pin("--out", "pinned", "--json", at=address(server), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)
    assert len(rows) > 20 and all(row["revision"] == SHA for row in rows)
    for row in rows:
        old, new = cards.find_card(row["card"]), cards.find_card(str(tmp_path / row["file"]))
        before, after = old.path.read_text().splitlines(), new.path.read_text().splitlines()
        changed = [line for line in after if line not in before]
        assert [line.strip().split(" #")[0] for line in changed] == [f"revision: {SHA}"]
        gone = [line for line in before if line not in after]
        assert all("revision" in line or line == "why:" for line in gone), gone
        assert not any("revision" in key for key in new.card.why)
    assert any("/api/datasets/" in path for path in server.asked)  # type: ignore[attr-defined]


def test_a_card_that_names_nothing_on_a_hub_says_so(tmp_path: Path) -> None:
    done = pin("teachers/tiny", at="http://127.0.0.1:9", cwd=tmp_path)
    assert done.returncode == 2 and "names nothing on a hub" in done.stderr


def test_a_place_that_cannot_be_written_offers_another(tmp_path: Path) -> None:
    """A limit of no bytes a file stands in for an install that only root may change."""
    card = write(tmp_path)
    with hub() as server:
        done = pin(
            card, at=address(server), cwd=tmp_path,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0)),
        )  # fmt: skip
    assert done.returncode == 2
    assert "cannot be written" in done.stderr and "--out DIR" in done.stderr
    assert (tmp_path / "mine.yaml").read_text() == TEACHER.format(model="model")
    assert "Traceback" not in done.stderr and not list(tmp_path.glob("*.tmp"))


# ── the edit ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "text,inside,expected",
    [
        ("model: a/b\n", (), f"model: a/b\nrevision: {SHA}\n"),
        ("revision:\nmodel: a/b\n", (), f"revision: {SHA}\nmodel: a/b\n"),
        ("model: a/b", (), f"model: a/b\nrevision: {SHA}\n"),
        ("model: a/b\r\nx: 1\r\n", (), f"model: a/b\r\nrevision: {SHA}\r\nx: 1\r\n"),
        ("model: a/b\nrevision: old # as another pins it\n", (), f"model: a/b\nrevision: {SHA}\n"),
        (
            "model: a/b\r\nrevision: old  # by us\r\nx: 1 # y\r\n",
            (),
            f"model: a/b\r\nrevision: {SHA}\r\nx: 1 # y\r\n",
        ),
        ("model: a/b\nrevision: old\n", (), f"model: a/b\nrevision: {SHA}\n"),
        (
            "problems:\n  dataset: a/b\nwhy:\n  problems.revision: none\n",
            ("problems",),
            f"problems:\n  dataset: a/b\n  revision: {SHA}\n",
        ),
        ("model: a/b\nwhy:\n\n  revision: x\n# end\n", (), f"model: a/b\nrevision: {SHA}\n# end\n"),
    ],
)
def test_the_edit(text: str, inside: tuple[str, ...], expected: str) -> None:
    assert with_revision(text, inside, SHA, Path("c.yaml")) == expected


@pytest.mark.parametrize(
    "text",
    [
        "{model: a/b, revision: null}\n",
        "model: a/b\nrevision: null\nwhy: {revision: x, licence: y}\n",
    ],
)
def test_a_layout_that_cannot_be_edited_by_line_is_refused_not_spoilt(text: str) -> None:
    with pytest.raises(DistillError, match=r"c\.yaml is laid out .* write 'revision: "):
        with_revision(text, (), SHA, Path("c.yaml"))


@given(
    st.from_regex(r"[0-9a-f]{40}", fullmatch=True)
    | st.from_regex(r"[0-9]{20}e[0-9]{19}", fullmatch=True)
)
def test_any_revision_reads_back_as_text(revision: str) -> None:
    """``1234…`` and ``12e34…`` are numbers to YAML unless they are quoted."""
    from ruamel.yaml import YAML

    new = with_revision("model: a/b\nrevision: null\n", (), revision, Path("c.yaml"))
    assert YAML(typ="safe", pure=True).load(new)["revision"] == revision
