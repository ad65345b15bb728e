"""Writes pages of `graph --format html`, and finds what a person sees in them."""

from __future__ import annotations

import base64
import gzip
import json
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import models
import pytest
from chromium import Page
from command import EXAMPLES, command

from spiff_element_units import ElementUnits


def written_page(tmp_path: Path, units: ElementUnits, *options: str) -> Path:
    units.save(tmp_path / "cache", "key")
    path = tmp_path / "page.html"
    done = command("graph", tmp_path / "cache", "key", "--format", "html", "-o", path, *options)
    assert done.code == 0, done.err
    return path


def data_of(page: str) -> Any:
    """The data in the text of a page."""
    packed = page.split('id="data">')[1].split("</script>", maxsplit=1)[0]
    return json.loads(gzip.decompress(base64.b64decode(packed, validate=True)))


def claim_json() -> str:
    parser = models.SpiffBpmnParser()
    parser.add_bpmn_file(str(EXAMPLES / "claim.bpmn"))
    convert = models.serializer().registry.convert
    specs = parser.get_subprocess_specs("Claim")
    return json.dumps(
        {
            "spec": convert(parser.get_spec("Claim")),
            "subprocess_specs": {name: convert(spec) for name, spec in specs.items()},
        }
    )


def node(process_id: str) -> str:
    """The node of a process, as an expression."""
    find = f"elementUnits.processes.find(one => one.id === {json.dumps(process_id)}).number"
    return f"document.querySelector(`#nodes [data-number='${{{find}}}']`)"


def nodes(look: str = "node") -> str:
    """The processes whose nodes have a look, as an expression."""
    ids = "elementUnits.processes[one.dataset.number].id"
    return f"[...document.querySelectorAll('#nodes .{look}')].map(one => {ids})"


def place_of(page: Page, process_id: str) -> tuple[float, float]:
    """Where a process is drawn in the window."""
    box = f"{node(process_id)}.firstChild.getBoundingClientRect()"
    x, y = page.value(f"(box => [box.x + box.width / 2, box.y + box.height / 2])({box})")
    return x, y


def held(page: Page) -> list[str]:
    """The processes that are listed as the unit's."""
    listed = page.value(
        "[...document.querySelectorAll('#unit li .link')].map(one => one.textContent)"
    )
    return list(listed)


def in_view(page: Page, process_id: str) -> bool:
    """Whether all of a process's node is inside of the graph."""
    edges = "['left', 'top', 'right', 'bottom'].map(side => box[side])"
    left, top, right, bottom = page.value(
        f"(box => {edges})({node(process_id)}.getBoundingClientRect())"
    )
    x1, y1, x2, y2 = page.value(
        f"(box => {edges})(document.getElementById('graph').getBoundingClientRect())"
    )
    found: bool = x1 <= left and y1 <= top and right <= x2 and bottom <= y2
    return found


def axe_script() -> str:
    """The source of axe-core, which axe-playwright-python contains."""
    try:
        found = distribution("axe-playwright-python")
    except PackageNotFoundError:
        pytest.skip("axe-playwright-python is not installed")
    path = Path(str(found.locate_file("axe_playwright_python/axe.min.js")))
    return path.read_text(encoding="utf-8")
