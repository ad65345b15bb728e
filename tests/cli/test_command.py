"""The command as a whole: its help, its errors and exit codes, and completion."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import orjson
import pytest
from command import COMMAND, EXAMPLES, TOP, command, environment, failing, fill

import spiff_element_units
from spiff_element_units import __version__
from spiff_element_units.cli import main

COMMANDS = [
    *("cache", "ls", "show", "unit", "diff", "graph", "run", "check", "migrate"),
    *("verify", "prune", "rm", "completion"),
]


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fill(tmp_path_factory.mktemp("cli"), EXAMPLES)


def test_without_arguments_the_command_shows_its_help() -> None:
    assert command() == command("--help")


def test_help_names_every_command_and_the_exit_codes() -> None:
    done = command("--help")
    assert done.code == 0
    listed = re.findall(r"^  (\w+)  ", done.out.split("Commands:")[1], re.MULTILINE)
    assert listed == COMMANDS
    assert "0 done, 1 something failed, 2 the command line is wrong" in done.out
    assert "check: 0 all continue, 3 some must be migrated and can be, 1 otherwise" in done.out


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_a_command_has_an_example(name: str) -> None:
    done = command(name, "--help")
    assert done.code == 0
    assert f"spiff-element-units {name} " in done.out.split("Example:")[1]
    assert "--debug" in done.out


def test_the_version_is_the_packages() -> None:
    assert command("--version").out == f"spiff-element-units, version {__version__}\n"


def test_the_installed_script_is_the_same_command() -> None:
    settings = (TOP / "pyproject.toml").read_text(encoding="utf-8")
    assert 'spiff-element-units = "spiff_element_units.cli:main"' in settings
    assert main(["--version"]) == 0


# Errors


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["nonsense"], "No such command 'nonsense'"),
        (["ls"], "Missing argument 'CACHE_DIR'; see spiff-element-units ls --help"),
        (["ls", ".", "--sort", "colour"], "'colour' is not one of"),
        (["show", "."], "name a key of that cache"),
        (["prune", ".", "--max-age", "soon"], "'soon' does not have the form 30d"),
    ],
)
def test_a_wrong_command_line_is_one_line_and_exit_code_2(arguments: list, says: str) -> None:
    assert says in failing(*arguments, code=2)


def test_a_failure_is_one_line_that_tells_the_way_out(cache: Path) -> None:
    assert "ls" in failing("show", cache, "nothing like it")
    assert "did you mean 'Claim'" in failing("show", cache, "Clam")
    assert "did you mean 'Pay'" in failing("unit", cache, "Claim", "Pey")
    assert "there is no folder" in failing("ls", cache / "nowhere")
    assert "No such file" in failing("show", "no\nfile.json")


def test_debug_shows_the_traceback(cache: Path) -> None:
    done = command("show", cache, "Clam", "--debug")
    assert done.code == 1
    assert "Traceback" in done.err
    assert done.err.splitlines()[-1].startswith("spiff-element-units: cache key 'Clam'")


def test_a_reader_that_goes_away_is_no_error(cache: Path) -> None:
    process = subprocess.Popen(
        [*COMMAND, "show", str(cache), "Claim", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(PYTHONUNBUFFERED="1"),
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait() == 0
    process.stderr.close()


@pytest.mark.skipif(os.name == "nt", reason="Windows sends no SIGINT to one process")
def test_an_interrupt_ends_the_command_with_130_and_one_line(cache: Path) -> None:
    # If a shell has no job control, the programs that it starts in the background ignore SIGINT.
    heed = (
        "import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_DFL); "
        "os.execv(sys.argv[1], sys.argv[1:])"
    )
    run = [*COMMAND, "run", str(cache), "order", "order", "--data", '{"pieces": 1}']
    process = subprocess.Popen(
        [sys.executable, "-c", heed, *run],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(PYTHONUNBUFFERED="1"),
    )
    assert process.stdout is not None
    while "data: " not in process.stdout.readline():  # until it asks
        pass
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate()
    assert process.returncode == 130
    assert errors.strip() == "spiff-element-units: interrupted"


@pytest.mark.skipif(os.name == "nt", reason="needs links and the paths of POSIX")
@pytest.mark.parametrize("missing", ["click", "rich"])
def test_what_is_missing_of_the_extra_is_named(
    missing: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    assert main(["ls"]) == 1
    assert f"needs {missing}: pip install" in capsys.readouterr().err


def test_without_its_extra_the_command_says_how_to_install_it(tmp_path: Path) -> None:
    """A virtual environment with the library and orjson, and nothing else."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv"], check=True)
    library = tmp_path / "library"
    library.mkdir()
    (library / "orjson").symlink_to(Path(orjson.__file__).parent)
    package = Path(spiff_element_units.__file__).parent
    (library / "spiff_element_units").symlink_to(package)
    python = next(tmp_path.glob("venv/*/python"))
    done = subprocess.run(
        [python, "-m", "spiff_element_units", "ls", "."],
        env={"PYTHONPATH": str(library)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr == (
        "spiff-element-units: the command needs click: "
        "pip install 'click>=8.1' 'rich>=13' 'SpiffWorkflow>=3.0,<4'\n"
    )


def test_the_library_imports_nothing_of_the_command() -> None:
    script = (
        "import sys, spiff_element_units\n"
        "print([name for name in ('click', 'rich', 'lxml') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "[]\n"


# Completion


def completed(words: str, cword: int) -> list[str]:
    """The completions that bash gets."""
    done = command(
        _SPIFF_ELEMENT_UNITS_COMPLETE="bash_complete", COMP_WORDS=words, COMP_CWORD=str(cword)
    )
    return [line.split(",", 1)[1] for line in done.out.split()]


def test_keys_processes_and_elements_are_completed(cache: Path) -> None:
    assert completed("spiff-element-units v", 1) == ["verify"]
    assert completed(f"spiff-element-units show {cache} Cl", 3) == ["Claim"]
    assert completed(f"spiff-element-units unit {cache} Claim Re", 4) == ["Register", "Reject"]
    assert "pay_claim" in completed(f"spiff-element-units unit {cache} Claim Claim pay_", 5)
    assert completed(f"spiff-element-units show {cache}/nowhere Cl", 3) == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_completion_script_is_good_for_its_shell(shell: str, tmp_path: Path) -> None:
    done = command("completion", shell)
    assert done.code == 0
    assert "_SPIFF_ELEMENT_UNITS_COMPLETE" in done.out
    if shutil.which(shell) is None:
        pytest.skip(f"no {shell} here")
    script = tmp_path / "script"
    script.write_text(done.out, encoding="utf-8")
    subprocess.run([shell, "-n", script], check=True)


def test_bash_completes_with_the_script(cache: Path, tmp_path: Path) -> None:
    """The test does what bash does: it calls the function of the script, which fills COMPREPLY."""
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("no bash here")
    program = tmp_path / "spiff-element-units"
    program.write_text(f'#!{bash}\nexec {" ".join(COMMAND)} "$@"\n', encoding="utf-8")
    program.chmod(0o755)
    script = f"""
        eval "$(spiff-element-units completion bash)"
        complete -p spiff-element-units
        COMP_WORDS=(spiff-element-units show {cache} Cl) COMP_CWORD=3
        function=$(complete -p spiff-element-units | sed 's/.*-F \\([^ ]*\\).*/\\1/')
        $function spiff-element-units Cl {cache}
        echo "${{COMPREPLY[@]}}"
    """
    path = f"{tmp_path}:{environment()['PATH']}"
    done = subprocess.run(
        [bash, "-c", script],
        env=environment(PATH=path),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == "Claim", done
