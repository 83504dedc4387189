"""``distill run``: every stage in order, each as a process of its own.

A stage's memory and its server are gone before the next one starts, and each stage finds out by itself
what is left to do, so the same command after a kill goes on where it stopped.
"""

import signal
import subprocess
from collections.abc import Callable

from distill.children import stop_with_us, this_python
from distill.run import Run

Say = Callable[[str], object]


def commands(run: Run) -> list[list[str]]:
    """The stages of a run as command lines (without ``distill`` in front)."""
    folder = ["--run", str(run.path)]
    train = [["train", "--student", student, *folder] for student in run.recipe.students]
    evaluate = [["eval", *folder]] if run.recipe.evaluate.benchmarks else []
    return [["generate", *folder], ["filter", *folder], *train, *evaluate, ["report", *folder]]


def run_stages(run: Run, *, engine: str | None = None, say: Say = print) -> int:
    """Run all stages; returns the exit code of the first that fails (0: all done)."""
    todo = commands(run)
    for number, arguments in enumerate(todo, start=1):
        if engine and arguments[0] in ("generate", "eval"):
            arguments = [*arguments, "--engine", engine]
        say(f"\n── {number}/{len(todo)}  distill {' '.join(arguments)}")
        run.log(arguments[0], "start")
        command = [*this_python(), "-m", "distill", *arguments]
        with subprocess.Popen(command, preexec_fn=stop_with_us()) as stage:
            code = _wait(stage)
        if code < 0:  # by a signal that it could not answer, such as the kernel's when memory ends
            name = signal.Signals(-code).name
            say(f"distill: {arguments[0]} was ended by {name}; the same command goes on from there")
            return 128 - code
        if code:
            return code
    return 0


def _wait(stage: "subprocess.Popen[bytes]") -> int:
    """Wait for a stage to end by itself: it drains and says what it kept.

    Ctrl-C in a terminal reaches the stage as well as us. SIGTERM reaches us alone and is passed on.
    """
    before = signal.signal(signal.SIGTERM, lambda *_: stage.terminate())
    try:
        while True:
            try:
                return stage.wait()
            except KeyboardInterrupt:
                continue
    finally:
        signal.signal(signal.SIGTERM, before)
