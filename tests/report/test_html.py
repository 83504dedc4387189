"""The report page: complete, empty, and full of hostile text."""

from html.parser import HTMLParser

import msgspec
import pytest

from distill import jsonl
from distill.report.html import write_report
from distill.run import Run
from distill.types import Dropped, Problem, Rejected, Trace, Verdict


class Seen(HTMLParser):
    """What a browser would make of the page: tags, attributes, text."""

    VOID = frozenset({"meta", "link", "br", "img", "circle", "line", "polyline"})

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open[-1] == tag, f"</{tag}> closes {self.open[-3:]}"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        self.text += data


def seen(run: Run) -> Seen:
    return Seen(write_report(run).read_text(encoding="utf-8"))


def assert_inert(page: Seen) -> None:
    """No script, nothing loaded, nothing sent, nothing that runs on an event."""
    assert not {"script", "iframe", "object", "embed", "form", "link", "base", "img"} & set(
        page.tags
    )
    for _, name, value in page.attributes:
        assert not name.startswith("on"), name
        assert name not in ("src", "srcdoc", "action", "xlink:href"), name
        assert name != "href" or value.startswith("#"), value
        assert "url(" not in value and "javascript:" not in value.lower()
    policies = [value for _, name, value in page.attributes if name == "content" and "src" in value]
    assert len(policies) == 1 and policies[0].startswith("default-src 'none';")
    assert "script-src" not in policies[0]
    assert page.open == []


def test_an_empty_run_names_the_command_of_every_stage_that_has_not_run(empty_run: Run) -> None:
    page = seen(empty_run)
    assert_inert(page)
    for command in ("generate", "train", "eval"):
        assert f"distill {command}" in page.text
    assert "not run yet" in page.text


def test_a_complete_run_shows_scores_funnel_curve_traces_and_provenance(full_run: Run) -> None:
    page = seen(full_run)
    assert_inert(page)
    assert page.tags.count("svg") == 2
    assert page.tags.count("h1") == 1
    for words in ("tiny-qwen solves", "0 of 300 test problems occur in training", "dropped: wrong",
                  "240", "Extracted", "Training loss of tiny-qwen", "Apache-2.0", "ab" * 32):  # fmt: skip
        assert words in page.text, words
    assert "not run yet" not in page.text


def test_the_page_is_labelled_for_those_who_do_not_see_it(full_run: Run) -> None:
    page = seen(full_run)
    assert ("html", "lang", "en") in page.attributes
    assert page.tags.count("title") == 1 + page.tags.count("svg")
    assert all(name != "scope" or value in ("row", "col") for _, name, value in page.attributes)
    labels = [value for tag, name, value in page.attributes if (tag, name) == ("svg", "aria-label")]
    assert len(labels) == page.tags.count("svg") and all(labels)


def test_the_same_run_gives_the_same_page(full_run: Run) -> None:
    first = write_report(full_run).read_bytes()
    assert write_report(full_run).read_bytes() == first


def test_at_most_twenty_traces_of_each_status_are_shown(full_run: Run) -> None:
    page = seen(full_run)
    assert ", of which 20 shown" in page.text
    assert page.tags.count("article") < 20 + 4 * 20


HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "</pre></details><svg onload=alert(1)>",
    '<a href="javascript:alert(1)">x</a>',
    "{{ 7*7 }}{% raw %}</style><style>*{display:none}",
    "]]><!-- <meta http-equiv=refresh content=0;url=//x>",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_stays_text_wherever_it_stands(empty_run: Run, text: str) -> None:
    run = empty_run
    name = {"series": text, "problem_id": text, "sample": 0}
    jsonl.write_rows(run.problems, [Problem(id=text, prompt=text, answer=text, choices=[text])])
    jsonl.write_rows(run.traces / "0" / "000000.jsonl", [
        Trace(**name, model=text, reasoning=text, response=text)])  # fmt: skip
    jsonl.write_rows(run.verdicts / "0" / "000000.jsonl", [
        Verdict(**name, status="wrong", extracted=text, expected=text, detail=text)])  # fmt: skip
    jsonl.write_rows(run.dropped, [Dropped(**name, reason=text, evidence=text)])
    jsonl.write_rows(run.kept, [])
    jsonl.write_rows(run.rejected, [Rejected(where=text, reason=text)])
    run.record("generate", model=text, **{text: text})
    run.recipe = msgspec.structs.replace(run.recipe, instruction={"math": text})
    page = seen(run)
    assert_inert(page)
    assert page.text.count(text) >= 8


def test_bidi_overrides_and_control_characters_show_their_number(empty_run: Run) -> None:
    text = "a\u202eb\u2066c\x00d\x1b[2Je\u200bf\U000e0041g"
    name = {"series": "s", "problem_id": "p", "sample": 0}
    jsonl.write_rows(empty_run.traces / "0" / "000000.jsonl", [Trace(**name, response=text)])
    jsonl.write_rows(empty_run.verdicts / "0" / "000000.jsonl", [Verdict(**name, status="wrong")])
    page = seen(empty_run)
    assert "a⟨U+202E⟩b⟨U+2066⟩c⟨U+0000⟩d⟨U+001B⟩[2Je⟨U+200B⟩f⟨U+E0041⟩g" in page.text
    assert not set("\u202e\u2066\x00\x1b\u200b") & set(page.text)


def test_a_line_of_a_megabyte_is_cut_in_the_middle_and_says_so(empty_run: Run) -> None:
    name = {"series": "s", "problem_id": "p", "sample": 0}
    long = "start" + "x" * 1_000_000 + "end"
    trace = Trace(**name, reasoning=long, response=long)
    jsonl.write_rows(empty_run.traces / "0" / "000000.jsonl", [trace])
    jsonl.write_rows(empty_run.verdicts / "0" / "000000.jsonl", [
        Verdict(**name, status="wrong", extracted=long)])  # fmt: skip
    page = seen(empty_run)
    assert "992,008 characters not shown" in page.text
    assert "startxxx" in page.text and "xxxend" in page.text
    assert empty_run.report.stat().st_size < 100_000
