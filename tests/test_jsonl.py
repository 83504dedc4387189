"""Real model text through files, and files that are cut, full or written twice."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from distill import jsonl
from distill.errors import DistillError, Missing, UnreadableRow
from distill.jsonl import Appender
from distill.types import Rejected, Trace


class Row(msgspec.Struct, frozen=True, kw_only=True):
    text: str = ""
    n: int | None = None


# Everything a Python string can hold, lone surrogates included.
any_text = st.text(
    st.characters(codec=None)
    | st.sampled_from("\ud800\udbff\udc00\udfff\u2028\u2029\x85\r\n\0\ufeff")
)


def cleaned(text: str) -> str:
    return "".join("\ufffd" if "\ud800" <= c <= "\udfff" else c for c in text)


def rows(path: Path) -> list[Row]:
    return list(jsonl.read(path, Row))


def write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


# ── reading ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "line,text",
    [
        # separators that str.splitlines would split at
        ('{"text": "a\u2028b\u2029c\x85d"}'.encode(), "a\u2028b\u2029c\x85d"),
        (b'{"text": "a\\r\\nb"}\r', "a\r\nb"),
        (b'  {"text": "spaces around"} \t', "spaces around"),
        # surrogates: lone high, lone low, the wrong way round, a proper pair
        (b'{"text": "\\ud800"}', "\ufffd"),
        (b'{"text": "a\\udfffb"}', "a\ufffdb"),
        (b'{"text": "\\udc00\\ud800"}', "\ufffd\ufffd"),
        (b'{"text": "\\ud83d\\ude00"}', "\U0001f600"),
        (b'{"text": "x", "\\ud800": 1}', "x"),
        # broken UTF-8, and UTF-8 of a surrogate
        (b'{"text": "a\xffb"}', "a\ufffdb"),
        (b'{"text": "\xed\xa0\x80"}', "\ufffd\ufffd\ufffd"),
        # unknown columns, whatever they hold
        (b'{"text": "x", "later": {"n": [1, 2]}, "big": %s}' % (b"9" * 5000), "x"),
        (b'{"text": "nul \\u0000 here"}', "nul \0 here"),
    ],
)
def test_real_text_is_read(line: bytes, text: str, tmp_path: Path) -> None:
    assert [row.text for row in rows(write(tmp_path / "f.jsonl", line + b"\n"))] == [text]


@pytest.mark.parametrize(
    "line,reason",
    [
        (b'{"text": "cut', "not JSON"),
        (b"not json", "not JSON"),
        (b'{"text": "a"}{"text": "glued"}', "not JSON: Extra data"),
        (b'{"n": NaN}', "NaN is not JSON"),
        (b'{"text": "x", "later": Infinity}', "Infinity is not JSON"),
        (b'{"n": -Infinity}', "-Infinity is not JSON"),
        (b'{"n": "three"}', "Expected `int | null`, got `str` - at `$.n`"),
        (b'{"n": 1.5}', "got `float`"),
        (b'{"n": %s}' % (b"9" * 5000), "out of range"),
        (b"[1]", "Expected `object`"),
        (b"null", "Expected `object`"),
        (b"[" * 100_000 + b"]" * 100_000, "Expected `object`"),
        (b'{"text": "x", "later": %s}' % (b"[" * 100_000 + b"]" * 100_000), "nested too deeply"),
        (
            b'{"text": "\\ud800", "later": %s}' % (b"[" * 100_000 + b"]" * 100_000),
            "nested too deeply",
        ),
        (b'{"a":' * 50_000 + b"1" + b"}" * 50_000, "nested too deeply"),
        (b"\0\0\0\0", "not JSON"),
    ],
)
def test_a_bad_row_is_set_aside_with_its_line_and_the_rest_is_read(
    line: bytes, reason: str, tmp_path: Path
) -> None:
    path = write(tmp_path / "f.jsonl", b'{"n": 1}\n' + line + b'\n\n{"n": 2}\n')
    bad: list[Rejected] = []
    assert [row.n for row in jsonl.read(path, Row, on_bad=bad.append)] == [1, 2]
    assert [row.where for row in bad] == [f"{path}:2"]
    assert reason in bad[0].reason
    assert len(bad[0].row) <= 2000
    with pytest.raises(UnreadableRow, match=r"f\.jsonl:2: "):
        rows(path)


def test_a_byte_order_mark_is_dropped_at_the_start_of_the_file_only(tmp_path: Path) -> None:
    path = write(tmp_path / "f.jsonl", b'\xef\xbb\xbf{"n": 1}\n\xef\xbb\xbf{"n": 2}\n')
    bad: list[Rejected] = []
    assert [row.n for row in jsonl.read(path, Row, on_bad=bad.append)] == [1]
    assert [row.where for row in bad] == [f"{path}:2"]


@pytest.mark.parametrize("data", [b"", b"\n", b"\n\n \n", b"\xef\xbb\xbf"])
def test_an_empty_file_has_no_rows(data: bytes, tmp_path: Path) -> None:
    assert rows(write(tmp_path / "f.jsonl", data)) == []


def test_line_numbers_and_offsets_count_every_line(tmp_path: Path) -> None:
    data = b'{"n": 1}\n\n{"text": "\xe2\x80\xa8"}\n{"n": 3}'
    found = list(jsonl.lines(write(tmp_path / "f.jsonl", data)))
    assert [line.number for line in found] == [1, 3, 4]
    assert all(data[line.offset :].startswith(line.data) for line in found)


@given(st.lists(any_text, max_size=8))
def test_any_text_comes_back_and_lone_surrogates_become_replacement_characters(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str]
) -> None:
    path = tmp_path_factory.mktemp("any") / "f.jsonl"
    jsonl.write_rows(path, [Row(text=text) for text in texts])
    assert [row.text for row in rows(path)] == [cleaned(text) for text in texts]
    # the same text as another program escapes it
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    joined = [json.loads(json.dumps(text)) for text in texts]  # \ud83d\ude00 is one character
    assert [row.text for row in rows(path)] == [cleaned(text) for text in joined]


@given(st.binary(max_size=200))
def test_any_bytes_are_rows_or_bad_rows_and_never_a_crash(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    path = write(tmp_path_factory.mktemp("any") / "f.jsonl", data)
    bad: list[Rejected] = []
    good = list(jsonl.read(path, Row, on_bad=bad.append))
    assert len(good) + len(bad) == len(list(jsonl.lines(path)))


def test_a_missing_file_is_a_missing_and_a_folder_an_error(tmp_path: Path) -> None:
    with pytest.raises(Missing, match="no such file"):
        rows(tmp_path / "nowhere.jsonl")
    with pytest.raises(DistillError, match="Is a directory"):
        rows(tmp_path)
    with pytest.raises(DistillError, match="Not a directory"):
        rows(write(tmp_path / "file", b"") / "f.jsonl")


# ── .zst ─────────────────────────────────────────────────────────────────────────────────────────

PLAIN = b"".join(b'{"n": %d, "text": "%s"}\n' % (n, b"word " * n) for n in range(80))


def squeeze(data: bytes) -> bytes:
    return zstandard.ZstdCompressor().compress(data)


def test_a_compressed_file_reads_as_its_text(tmp_path: Path) -> None:
    plain = write(tmp_path / "f.jsonl", PLAIN)
    packed = write(tmp_path / "f.jsonl.zst", squeeze(PLAIN))
    assert list(jsonl.lines(packed)) == list(jsonl.lines(plain))
    assert len(rows(packed)) == 80


def test_compressed_frames_may_follow_each_other_and_cut_rows(tmp_path: Path) -> None:
    frames = squeeze(PLAIN[:777]) + squeeze(b"") + squeeze(PLAIN[777:3000]) + squeeze(PLAIN[3000:])
    packed = write(tmp_path / "f.jsonl.zst", frames)
    assert [row.n for row in rows(packed)] == list(range(80))


def test_a_compressed_file_cut_at_any_byte_loses_nothing_silently(tmp_path: Path) -> None:
    whole = squeeze(PLAIN)
    path = tmp_path / "f.jsonl.zst"
    for cut in range(1, len(whole)):
        path.write_bytes(whole[:cut])
        with pytest.raises(DistillError, match="cut short"):
            rows(path)


def test_what_is_not_zstd_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(DistillError, match="not readable as zstd"):
        rows(write(tmp_path / "f.jsonl.zst", b'{"n": 1}\n' * 10))


# ── the appender ─────────────────────────────────────────────────────────────────────────────────


def test_what_was_appended_is_in_the_file_before_it_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "f.jsonl"
    with Appender(path) as out:
        for n in range(3):
            out.append(Row(n=n))
            assert [row.n for row in rows(path)] == list(range(n + 1))


def test_a_torn_tail_is_set_aside_at_every_byte(tmp_path: Path) -> None:
    whole = jsonl.encode(Row(n=1, text="first\u2028line"))
    last = jsonl.encode(Row(n=2, text="zweite Zeile \U0001f600"))
    for cut in range(len(last) + 1):
        path = write(tmp_path / f"{cut}.jsonl", whole + last[:cut])
        with Appender(path) as out:
            out.append(Row(n=3))
        kept = [1, 2, 3] if cut == len(last) else [1, 3]
        assert [row.n for row in rows(path)] == kept
        torn = path.with_name(path.name + ".torn")
        assert torn.exists() == (0 < cut < len(last))
        if torn.exists():
            assert torn.read_bytes() == last[:cut] + b"\n"


@pytest.mark.parametrize("length", [1, 65_535, 65_536, 65_537, 200_000])
@pytest.mark.parametrize("before", [b"", b'{"n": 1}\n'])
def test_a_torn_tail_may_be_longer_than_a_block(length: int, before: bytes, tmp_path: Path) -> None:
    tail = b"x" * length
    path = write(tmp_path / "f.jsonl", before + tail)
    assert jsonl.cut_torn_tail(path) == length
    assert path.read_bytes() == before
    assert (tmp_path / "f.jsonl.torn").read_bytes() == tail + b"\n"
    assert jsonl.cut_torn_tail(path) == 0


def test_the_torn_tails_of_several_kills_are_all_kept(tmp_path: Path) -> None:
    path = write(tmp_path / "f.jsonl", b'{"n": 1')
    jsonl.cut_torn_tail(path)
    write(path, b'{"n": 2')
    jsonl.cut_torn_tail(path)
    assert (tmp_path / "f.jsonl.torn").read_bytes() == b'{"n": 1\n{"n": 2\n'


WRITER = """
import sys
from pathlib import Path
from distill.jsonl import Appender
from distill.types import Trace

