"""`graph` of the command without the page: mermaid, dot and SVG."""

from __future__ import annotations

import json
import re
import shutil
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from command import EXAMPLES, command, failing, fill, wide
from hypothesis import example, given, settings
from hypothesis import strategies as st
from paged import data_of
from strategies import free_ids, texts

from spiff_element_units import ElementUnits
from spiff_element_units.cli import _graph, _page
from spiff_element_units.cli._drawing import dot, draw, mermaid
from spiff_element_units.cli._facts import Facts

needs_dot = pytest.mark.skipif(shutil.which("dot") is None, reason="no Graphviz here")


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fill(tmp_path_factory.mktemp("graph"), EXAMPLES)


def labels_of_mermaid(text: str) -> dict[str, str]:
    """The first line of each node's label, entities resolved, by the node's name."""
    found = re.findall(r'^  (p\d+)[\[>(]+"(.*?)<br/>', text, re.MULTILINE)
    return {name: re.sub(r"#(\d+);", lambda n: chr(int(n[1])), label) for name, label in found}


def edges_of_mermaid(text: str) -> set[tuple[str, str, str]]:
    labels = labels_of_mermaid(text)
    found = re.findall(r"^  (p\d+) (-->|-\.->|==>|---)(?:\|.*\|)? (p\d+)$", text, re.MULTILINE)
    return {(labels[source], arrow, labels[target]) for source, arrow, target in found}


def test_mermaid_draws_every_reference_by_its_kind(cache: Path) -> None:
    done = command("graph", cache, "Claim")
    assert done.lines[0] == "flowchart LR"
    units = ElementUnits.open(cache, "Claim")
    arrows = {"call": "-->", "embedded": "-.->", "trigger": "==>"}
    assert edges_of_mermaid(done.out) == {
        (one, arrows[reference.kind], reference.process_id)
        for one in units.process_ids
        for reference in units.references(one)
    }


def test_larger_processes_are_drawn_larger(cache: Path) -> None:
    units = ElementUnits.open(cache, "Claim")
    drawing = draw(Facts(units), frozenset(), 0)
    scales = {node.lines[0]: node.scale for node in drawing.nodes}
    by_size = sorted(units.process_ids, key=lambda one: len(units.spec_json(one)))
    assert sorted(units.process_ids, key=scales.__getitem__) == by_size
    assert scales[by_size[-1]] == 1


def test_what_a_unit_holds_is_coloured(cache: Path) -> None:
    done = command("graph", cache, "Claim", "--unit", "Claim", "order_transfer")
    labels = labels_of_mermaid(done.out)
    (held,) = re.findall(r"^  class (\S+) inUnit$", done.out, re.MULTILINE)
    assert {labels[name] for name in held.split(",")} == {"Claim", "Settle", "Pay"}
    text = command("graph", cache, "Claim", "--unit", "Claim", "Claim", "--format", "dot").out
    assert text.count("#ffe3a3") == 1
    says = failing("graph", cache, "Claim", "--unit", "Claim", "no such")
    assert "no element 'no such'" in says


def test_the_json_of_graph_has_this_shape(cache: Path) -> None:
    shape = command("graph", cache, "Claim", "--json", "--unit", "Claim", "pay_claim").json
    units = ElementUnits.open(cache, "Claim")
    assert shape == {
        "root": "Claim",
        "bytes": sum(len(units.spec_json(one)) for one in units.process_ids),
        "unit": {"process": "Claim", "element": "pay_claim"},
        "processes": [
            {
                "id": one,
                "from": None,
                "bytes": len(units.spec_json(one)),
                "in_unit": one in units.needs("Claim", "pay_claim"),
            }
            for one in units.process_ids
        ],
        "references": [
            {"process": one, **reference._asdict()}
            for one in units.process_ids
            for reference in units.references(one)
        ],
    }


@needs_dot
def test_svg_is_what_graphviz_draws(cache: Path, tmp_path: Path) -> None:
    path = tmp_path / "claim.svg"
    assert command("graph", cache, "Claim", "--format", "svg", "-o", path).code == 0
    titles = "".join(ET.parse(path).getroot().itertext())
    for process_id in ElementUnits.open(cache, "Claim").process_ids:
        assert process_id in titles


