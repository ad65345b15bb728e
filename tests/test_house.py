"""Which module may import which.

Each folder is a floor of the house, and so is each module beside the folders. Imports go down only.
This is true for Python and Cython, at the top of a module and in functions.
"""

from __future__ import annotations

import ast
import re
import shutil
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import spiff_element_units

PACKAGE = "spiff_element_units"
HERE = Path(spiff_element_units.__file__).parent

FLOORS = [
    {"core"},
    {"errors", "_version"},
    {"wording"},
    {"cache"},
    {"diff"},
    {"asking"},
    {"units", "api"},
    {"stores"},
    {"spiff"},
    {"sql"},
    {"cli"},
]
"""The lowest first; the roof, above all, is the package itself and its command."""

ROOF = {"__init__", "__main__"}

ONLY_IN = {
    "SpiffWorkflow": {"spiff", "cli"},
    "sqlalchemy": {"sql", "stores"},
    "obstore": {"stores"},
    "redis": {"stores"},
    "click": {"cli"},
    "rich": {"cli"},
}

_CYTHON = re.compile(
    r"^[ \t]*(?:from[ \t]+(?P<source>[\w.]+)[ \t]+c?import[ \t]+(?P<names>\([^)]*\)|[^\n#]+)"
    r"|c?import[ \t]+(?P<modules>[^\n#]+)|include[ \t]+[\"'](?P<file>[^\"']+))",
    re.MULTILINE,
)


def name_of(file: Path, root: Path) -> str:
    """The dotted name of a module, from the package on."""
    parts = file.relative_to(root).with_suffix("").parts
    return ".".join([PACKAGE, *(parts[:-1] if parts[-1] == "__init__" else parts)])


def modules(root: Path) -> dict[str, list[Path]]:
    """The files of each module: a .pyx has a .pxd and a .pyi."""
    found: dict[str, list[Path]] = {}
    for file in sorted(root.rglob("*")):
        if file.suffix in (".py", ".pyx", ".pxd", ".pyi"):
            found.setdefault(name_of(file, root), []).append(file)
    return found


@cache
def statements(suffix: str, text: str) -> list[tuple[str, list[str]]]:
    """Each import of a text: its module, with dots, and its names; no names for a plain import."""
    return list(found_statements(suffix, text))


def found_statements(suffix: str, text: str) -> Iterator[tuple[str, list[str]]]:
    if suffix in (".py", ".pyi"):
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Import):
                yield from ((one.name, []) for one in node.names)
            elif isinstance(node, ast.ImportFrom):
                yield "." * node.level + (node.module or ""), [one.name for one in node.names]
            elif isinstance(node, ast.Call):
                yield from imported_by_call(node)
        return
    text = re.sub(r'"""(.*?)"""', '""', text.replace("\\\n", " "), flags=re.DOTALL)
    for found in _CYTHON.finditer(text):
        if found["source"]:
            names = re.sub(r"#[^\n]*", "", found["names"]).strip("() \n")
            yield found["source"], [name.split()[0] for name in names.split(",") if name.strip()]
        elif found["modules"]:
            yield from ((name.split()[0], []) for name in found["modules"].split(","))
        else:
            yield f"include {found['file']}", []


def imported_by_call(call: ast.Call) -> Iterator[tuple[str, list[str]]]:
    """The names in calls such as `importlib.import_module("name")`, if they are literal."""
    if re.search(r"\b(import_module|__import__)$", ast.unparse(call.func)):
        name = call.args[0]
        if isinstance(name, ast.Constant):
            yield name.value, []


def imports(file: Path, root: Path, known: set[str]) -> Iterator[str]:
    """The modules that a file imports, by their whole names."""
    package = name_of(file, root).split(".")
    if file.stem != "__init__":
        package.pop()
    for source, names in statements(file.suffix, file.read_text(encoding="utf-8")):
        dots = len(source) - len(source.lstrip("."))
        base = source
        if dots:
            above = package[: len(package) - dots + 1]
            base = ".".join([*above, source[dots:]] if source[dots:] else above)
        below = {f"{base}.{name}" for name in names} & known
        yield from below
        if not names or len(below) < len(names):
            yield base


