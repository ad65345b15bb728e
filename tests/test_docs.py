"""Every code block of the README and of `docs/` does what it says.

A page is one session in a folder of its own, which contains `examples/` and in it the models beside
the page. The blocks of the page run in their order, and see what the earlier ones have left. The
language of a block says how it is tested:

- `python`: it runs; where it is a session with `>>>`, it prints what it shows.
- `console`: each line after `$` is a command; it runs, and prints what follows it.
- `sh`: each line is a command, which runs if it is one of Python, Flask, uvicorn or the library;
  any other fails the test.
- `json`: it is JSON.
- `text`: a picture or a message, which nobody runs.

`...` stands for any output. Commands that would run these tests again, need a network or serve for
ever are only checked: `make` must have the target, `pip` must install an existing extra, and `flask
.. run` and `uvicorn` must find the application.
"""

from __future__ import annotations

import doctest
import inspect
import json
import logging
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Optional

import pytest
from SpiffWorkflow.bpmn.workflow import BpmnWorkflow
from sybil import Document, Example
from sybil.evaluators.doctest import OutputChecker
from sybil.parsers.myst import CodeBlockParser, PythonCodeBlockParser
from sybil.typing import Parser

TOP = Path(__file__).parent.parent
PACKAGE = TOP / "spiff_element_units"
CONTRIBUTING = TOP / "CONTRIBUTING.md"
PAGES = [TOP / "README.md", CONTRIBUTING, *sorted(TOP.glob("docs/**/*.md"))]
PAGES = [page for page in PAGES if page.exists()]

LOOSELY = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
LANGUAGES = {"python", "console", "sh", "json", "text"}
# MyST's directives that do not show code from the page itself.
DIRECTIVES = {"toctree", "include", "literalinclude", "figure", "image", "eval-rst", "raw", "note"}


def run(command: str) -> str:
    """Run a command of a page, or check it. Returns its output."""
    words = shlex.split(command, comments=True)
    if words[0] == "make":
        targets = re.findall(r"^([\w-]+):", (TOP / "Makefile").read_text("utf-8"), re.MULTILINE)
        assert {word for word in words[1:] if "=" not in word} <= set(targets), command
        return ""
    if words[:2] == ["pip", "install"]:
        project = (TOP / "pyproject.toml").read_text("utf-8")
        for extra in re.findall(r"\[(\w+)\]", command):
            assert re.search(rf"^{extra} = \[", project, re.MULTILINE), command
        return ""
    # Nothing else runs: a page may name commands that change the machine.
    assert words[0] in ("python", "flask", "uvicorn", "spiff-element-units"), (
        f"tests do not run {words[0]!r}; write {command!r} in a block of text"
    )
    if words[0] == "uvicorn":
        app_dir, app = words[words.index("--app-dir") + 1], words[-1]
        find = "import sys; sys.path.append(sys.argv[1]); from uvicorn.importer import *; "
        words = ["python", "-c", find + "import_from_string(sys.argv[2])", app_dir, app]
    if words[0] == "flask" and "run" in words:
        words[words.index("run") :] = ["routes"]
    if words[0] == "spiff-element-units":
        words[:1] = [sys.executable, "-m", "spiff_element_units"]
    if words[0] in ("python", "flask"):
        words[:1] = [sys.executable] if words[0] == "python" else [sys.executable, "-m", "flask"]
    beside = os.path.dirname(sys.executable)
    done = subprocess.run(
        words,
        env={
            **os.environ,
            "PATH": os.pathsep.join([beside, os.environ.get("PATH", "")]),
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
            "PYTHONIOENCODING": "utf-8",
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}"
    return done.stdout


def commands(example: Example) -> None:
    for line in example.parsed.replace("\\\n", "").splitlines():
        if line.strip() and not line.startswith("#"):
            run(line)


def sessions(example: Example) -> Optional[str]:
    """The first difference between what a console shows and what its commands print."""
    text = str(example.parsed)
    assert text.startswith("$ "), f"a console block must begin with a command: {text}"
    for session in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        command, _, wanted = session.partition("\n")
        printed = run(command)
        if not OutputChecker().check_output(wanted, printed, LOOSELY):
            return f"{command} prints\n{printed}\nand not\n{wanted}"
    return None


def is_json(example: Example) -> None:
    json.loads(example.parsed)


def nothing(example: Example) -> None:
    pass


PARSERS: list[Parser] = [
    PythonCodeBlockParser(doctest_optionflags=LOOSELY),
    CodeBlockParser("sh", commands),
    CodeBlockParser("console", sessions),
    CodeBlockParser("json", is_json),
    CodeBlockParser("text", nothing),
]


# `cli/test_docs.py` compares the page of the command with what the command prints, exactly.
SESSIONS = [page for page in PAGES if page.name != "cli.md"]

by_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(TOP).as_posix())