def test_without_graphviz_svg_says_what_to_do(cache: Path, tmp_path: Path) -> None:
    says = failing("graph", cache, "Claim", "--format", "svg", PATH=str(tmp_path))
    assert "apt install graphviz" in says
    assert "--format dot" in says


@settings(max_examples=20)
@example(["&lt;b&gt;", "a\\nb", '"] x [', "\\"])
@given(st.lists(free_ids, min_size=1, max_size=4, unique=True))
@needs_dot
def test_graphviz_draws_any_id_as_it_is_shown(ids: list) -> None:
    task_specs = {one: {"typename": "CallActivity", "spec": one} for one in ids}
    spec = {"name": "root", "typename": "BpmnProcessSpec", "task_specs": task_specs}
    units = ElementUnits.from_json(json.dumps({"spec": spec, "subprocess_specs": {}}))
    drawing = draw(Facts(units), frozenset(), 0)
    found = ET.fromstring(_graph.svg(dot(drawing))).iter("{http://www.w3.org/2000/svg}text")
    # Graphviz writes spaces as no-break spaces.
    shown = {"".join(one.itertext()).replace("\u00a0", " ").strip() for one in found}
    for node in drawing.nodes:
        assert node.lines[0].replace("\u00a0", " ").strip() in shown


@given(texts())
def test_any_workflow_is_drawn_whole(text: str) -> None:
    units = ElementUnits.from_json(text)
    facts = Facts(units)
    drawing = draw(facts, frozenset(), 0)
    looks = [node.look for node in drawing.nodes]
    assert looks.count("root") == 1
    assert looks.count("root") + looks.count("plain") == len(units.process_ids)
    edges = {(one, kind, to) for one in units.process_ids for kind, to, *_ in units.references(one)}
    assert len(drawing.edges) == len(edges)
    for line in mermaid(drawing).splitlines()[2:]:
        assert re.fullmatch(
            r'  (p\d+[\[>(]+"[\w# ;]*<br/>[\w# ;]*"[\])]+|class [p\d,]+ \w+|classDef .*'
            r'|p\d+ [-.=>]+(\|"[\w# ;]*"\|)? p\d+)',
            line,
        ), line


@given(texts())
def test_a_page_ends_no_element_early(text: str) -> None:
    page = _page.page(Facts(ElementUnits.from_json(text)), "</script><!--", None)
    assert page.count("<script") == page.count("</script>") == 4
    assert data_of(page)["title"] == "</script><!--"


def test_many_processes_are_folded(tmp_path: Path) -> None:
    wide(10_000).save(tmp_path, "wide")
    done = command("graph", tmp_path, "wide")
    assert len(labels_of_mermaid(done.out)) < 110
    assert re.search(r'"9#44;9\d\d more processes<br/>', done.out)
    everything = command("graph", tmp_path, "wide", "--all", "--format", "dot").out
    assert everything.count(" -> ") == 20_000


def test_the_libraries_in_a_page_are_named_with_their_licenses() -> None:
    folder = Path(_page.__file__).parent / "page"
    text = (folder / "LICENSES.txt").read_text(encoding="utf-8")
    libraries = [*folder.glob("*.min.*"), *folder.glob("*.bundled.*")]
    assert {path.name for path in libraries} > {*_page.LIBRARIES, _page.VIEWER}
    for path in libraries:
        assert re.search(rf"(dist|lib)/(js/|css/)?{re.escape(path.name)}", text)
    assert text.count("Permission is hereby granted") == 2
    assert text.count("Eclipse Public License - v 2.0") == 1


def test_every_script_of_the_page_is_in_it() -> None:
    folder = Path(_page.__file__).parent / "page"
    ours = {path.name for path in folder.glob("*.js")} - {*_page.LIBRARIES, _page.VIEWER}
    assert ours == set(_page.SCRIPTS)