def floor_of(module: str) -> str:
    """The folder of a module of the package; the module itself if it is beside the folders."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "__init__"


def height(module: str) -> int:
    floor = floor_of(module)
    if floor in ROOF:
        return len(FLOORS)
    return next(number for number, floors in enumerate(FLOORS) if floor in floors)


def complaints(root: Path) -> list[str]:
    """What is wrong with the imports of a package."""
    found = []
    known = modules(root)
    for module, files in known.items():
        for file in files:
            for name in imports(file, root, set(known)):
                where = f"{file.relative_to(root).as_posix()} imports {name}"
                top = name.split(".")[0]
                if top == PACKAGE:
                    if height(name) > height(module):
                        found.append(f"{where}, which is above it")
                elif top.startswith("include"):
                    found.append(f"{where}, which no check sees")
                elif floor_of(module) not in ONLY_IN.get(top, {floor_of(module)}):
                    found.append(f"{where}, which is for {sorted(ONLY_IN[top])}")
    return found


def test_imports_go_down_and_each_library_is_known_to_one_part() -> None:
    assert complaints(HERE) == []


def test_every_floor_is_named() -> None:
    assert {floor_of(module) for module in modules(HERE)} <= ROOF.union(*FLOORS)


def test_neither_modules_nor_folders_import_each_other_in_a_circle() -> None:
    known = modules(HERE)
    graph = {
        module: {
            name for file in files for name in imports(file, HERE, set(known)) if name in known
        }
        - {module}
        for module, files in known.items()
    }
    assert len(list(TopologicalSorter(graph).static_order())) == len(known)
    folders: dict[str, set[str]] = {}
    for module, below in graph.items():
        others = {floor_of(name) for name in below} - {floor_of(module)}
        folders.setdefault(floor_of(module), set()).update(others)
    assert len(list(TopologicalSorter(folders).static_order())) == len(folders)


@pytest.mark.skipif(
    not any((HERE / "core").glob("*.pyx")),
    reason="what is installed has no sources of compiled modules",
)
def test_the_imports_of_compiled_modules_are_seen() -> None:
    known = modules(HERE)

    def imported(module: str) -> set[str]:
        name = f"{PACKAGE}.core.{module}"
        return {one for file in known[name] for one in imports(file, HERE, set(known))}

    assert imported("unit") >= {f"{PACKAGE}.core.pack", f"{PACKAGE}.core.layout"}
    assert imported("pack") >= {f"{PACKAGE}.core.fault", f"{PACKAGE}.core.graph"}


PLANTED = [
    ("core/ids.pyx", "from ..errors import InvalidWorkflowSpec"),
    ("core/ids.pyx", "from .. import errors"),
    ("core/ids.pyx", "from .._version import __version__"),
    ("core/ids.pyx", "import spiff_element_units.errors"),
    ("core/ids.pyx", "import os, spiff_element_units.errors"),
    ("core/ids.pyx", "cimport spiff_element_units.cache.fast as fast"),
    ("core/ids.pyx", "from ..cache.fast cimport (\n    one,  # more\n    two,\n)"),
    ("core/ids.pyx", "cdef int f():\n    from ..errors \\\n        import CacheError"),
    ("core/ids.pyx", 'include "../other.pxi"'),
    ("core/ids.pxd", "from ..cache.fast cimport one"),
    ("core/ids.pyi", "from ..errors import CacheError"),
    ("core/fault.py", "from ..errors import CacheError"),
    ("core/fault.py", "from spiff_element_units import errors"),
    ("core/ids.pyx", "from SpiffWorkflow.bpmn import event"),
    ("errors.py", "from .wording import in_words"),
    ("cache/platform.py", "from ..units import ElementUnits"),
    ("cache/platform.py", "def f():\n    from ..units import ElementUnits"),
    (
        "cache/platform.py",
        "def f():\n    import importlib\n    importlib.import_module('SpiffWorkflow')",
    ),
    ("cache/platform.py", "if TYPE_CHECKING:\n    from .. import units"),
    ("units.py", "from .spiff import SpecLoader"),
    ("units.py", "from . import spiff"),
    ("units.py", "from . import __version__"),
    ("api.py", "import SpiffWorkflow.bpmn.workflow as bpmn"),
    ("spiff/state.py", "from ..cli import main"),
    ("spiff/state.py", "from sqlalchemy import select"),
    ("cli/_app.py", "import sqlalchemy"),
]


@pytest.mark.parametrize(("file", "line"), PLANTED)
def test_a_wrong_import_is_seen_whatever_its_form(file: str, line: str, tmp_path: Path) -> None:
    root = tmp_path / PACKAGE
    shutil.copytree(HERE, root, ignore=shutil.ignore_patterns("*.so", "*.c", "page", "__pycache__"))
    with (root / file).open("a", encoding="utf-8") as stream:
        stream.write(f"\n{line}\n")
    (told,) = complaints(root)
    assert told.startswith(f"{file} imports ")
