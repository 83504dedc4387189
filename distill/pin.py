"""Pin cards: write the hub's current revision into a card's YAML and leave every other byte as it is.

    for done in pin(to_pin(["students/qwen-7b"])):
        print(done.card, done.revision or done.problem)

A revision names the exact files behind a hub id, so that a run can be made again. Only the lines of
``revision`` and of its ``why`` change, and the new text is read back before it is written. Not a
download: nothing but the id of the newest commit is asked for.
"""

import contextlib
import json
import re
import stat
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from distill import jsonl
from distill.cards import SHELVES, find, find_card, names
from distill.errors import DistillError, missing_extra
from distill.yamlfile import load_yaml

TIMEOUT_S = 10
# Where a card may name something on a hub: the key, what it names, and the mapping that holds both it
# and its revision.
PLACES: tuple[tuple[str, Literal["model", "dataset"], tuple[str, ...]], ...] = (
    ("model", "model", ()),
    ("dataset", "dataset", ()),
    ("dataset", "dataset", ("problems",)),
)


class Target(NamedTuple):
    """A card to pin: ``label`` as people name it, what it names on a hub, and where that stands."""

    label: str
    path: Path
    kind: Literal["model", "dataset"]
    hub_id: str
    inside: tuple[str, ...]
    pinned: bool


class Pinned(NamedTuple):
    """What became of one card: its revision and the file that holds it, or the problem in a sentence."""

    card: str
    revision: str | None = None
    file: str | None = None
    problem: str | None = None


class _OutOfReach(Exception):
    """No hub answers at all: asking it about the next card would only cost another timeout."""


def to_pin(wanted: Sequence[str]) -> list[Target]:
    """The cards named, else every shipped one that has a hub id and no revision yet.

    Raises `DistillError` for a card that is not there or names nothing on a hub.
    """
    if not wanted:
        every = [
            (f"{shelf}/{name}", find(name, shelf)) for shelf in SHELVES for name in names(shelf)
        ]
        found = [target for label, path in every if (target := _target(label, path))]
        return [target for target in found if not target.pinned]
    targets = []
    for name in wanted:
        path = find_card(name).path
        target = _target(name, path)
        if target is None:
            raise DistillError(
                f"{name}: names nothing on a hub, so there is no revision to fill in"
            )
        targets.append(target)
    return targets


def pin(targets: Iterable[Target], out: Path | None = None) -> Iterator[Pinned]:
    """Ask the hub about each card and write its revision: in place, or as a copy ``out/SHELF/NAME.yaml``."""
    if out is not None and out.exists() and not out.is_dir():
        raise DistillError(f"--out {out} is a file: name a folder")
    unreachable = ""
    for target in targets:
        try:
            if unreachable:
                raise DistillError(unreachable)
            revision = newest_revision(target.kind, target.hub_id)
            text = target.path.read_bytes().decode()  # as it is: read_text would change CRLF
            new = with_revision(text, target.inside, revision, target.path)
            path = target.path if out is None else out / target.path.parent.name / target.path.name
            _write(path, new, in_place=out is None)
        except _OutOfReach as error:
            unreachable = str(error)
            yield Pinned(target.label, problem=f"{target.label}: {unreachable}")
        except DistillError as error:
            yield Pinned(target.label, problem=f"{target.label}: {error}")
        else:
            yield Pinned(target.label, revision, str(path))


def newest_revision(kind: Literal["model", "dataset"], hub_id: str) -> str:
    """The commit a hub serves now for an id. Raises `DistillError`, or `_OutOfReach` where nobody answers."""
    try:
        from huggingface_hub import HfApi, constants, errors
    except ImportError:
        raise missing_extra("asking a hub", "local") from None
    api = HfApi()
    ask: Any = api.model_info if kind == "model" else api.dataset_info
    try:
        revision = ask(hub_id, timeout=TIMEOUT_S).sha
    except errors.OfflineModeIsEnabled:
        raise _OutOfReach("HF_HUB_OFFLINE is set, so no hub is asked; unset it to pin") from None
    except errors.GatedRepoError:
        raise DistillError(
            f"'{hub_id}' is gated; accept its terms at {constants.ENDPOINT}/{hub_id}, "
            "then `hf auth login` or set HF_TOKEN"
        ) from None
    except errors.RepositoryNotFoundError:
        raise DistillError(
            f"the hub shows no {kind} '{hub_id}'; check the id, or log in if it is private"
        ) from None
    except errors.HfHubHTTPError as error:
        raise DistillError(
            f"the hub answered {error.response.status_code} for '{hub_id}'"
        ) from None
    except (AttributeError, KeyError, TypeError, ValueError):
        raise DistillError(
            f"the hub at {constants.ENDPOINT} answered something else than a {kind}'s facts for "
            f"'{hub_id}'; is HF_ENDPOINT a hub?"
        ) from None
    except (OSError, errors.HTTPError) as error:  # type: ignore[attr-defined]
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise _OutOfReach(f"the hub at {constants.ENDPOINT} cannot be reached: {first}") from None
    if not re.fullmatch(r"[0-9a-f]{40}", str(revision)):
        raise DistillError(f"the hub names no revision of '{hub_id}' (it said {revision!r})")
    return str(revision)


