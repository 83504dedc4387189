"""How fast programs run in the sandbox, beside a plain `python -c` for each; whether any hack gets through.

    python tests/bench/sandbox.py                 # 5 minutes: speed, hacks, references
    python tests/bench/sandbox.py --runs 20 --quick   # speed and the cheats alone, a minute

Speed: runs a second, one after the other, everything pinned to one core, of a program that adds two numbers
from stdin. The peer is what most graders do: a fresh ``python -c`` for each run, with no sandbox at all. The
two take turns, so that a busy machine slows both. False rejects: reference solutions of LeetCode, HumanEval
and MBPP that do not pass their own tests (needs ``DISTILL_TEST_DATA``).
"""

import argparse
import contextlib
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent.parent.parent)]

from distill.errors import DistillError  # noqa: E402
from distill.verify.code import CodeChecker  # noqa: E402
from distill.verify.inside.program import Job  # noqa: E402
from distill.verify.item import Item  # noqa: E402
from distill.verify.outside import Warden  # noqa: E402
from distill.verify.sandbox import find_sandbox  # noqa: E402
from tests.verify.hacks import HACKS  # noqa: E402
from tests.verify.test_references import references  # noqa: E402
from tests.verify.test_sandbox import judge_hacks  # noqa: E402

PEER = "python -c"
TURN = 20  # runs of one side before the other has its turn
PROGRAM = "a, b = map(int, input().split())\nprint(a + b)"
SETS = ("leetcode", "humaneval", "mbpp")
PLACES = ("bubblewrap", "landlock")  # the second as if the first were not there


@contextlib.contextmanager
def one_core() -> Iterator[None]:
    """This process and what it starts share one core; afterwards it has all of its own again."""
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(allowed)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)


def plain_run(given: bytes) -> bytes:
    return subprocess.run(
        [sys.executable, "-c", PROGRAM], input=given, capture_output=True, check=True
    ).stdout


def measure_speed(place: str, runs: int) -> tuple[float, float, list[float]]:
    """Runs a second, ours and the peer's, and the ratio of each turn."""
    ours = theirs = 0.0
    trials = []
    job = Job(mode="stdin", code=PROGRAM)
    with one_core(), Warden(find_sandbox(place)) as warden:
        for turn in range(0, runs, TURN):
            inputs = [(b"%d 7" % k, b"%d\n" % (k + 7)) for k in range(turn, turn + TURN)]
            before = time.perf_counter()
            for given, expected in inputs:
                assert warden.run(job, given).stdout == expected
            mine = time.perf_counter() - before
            before = time.perf_counter()
            for given, expected in inputs:
                assert plain_run(given) == expected
            other = time.perf_counter() - before
            ours, theirs = ours + mine, theirs + other
            trials.append(other / mine)
    done = len(trials) * TURN
    return done / ours, done / theirs, trials


def false_rejects(place: str, data: Path) -> dict[str, list[int]]:
    """Of each set: references that do not pass their own tests, and how many there are."""
    found = {}
    checker = CodeChecker(timeout_s=10, sandbox=place)
    try:
        for name in SETS:
            statuses = []
            for tests, code in references(data, name):
                item = Item(
                    problem_id="p", kind="code", tests=tests, response=f"```python\n{code}\n```"
                )
                statuses.append(checker.judge(item).status)
            found[name] = [sum(status != "correct" for status in statuses), len(statuses)]
    finally:
        checker.close()
    return found


def measure(runs: int, quick: bool) -> dict[str, object]:
    data = Path(os.environ.get("DISTILL_TEST_DATA", "/nonexistent"))
    places: dict[str, dict[str, object]] = {}
    for place in PLACES:
        try:
            name = find_sandbox(place).name
        except DistillError as error:
            places[place] = {"not_run": str(error)}
            continue
        ours, peer, trials = measure_speed(place, runs)
        hacks = [
            h for h in HACKS if not quick or ("bomb" not in h.name and "endless" not in h.name)
        ]
        folder = tempfile.mkdtemp()
        found = judge_hacks(place, Path(folder), hacks)
        shutil.rmtree(folder)
        places[place] = {
            "sandbox": name,
            "ours": round(ours, 1),
            "peer": round(peer, 1),
            "ratio": round(ours / peer, 2),
            "ratio_of_turns": round(statistics.median(trials), 2),
            "hacks": len(hacks),
            "hacks_rejected": len(hacks) - len(found["accepted"]),  # type: ignore[arg-type]
            "accepted": found["accepted"],
            "harm": found["harm"],
            "references": false_rejects(place, data) if data.is_dir() and not quick else None,
        }
    ran = [found for found in places.values() if "not_run" not in found]
    first = ran[0]
    rejects = [found["references"] for found in ran]
    return {
        "name": "sandbox",
        "ours": first["ours"],
        "peer": first["peer"],
        "ratio": first["ratio"],
        "peer_name": f"{PEER} (Python {platform.python_version()})",
        "unit": "runs/s/core",
        "hacks": min(int(str(found["hacks"])) for found in ran),
        "hacks_rejected": min(int(str(found["hacks_rejected"])) for found in ran),
        "harm": [harm for found in ran for harm in found["harm"]],  # type: ignore[attr-defined]
        "false_rejects": sum(bad for sets in rejects if sets for bad, _ in sets.values())  # type: ignore[attr-defined]
        if all(rejects)
        else None,
        "places": places,
    }


def show(result: dict[str, object]) -> None:
    places = result["places"]
    assert isinstance(places, dict)
    print(
        f"{'sandbox':<20}{'runs/s/core':>12}{PEER:>12}{'ratio':>8}  hacks rejected  false rejects"
    )
    for place, found in places.items():
        if "not_run" in found:
            print(f"{place:<20}not run: {found['not_run']}")
            continue
        sets = found["references"]
        wrong = (
            ", ".join(f"{n} {bad} of {of}" for n, (bad, of) in sets.items()) if sets else "not run"
        )
        hacks = f"{found['hacks_rejected']} of {found['hacks']}"
        speed = f"{found['ours']:>12}{found['peer']:>12}{found['ratio']:>8}"
        print(f"{found['sandbox']:<20}{speed}  {hacks:<14}  {wrong}")
        for name in [*found["accepted"], *found["harm"]]:
            print(f"  !! {name}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=400, help="of each side")
    parser.add_argument("--quick", action="store_true", help="no references, no bombs")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    result = measure(arguments.runs, arguments.quick)
    show(result)
    if arguments.json:
        print(json.dumps(result))


if __name__ == "__main__":
    main()
