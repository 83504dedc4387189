"""The records that stages hand to each other, one ``msgspec.Struct`` per kind of row.

    Problem ──generate──▶ Trace ──verify──▶ Verdict ──filter──▶ Example | Dropped ──train, eval──▶ Score

Every file joins on the identity ``(series, problem_id, sample)``. Data rows ignore fields they do
not know, so that a newer version's file and a user's extra columns still read; cards and recipes
(`cards.py`, `recipe.py`) refuse unknown keys.
"""

import hashlib
from typing import Literal, NamedTuple, get_args

import msgspec

Kind = Literal["math", "choice", "code", "gym", "judge", "open"]
Finish = Literal["stop", "length", "filtered", "aborted", "repetition"]
Ending = Literal["natural", "continued", "forced"]
Status = Literal["correct", "wrong", "no_answer", "timeout", "checker_error", "unchecked"]
Role = Literal["base", "student", "teacher"]

KINDS: tuple[Kind, ...] = get_args(Kind)
STATUSES: tuple[Status, ...] = get_args(Status)


class Identity(NamedTuple):
    """What joins every file: which model asked how, about which problem, for the how-many-th time."""

    series: str
    problem_id: str
    sample: int


class Record(msgspec.Struct, frozen=True):
    """Base of the data rows: tolerant of unknown fields. Each row class repeats ``frozen`` (mypy does
    not inherit it) and adds ``kw_only`` (msgspec does not)."""


class Message(Record, frozen=True, kw_only=True):
    """One chat message."""

    role: Literal["system", "user", "assistant"]
    content: str


class StdinTests(Record, tag="stdin", frozen=True, kw_only=True):
    """Programs that read stdin and write stdout; ``cases`` are (input, expected output)."""

    cases: list[tuple[str, str]]


class FunctionTests(Record, tag="function", frozen=True, kw_only=True):
    """``code`` defines ``check(candidate)``; ``entry`` is the function or ``Class().method``."""

    entry: str
    code: str


class CommandTests(Record, tag="command", frozen=True, kw_only=True, omit_defaults=True):
    """A user's own command over ``files``, for languages other than Python. The code goes where a file says
    ``{code}``; with ``cases`` (input, expected output) the command is run for each."""

    files: dict[str, str]
    run: list[str]
    cases: list[tuple[str, str]] = []


Tests = StdinTests | FunctionTests | CommandTests


class Gym(Record, frozen=True, kw_only=True):
    """A reasoning-gym entry: the task that scores it, the entry and the task's settings as JSON text
    (some scorers read them; null: the defaults)."""

    task: str
    entry: str
    config: str | None = None


class Problem(Record, frozen=True, kw_only=True):
    """A question with whatever is needed to check an answer (``problems.jsonl``)."""

    id: str
    prompt: str | list[Message]
    kind: Kind = "math"
    answer: str | list[str] | None = None
    source: str = ""
    licence: str | None = None
    topic: str | None = None
    difficulty: float | None = None
    language: str | None = None
    choices: list[str] | None = None
    tests: Tests | None = None
    gym: Gym | None = None

    @property
    def text(self) -> str:
        """The prompt as plain text (chat messages joined by newlines)."""
        if isinstance(self.prompt, str):
            return self.prompt
        return "\n".join(message.content for message in self.prompt)


class Trace(Record, frozen=True, kw_only=True):
    """What a model wrote for one identity (``traces/SHARD/*.jsonl``).

    ``part`` is 0; 1.. are continuations of a cut trace from its exact prefix, which readers join.
    ``text`` is the raw text, only where reasoning, response and the card's marks do not rebuild it.
    """

    series: str
    problem_id: str
    sample: int
    part: int = 0
    model: str = ""
    reasoning: str | None = None
    response: str = ""
    text: str | None = None
    finish: Finish = "stop"
    ending: Ending = "natural"
    prompt_tokens: int = 0
    completion_tokens: int = 0
    seconds: float = 0.0

    @property
    def identity(self) -> Identity:
        return Identity(self.series, self.problem_id, self.sample)


class Verdict(Record, frozen=True, kw_only=True):
    """The checker's judgement of one trace (``verdicts/SHARD/*.jsonl``); the newest wins."""

    series: str
    problem_id: str
    sample: int
    status: Status
    extracted: str | None = None
    expected: str | None = None
    checker: str = ""
    detail: str | None = None

    @property
    def identity(self) -> Identity:
        return Identity(self.series, self.problem_id, self.sample)

    @property
    def graded(self) -> bool:
        """Whether a model's opinion is all there is, and no rule."""
        return self.checker.startswith("judge/")


class Example(Record, frozen=True, kw_only=True):
    """A row the student learns from (``kept.jsonl``); ``tokens`` are the teacher's."""

    series: str
    problem_id: str
    sample: int
    messages: list[Message]
    thinking: bool = True
    tokens: int = 0

    @property
    def identity(self) -> Identity:
        return Identity(self.series, self.problem_id, self.sample)


class Dropped(Record, frozen=True, kw_only=True):
    """A judged trace that is not trained on, and why (``dropped.jsonl``)."""

    series: str
    problem_id: str
    sample: int
    reason: str
    evidence: str = ""

    @property
    def identity(self) -> Identity:
        return Identity(self.series, self.problem_id, self.sample)


class Score(Record, frozen=True, kw_only=True):
    """One benchmark result of one model (``scores.json``).

    ``sampling_low/high``: these problems, new samples. ``problems_low/high``: problems like these.
    """

    benchmark: str
    model: str
    role: Role
    metric: str = "pass@1"
    value: float
    sampling_low: float | None = None
    sampling_high: float | None = None
    problems_low: float | None = None
    problems_high: float | None = None
    problems: int = 0
    samples: int = 0
    status_counts: dict[str, int] = {}
    origin: Literal["measured", "published"] = "measured"


class Failed(Record, frozen=True, kw_only=True):
    """A sample that can never succeed (``failed.jsonl``); it is never recorded as a trace."""

    series: str
    problem_id: str
    sample: int
    reason: str
    detail: str = ""

    @property
    def identity(self) -> Identity:
        return Identity(self.series, self.problem_id, self.sample)


class Rejected(Record, frozen=True, kw_only=True):
    """An input row that could not be used (``rejected.jsonl``), with where it stood."""

    where: str
    reason: str
    row: str = ""


class Sampling(Record, frozen=True, kw_only=True):
    """How a model is asked. ``max_tokens`` is not part of the series: raising it redoes only
    what ended by ``length``."""

    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    max_tokens: int = 4096


def hash_id(source: str, kind: str, prompt: object, choices: list[str] | None) -> str:
    """``SOURCE/`` and 16 hex of sha256 over the JSON array [kind, prompt, choices]."""
    payload = msgspec.json.encode([kind, prompt, choices])
    return f"{source}/{hashlib.sha256(payload).hexdigest()[:16]}"
