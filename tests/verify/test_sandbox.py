"""The sandbox: what a program can reach, what is left of it, and what happens where there is none."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from distill.errors import DistillError
from distill.verify.check import require_checkers
from distill.verify.code import CodeChecker
from distill.verify.inside.program import Job
from distill.verify.item import Item, Judgement
from distill.verify.outside import Ran, Sandbox, Warden, WardenLost
from distill.verify.sandbox import _find, find_sandbox
from tests.conftest import needs
from tests.verify.hacks import HACKS, HONEST, Hack, written
from tests.verify.watch import Watch, leftovers

ROOT = Path(__file__).parent.parent.parent
# Bubblewrap hidden: what users without it get. A user who has no namespaces either gets "bare".
PLACES = ["bubblewrap", "landlock", "bare"]
BARE = 'echo 0 > /proc/sys/user/max_user_namespaces && exec "$@"'


def sandbox_of(place: str) -> Sandbox:
    try:
        return find_sandbox(place)
    except DistillError as error:
        needs(place, str(error))
        raise


@pytest.fixture(params=["bubblewrap", "landlock"])
def warden(request: pytest.FixtureRequest) -> Iterator[Warden]:
    with Warden(sandbox_of(request.param)) as warden:
        yield warden


def stdin(code: str, **limits: object) -> Job:
    return Job(mode="stdin", code=code, **limits)  # type: ignore[arg-type]


def judge_hacks(place: str, folder: Path, hacks: list[Hack]) -> dict[str, object]:
    """Every hack's status, the honest programs', and the harm that was done."""
    checker = CodeChecker(timeout_s=1, sandbox=place)

    def judged(tests: object, code: str) -> Judgement:
        return checker.judge(
            Item(problem_id="p", kind="code", tests=tests, response=f"```python\n{code}\n```")  # type: ignore[arg-type]
        )

    with Watch(folder) as watch:
        honest = {name: judged(tests, code).status for name, (tests, code) in HONEST.items()}
        found = {hack.name: judged(hack.tests, written(hack, watch.places)) for hack in hacks}
        after = {name: judged(tests, code).status for name, (tests, code) in HONEST.items()}
        checker.close()
        return {
            "checker": next(iter(found.values())).checker,
            "honest": sorted({*honest.values(), *after.values()}),
            "accepted": [name for name, verdict in found.items() if verdict.status == "correct"],
            "broken": [
                f"{name}: {v.detail}" for name, v in found.items() if v.status == "checker_error"
            ],
            "harm": watch.harm(),
        }


def judge_hacks_in(place: str, folder: Path) -> dict[str, object]:
    """The same; "bare" in a process of its own, which may make no namespaces."""
    if place != "bare":
        sandbox_of(place)
        return judge_hacks(place, folder, HACKS)
    sandbox_of("landlock")
    if subprocess.run(["unshare", "-r", "-m", "true"], capture_output=True, check=False).returncode:
        needs("namespaces", "a user may make none here, so none can be forbidden for a test")
    code = (
        "import json, sys; from pathlib import Path; from tests.verify.test_sandbox import *; "
        "print(json.dumps(judge_hacks('auto', Path(sys.argv[1]), HACKS)))"
    )
    done = subprocess.run(
        ["unshare", "-r", "-m", "sh", "-c", BARE, "sh", sys.executable, "-c", code, str(folder)],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    found: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return found


CLEAN = {"honest": ["correct"], "accepted": [], "broken": [], "harm": []}


def test_no_cheat_is_accepted(tmp_path: Path) -> None:
    cheats = [hack for hack in HACKS if "    return n + n\n" not in hack.code]
    assert len(cheats) >= 40
    quick = [h for h in cheats if "bomb" not in h.name and "endless" not in h.name]
    found = judge_hacks("auto", tmp_path, quick)
    assert {**found, **CLEAN} == found


@pytest.mark.slow
@pytest.mark.parametrize("place", PLACES)
def test_no_hack_is_accepted_and_none_harms_the_machine(tmp_path: Path, place: str) -> None:
    """25 to 45 s each: programs that never end cost their limit."""
    assert len(HACKS) >= 100
    found = judge_hacks_in(place, tmp_path)
    assert {**found, **CLEAN} == found
    assert str(found["checker"]).startswith("code/1:" + ("landlock" if place == "bare" else place))


def test_cheats_do_fool_a_runner_in_one_process() -> None:
    """Else they would prove nothing of a sandbox."""
    checked = 0
    for hack in HACKS:
        if hack.fools:
            code = f"{hack.code}\n{hack.tests.code}\ncheck({hack.tests.entry})\n"  # type: ignore[union-attr]
            done = subprocess.run(
                [sys.executable, "-I", "-c", code], capture_output=True, check=False
            )
            assert done.returncode == 0, f"{hack.name}: {done.stderr.decode()}"
            checked += 1
    assert checked >= 15


# ── what a program finds ─────────────────────────────────────────────────────────────────────────


def test_each_run_has_a_namespace_of_processes_and_a_folder_of_its_own(warden: Warden) -> None:
    code = (
        "import os\nprint(os.getpid(), os.listdir('.'))\nopen('mine', 'w').write('x')\n"
        "print(os.listdir('.'), open('mine').read())"
    )
    for _ in range(2):
        assert warden.run(stdin(code)).stdout == b"1 []\n['mine'] x\n"


def test_a_run_gets_its_input_and_gives_its_output(warden: Warden) -> None:
    for size in (0, 1, 70_000, 3_000_000):
        data = os.urandom(size // 2).hex().encode()
        ran = warden.run(stdin("import sys\nsys.stdout.write(sys.stdin.read())"), data)
        assert (ran.why, ran.code, ran.stdout) == ("exit", 0, data)


LIMITS = [
    (stdin("while True: pass", cpu_s=1, wall_s=20.0), "cpu"),
    (stdin("import time; time.sleep(60)", wall_s=0.3), "wall"),
    (stdin("while True: print('x' * 10**6)", output_mib=1), "output"),
    (stdin("import os; os.kill(os.getpid(), 9); import ctypes; ctypes.string_at(0)"), "signal"),
    (stdin("import sys; sys.exit(7)"), "exit"),
]


@pytest.mark.parametrize(("job", "why"), LIMITS)
def test_a_broken_limit_is_told_apart(warden: Warden, job: Job, why: str) -> None:
    assert warden.run(job).why == why
    assert warden.run(stdin("print(1)")).stdout == b"1\n"  # and the next run is none the worse


def test_a_program_may_use_threads_and_the_usual_packages(warden: Warden) -> None:
    code = "import threading\nt = threading.Thread(target=print, args=(1,)); t.start(); t.join()"
    assert warden.run(stdin(code)).stdout == b"1\n"
    code = "import numpy\nprint(int(numpy.arange(10).reshape(2, 5).sum()))"
    assert warden.run(stdin(code)).stdout == b"45\n"


def test_no_installed_package_but_the_usual_ones_is_there(warden: Warden) -> None:
    import msgspec

    folder = Path(msgspec.__file__).parent
    code = (
        "try: import msgspec\nexcept ImportError: print(0)\n"
        f"print(open({str(folder / '__init__.py')!r}).read())"
    )
    ran = warden.run(stdin(code))
    assert ran.stdout == b"0\n" and ran.code == 1


# ── what is left ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("place", ["bubblewrap", "landlock"])
def test_killing_us_kills_the_sandbox_and_what_runs_in_it(place: str) -> None:
    sandbox_of(place)
    code = (
        "import sys, time; from distill.verify.outside import *; from distill.verify.sandbox import *\n"
        f"warden = Warden(find_sandbox({place!r}))\n"
        "warden.start(Job(mode='stdin', code='while True: pass', cpu_s=600, wall_s=600.0))\n"
        "assert warden._next(time.monotonic() + 60).letter == b'R'\n"
        "print('running', flush=True); sys.stdin.read()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout is not None and process.stdin is not None
    assert process.stdout.readline() == b"running\n"
    assert leftovers(process.pid)
    process.kill()
    process.wait()
    process.stdin.close()
    process.stdout.close()
    deadline = time.monotonic() + 10
    while (found := leftovers(process.pid)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not found


def test_a_warden_that_is_killed_is_lost_and_not_wrong(warden: Warden) -> None:
    warden.start(stdin("import time; time.sleep(30)", wall_s=60.0))
    os.kill(warden.pid, signal.SIGKILL)
    with pytest.raises(WardenLost):
        warden.message(stdin(""))
    assert not warden.usable


@pytest.mark.parametrize("place", ["bubblewrap", "landlock"])
def test_a_sandbox_that_dies_in_a_run_is_a_checker_error_and_the_next_run_is_fine(
    place: str,
) -> None:
    sandbox_of(place)
    checker = CodeChecker(timeout_s=10, sandbox=place)
    tests, code = HONEST["function"]

    def judged(code: str) -> str:
        response = f"```python\n{code}\n```"
        item = Item(problem_id="p", kind="code", tests=tests, response=response)
        return checker.judge(item).status

    try:
        assert judged(code) == "correct"
        killer = threading.Timer(0.5, lambda: [warden.kill() for warden in checker._wardens])  # type: ignore[func-returns-value]
        killer.start()
        assert judged(f"import time\ntime.sleep(8)\n{code}") == "checker_error"
        killer.join()
        assert judged(code) == "correct"
    finally:
        checker.close()
    assert not leftovers()


# ── the ladder ───────────────────────────────────────────────────────────────────────────────────


def test_without_bubblewrap_the_next_rung_is_taken(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    sandbox_of("landlock")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_sandbox("auto").name.startswith("landlock-")
    with pytest.raises(DistillError, match="bwrap is not on the PATH.*install bubblewrap"):
        find_sandbox("bubblewrap")


def test_a_bubblewrap_that_does_not_work_says_why(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    broken = tmp_path / "bwrap"
    broken.write_text(
        "#!/bin/sh\necho 'bwrap: No permissions to create a new namespace' >&2\nexit 1\n"
    )
    broken.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    with pytest.raises(DistillError, match="No permissions to create a new namespace"):
        require_checkers({"code"}, sandbox="bubblewrap")


def test_where_there_is_none_code_is_refused_with_every_reason(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("distill.verify.inside.confine.landlock_version", lambda: 0)
    with pytest.raises(DistillError) as refused:
        require_checkers({"code"})
    for words in ("bwrap is not", "has no Landlock", "neither podman nor apptainer"):
        assert words in str(refused.value)
    require_checkers({"math"})


def test_an_unknown_sandbox_is_refused() -> None:
    with pytest.raises(DistillError, match="no sandbox 'bubblwrap'; choose from auto, bubblewrap"):
        find_sandbox("bubblwrap")


def test_no_sandbox_at_all_is_loud_and_runs(capsys: pytest.CaptureFixture[str]) -> None:
    _find.cache_clear()
    with Warden(find_sandbox("none")) as warden:
        assert "WARNING" in capsys.readouterr().err
        assert warden.run(stdin("print(open('/etc/hostname').read() != '')")).stdout == b"True\n"
        assert warden.run(stdin("while True: pass", cpu_s=1)).why == "cpu"
        left = warden.run(
            stdin("import os\nif os.fork(): print(1)\nelse:\n    os.setsid()\n    while True: pass")
        )
        assert left.stdout == b"1\n"
    assert not leftovers()


def test_a_command_of_ones_own_is_a_container() -> None:
    if shutil.which("unshare") is None:
        needs("unshare", "it stands for a container here")
    try:
        sandbox = find_sandbox("unshare --user --map-root-user --pid --net --mount --fork")
    except DistillError as error:
        needs("namespaces", str(error))
        raise
    assert sandbox.name == "container-unshare"
    with Warden(sandbox) as warden:
        assert warden.run(stdin("print(input())"), b"hello").stdout == b"hello\n"


def test_where_runs_cannot_be_confined_anew_each_gets_a_sandbox_of_its_own() -> None:
    """As with a bubblewrap that allows no namespaces within its own."""
    sandbox = sandbox_of("bubblewrap")
    once = sandbox._replace(many=False, rules=sandbox.rules._replace(private=True))
    pids = set()
    with Warden(once) as warden:
        for _ in range(3):
            ran = warden.run(stdin("open('x', 'x').write('x')\nprint(1)"))
            assert ran == Ran("exit", 0, ran.cpu_s, b"1\n")
            assert warden.usable
            warden.start(stdin("print(2)"))
            pids.add(warden.pid)
            assert warden.wait(stdin("")).stdout == b"2\n"
    assert len(pids) == 3
