"""How Sphinx builds the documentation: `make docs`.

The API reference comes from the docstrings, which are plain paragraphs with `code` in single
backticks and indented examples; `show_indented` is all that reStructuredText needs besides.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

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
        # Of Python itself: building needs no network, so that no other site's index is at hand.
        "collections.abc.Iterator",
        "collections.abc.MutableMapping",
        "datetime.datetime",
        "datetime.timedelta",
        "os.PathLike",
        # What a serializer must have, which SpiffWorkflow's has.
        "spiff_element_units.spiff.specs.Serializer",
    )
]
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


def setup(app: Any) -> None:
    app.connect("autodoc-process-docstring", show_indented)
