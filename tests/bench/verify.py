"""How fast answers are judged, beside math-verify; and that hostile answers cost their deadline, no more.

    python tests/bench/verify.py                # 3,179 real traces and 50 hostile answers, about 3 minutes
    python tests/bench/verify.py --limit 300    # a sample of the traces

Speed: verdicts per second of processor time, everything pinned to one core. Ours is the whole path, the
answer's extraction and the worker process included. math-verify runs in this process and is given the
answer that we extracted, which is its fast case: it parses a few characters and no trace. The two take
turns, so that a busy machine slows both. Without ``DISTILL_TEST_DATA`` the traces are made here.
"""

import argparse
import asyncio
import contextlib
import json
import os
import random
import statistics
import sys
import threading
import time
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

sys.path[:0] = [
    str(Path(__file__).parent)
]  # for the modules beside this one, however it was started

from _hostile import Hostile, hostile  # noqa: E402
from _labelled import labelled, path_of  # noqa: E402
from _math_verify import NAME, accepts, quiet  # noqa: E402

from distill.types import Problem, Trace, Verdict  # noqa: E402
from distill.verify.pool import CheckPool  # noqa: E402

TURN = 100  # traces that one side judges before the other has its turn
SLACK = 1.1  # of the deadline: what a hostile answer may take

Pair = tuple[Problem, Trace]


def pair(gold: str, response: str, sample: int = 0) -> Pair:
    problem = Problem(id="p", prompt="", answer=gold)
    return problem, Trace(series="s", problem_id="p", sample=sample, response=response)


# Only algebra can tell: a worker is asked.
GOOD = pair("6", "\\boxed{\\sum_{k=1}^{3} k}")


@contextlib.contextmanager
def one_core() -> Iterator[None]:
    """This process and what it starts share one core; afterwards it has all of its own again."""
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(allowed)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)


# ── speed ────────────────────────────────────────────────────────────────────────────────────────


class Speed(NamedTuple):
    """Of the traces that have an answer: what each side judged in a second of processor time."""

    data: str
    traces: int
    ours: float
    peer: float
    trials: list[float]

    @property
    def ratio(self) -> float:
        return self.ours / self.peer


def traces(limit: int | None) -> tuple[str, list[Pair]]:
    """The real traces, else synthetic ones."""
    if path_of("traces_sky_t1"):
        rows = labelled("traces_sky_t1", limit)
        return "traces_sky_t1", [(row.problem, row.trace) for row in rows]
    return "synthetic", synthetic(limit or 1000)


def synthetic(count: int) -> list[Pair]:
    """Responses of some pages with answers of the usual forms; a third of them wrong."""
    rng = random.Random(0)
    forms = [
        "{n}",
        "{n}.0",
        "\\frac{{{n}}}{{7}}",
        "{n}\\%",
        "({n}, 3)",
        "\\sqrt{{{n}}}",
        "x+{n}",
        "{n}\\pi",
    ]
    made = []
    for number in range(count):
        form, n = rng.choice(forms), rng.randint(2, 500)
        said = n if rng.random() < 2 / 3 else n + 1
        steps = "\n".join(f"Step {k}: ${k} + {n} = {k + n}$." for k in range(100))
        made.append(
            pair(form.format(n=n), f"{steps}\nSo \\boxed{{{form.format(n=said)}}}.", number)
        )
    return made


