"""Wheels and their tests, for every Python that is found here.

`wheel` builds the sdist, and from it a wheel, in `dist/`. It repairs the wheel and checks both.
`tests` builds a wheel and runs the sdist's tests with it, outside the source tree. `minimums` does
the same with the oldest versions that pyproject.toml allows, and `spiffworkflow` with each version
of SpiffWorkflow that we test. A Python that is not found is skipped.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import nox

PYTHONS = ["3.9", "3.10", "3.11", "3.12", "3.13", "3.14", "3.14t", "3.15", "3.15t"]
DIST = Path("dist")
PYPROJECT = nox.project.load_toml("pyproject.toml")
TEST = nox.project.dependency_groups(PYPROJECT, "test")

nox.needs_version = ">=2025.2.9"
nox.options.sessions = ["tests"]
nox.options.error_on_missing_interpreters = False

MAKEFILE = Path("Makefile").read_text("utf-8")
SPIFF_VERSIONS = re.findall(r"^SPIFF_VERSIONS = (.+)$", MAKEFILE, re.MULTILINE)[0].split()
PARALLEL = re.findall(r"^PARALLEL = (.+)$", MAKEFILE, re.MULTILINE)[0].split()

# Users do not have this source tree, so the tests must not find it.
os.environ.pop("PYTHONPATH", None)

# The commands that pyenv puts on the path run only the Pythons in PYENV_VERSION. If such a command
# has started nox, it has set PYENV_VERSION to its own Python. Let nox find all of them.
if shutil.which("pyenv"):
    installed = subprocess.run(["pyenv", "versions", "--bare"], stdout=subprocess.PIPE, check=True)
    os.environ["PYENV_VERSION"] = ":".join(installed.stdout.decode().split())


# The folder of the tools that are installed together with nox.
HERE = {"PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])}


def run_here(session: nox.Session, *arguments: str, silent: bool = False) -> None:
    """Run Python in the environment of nox itself."""
    session.run(sys.executable, *arguments, env=HERE, external=True, silent=silent)


def build_sdist(session: nox.Session) -> Path:
    """Build the sdist."""
    folder = Path(session.create_tmp()) / "sdist"
    shutil.rmtree(folder, ignore_errors=True)
    run_here(session, "-m", "build", "--sdist", "--outdir", str(folder), ".", silent=True)
    (sdist,) = folder.iterdir()
    return sdist


def build_wheel(session: nox.Session, sdist: Path, *options: str) -> Path:
    """Build a wheel from the sdist, and give it the oldest tag that its symbols allow."""
    folder = Path(session.create_tmp()) / "wheel"
    shutil.rmtree(folder, ignore_errors=True)
    session.run(
        *("python", "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-cache-dir", *options),
        *("--wheel-dir", str(folder), str(sdist)),
    )
    (wheel,) = folder.iterdir()
    if sys.platform == "linux":
        repaired = folder / "repaired"
        run_here(session, "-m", "auditwheel", "repair", "--wheel-dir", str(repaired), str(wheel))
        (wheel,) = repaired.iterdir()
    return wheel


def unpack_tests(session: nox.Session, sdist: Path) -> Path:
    """The folder of the unpacked sdist, without the package."""
    folder = Path(session.create_tmp()) / "unpacked"
    shutil.rmtree(folder, ignore_errors=True)
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, filter="data")
    (top,) = folder.iterdir()
    shutil.rmtree(top / "spiff_element_units")
    return top


def run_tests(session: nox.Session, sdist: Path) -> None:
    """Run the tests of an sdist against what is installed."""
    session.chdir(unpack_tests(session, sdist))
    session.run("pytest", *PARALLEL, *session.posargs)


def test_wheel(session: nox.Session, *required: str) -> None:
    session.install("pip>=25.1")
    sdist = build_sdist(session)
    session.install(f"{build_wheel(session, sdist)}[cli]", *TEST, *required)
    # One asks for one prerelease of SpiffWorkflow, the other for Playwright.
    arena = "spiff-arena-common>=0.1.50; python_version >= '3.10'"
    session.install("--no-deps", arena, "axe-playwright-python>=0.1.8")
    run_tests(session, sdist)


@nox.session(python=PYTHONS)
def wheel(session: nox.Session) -> None:
    """Build the sdist and a wheel, and check them."""
    session.install("pip>=25.1")
    sdist = build_sdist(session)
    built = build_wheel(session, sdist)
    run_here(session, "-m", "twine", "check", "--strict", str(sdist), str(built))
    run_here(session, "tools/check_dist.py", str(sdist), str(built))
    DIST.mkdir(exist_ok=True)
    for path in (sdist, built):
        session.log(f"built {shutil.copy(path, DIST)}")


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """Run the sdist's tests against the wheel."""
    test_wheel(session)


@nox.session(python="3.13")
@nox.parametrize("version", SPIFF_VERSIONS, ids=SPIFF_VERSIONS)
def spiffworkflow(session: nox.Session, version: str) -> None:
    """Run the sdist's tests against the wheel, with a version of SpiffWorkflow."""
    test_wheel(session, f"SpiffWorkflow=={version}")


@nox.session(python=PYTHONS, venv_backend="uv")
def minimums(session: nox.Session) -> None:
    """Build, install and test with the oldest versions that are allowed."""
    oldest = ("--resolution", "lowest-direct")
    session.install("pip")
    session.install(*oldest, *PYPROJECT["build-system"]["requires"])
    sdist = build_sdist(session)
    built = build_wheel(session, sdist, "--no-build-isolation", "--no-index")
    session.install(*oldest, f"{built}[cli]", *PYPROJECT["project"]["dependencies"], *TEST)
    run_tests(session, sdist)
