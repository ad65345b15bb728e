"""How Sphinx builds the documentation: `make docs`.

The API reference comes from the docstrings. They are plain paragraphs, with `code` in single
backticks and with indented examples. `show_indented` makes the examples reStructuredText, and
`link_names` links the classes of the library where a docstring names them.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import spiff_element_units
import spiff_element_units.spiff
import spiff_element_units.sql
from spiff_element_units import __version__

project = "spiff-element-units"
author = "The spiff-element-units developers"
project_copyright = author
version = release = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc"]
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3

if not (Path(__file__).parent.parent / "SECURITY.md").exists():
    exclude_patterns = ["project/security.md"]

html_theme = "furo"
html_static_path = ["static"]
html_css_files = ["style.css"]
html_title = f"{project} {release}"

default_role = "code"
nitpicky = True
nitpick_ignore = [
    ("py:class", name)
    for name in (
        # Links to Python and other libraries. The build uses no network, so it has no index of
        # other sites.
        "collections.abc.Callable",
        "collections.abc.Iterable",
        "collections.abc.Iterator",
        "collections.abc.Mapping",
        "collections.abc.MutableMapping",
        "collections.abc.Sequence",
        "datetime.datetime",
        "datetime.timedelta",
        "io.BytesIO",
        "os.PathLike",
        "pathlib.Path",
        "sqlalchemy.Connection",
        "sqlalchemy.Engine",
        "sqlalchemy.MetaData",
        "sqlalchemy.Table",
        "sqlalchemy.engine.Engine",
        "sqlalchemy.engine.base.Connection",
        "sqlalchemy.engine.base.Engine",
        "sqlalchemy.sql.schema.MetaData",
        "sqlalchemy.sql.schema.Table",
        "SpiffWorkflow.bpmn.exceptions.WorkflowTaskException",
        "SpiffWorkflow.bpmn.workflow.BpmnWorkflow",
        "spiff_element_units.spiff.loader._Workflow",
        # The protocol of a serializer. Users pass that of SpiffWorkflow.
        "spiff_element_units.spiff.specs.Serializer",
    )
]
# The libraries of the stores. The descriptions of the adapters do not need them.
autodoc_mock_imports = ["obstore", "psycopg", "redis", "sqlalchemy"]
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"


def show_indented(*event: Any) -> None:
    """Make an indented paragraph of a docstring a literal block."""
    lines: list[str] = event[-1]
    shown: list[str] = []
    inside = False
    for before, line in zip(["", *lines], lines):
        indented = line.startswith("    ")
        if indented and not before and not inside:
            shown += ["::", ""]
        inside = indented or (inside and not line)
        shown.append(line)
    lines[:] = shown


LINKS = {
    name: f":py:{'exc' if issubclass(found, Exception) else 'class'}:`~{module.__name__}.{name}`"
    for module in (spiff_element_units, spiff_element_units.spiff, spiff_element_units.sql)
    for name, found in vars(module).items()
    if name in module.__all__ and isinstance(found, type)
}
# A whole word, not in quotes, not a part of `Class.method` and not the name of what is described.
_NAME = re.compile(rf"(?<![\w.`\"'~])`?({'|'.join(LINKS)})`?(?![\w(`\"'])(?!\.\w)")


def linked(lines: list[str], described: str) -> list[str]:
    """A docstring in which the name of each class is a link to it, but not in examples."""

    def link(found: re.Match[str]) -> str:
        name = found[1]
        return found[0] if described.endswith(f".{name}") else LINKS[name]

    return [
        line if line[:4] in ("    ", ">>> ", "... ") else _NAME.sub(link, line) for line in lines
    ]


def link_names(app: Any, what: str, name: str, *event: Any) -> None:
    """Link the names of classes in a docstring."""
    lines: list[str] = event[-1]
    lines[:] = linked(lines, name)


def setup(app: Any) -> None:
    app.connect("autodoc-process-docstring", link_names)
    app.connect("autodoc-process-docstring", show_indented)
