"""How often our checkers and math-verify err, on answers with a label.

    python tests/bench/verify_errors.py                       # all sets, about 5 minutes on one core
    python tests/bench/verify_errors.py --limit 100           # a sample of each, half a minute
    python tests/bench/verify_errors.py --sets pairs --out disagreements.jsonl

Accepting an unequal answer teaches a wrong proof; not accepting an equal one throws a good trace away. A
label may be wrong itself: where a checker differs from it, the row goes to ``--out`` with what was
extracted and which rung decided, to be read. Real data is taken from ``DISTILL_TEST_DATA``; a set that is
absent is said to be.
"""

import argparse
import inspect
import json
import os
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from importlib import metadata, util
from pathlib import Path
from typing import Any, NamedTuple

sys.path[:0] = [
    str(Path(__file__).parent)
]  # for _labelled and _math_verify, however we were started

from _labelled import FILES, Label, Labelled, labelled, path_of  # noqa: E402
from _math_verify import NAME, Peer  # noqa: E402

from distill import jsonl  # noqa: E402
from distill.types import Status, Verdict  # noqa: E402
from distill.verify.pool import CheckPool  # noqa: E402

DEADLINE_S = 5.0  # math-verify's own, for each of three steps; it gets two of them in all
# What math-verify is given of a trace. All of it: 1,654 and 61 accepted on traces_sky_t1; its end: 1,655 and
# 59, in half the time.
TAIL = 2000
TRACES = ("traces_sky_t1", "gen_short_cot")
SHOWN = 600  # characters of a response's end in a row of --out


class Matrix:
    """Labels against verdicts: ``counts[label, status]``."""

    def __init__(self) -> None:
        self.counts: Counter[tuple[Label, Status]] = Counter()

    def add(self, label: Label, status: Status) -> None:
        self.counts[label, status] += 1

    def total(self, equal: bool) -> int:
        return sum(n for (label, _), n in self.counts.items() if (label == "equal") == equal)

    def accepted(self, equal: bool) -> int:
        return sum(
            n
            for (label, status), n in self.counts.items()
            if (label == "equal") == equal and status == "correct"
        )

    @property
    def agreement(self) -> float:
        agreed = self.accepted(True) + self.total(False) - self.accepted(False)
        return agreed / max(1, self.counts.total())

    def told(self) -> dict[str, object]:
        return {
            "equal": self.total(True),
            "equal_accepted": self.accepted(True),
            "unequal": self.total(False),
            "unequal_accepted": self.accepted(False),
            "statuses": {
                f"{label} {status}": n for (label, status), n in sorted(self.counts.items())
            },
        }


class Result(NamedTuple):
    """One set: matrices of the whole and of its parts, by checker; answers that nobody can score."""

    ours: dict[str, Matrix]
    peer: dict[str, Matrix]
    unscorable: Counter[str]
    seconds: float


def measure(
    name: str, limit: int | None, pool: CheckPool, peer: Peer | None, out: jsonl.Appender | None
) -> Result:
    every, lacking = labelled(name, limit), GymTasks.known().lacking
    rows = [row for row in every if row.problem.kind != "gym" or row.part not in lacking]
    unscorable = Counter(row.part for row in every) - Counter(row.part for row in rows)
    ours: dict[str, Matrix] = defaultdict(Matrix)
    theirs: dict[str, Matrix] = defaultdict(Matrix)
    started = time.monotonic()
    for row, verdict in zip(rows, pool.judge_all((r.problem, r.trace) for r in rows), strict=True):
        for part in ("", row.part):
            ours[part].add(row.label, verdict.status)
        said = _ask(peer, row)
        if said:
            for part in ("", row.part):
                theirs[part].add(row.label, said)
        if out:
            _tell(out, row, verdict, said)
    return Result(ours, theirs, unscorable, time.monotonic() - started)


def _ask(peer: Peer | None, row: Labelled) -> Status | None:
    """The peer's verdict; it has none on option letters with texts, and on reasoning-gym's tasks."""
    if peer is None or row.problem.kind != "math":
        return None
    golds = row.problem.answer if isinstance(row.problem.answer, list) else [row.problem.answer]
    given = row.trace.response[-TAIL:] if row.set in TRACES else row.trace.response
    said = [peer.judge(str(gold), given).status for gold in golds]
    return "correct" if "correct" in said else said[0]


def _tell(out: jsonl.Appender, row: Labelled, verdict: Verdict, peer: Status | None) -> None:
    differs = []
    lucky = row.label == "no_answer" and verdict.status != "no_answer"
    if (verdict.status == "correct") != row.equal or lucky:
        differs.append("ours")
    if peer and (peer == "correct") != row.equal:
        differs.append("peer")
    if differs:
        out.append({
            "set": row.set, "part": row.part, "id": row.id, "label": row.label,
            "differs": differs, "ours": verdict.status, "peer": peer, "expected": verdict.expected,
            "extracted": verdict.extracted, "checker": verdict.checker, "detail": verdict.detail,
            "response": row.trace.response[-SHOWN:],
        })  # fmt: skip


# ── what people read ─────────────────────────────────────────────────────────────────────────────