def with_revision(text: str, inside: tuple[str, ...], revision: str, path: Path) -> str:
    """A card's text with its revision filled in and the reason why it was missing taken out.

    Raises `DistillError` for a layout in which that cannot be done line by line.
    """
    from ruamel.yaml.error import YAMLError

    tree = _tree(text)
    node: Any = tree
    for step in inside:
        node = node[step]
    lines = text.splitlines(keepends=True)
    # All digits, or digits around one e, would be read as a number.
    plain = json.dumps(revision) if re.fullmatch(r"[0-9]+(e[0-9]+)?", revision) else revision
    reason = ".".join((*inside, "revision"))
    for start, end in _reason_lines(tree, reason, lines):
        lines[start:end] = [""] * (end - start)
    if "revision" in node:
        number = node.lc.key("revision")[0]
        # What stands behind a former revision says who gave that one.
        kept = r"\2" if node["revision"] is None else ""
        lines[number] = re.sub(
            r"^(\s*revision:)[^#\r\n]*?(\s+#[^\r\n]*)?(\s*)$",
            rf"\g<1> {plain}{kept}\3",
            lines[number],
        )
    else:
        number, column = node.lc.key("model" if "model" in node else "dataset")
        line = lines[number].rstrip("\r\n")
        eol = lines[number][len(line) :] or "\n"
        lines[number] = f"{line}{eol}{' ' * column}revision: {plain}{eol}"
    new = "".join(lines)
    expected = _plain(tree)
    _at(expected, inside)["revision"] = revision
    if isinstance(expected.get("why"), dict):
        expected["why"].pop(reason, None)
        if not expected["why"]:
            del expected["why"]
    try:
        same = _plain(_tree(new)) == expected
    except YAMLError:
        same = False
    if not same:
        raise DistillError(
            f"{path} is laid out in a way that cannot be edited line by line; "
            f"write 'revision: {plain}' there yourself"
        )
    return new


def _reason_lines(tree: Any, reason: str, lines: Sequence[str]) -> Iterator[tuple[int, int]]:
    """The lines of one entry of ``why``, and those of ``why`` itself where it was the only one."""
    why = tree.get("why")
    if not isinstance(why, dict) or reason not in why:
        return
    owner: Any = tree if len(why) == 1 else why
    start, column = owner.lc.key("why" if len(why) == 1 else reason)
    end = start + 1
    while end < len(lines) and (
        not lines[end].strip() or len(lines[end]) - len(lines[end].lstrip()) > column
    ):
        end += 1
    yield start, end


def _target(label: str, path: Path) -> Target | None:
    tree = load_yaml(path, dict[str, Any])
    for key, kind, inside in PLACES:
        node = _at(tree, inside)
        hub_id = node.get(key) if isinstance(node, dict) else None
        if isinstance(hub_id, str) and re.fullmatch(r"[\w-][\w.-]*/[\w.-]+", hub_id):
            return Target(label, path, kind, hub_id, inside, bool(node.get("revision")))
    return None


def _at(tree: Any, inside: Iterable[str]) -> Any:
    for step in inside:
        tree = tree.get(step) if isinstance(tree, dict) else None
    return tree


def _tree(text: str) -> Any:
    from ruamel.yaml import YAML

    return YAML(typ="rt", pure=True).load(text)


def _plain(node: Any) -> Any:
    if isinstance(node, dict):
        return {str(key): _plain(value) for key, value in node.items()}
    return [_plain(value) for value in node] if isinstance(node, list) else node


def _write(path: Path, text: str, *, in_place: bool) -> None:
    real = path.resolve()  # a link stays one
    try:
        mode = stat.S_IMODE(real.stat().st_mode) if real.exists() else None
        jsonl.write_bytes(real, text.encode())
        if mode is not None:
            real.chmod(mode)
    except (DistillError, OSError) as error:
        with contextlib.suppress(OSError):
            real.with_name(real.name + ".tmp").unlink(missing_ok=True)
        why = str(error).partition(";")[0]
        way = (
            "with --out DIR a pinned copy goes there instead" if in_place else "name another folder"
        )
        raise DistillError(f"cannot be written ({why}); {way}") from None