with Appender(Path(sys.argv[1])) as out:
    sample = int(sys.argv[2])
    while True:
        out.append(Trace(series="s", problem_id="p", sample=sample, response="word " * 3000))
        print(sample, flush=True)
        sample += 1
"""


def test_after_kill_9_every_row_that_was_told_written_is_there_once(tmp_path: Path) -> None:
    path = tmp_path / "f.jsonl"
    told = -1
    for _ in range(3):
        with subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path), str(told + 1)],
            stdout=subprocess.PIPE,
            text=True,
        ) as writer:
            assert writer.stdout
            writer.stdout.readline()
            time.sleep(0.05)
            writer.send_signal(signal.SIGKILL)
            told = max([told + 1, *(int(line) for line in writer.stdout)])
        jsonl.cut_torn_tail(path)
        samples = [trace.sample for trace in jsonl.read(path, Trace)]
        assert samples == list(range(len(samples)))
        assert len(samples) >= told + 1
        told = len(samples) - 1


FILLER = """
import contextlib, resource, sys
from pathlib import Path
from distill.errors import DistillError
from distill.jsonl import Appender
from distill.types import Rejected

resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
with Appender(Path(sys.argv[1])) as out:
    for n in range(1000):
        try:
            out.append(Rejected(where=str(n), reason="word " * 20))
        except DistillError as error:
            print(error)
            break
    with contextlib.suppress(DistillError):
        out.append(Rejected(where=str(n), reason=""))  # small enough to fit still
