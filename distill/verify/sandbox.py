"""Where model-written programs run: the strongest sandbox that this machine has, or a refusal with reasons.

    find_sandbox("auto").name         # "bubblewrap-0.8.0"
    find_sandbox("landlock").name     # "landlock-7"

The ladder: bubblewrap; Landlock with seccomp (and namespaces where a user may have them); a container by
command; else `DistillError`. "none" only if asked for by that word. In each a warden process starts the
programs (`distill.verify.inside.warden`), every one confined anew. The kernel is trusted.
"""

import functools
import glob
import importlib.util
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterable
from pathlib import Path

from distill.errors import DistillError
from distill.verify.inside import confine
from distill.verify.inside.keeper import Rules
from distill.verify.inside.program import Job
from distill.verify.outside import Sandbox, Warden, WardenLost, this_python

CHOICES = ("auto", "bubblewrap", "landlock", "container", "none")
# Importable besides the standard library, as LeetCode's own environment has them; if they are installed.
PACKAGES = ("numpy", "sortedcontainers")
IMAGE = "docker.io/library/python:3-slim"
PODMAN = (
    "podman run --rm -i --pull=never --network=none --read-only --tmpfs=/tmp:rw,size=128m,mode=1777 "
    f"--cap-drop=all --security-opt=no-new-privileges --pids-limit=256 --memory=2g {IMAGE}"
)
APPTAINER = (
    f"apptainer exec --containall --cleanenv --no-home --net --network=none docker://{IMAGE}"
)


def find_sandbox(choice: str = "auto") -> Sandbox:
    """The sandbox by that name, the best by "auto", or the container that a command starts.

    Raises `DistillError` that says what each rung lacks here.
    """
    return _find(choice, os.environ.get("PATH", os.defpath))


@functools.lru_cache(maxsize=16)
def _find(choice: str, path: str) -> Sandbox:
    if choice == "none":
        print(
            "WARNING: 'sandbox: none': programs that a model wrote run with all your rights; they can read "
            "and delete your files and use the network. Only for code that you trust.",
            file=sys.stderr,
        )
        return _unconfined()
    rungs = {"bubblewrap": _bubblewrap, "landlock": _landlock, "container": _container}
    reasons = []
    for name, rung in rungs.items():
        if choice in ("auto", name):
            found = rung(path)
            if isinstance(found, Sandbox):
                return found
            reasons.append(f"{name}: {found}")
    if choice not in CHOICES:
        if " " not in choice:
            raise DistillError(
                f"no sandbox '{choice}'; choose from {', '.join(CHOICES)}, or give the command that "
                "starts a container with Python in it"
            )
        found = _in_container(tuple(shlex.split(choice)))
        if isinstance(found, Sandbox):
            return found
        reasons.append(found)
    raise DistillError(
        f"no sandbox to run model-written code in ({'; '.join(reasons)}); install bubblewrap "
        "(apt-get install bubblewrap), or leave out problems of kind 'code'"
    )


def _bubblewrap(path: str) -> Sandbox | str:
    program = shutil.which("bwrap", path=path)
    if program is None:
        return "bwrap is not on the PATH"
    asked = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)
    version = re.sub(r"[^\d.]", "", asked.stdout) or "?"
    # Root first without a namespace of users, so that the warden can become somebody else.
    ways = [["--unshare-user"]]
    if os.geteuid() == 0:
        ways.insert(0, ["--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"])
    why = ""
    for way in ways:
        rules = _rules("/box", nobody=way is not ways[-1], read_only=False)
        sandbox = Sandbox(f"bubblewrap-{version}", (program, *way, *_view(rules), "--"), rules)
        hello = _try(sandbox)
        if isinstance(hello, dict):
            if hello["namespaces"]:
                return sandbox
            # It may have no namespaces within its own: then one bubblewrap for each run.
            return sandbox._replace(many=False, rules=rules._replace(private=True))
        why = hello
    return why


def _view(rules: Rules) -> list[str]:
    """What a program sees of this machine: the system and Python, read-only, no installed packages but ours,
    nothing of anybody's."""
    options = [
        "--die-with-parent",
        "--new-session",
        "--unshare-pid",
        "--unshare-net",
        "--unshare-ipc",
    ]
    options += [
        "--unshare-uts",
        "--unshare-cgroup-try",
        "--hostname",
        "box",
        "--ro-bind",
        "/usr",
        "/usr",
    ]
    for path in ("/bin", "/sbin", "/lib", "/lib32", "/lib64"):
        if os.path.islink(path):
            options += ["--symlink", os.readlink(path), path]
        elif os.path.isdir(path):
            options += ["--ro-bind", path, path]
    settings = ["/etc/ld.so.cache", "/etc/localtime", *_OF_LANGUAGES]
    options += _open_folders(settings)
    for path in settings:
        options += ["--ro-bind-try", path, path]
    own = [
        path
        for path in (this_python(), *_stdlib(), *_shared_libraries())
        if not path.startswith("/usr/")
    ]
    options += _open_folders([*own, *_beside(rules.packages.values())])
    for path in own:
        options += ["--ro-bind", path, path]
    for pattern in ("/usr/lib/python3*", "/usr/local/lib/python3*", *_stdlib()):
        for path in glob.glob(f"{pattern}/site-packages") + glob.glob(f"{pattern}/dist-packages"):
            options += ["--tmpfs", path]
    for path in _beside(rules.packages.values()):
        options += ["--ro-bind", path, path]
    options += ["--dev", "/dev", "--proc", "/proc", "--dir", "/box"]
    options += ["--perms", "1777", "--size", str(64 << 20), "--tmpfs", "/box/tmp"]
    # Where Python itself lies below /tmp, that is a folder already; a program's own one is where it starts.
    if not any(path.startswith("/tmp/") for path in [*own, *_beside(rules.packages.values())]):
        options += ["--symlink", "box/tmp", "/tmp"]
    return [*options, "--chdir", "/", "--remount-ro", "/"]