def table(results: dict[str, Result], parts: bool) -> Iterator[str]:
    head = ("", "equal", "ours accepts", NAME, "unequal", "ours accepts", NAME, "ours agrees")
    rows = [head]
    for name, result in results.items():
        named = sorted(result.ours) if parts else [""]
        for part in named:
            rows.append(_line(f"  {part}" if part else name, result, part))
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    for row in rows:
        cells = [row[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        yield "  ".join(cells).rstrip()


def _line(title: str, result: Result, part: str) -> tuple[str, ...]:
    ours, peer = result.ours[part], result.peer.get(part)
    cells = [title]
    for label in (True, False):
        said = f"{peer.accepted(label):,}" if peer else "-"
        cells += [f"{ours.total(label):,}", f"{ours.accepted(label):,}", said]
    return (*cells, f"{ours.agreement:.2%}")


class GymTasks(NamedTuple):
    """reasoning-gym's tasks by their scorer. ``exact``: equality of texts (they bring none of their own);
    ``lacking``: it reads the entry's metadata, which the records do not hold."""

    exact: set[str]
    lacking: set[str]

    @classmethod
    def known(cls) -> "GymTasks":
        if util.find_spec("reasoning_gym") is None:
            return cls(set(), set())
        from reasoning_gym.factory import DATASETS

        kinds = {name: kind for name, (kind, _) in DATASETS.items()}
        return cls(
            {name for name, kind in kinds.items() if "score_answer" not in vars(kind)},
            {
                name
                for name, kind in kinds.items()
                if "metadata" in inspect.getsource(kind.score_answer)
            },
        )


def gym_notes(result: Result) -> dict[str, Any]:
    """Agreement with the recorded scores, by the kind of scorer (of what the record suffices to score)."""
    exact = GymTasks.known().exact
    agreed = {part: round(m.agreement, 4) for part, m in result.ours.items() if part}
    return {
        "exact_tasks": {part: a for part, a in sorted(agreed.items()) if part in exact},
        "other_tasks": {part: a for part, a in sorted(agreed.items()) if part not in exact},
        "unscorable": dict(result.unscorable.most_common()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--sets", nargs="+", choices=list(FILES), default=list(FILES))
    parser.add_argument("--limit", type=int, help="at most so many answers of each set, sampled")
    parser.add_argument("--parts", action="store_true", help="a line for each family, set and task")
    parser.add_argument("--out", type=Path, help="write what differs from its label to this JSONL")
    parser.add_argument("--no-peer", action="store_true", help="ours alone")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()

    present = [name for name in options.sets if path_of(name)]
    for name in sorted(set(options.sets) - set(present)):
        print(f"{name}: not here (set DISTILL_TEST_DATA)", file=sys.stderr)
    results: dict[str, Result] = {}
    with CheckPool(workers=1, timeout_s=DEADLINE_S) as pool, Peer(2 * DEADLINE_S) as peer:
        asked = None if options.no_peer else peer
        for name in present:
            if options.out:
                part = options.out.with_name(f"{options.out.name}.{os.getpid()}.part")
                with jsonl.Appender(part) as out:
                    results[name] = measure(name, options.limit, pool, asked, out)
            else:
                results[name] = measure(name, options.limit, pool, asked, None)
            print(f"{name}: {results[name].seconds:.0f} s", file=sys.stderr, flush=True)
    if options.out and present:
        part.replace(options.out)
    print("\n".join(table(results, options.parts)))
    if "rg_answers_reasoners" in results:
        _print_gym(gym_notes(results["rg_answers_reasoners"]))
    if options.json:
        print(json.dumps(summary(results)))


def _print_gym(notes: dict[str, Any]) -> None:
    for title, key in (("exact equality", "exact_tasks"), ("a scorer of their own", "other_tasks")):
        low = ", ".join(f"{task} {a:.1%}" for task, a in notes[key].items() if a < 0.99)
        print(f"reasoning-gym, {title}: {len(notes[key])} tasks, below 99%: {low or 'none'}")
    print(
        f"not scorable from the record (their scorers read metadata): {sum(notes['unscorable'].values()):,} "
        f"answers of {len(notes['unscorable'])} tasks: {', '.join(sorted(notes['unscorable'])) or 'none'}"
    )


def summary(results: dict[str, Result]) -> dict[str, Any]:
    """The shared form; ``ours`` and ``peer`` are errors against the labels of the sets both judged."""
    both = [result for result in results.values() if "" in result.peer]
    wrong = {
        who: sum(
            matrix.total(True) - matrix.accepted(True) + matrix.accepted(False)
            for matrix in (getattr(result, who)[""] for result in both)
        )
        for who in ("ours", "peer")
    }
    told: dict[str, Any] = {
        "name": "verify_errors", "ours": wrong["ours"], "peer": wrong["peer"],
        "ratio": round(wrong["peer"] / max(1, wrong["ours"]), 3),
        "peer_name": f"{NAME} {metadata.version(NAME)}", "unit": "verdicts unlike their label",
        "sets": {
            name: {
                "ours": result.ours[""].told(),
                "peer": result.peer[""].told() if "" in result.peer else None,
                "parts": {part: m.told() for part, m in sorted(result.ours.items()) if part},
                "seconds": round(result.seconds, 1),
            }
            for name, result in results.items()
        },
    }  # fmt: skip
    if "rg_answers_reasoners" in results:
        told["gym"] = gym_notes(results["rg_answers_reasoners"])
    return told


if __name__ == "__main__":
    main()