"""


def test_a_full_disk_leaves_whole_rows_only(tmp_path: Path) -> None:
    path = tmp_path / "f.jsonl"
    done = subprocess.run(
        [sys.executable, "-c", FILLER, str(path)], capture_output=True, text=True, check=True
    )
    assert "make room and run the same command again" in done.stdout
    found = [row.where for row in jsonl.read(path, Rejected)]
    assert found == [str(n) for n in range(len(found))]
    assert len(found) > 5
    assert jsonl.ends_with_newline(path)


def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DistillError, match="mend that and run the same command again"):
        Appender(tmp_path / "file" / "f.jsonl")
    with pytest.raises(DistillError, match="mend that and run the same command again"):
        jsonl.write_rows(tmp_path / "file" / "f.jsonl", [])


# ── whole files ──────────────────────────────────────────────────────────────────────────────────


def test_write_rows_says_what_it_wrote(tmp_path: Path) -> None:
    path = tmp_path / "new" / "f.jsonl"
    sealed = jsonl.write_rows(path, (Row(n=n) for n in range(5)))
    assert sealed.rows == 5
    assert sealed == jsonl.seal(path)
    assert [entry.name for entry in path.parent.iterdir()] == ["f.jsonl"]


def test_write_rows_leaves_the_old_file_when_it_fails_in_the_middle(tmp_path: Path) -> None:
    path = tmp_path / "f.jsonl"
    jsonl.write_rows(path, [Row(n=1)])

    def broken():  # type: ignore[no-untyped-def]
        yield Row(n=2)
        raise RuntimeError

    with pytest.raises(RuntimeError):
        jsonl.write_rows(path, broken())
    assert [row.n for row in rows(path)] == [1]
    jsonl.write_rows(path, [Row(n=3)])
    assert [row.n for row in rows(path)] == [3]


@settings(max_examples=30)
@given(st.lists(st.builds(Row, text=any_text, n=st.integers(-(2**60), 2**60)), max_size=5))
def test_the_same_rows_give_the_same_bytes_by_either_way(
    tmp_path_factory: pytest.TempPathFactory, some: list[Row]
) -> None:
    folder = tmp_path_factory.mktemp("same")
    with Appender(folder / "a.jsonl") as out:
        for row in some:
            out.append(row)
    sealed = jsonl.write_rows(folder / "b.jsonl", some)
    assert sealed == jsonl.seal(folder / "a.jsonl")


# ── one writer ───────────────────────────────────────────────────────────────────────────────────


def test_a_folder_has_one_writer_at_a_time(tmp_path: Path) -> None:
    with jsonl.locked(tmp_path / "0"):
        with (
            pytest.raises(DistillError, match="another distill process is writing here"),
            jsonl.locked(tmp_path / "0"),
        ):
            pass
        with jsonl.locked(tmp_path / "1"):
            pass
    with jsonl.locked(tmp_path / "0"):
        pass


def test_a_killed_writer_leaves_no_lock(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from distill import jsonl\n"
        "with jsonl.locked(Path(sys.argv[1])): print('held', flush=True); time.sleep(60)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as writer:
        assert writer.stdout
        assert writer.stdout.readline() == "held\n"
        with pytest.raises(DistillError), jsonl.locked(tmp_path):
            pass
        writer.kill()
        writer.wait()
    with jsonl.locked(tmp_path):
        pass