def processor_s(pool: CheckPool) -> float:
    """Processor time of this process and of the pool's workers so far."""
    ticks = 0
    for worker in pool._alive:
        with contextlib.suppress(FileNotFoundError):
            fields = Path(f"/proc/{worker.pid}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
    return time.process_time() + ticks / os.sysconf("SC_CLK_TCK")


def measure_speed(limit: int | None) -> Speed:
    data, pairs = traces(limit)
    quiet()
    accepts("x+1", "\\boxed{1+x}")
    ours_s = peer_s = judged = 0.0
    trials = []
    with CheckPool() as pool:  # a pool of its own: the one that is measured has seen none of them
        answered = [
            (pair_, verdict)
            for pair_, verdict in zip(pairs, pool.judge_all(pairs), strict=True)
            if verdict.extracted is not None
        ]
    with one_core(), CheckPool(workers=1) as pool:
        list(pool.judge_all([GOOD]))  # the imports are no part of it
        for start in range(0, len(answered), TURN):
            turn = answered[start : start + TURN]
            before = processor_s(pool)
            list(pool.judge_all(pair_ for pair_, _ in turn))
            mine = processor_s(pool) - before
            before = time.process_time()
            for (problem, _), verdict in turn:
                accepts(str(problem.answer), f"\\boxed{{{verdict.extracted}}}")
            theirs = time.process_time() - before
            ours_s, peer_s, judged = ours_s + mine, peer_s + theirs, judged + len(turn)
            trials.append(theirs / max(mine, 1e-9))
    return Speed(data, int(judged), judged / ours_s, judged / peer_s, trials)


# ── hostile answers ──────────────────────────────────────────────────────────────────────────────


class Ended(NamedTuple):
    """What became of one hostile answer, and of a good one after it."""

    name: str
    status: str
    share: float  # of the deadline
    then_right: bool


def put(pool: CheckPool, given: Pair) -> Verdict:
    return next(pool.judge_all([given]))


def survive(deadline_s: float, answers: list[Hostile]) -> list[Ended]:
    """Each hostile answer by itself, with a good one before (so that a worker is there) and after."""
    ended = []
    with CheckPool(workers=1, timeout_s=deadline_s) as pool:
        put(pool, GOOD)
        for answer in answers:
            started = time.monotonic()
            verdict = put(pool, pair(answer.gold, answer.response))
            share = (time.monotonic() - started) / deadline_s
            ended.append(
                Ended(answer.name, verdict.status, share, put(pool, GOOD).status == "correct")
            )
    return ended


def right_together(deadline_s: float, answers: list[Hostile]) -> int:
    """Hostile and good answers at once, from four threads and an event loop in each: good ones right."""
    bad = [pair(a.gold, a.response) for a in answers if "tower" in a.name][:2]
    good = [pair(str(n + n % 2), f"\\boxed{{\\sum_{{k=1}}^{{{n}}} 1}}", n) for n in range(20)]
    right: list[int] = []

    async def ask(pool: CheckPool) -> None:
        asked = [good[0], bad[0], *good[1:], bad[1]]
        verdicts = await asyncio.gather(*(pool.judge(*each) for each in asked))
        said = [verdicts[0], *verdicts[2:-1]]
        right.append(sum((v.status == "correct") == (n % 2 == 0) for n, v in enumerate(said)))

    with CheckPool(workers=2, timeout_s=deadline_s) as pool:
        threads = [threading.Thread(target=lambda: asyncio.run(ask(pool))) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    return sum(right)


TOGETHER = 4 * 20

# ── what people read ─────────────────────────────────────────────────────────────────────────────


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--limit", type=int, help="judge a sample of so many traces")
    parser.add_argument("--deadline", type=float, default=2.0, help="seconds for a hostile answer")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    speed = measure_speed(options.limit)
    print(
        f"{speed.data}: {speed.traces:,} traces with an answer, verdicts/s/core: ours {speed.ours:,.0f}, "
        f"{NAME} given our answer {speed.peer:,.0f}: {speed.ratio:.1f}x "
        f"(median of {len(speed.trials)} turns {statistics.median(speed.trials):.1f}x)"
    )
    answers = hostile()
    ended = survive(options.deadline, answers)
    for row in ended:
        late = "" if row.share <= SLACK else "  LATE"
        broken = "" if row.then_right else "  THE NEXT WAS NOT RIGHT"
        print(f"  {row.name:32} {row.status:14} {row.share:6.1%} of the deadline{late}{broken}")
    together = right_together(options.deadline, answers)
    within = sum(row.share <= SLACK for row in ended)
    alive = all(row.then_right for row in ended)
    print(
        f"{within} of {len(ended)} hostile answers within {SLACK}x the deadline of {options.deadline:g} s, "
        f"the next one right after {sum(r.then_right for r in ended)}; "
        f"{together} of {TOGETHER} right from threads and event loops beside hostile ones"
    )
    if options.json:
        print(json.dumps(told(speed, options.deadline, ended, together)))
    if within < len(ended) or not alive or together < TOGETHER:
        sys.exit(1)


def told(speed: Speed, deadline_s: float, ended: list[Ended], together: int) -> dict[str, Any]:
    return {
        "name": "verify", "ours": round(speed.ours, 1), "peer": round(speed.peer, 1),
        "ratio": round(speed.ratio, 2), "peer_name": f"{NAME} {metadata.version(NAME)}, given our answer",
        "unit": "verdicts/s/core", "data": speed.data, "traces": speed.traces,
        "ratio_median": round(statistics.median(speed.trials), 2),
        "hostile": len(ended), "within_deadline": sum(row.share <= SLACK for row in ended),
        "worst_share": round(max(row.share for row in ended), 3), "deadline_s": deadline_s,
        "pool_alive": all(row.then_right for row in ended),
        "right_together": together, "together": TOGETHER,
        "timeouts": sum(row.status == "timeout" for row in ended),
    }  # fmt: skip


if __name__ == "__main__":
    main()