@pytest.mark.parametrize("page", SESSIONS, ids=lambda page: page.relative_to(TOP).as_posix())
def test_every_code_block_of_a_page_runs(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(TOP / "examples", tmp_path / "examples")
    for model in page.parent.glob("*.bpmn"):
        shutil.copy(model, tmp_path / "examples")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    if page.name == "django.md":
        pytest.importorskip("django", reason="needs Django 5.1, which needs Python 3.10")
    if page.name == "timers-and-messages.md" and not hasattr(BpmnWorkflow, "refresh_timers"):
        pytest.skip("needs SpiffWorkflow 3.2, which needs Python 3.10")
    try:
        for example in Document.parse(str(page), *PARSERS):
            example.evaluate()
    finally:
        logging.getLogger("spiff_element_units").setLevel(logging.NOTSET)
        for name, module in tuple(sys.modules.items()):  # examples of a folder that goes away
            if (getattr(module, "__file__", None) or "").startswith(str(tmp_path)):
                del sys.modules[name]


@by_page
def test_no_code_block_of_a_page_is_of_a_kind_that_is_not_checked(page: Path) -> None:
    fences = re.findall(r"^ *(?:`{3,}|~{3,})(.*)$", page.read_text("utf-8"), re.MULTILINE)
    opening, closing = fences[::2], fences[1::2]
    assert set(closing) <= {""}
    assert {kind.split("}")[0] for kind in opening} <= LANGUAGES | {f"{{{d}" for d in DIRECTIVES}


def test_the_readme_is_a_session() -> None:
    examples = list(Document.parse(str(TOP / "README.md"), *PARSERS))
    assert len(examples) > 5


@pytest.mark.skipif(CONTRIBUTING not in PAGES, reason="an sdist does not have it")
def test_contributing_says_of_every_module_what_it_is_for() -> None:
    text = CONTRIBUTING.read_text("utf-8")
    house = re.search(r"^    spiff_element_units/.*?^    (?=\S)", text, re.MULTILINE | re.DOTALL)
    assert house is not None
    parts = re.split(r"^ {6}(\w+)/ ", house[0], flags=re.MULTILINE)
    described = {"": parts[0], **dict(zip(parts[1::2], parts[2::2]))}
    for folder, told in described.items():
        if "one module for each part" in told:  # the command
            continue
        for path in (PACKAGE / folder).glob("*.p[yx]*"):
            if path.suffix == ".pyi" or path.name == "__init__.py":
                continue
            # A declaration file belongs to the module with its name.
            declares = path.suffix == ".pxd" and path.with_suffix(".pyx").exists()
            named = re.search(rf"(?<![\w.]){re.escape(path.name)}\b", told)
            assert declares or named, f"{folder}/{path.name}"
    assert len(described) >= 6


@pytest.mark.skipif(CONTRIBUTING not in PAGES, reason="an sdist does not have docs/")
def test_the_reference_links_every_error_that_a_docstring_says_is_raised() -> None:
    import conf  # noqa: PLC0415 - it is in docs/

    import spiff_element_units.sql  # noqa: PLC0415 - needs SQLAlchemy

    known = "|".join(name for name, link in conf.LINKS.items() if link.startswith(":py:exc:"))
    linked = []
    for module in (spiff_element_units, spiff_element_units.spiff, spiff_element_units.sql):
        for name in module.__all__:
            public = getattr(module, name)
            members = vars(public).values() if isinstance(public, type) else ()
            for one in filter(callable, (public, *members)):
                lines = (inspect.getdoc(one) or "").splitlines()
                told = re.search(r"^Raises .*?(?=\n\n|\Z)", "\n".join(lines), re.M | re.S)
                errors = re.findall(rf"\b(?:{known})\b", told[0] if told else "")
                links = re.findall(r":exc:`~[\w.]+\.(\w+)`", "\n".join(conf.linked(lines, name)))
                assert set(errors) <= set(links), one
                linked += errors
    assert len(linked) > 20


@pytest.mark.skipif(CONTRIBUTING not in PAGES, reason="an sdist does not have docs/")
def test_the_reference_links_no_name_in_an_example_in_an_expression_or_to_itself() -> None:
    import conf  # noqa: PLC0415 - it is in docs/

    left = [
        "    loader = SpecLoader(units)",
        ">>> ElementUnits",
        "`ElementUnits.open(..)`, `ElementUnits.digest` and 'UnitNotFound'",
        "a `PruneReport` of its own",
    ]
    assert conf.linked(left, "spiff_element_units.PruneReport") == left
    link = ":py:exc:`~spiff_element_units.UnitNotFound`"
    assert conf.linked(["`UnitNotFound`, UnitNotFound."], "") == [f"{link}, {link}."]
