"""The graph on the page of `graph --format html`: its edges never lie, and keys move in it."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path

import models
import pytest
from chromium import Page, needs_chromium
from command import wide
from paged import axe_script, claim_json, held, in_view, node, nodes, place_of

from spiff_element_units import ElementUnits
from spiff_element_units.cli._facts import Facts
from spiff_element_units.cli._page import page as page_of

pytestmark = needs_chromium

# Walks along the edges, and finds the nodes that they cross and those that they do not reach.
LIES = """(() => {
  const boxes = [...document.querySelectorAll('#nodes .node')].map(one => {
    const {e, f} = one.transform.baseVal.consolidate().matrix;
    const {width, height} = one.querySelector('rect').getBBox();
    return {id: one.dataset.number, left: e, top: f, right: e + width, bottom: f + height};
  });
  const inside = ({x, y}, box, by) =>
    x > box.left + by && x < box.right - by && y > box.top + by && y < box.bottom - by;
  const lies = [];
  for (const edge of document.querySelectorAll('#edges .edge')) {
    const {from, to} = edge.dataset, line = edge.querySelector('.line');
    const length = line.getTotalLength(), points = [];
    for (let at = 0; at < length; at += 3) points.push(line.getPointAtLength(at));
    points.push(line.getPointAtLength(length));
    for (const box of boxes) {
      if (box.id !== from && box.id !== to && points.some(one => inside(one, box, 0.5)))
        lies.push(`${from} -> ${to} crosses ${box.id}`);
      if (box.id === from && !inside(points[0], box, -1))
        lies.push(`${from} -> ${to} starts nowhere`);
      if (box.id === to && !inside(points[points.length - 1], box, -1))
        lies.push(`${from} -> ${to} ends nowhere`);
    }
  }
  for (const one of boxes)
    for (const other of boxes)
      if (one !== other && one.left < other.right && other.left < one.right
          && one.top < other.bottom && other.top < one.bottom)
        lies.push(`${one.id} lies on ${other.id}`);
  return lies;
})()"""
# Finds edges that run along one another but have different kinds or come from two processes.
SHARED = """(() => {
  const parts = [];
  for (const edge of document.querySelectorAll('#edges .edge')) {
    const path = edge.querySelector('.line').getAttribute('d');
    const numbers = path.match(/-?[\\d.]+(e-?\\d+)?/g).map(Number);
    const {from, to} = edge.dataset, name = `${from} -> ${to}`;
    const source = from + edge.classList[1];
    for (let at = 0; at + 3 < numbers.length; at += 2) {
      const [x1, y1, x2, y2] = numbers.slice(at, at + 4);
      const add = (way, at, ...ends) =>
        parts.push({name, source, way, at, low: Math.min(...ends), high: Math.max(...ends)});
      if (x1 === x2) add('x', x1, y1, y2);
      if (y1 === y2) add('y', y1, x1, x2);
    }
  }
  const along = (one, other) => one.way === other.way && Math.abs(one.at - other.at) < 0.1
    && Math.min(one.high, other.high) - Math.max(one.low, other.low) > 1;
  const beside = one => parts.filter(other => one.source !== other.source && along(one, other));
  return parts.flatMap(one => beside(one).map(other => `${one.name} runs along ${other.name}`));
})()"""
DRAWN = """[...document.querySelectorAll('#edges .edge')].map(({classList, dataset: {from, to}}) =>
  [classList[1], ...[from, to].map(number =>
    number < 0 ? null : elementUnits.processes[number].id)].join(' ')).sort()"""


def everything(page: Page, folder: Path, units: ElementUnits) -> None:
    """Open the page of a workflow with all of it unfolded."""
    path = folder / "page.html"
    path.write_text(page_of(Facts(units), "all", None), encoding="utf-8")
    page.open(path)
    page.value("elementUnits.reveal(elementUnits.processes.map(one => one.number))")
    page.settle()


def generated(processes: int, chance: random.Random) -> ElementUnits:
    """A tree of processes with more references of any kind, also back and to itself."""
    references: list[list[int]] = [[] for _ in range(processes)]
    near = chance.choice([3, 40, processes])
    for number in range(1, processes):
        references[chance.randrange(max(0, number - near), number)].append(number)
    for _ in range(int(processes * chance.choice([0, 0.3, 0.8]))):
        references[chance.randrange(processes)].append(chance.randrange(processes))

    def spec(number: int) -> dict:
        tasks = {
            f"to_{at}": {
                "typename": chance.choice(["CallActivity", "CallActivity", "SubWorkflowTask"]),
                "spec": f"process_{to}",
                "description": "x" * chance.randrange(2_000),
            }
            for at, to in enumerate(references[number])
        }
        return {"name": f"process_{number}", "typename": "BpmnProcessSpec", "task_specs": tasks}

    specs = {f"process_{number}": spec(number) for number in range(processes)}
    return ElementUnits.from_json(
        json.dumps({"spec": specs["process_0"], "subprocess_specs": specs})
    )


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with Page(tmp_path_factory.mktemp("profile")) as made:
        yield made


def test_no_edge_of_any_model_crosses_a_node_that_it_does_not_join(
    tmp_path: Path, page: Page
) -> None:
    checked = 0
    for model in models.MODELS.values():
        units = ElementUnits.from_json(models.spec_json(model))
        expected = {
            f"{one.kind} {process_id} {'null' if one.external else one.process_id}"
            for process_id in units.process_ids
            for one in units.references(process_id)
        }
        if not expected:
            continue
        everything(page, tmp_path, units)
        assert [model.name, *page.value(LIES), *page.value(SHARED)] == [model.name]
        assert set(page.value(DRAWN)) == {one.replace(" null", " ") for one in expected}
        checked += len(expected)
    assert checked > 50


@pytest.mark.parametrize(("processes", "times"), [(2, 2), (12, 4), (40, 3), (120, 2), (300, 1)])
def test_no_edge_of_a_generated_workflow_crosses_a_node_that_it_does_not_join(
    tmp_path: Path, page: Page, processes: int, times: int
) -> None:
    chance = random.Random(processes)
    for _ in range(times):
        everything(page, tmp_path, generated(processes, chance))
        assert len(page.value(nodes())) == processes
        assert [*page.value(LIES), *page.value(SHARED)] == []
        assert page.complaints == []


def focused(page: Page) -> str:
    """The process of the node that has the focus, or the id or class of another element with it."""
    found: str = page.value(
        """(one => one.dataset && one.dataset.number ? elementUnits.processes[one.dataset.number].id
             : one.id || one.className)(document.activeElement)"""
    )
    return found


@pytest.fixture(scope="module")
def claim_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "claim.html"
    units = ElementUnits.from_json(claim_json())
    path.write_text(page_of(Facts(units), "claim", None), encoding="utf-8")
    return path


@pytest.fixture
def claim(page: Page, claim_page: Path) -> Iterator[Page]:
    page.open(claim_page)
    yield page
    assert page.complaints == []


def test_keys_go_through_the_graph_choose_and_unfold(tmp_path: Path, page: Page) -> None:
    path = tmp_path / "page.html"
    path.write_text(page_of(Facts(wide(100)), "wide", None), encoding="utf-8")
    page.open(path)
    page.press("Tab")
    assert focused(page) == "root"
    page.press("ArrowRight")
    first = focused(page)
    assert first != "root"
    page.press("ArrowDown")
    second = focused(page)
    assert place_of(page, second)[1] > place_of(page, first)[1]
    assert in_view(page, second)
    page.press("ArrowDown", times=30)
    last = focused(page)
    assert in_view(page, last)
    assert held(page) == ["root"]
    page.press("Enter")
    assert held(page) == [last]
    assert page.value(f"{node(last)}.getAttribute('aria-pressed')") == "true"
    before = page.value(nodes())
    assert "P99" not in before
    page.press("Enter")
    assert set(page.value(nodes())) == {*before, "P99"}
    assert focused(page) == last
    page.press("ArrowLeft")
    assert focused(page) == "root"
    assert page.complaints == []


def test_one_node_is_reached_with_tab_and_then_the_buttons(claim: Page) -> None:
    claim.press("Tab")
    assert focused(claim) == "Claim"
    claim.press("Tab")
    assert focused(claim) == "fit"
    claim.click(*place_of(claim, "Pay"))
    claim.value("document.activeElement.blur()")
    stops = "[...document.querySelectorAll('#nodes [tabindex=\"0\"]')].length"
    assert claim.value(stops) == 1
    assert claim.value(f"{node('Pay')}.getAttribute('tabindex')") == "0"


def test_the_table_is_sorted_and_chosen_from_with_the_keyboard(claim: Page) -> None:
    claim.value("document.querySelector('.heading').focus()")
    claim.press("Enter")
    rows = "[...document.querySelectorAll('.tabulator-row .link')].map(one => one.textContent)"
    assert claim.value(rows)[:2] == ["Appeal", "Archive"]
    claim.value("document.querySelectorAll('.tabulator-row .link')[1].focus()")
    claim.press("Enter")
    assert held(claim) == ["Archive"]
    assert claim.text("#said") == "Archive is chosen"
    assert claim.value("document.activeElement.textContent") == "Archive"


def test_nodes_say_to_a_screen_reader_what_they_show(tmp_path: Path, page: Page) -> None:
    path = tmp_path / "page.html"
    path.write_text(page_of(Facts(wide(100)), "wide", None), encoding="utf-8")
    page.open(path)
    name = page.value(f"{node('root')}.getAttribute('aria-label')")
    assert name.startswith("root, ")
    assert name.endswith(" kB, 60 more folded")


def test_enter_in_the_search_brings_a_process_into_view(claim: Page) -> None:
    claim.value("elementUnits.moveTo(9000, 0, 2)")
    claim.value("document.getElementById('search').focus()")
    claim.type("opinion")
    assert not in_view(claim, "Appeal")
    claim.press("Enter")
    assert claim.text("#details h2") == "Appeal"  # the larger of both is first
    assert in_view(claim, "Appeal")
    claim.value("document.getElementById('search').select()")
    claim.type("expert_opinion")
    claim.press("Enter")
    assert claim.text("#details h2") == "Expert_opinion"
    assert in_view(claim, "Expert_opinion")


def test_a_drag_moves_the_graph_and_chooses_nothing(claim: Page) -> None:
    x, y = place_of(claim, "Register")
    for kind, by in (("mousePressed", 0), ("mouseMoved", 30), ("mouseReleased", 30)):
        claim.call("Input.dispatchMouseEvent", type=kind, x=x + by, y=y, button="left", buttons=1)
    claim.settle()
    assert place_of(claim, "Register") == pytest.approx((x + 30, y))
    assert held(claim) == ["Claim"]


def test_a_press_counts_for_its_node_if_a_layout_ends_before_the_mouse_goes_up(
    tmp_path: Path, page: Page
) -> None:
    path = tmp_path / "page.html"
    path.write_text(page_of(Facts(wide(100)), "wide", None), encoding="utf-8")
    page.open(path)

    def mouse(kind: str, x: float, y: float, clicks: int) -> None:
        place = {"x": x, "y": y, "button": "left", "clickCount": clicks}
        page.call("Input.dispatchMouseEvent", type=kind, **place)

    def reveal(process_id: str) -> None:
        page.value(
            "(({reveal, processes}, id) => reveal([processes.find(one => one.id === id).number]))"
            f"(elementUnits, {json.dumps(process_id)})"
        )
        page.settle()

    pressed = next(one for one in page.value(nodes()) if one != "root" and in_view(page, one))
    where = place_of(page, pressed)
    mouse("mousePressed", *where, 1)
    reveal("P98")
    assert place_of(page, pressed) != where
    mouse("mouseReleased", *where, 1)
    assert held(page) == [pressed]
    assert "P99" not in page.value(nodes())
    # The second press of a double click belongs to the node of the first one, wherever that is now.
    mouse("mousePressed", *where, 2)
    reveal("P97")
    mouse("mouseReleased", *where, 2)
    page.settle()
    assert "P99" in page.value(nodes())
    assert page.complaints == []


def test_two_fingers_zoom_the_graph(claim: Page) -> None:
    def touch(kind: str, *places: tuple[int, int]) -> None:
        points = [{"x": x, "y": y, "id": at} for at, (x, y) in enumerate(places)]
        claim.call("Input.dispatchTouchEvent", type=kind, touchPoints=points)

    before = claim.value("elementUnits.view.zoom")
    touch("touchStart", (300, 200), (400, 200))
    touch("touchMove", (250, 200), (450, 200))
    touch("touchEnd")
    assert claim.value("elementUnits.view.zoom") == pytest.approx(2 * before, rel=0.01)


def test_nothing_covers_the_graph(claim: Page) -> None:
    """Its legend and its buttons are below it."""
    box = "(id => document.getElementById(id).getBoundingClientRect())"
    for part in ("legend", "tools"):
        assert claim.value(f"{box}('graph').bottom <= {box}('{part}').top")
        assert claim.value(f"{box}('{part}').bottom <= {box}('drawing').bottom")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_letters_contrast_in_light_and_dark_and_axe_finds_nothing_serious(
    claim: Page, scheme: str
) -> None:
    axe = axe_script()
    ground = "getComputedStyle(document.body).backgroundColor"
    claim.prefer(scheme)
    try:
        assert (claim.value(ground) == "rgb(246, 248, 250)") == (scheme == "light")
        claim.value(f"{axe};0")
        found = "axe.run().then(({violations}) => violations.map(one => [one.impact, one.id]))"
        assert claim.value(found) == []
        claim.click_on("#views label", "Tree")
        assert claim.value(found) == []
        rules = "{runOnly: ['color-contrast']}"
        passed = f"axe.run({rules}).then(({{passes}}) => passes[0].nodes.length)"
        assert claim.value(passed) > 20
    finally:
        claim.prefer("light")


def test_a_page_is_smaller_than_2_mb_and_has_the_licenses(claim_page: Path) -> None:
    text = claim_page.read_text(encoding="utf-8")
    assert len(text.encode()) < 1_000_000
    for library in ("elkjs", "tabulator-tables"):
        assert f"== {library} " in text
    assert "Eclipse Public License - v 2.0" in text
