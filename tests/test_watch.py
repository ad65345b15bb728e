"""tools/watch.py keeps what explains a crash, and keeps nothing of other processes."""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import spiff_element_units.core.pack as compiled

WATCH = Path(__file__).parent.parent / "tools" / "watch.py"
CRASH = "import ctypes, spiff_element_units; ctypes.string_at(0)"


def cores_are_left() -> bool:
    if sys.platform != "linux" or not shutil.which("gdb"):
        return False
    import resource  # noqa: PLC0415 - there is none on Windows

    pattern = Path("/proc/sys/kernel/core_pattern").read_text()
    return resource.getrlimit(resource.RLIMIT_CORE)[1] != 0 and not pattern.startswith("|")


pytestmark = pytest.mark.skipif(not cores_are_left(), reason="needs gdb, and cores in files")


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Path]:
    """A folder for cores, which is removed afterwards because the crashes are on purpose."""
    yield tmp_path / "kept"
    shutil.rmtree(tmp_path / "kept", ignore_errors=True)


def watch(kept: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join(filter(None, sys.path))
    return subprocess.run(
        [sys.executable, str(WATCH), *arguments], cwd=kept.parent, check=False,
        env={**os.environ, "PYTHONPATH": path},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def test_a_crash_leaves_core_backtrace_distributions_and_hashes(kept: Path) -> None:
    done = watch(kept, str(kept), sys.executable, "-c", CRASH)
    assert done.returncode == 1
    (folder,) = kept.iterdir()
    assert str(folder) in done.stdout
    assert (folder / "core").stat().st_size > 0
    backtrace = (folder / "backtrace.txt").read_text()
    assert "string_at" in backtrace
    assert backtrace in done.stdout
    digest = hashlib.sha256(Path(compiled.__file__).read_bytes()).hexdigest()
    assert f"{digest}  {compiled.__file__}\n" in (folder / "hashes.txt").read_text()
    version = importlib.metadata.version("orjson")
    assert f"orjson=={version}\n" in (folder / "freeze.txt").read_text()
    assert (folder / "extensions" / Path(compiled.__file__).name).exists()


def test_the_python_stack_of_a_crash_is_printed(kept: Path) -> None:
    done = watch(kept, str(kept), sys.executable, "-c", f"def careless(): {CRASH}\ncareless()")
    assert "Fatal Python error: Segmentation fault" in done.stdout
    assert "in careless" in done.stdout


def test_a_crash_below_the_command_counts_where_the_command_ends_well(kept: Path) -> None:
    below = f"import subprocess, sys; subprocess.call([sys.executable, '-c', {CRASH!r}])"
    done = watch(kept, str(kept), sys.executable, "-c", below)
    assert done.returncode == 1
    assert len(list(kept.iterdir())) == 1
    lost = "import os, tempfile; os.chdir(tempfile.mkdtemp()); " + below
    assert watch(kept, str(kept), sys.executable, "-c", lost).returncode == 1
    assert len(list(kept.iterdir())) == 2


@pytest.mark.parametrize("code", [0, 3])
def test_a_command_without_a_crash_gives_its_code_and_leaves_nothing(kept: Path, code: int) -> None:
    assert watch(kept, str(kept), sys.executable, "-c", f"exit({code})").returncode == code
    assert not kept.exists()


@pytest.mark.skipif(os.getuid() != 0, reason="only root runs a process as another user")
def test_a_server_that_runs_as_another_user_reaches_the_temporary_folder(kept: Path) -> None:
    program = (
        "import subprocess, tempfile; "
        "exit(subprocess.call(['touch', tempfile.gettempdir() + '/socket'], user='nobody'))"
    )
    done = watch(kept, str(kept), sys.executable, "-c", program)
    assert done.returncode == 0, done.stdout


def test_with_seconds_the_command_runs_again_until_it_crashes(kept: Path, tmp_path: Path) -> None:
    """The first run passes, the second fails, the third crashes."""
    program = (
        "file = open('runs', 'a+'); file.write('.'); file.seek(0); runs = len(file.read())\n"
        f"file.close()\nif runs == 3: {CRASH}\nexit(runs - 1)"
    )
    done = watch(kept, "--seconds", "600", str(kept), sys.executable, "-c", program)
    assert done.returncode == 1
    assert "run 1 ended with 0\n" in done.stdout
    assert "run 2 ended with 1\n" in done.stdout
    assert (tmp_path / "runs").read_text() == "..."
    assert len(list(kept.iterdir())) == 1


@pytest.mark.parametrize(("code", "failed"), [(0, 0), (3, 1)])
def test_when_the_seconds_are_over_failed_runs_are_counted(
    kept: Path, code: int, failed: int
) -> None:
    done = watch(kept, "--seconds", "0", str(kept), sys.executable, "-c", f"exit({code})")
    assert done.returncode == failed
    assert done.stdout.endswith(f"1 runs without a crash; {failed} of them failed\n")
