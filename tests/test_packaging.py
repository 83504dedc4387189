"""The same cards from a wheel, an editable install and a bare checkout."""

import configparser
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

import distill

ROOT = Path(__file__).parent.parent
SHELVES = ["teachers", "students", "eval", "sources", "examples"]
BUILT_FROM = ["distill", *SHELVES, "setup.cfg", "pyproject.toml", "LICENSE", "README.md"]

LIST_CARDS = """
import json
from pathlib import Path
import distill
from distill.cards import all_cards, names, shipped
print(json.dumps([
    str(Path(distill.__file__).parent),
    [f"{shelf}/{card.name}" for shelf, (card, path) in all_cards()],
    names("examples"),
    sorted(path.name for path in (shipped("teachers") / "tiny").iterdir()),
]))
"""


def files_of(folder: Path) -> set[str]:
    """What a shelf holds, less what Python and editors leave behind."""
    return {
        str(path.relative_to(ROOT))
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and not path.name.startswith(".")
    }


def pip(*arguments: str | Path) -> None:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", *arguments]
    done = subprocess.run(
        command, capture_output=True, text=True, env=os.environ | {"PIP_NO_INDEX": "1"}
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what is built, so that no `build` folder is left in (or taken from) this one."""
    copy = tmp_path_factory.mktemp("checkout")
    for name in BUILT_FROM:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        elif source.exists():
            shutil.copy(source, copy / name)
    return copy


@pytest.fixture(scope="module")
def wheel(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("wheel")
    pip("wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", out, checkout)
    [path] = out.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("installed")
    pip("install", "--quiet", "--no-deps", "--target", target, wheel)
    return target


def cards_seen_by(package_at: Path, cwd: Path) -> list[object]:
    import json

    environment = os.environ | {"PYTHONPATH": str(package_at)}
    done = subprocess.run(
        [sys.executable, "-c", LIST_CARDS], cwd=cwd, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    where, *seen = json.loads(done.stdout)
    assert Path(where).is_relative_to(package_at), where
    return list(seen)


def test_the_wheel_holds_the_card_folders_file_for_file(wheel: Path) -> None:
    inside = set(zipfile.ZipFile(wheel).namelist())
    for shelf in SHELVES:
        shipped = {
            name.removeprefix("distill/") for name in inside if name.startswith(f"distill/{shelf}/")
        }
        assert shipped == files_of(ROOT / shelf)


def test_the_wheel_holds_every_module_and_only_one_top_level_package(wheel: Path) -> None:
    inside = set(zipfile.ZipFile(wheel).namelist())
    modules = {str(path.relative_to(ROOT)) for path in (ROOT / "distill").rglob("*.py")}
    assert modules <= inside
    assert "distill/py.typed" in inside
    tops = {name.split("/")[0] for name in inside}
    assert tops == {"distill", f"distill-{distill.__version__}.dist-info"}


def test_the_wheel_says_what_it_is(wheel: Path) -> None:
    archive = zipfile.ZipFile(wheel)
    info = f"distill-{distill.__version__}.dist-info"
    metadata = archive.read(f"{info}/METADATA").decode()
    for line in ("Name: distill", "License-Expression: Apache-2.0", "Requires-Python: >=3.11"):
        assert f"{line}\n" in metadata
    assert "distill = distill.cli:main" in archive.read(f"{info}/entry_points.txt").decode()
    assert "Apache License" in archive.read(f"{info}/licenses/LICENSE").decode()


def test_a_wheel_and_a_checkout_find_the_same_cards(
    installed: Path, checkout: Path, tmp_path: Path
) -> None:
    from_wheel = cards_seen_by(installed, tmp_path)
    assert from_wheel == cards_seen_by(checkout, tmp_path)
    assert from_wheel[0]
    assert from_wheel[1]
    assert "model.safetensors" in str(from_wheel[2])


@pytest.mark.parametrize("mode", ["lenient", "strict", "compat"])
def test_an_editable_install_finds_the_same_cards(
    mode: str, checkout: Path, tmp_path: Path
) -> None:
    target = tmp_path / "site"
    pip(
        *("install", "--quiet", "--no-deps", "--no-build-isolation", "--target", target),
        *("--config-settings", f"editable_mode={mode}", "-e", checkout),
    )
    # -S and addsitedir: as in a venv of its own, whatever the one that runs the tests has installed.
    path = f"{target}{os.pathsep}{sysconfig.get_paths()['purelib']}"
    done = subprocess.run(
        [
            sys.executable,
            "-S",
            "-c",
            f"import site; site.addsitedir({str(target)!r})\n{LIST_CARDS}",
        ],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    where, *seen = json.loads(done.stdout)
    assert Path(where).is_relative_to(checkout)
    assert seen == cards_seen_by(checkout, tmp_path)


def test_constraints_pin_everything_that_setup_cfg_asks_for() -> None:
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    asked = config["options"]["install_requires"].split("\n")
    for extra in config["options.extras_require"].values():
        asked += extra.split("\n")
    wanted = {
        name_of(line) for line in asked if line.strip() and not line.startswith(("distill", "#"))
    }
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pinned = {name_of(line) for line in lines if line and not line.startswith("#")}
    assert wanted - pinned == set()
    assert all("==" in line and "+" not in line for line in lines if not line.startswith("#"))


def name_of(requirement: str) -> str:
    found = re.match(r"[A-Za-z0-9._-]+", requirement.strip())
    assert found, requirement
    return re.sub(r"[-_.]+", "-", found.group()).lower()


def test_the_folders_of_cards_are_not_packages() -> None:
    for shelf in SHELVES:
        assert not (ROOT / shelf / "__init__.py").exists()


@pytest.mark.slow
def test_from_the_wheel_the_quickstart_makes_a_student_that_reasons(
    installed: Path, tmp_path: Path
) -> None:
    """About 8 minutes on two idle cores: what a newcomer runs, and what it promises; then the other
    architecture on the same traces."""
    environment = {k: v for k, v in os.environ.items() if k != "OMP_NUM_THREADS"}
    done = subprocess.run(
        [sys.executable, "-m", "distill", "run", "quickstart"],
        cwd=tmp_path,
        env=environment | {"PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        timeout=2000,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    print(done.stdout)
    run = tmp_path / "run"
    scores = json.loads((run / "scores.json").read_bytes())
    tiny = {s["role"]: s["value"] for s in scores["scores"] if s["benchmark"] == "tiny"}
    assert tiny["base"] < 0.05
    assert 0.85 <= tiny["teacher"] <= 0.97
    assert tiny["student"] >= 0.9 * tiny["teacher"]
    assert all(b["overlap"] == 0 for b in scores["settings"]["benchmarks"])
    funnel = json.loads((run / "funnel.json").read_bytes())
    assert funnel["dropped"]["wrong"] >= 0.03 * funnel["judged"]
    kept = hashlib.sha256((run / "kept.jsonl").read_bytes()).hexdigest()
    assert kept in (run / "manifest.json").read_text()
    assert (run / "report.html").stat().st_size > 10_000
    for stage in ("train", "eval"):
        done = subprocess.run(
            [sys.executable, "-m", "distill", stage, "--student", "tiny-llama"],
            cwd=tmp_path,
            env=environment | {"PYTHONPATH": str(installed)},
            capture_output=True,
            text=True,
            timeout=2000,
        )
        assert done.returncode == 0, done.stdout + done.stderr
    print(done.stdout)
    scores = json.loads((run / "scores.json").read_bytes())["scores"]
    named = ("student", "tiny-llama", "tiny")
    [llama] = [s["value"] for s in scores if (s["role"], s["model"], s["benchmark"]) == named]
    assert llama >= 0.9 * tiny["teacher"]
