"""A series: one model asked in one way. Its 12 hex digits are the first part of every identity.

    asker = Asker(model="tiny", revision="1f0c…", template="9a41…", instruction={}, sampling=Sampling())
    asker.series        # "3f9d02c4a1be": model, revision, template, instruction, sampling, marks, policy step

``max_tokens`` is left out: raising it continues or redoes only what ended by ``length``.
"""

import hashlib
from pathlib import Path

import msgspec

from distill.cards import Marks
from distill.types import Kind, Record, Sampling


class Asker(Record, frozen=True, kw_only=True):
    """Everything that decides what a model would write, and how to read it (``marks``)."""

    model: str
    revision: str | None = None
    template: str = ""
    template_args: dict[str, str | bool | int] = {}
    instruction: dict[Kind, str] = {}
    sampling: Sampling = Sampling()
    marks: Marks = Marks()
    step: int = 0

    def spelled(self) -> dict[str, object]:
        """The parts that make the series, as they stand in ``series.json``."""
        return {
            "model": self.model,
            "revision": self.revision,
            "template": self.template,
            "template_args": dict(sorted(self.template_args.items())),
            "instruction": dict(sorted(self.instruction.items())),
            "temperature": self.sampling.temperature,
            "top_p": self.sampling.top_p,
            "top_k": self.sampling.top_k,
            # They decide what a trace calls reasoning.
            "marks": [self.marks.open, self.marks.close, self.marks.opened],
            "step": self.step,
        }

    @property
    def series(self) -> str:
        return hashlib.sha256(msgspec.json.encode(self.spelled(), order="sorted")).hexdigest()[:12]


def weights_revision(model: str) -> str | None:
    """16 hex of sha256 over a local model's safetensors files, in name order; None for a hub id.

    A retrained student is another model although its folder has the same name.
    """
    files = sorted(Path(model).glob("*.safetensors")) if Path(model).is_dir() else []
    if not files:
        return None
    digest = hashlib.sha256()
    for path in files:
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()[:16]


def identity_of(model: str | None, revision: str | None) -> str | None:
    """What a series knows a model by: its weights' hash, else its pinned revision, else its id, so that
    a card that keeps its name and names another model makes another series."""
    return weights_revision(model or "") or revision or model


def template_hash(model: str) -> str:
    """12 hex over the files of a local model that decide how a prompt becomes tokens; empty for a
    hub id. Read from the files, so that it is the same whichever engine renders, and so that finished
    work is found finished without loading a model."""
    digest, found = hashlib.sha256(), False
    for name in ("chat_template.jinja", "tokenizer_config.json", "tokenizer.json"):
        path = Path(model) / name
        if path.is_file():
            digest.update(path.read_bytes())
            found = True
    return digest.hexdigest()[:12] if found else ""
