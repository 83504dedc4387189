"""The command line: one thin function per command. Data goes to stdout, talk to stderr.

Nothing heavy is imported until a command runs (``distill --help`` loads no torch; a test looks).
"""

import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click
import msgspec

from distill import __version__
from distill.errors import DistillError, did_you_mean
from distill.types import KINDS, Kind

F = TypeVar("F", bound=Callable[..., Any])


class Commands(click.Group):
    """Commands in the order of the path; one it does not know gets the nearest name."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and not args[0].startswith("-") and self.get_command(ctx, args[0]) is None:
            known = self.list_commands(ctx)
            raise DistillError(f"no command '{args[0]}'{did_you_mean(args[0], known)}")
        return super().resolve_command(ctx, args)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="distill")
def cli() -> None:
    """Make small reasoning models: a teacher writes verified chains of thought, a student learns them.

    \b
    Examples:
      distill run quickstart            all stages on a laptop, about six minutes
      distill generate my.yaml          only the traces; then filter, train, eval, report
      distill verify answers.jsonl      verdicts for any file of model answers
    """


def run_option(command: F) -> F:
    return click.option(
        "--run", "run_folder", type=click.Path(path_type=Path), default=Path("run"),
        show_default=True, metavar="DIR", help="The run folder.",
    )(command)  # fmt: skip


def json_option(command: F) -> F:
    return click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")(
        command
    )


def kind_option(command: F) -> F:
    return click.option(
        "--kind", type=click.Choice(KINDS), default="math", show_default=True,
        help="Kind of rows that name none.",
    )(command)  # fmt: skip


def recipe_argument(command: F) -> F:
    return click.argument("recipe", required=False)(command)


def engine_option(command: F) -> F:
    return click.option(
        "--engine", type=click.Choice(["auto", "local", "vllm", "endpoint"]), default=None,
        help="What answers requests, instead of the recipe's choice.",
    )(command)  # fmt: skip


@cli.command()
@recipe_argument
@run_option
@engine_option
@json_option
def generate(recipe: str | None, run_folder: Path, engine: str | None, as_json: bool) -> None:
    """Let the teacher write traces; each is judged as it arrives. Run it again to resume.

    \b
    Examples:
      distill generate                    the run in ./run, or a new one from the quickstart
      distill generate my.yaml --run r1   a run of your own
    """
    from distill.generate.generate import generate_run
    from distill.run import open_run
    from distill.verify.run import graded_line

    run = open_run(run_folder, recipe, engine=engine)
    done = generate_run(run, say=say)
    counts = [f"{status} {count:,}" for status, count in done.statuses.items()]
    if done.failed:
        counts.append(f"{done.failed:,} cannot be asked (failed.jsonl)")
    show(
        done,
        as_json,
        f"{done.traces:,} of {done.planned:,} traces, {done.made_now:,} made now: {', '.join(counts)}"
        f"{graded_line(done.graded)}",
    )
    if 0 < done.planned <= done.failed:
        raise DistillError(
            f"none of the {done.planned:,} planned traces can be asked: {run.failed} says why"
        )


@cli.command(name="serve")
@click.argument("card")
@click.argument("vllm_args", nargs=-1, type=click.UNPROCESSED, metavar="[-- VLLM ARGS...]")
@click.option("--host", default="127.0.0.1", show_default=True, metavar="ADDRESS",
              help="Where to listen; others than this machine can use it on any other address.")  # fmt: skip
@click.option("--port", type=click.IntRange(1, 65535), default=8000, show_default=True)
def serve_(card: str, vllm_args: tuple[str, ...], host: str, port: int) -> None:
    """Serve a model by vLLM until Ctrl-C.

    CARD is a teacher or student (a shipped name or a path), or a model folder.

    \b
    Examples:
      distill serve tiny
      distill serve run/students/tiny-qwen --port 8001
      distill serve teachers/qwen3-32b -- --max-num-seqs 512
    """
    from distill.engine.serve import serve

    serve(card, host=host, port=port, extra_args=vllm_args, say=say, out=print)


@cli.command()
@click.argument("files", nargs=-1, type=click.Path(path_type=Path))
@run_option
@click.option("--out", type=click.Path(path_type=Path), default=Path("verified"), show_default=True,
              metavar="DIR", help="Where verdicts of FILES go.")  # fmt: skip
@kind_option
@click.option(
    "--again", is_flag=True, help="Judge the run's traces anew with this version's checkers."
)
@click.option(
    "--judge", metavar="CARD", help="A teacher's card: the model that grades kind `judge`."
)
@click.option(
    "--sandbox",
    metavar="NAME",
    help="Where programs run: auto, bubblewrap, landlock, container, none, or a container's command.",
)
@json_option
def verify(
    files: tuple[Path, ...], run_folder: Path, out: Path, kind: Kind, again: bool,
    judge: str | None, sandbox: str | None, as_json: bool,
) -> None:  # fmt: skip
    """Judge the traces of FILES, or of the run.

    A file is any JSONL with `response` or `text`, and `answer`.

    \b
    Examples:
      distill verify answers.jsonl --out verified    verified/verdicts.jsonl
      distill verify --run run                       what the run has not judged yet
      distill verify --run run --again               all of it, with newer checkers
    """
    from distill.progress import Progress
    from distill.recipe import Judging
    from distill.run import open_existing
    from distill.verify.judge import open_judge
    from distill.verify.run import verify_file, verify_run

    grader = open_judge(Judging(teacher=judge), say=say) if judge else None
    with Progress("verify", 0, "traces") as progress:
        if files:
            place = sandbox or "auto"
            judged = verify_file(list(files), out, kind, progress, judge=grader, sandbox=place)
        else:
            run = open_existing(run_folder)
            judged = verify_run(run, again, progress, judge=grader, sandbox=sandbox)
    show(judged, as_json, judged.line())


@cli.command(name="filter")
@click.argument("sources", nargs=-1)
@run_option
@click.option("--out", type=click.Path(path_type=Path), default=Path("filtered"), show_default=True,
              metavar="DIR", help="Where the rows of a FILE go.")  # fmt: skip
@kind_option
@json_option
def filter_(
    sources: tuple[str, ...], run_folder: Path, out: Path, kind: Kind, as_json: bool
) -> None:
    """Keep what a student should learn; drop the rest with a reason.

    Give a recipe or nothing to filter the run, or a trace FILE (.jsonl, .jsonl.zst) to filter that.

    \b
    Examples:
      distill filter                               the run in ./run
      distill filter answers.jsonl --out filtered  any file; it is verified first if it is not yet
    """
    from distill.filter.filter import filter_file, filter_run
    from distill.progress import Progress
    from distill.recipe import Filter
    from distill.run import open_run
    from distill.verify.run import is_verified, verify_file

    files = [Path(source) for source in sources if is_file_name(source)]
    if len(sources) > 1:
        raise DistillError("one file or recipe at a time")
    if files and not is_verified(files[0], out, kind):
        with Progress("verify", 0, "traces") as progress:
            verify_file(files, out, kind, progress)
    with Progress("filter", 0, "traces") as progress:
        if files:
            funnel = filter_file(files[0], out, Filter(), progress=progress, kind=kind)
        else:
            funnel = filter_run(open_run(run_folder, sources[0] if sources else None), progress)
    show(funnel, as_json, funnel.line())


@cli.command()
@recipe_argument
@run_option
@click.option("--student", metavar="CARD", help="Train only this one (a shipped card or a path).")
@click.option("--processes", type=click.IntRange(min=1), metavar="N",
              help="Train in N processes.  [default: one per GPU, else one]")  # fmt: skip
def train(recipe: str | None, run_folder: Path, student: str | None, processes: int | None) -> None:
    """Fine-tune the run's students under DeepSpeed. Run it again to resume.

    \b
    Examples:
      distill train                        every student of the recipe, on all GPUs
      distill train --student tiny-llama   one, added to the run
      distill train --processes 2          two processes that share each step
    """
    from distill.run import open_run
    from distill.train.loop import train as train_student

    run = open_run(run_folder, recipe)
    students = [student] if student else run.recipe.students
    if not students:
        raise DistillError("the recipe names no students; add 'students:' or give --student CARD")
    for name in students:
        train_student(run, name, processes=processes)


@cli.command(name="eval")
@recipe_argument
@run_option
@engine_option
@click.option("--student", metavar="NAME", help="Measure only this student.")
@json_option
def evaluate(
    recipe: str | None, run_folder: Path, engine: str | None, student: str | None, as_json: bool
) -> None:
    """Score base, student and teacher, with intervals.

    \b
    Examples:
      distill eval                       every student of the run
      distill eval --student tiny-qwen   one of them
    """
    from distill.evaluate.evaluate import evaluate_run
    from distill.evaluate.scores import read_scores
    from distill.report.table import result_text
    from distill.run import open_run

    run = open_run(run_folder, recipe, engine=engine)
    scores = evaluate_run(run, students=[student] if student else None)
    show(scores, as_json, result_text(read_scores(run)))


@cli.command()
@click.argument("folder", required=False, type=click.Path(path_type=Path))
@run_option
def report(folder: Path | None, run_folder: Path) -> None:
    """Write report.html, one page that shows the whole run.

    \b
    Examples:
      distill report            ./run/report.html
      distill report other-run
    """
    from distill.report.html import write_report
    from distill.run import open_existing

    print(write_report(open_existing(folder or run_folder)))


@cli.command(name="run")
@recipe_argument
@run_option
@engine_option
def run_(recipe: str | None, run_folder: Path, engine: str | None) -> None:
    """Run a recipe from problems to report. Kill it at any time; the same command goes on.

    \b
    Examples:
      distill run quickstart                   the embedded world, on a laptop
      distill run examples/quickstart.yaml --run first
    """
    from distill.evaluate.scores import read_scores
    from distill.report.table import result_text
    from distill.run import open_run
    from distill.stages import run_stages

    run = open_run(run_folder, recipe, engine=engine)
    code = run_stages(run, engine=engine, say=say)
    if code:
        sys.exit(code)
    if run.scores.exists():
        print(f"\n{result_text(read_scores(run))}")
    print(f"\nThe whole run as one page: {run.report.resolve()}")


@cli.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option(
    "--pin", is_flag=True, help="Fill in revisions from the hub, of NAMEs or of every card."
)
@click.option("--out", type=click.Path(path_type=Path), metavar="DIR",
              help="With --pin: write pinned copies there instead.")  # fmt: skip
@json_option
def cards(names: tuple[str, ...], pin: bool, out: Path | None, as_json: bool) -> None:
    """List the shipped cards, show one, or pin them to revisions.

    \b
    Examples:
      distill cards
      distill cards teachers/endpoint > mine.yaml   a working copy of one
      distill cards --pin students/qwen-7b          its revision, from the hub
    """
    from distill.cards import all_cards, find_card
    from distill.report.shelf import card_text, shelf_text

    if pin:
        pin_cards(names, out, as_json)
    elif names:
        found = [find_card(name) for name in names]
        cards = [card for card, _ in found]
        texts = [card_text(one) for one in found]
        show(cards[0] if len(cards) == 1 else cards, as_json, "\n---\n".join(texts))
    else:
        shelves = list(all_cards())
        rows = [{"shelf": shelf, **msgspec.to_builtins(one.card)} for shelf, one in shelves]
        show(rows, as_json, shelf_text(shelves))


def pin_cards(names: Sequence[str], out: Path | None, as_json: bool) -> None:
    """Pin cards one by one; a card that cannot be pinned is one sentence, and the others go on."""
    from distill.pin import pin, to_pin

    targets = to_pin(names)
    done = []
    for one in pin(targets, out):
        done.append(one)
        if one.problem:
            say(one.problem)
        elif not as_json:
            print(f"{one.card}: {one.revision} ({one.file})")
    if as_json:
        print(msgspec.json.encode([one._asdict() for one in done]).decode())
    if targets and not any(one.revision for one in done):
        raise DistillError("no revision could be filled in")
    if not targets:
        say("every card that names something on a hub is pinned")


def is_file_name(source: str) -> bool:
    """Whether a source names a trace file rather than a recipe."""
    return "." in Path(source).name and not source.endswith((".yaml", ".yml"))


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def show(value: object, as_json: bool, text: str) -> None:
    """Print a result: JSON for programs, text for people."""
    if as_json:
        if isinstance(value, tuple) and hasattr(value, "_asdict"):
            value = value._asdict()
        text = msgspec.json.encode(value).decode()
    print(text)


def stop_once(*_: object) -> None:
    """The first SIGTERM ends the command; more of them do not disturb how it cleans up."""
    # Not SIG_IGN, which programs started meanwhile would inherit.
    signal.signal(signal.SIGTERM, lambda *_: None)
    raise KeyboardInterrupt


def main(arguments: Sequence[str] | None = None) -> None:
    """The console script: a user's mistake is one sentence and exit 2, Ctrl-C is 130."""
    # SIGTERM (a preempted job) stops a stage the way Ctrl-C does: what is finished is kept.
    signal.signal(signal.SIGTERM, stop_once)
    try:
        cli.main(
            args=list(arguments) if arguments is not None else None,
            prog_name="distill",
            standalone_mode=False,
        )
    except DistillError as error:
        say(f"distill: {error}")
        sys.exit(error.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except (KeyboardInterrupt, click.Abort):
        say("distill: stopped; what was finished is kept, and the same command goes on from there")
        sys.exit(130)