def _open_folders(paths: Iterable[str]) -> list[str]:
    """The folders above these, for everybody to pass: bubblewrap would make them for root alone."""
    above = {str(parent) for path in paths for parent in Path(path).parents if str(parent) != "/"}
    inside = [path for path in sorted(above) if not path.startswith(("/usr", *_stdlib()))]
    return [word for path in inside for word in ("--perms", "0755", "--dir", path)]


def _landlock(path: str) -> Sandbox | str:
    version = confine.landlock_version()
    if not version:
        return "this kernel has no Landlock (Linux 5.13 or newer, with it switched on)"
    if not confine.KNOWN:
        return f"seccomp is not set up for {platform.machine()}"
    rules = _rules("", nobody=os.geteuid() == 0 and _all_may_read(this_python()), read_only=True)
    sandbox = Sandbox(f"landlock-{version}", (), rules)
    hello = _try(sandbox)
    return sandbox if isinstance(hello, dict) else hello


def _container(path: str) -> Sandbox | str:
    for template in (PODMAN, APPTAINER):
        words = shlex.split(template)
        if shutil.which(words[0], path=path):
            return _in_container(tuple(words))
    return "neither podman nor apptainer is on the PATH"


def _in_container(command: tuple[str, ...]) -> Sandbox | str:
    readable = ["/usr", "/bin", "/lib", "/lib64", "/etc/ld.so.cache", "/etc/localtime"]
    rules = Rules("/tmp/box", readable, _OF_LANGUAGES, {}, read_only=False)
    sandbox = Sandbox(f"container-{os.path.basename(command[0])}", command, rules)
    hello = _try(sandbox)
    if isinstance(hello, str):
        return hello
    if hello["namespaces"] or hello["landlock"]:
        return sandbox
    return sandbox._replace(many=False, rules=rules._replace(private=True))


def _unconfined() -> Sandbox:
    return Sandbox("none", (), _rules("", nobody=False, read_only=False)._replace(confined=False))


def _try(sandbox: Sandbox) -> dict[str, object] | str:
    """What a warden says of itself, or why there is none."""
    try:
        with Warden(sandbox) as warden:
            hello = warden.hello
            ran = warden.run(Job(mode="stdin", code="print(6 * 7)"), b"")
    except (WardenLost, OSError) as error:
        return str(error)
    if ran.stdout != b"42\n":
        return (
            ran.error or ran.stderr.decode(errors="replace").strip().rpartition("\n")[2] or ran.why
        )
    return hello


# ── what Python needs ────────────────────────────────────────────────────────────────────────────


def _rules(box: str, *, nobody: bool, read_only: bool) -> Rules:
    readable = [*_shared_libraries(), "/lib", "/lib64", "/etc/ld.so.cache", "/etc/localtime"]
    readable += _but_python("/usr/lib") + _but_python("/usr/lib64") + ["/usr/share/zoneinfo"]
    for folder in _stdlib():
        readable += [str(path) for path in Path(folder).iterdir() if path.name not in _SITES]
    system = ["/usr", "/bin", "/sbin", *_OF_LANGUAGES]
    packages = {}
    for name in PACKAGES:
        spec = importlib.util.find_spec(name)
        if spec and spec.submodule_search_locations:
            packages[name] = os.path.realpath(next(iter(spec.submodule_search_locations)))
    # /lib is a link to /usr/lib on most systems: its Python folders must not come in by that.
    readable = [path for path in readable if not (path == "/lib" and os.path.islink(path))]
    readable += _beside(packages.values())
    return Rules(box, readable, system, packages, nobody=nobody, read_only=read_only)


# What compilers and runtimes of other languages look for outside /usr.
_OF_LANGUAGES = ["/etc/alternatives", "/etc/ssl/openssl.cnf", *glob.glob("/etc/java-*")]
_SITES = ("site-packages", "dist-packages")


def _stdlib() -> list[str]:
    return sorted({os.path.realpath(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib")})


def _shared_libraries() -> list[str]:
    """Python's own, where it brings some."""
    folder = Path(sysconfig.get_config_var("LIBDIR") or "/usr/lib")
    if str(folder).startswith("/usr/lib"):
        return []
    return sorted(str(path) for path in folder.glob("*.so*") if path.is_file())


def _but_python(folder: str) -> list[str]:
    if not os.path.isdir(folder):
        return []
    return [str(path) for path in Path(folder).iterdir() if not path.name.startswith("python")]


def _beside(folders: Iterable[str]) -> list[str]:
    """Packages, and the shared libraries that wheels put beside them (``numpy.libs``)."""
    found = [path for folder in folders for path in (folder, f"{folder}.libs")]
    return [path for path in found if os.path.isdir(path)]


def _all_may_read(path: str) -> bool:
    return all(parent.stat().st_mode & 0o5 == 0o5 for parent in Path(path).parents)
