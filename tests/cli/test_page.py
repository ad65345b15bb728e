"""The page of `graph --format html`, in a real headless Chromium with a real mouse."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path

import models
import pytest
from chromium import Page, needs_chromium
from command import EXAMPLES, command, failing, wide
from paged import claim_json, held, in_view, nodes, place_of, written_page
from written import call, process, write

from spiff_element_units import ElementUnits

pytestmark = needs_chromium

HOSTILE = [
    "</script><script>window.hacked = 1</script>",
    "<img src=x onerror='window.hacked = 1'>",
    "<!--<script>",
    "\"'`${window.hacked = 1}\\",
    "{{constructor.constructor('window.hacked=1')()}}",
    "größe 日本語 🦊 \u2028",
    "@@data@@",
    "__proto__",
    "",
]


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with Page(tmp_path_factory.mktemp("profile")) as made:
        yield made


@pytest.fixture(scope="module")
def claim_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("page")
    done = command(
        "graph", EXAMPLES / "claim.bpmn", "--format", "html", "-o", folder / "claim.html"
    )
    assert done.code == 0, done.err
    return folder / "claim.html"


@pytest.fixture
def claim(page: Page, claim_page: Path) -> Iterator[Page]:
    page.open(claim_page)
    yield page
    assert page.complaints == []


def test_the_page_opens_with_the_unit_that_starts_the_root(claim: Page) -> None:
    assert claim.text("h1") == "claim.bpmn"
    assert claim.text("#about").startswith("14 processes, ")
    assert held(claim) == ["Claim"]
    assert len(claim.value(nodes())) == 14
    drawn = "(kind => document.querySelectorAll('#edges .' + kind).length)"
    assert claim.value(f"{drawn}('embedded')") == 4
    assert claim.value(f"{drawn}('call')") == 10


def test_a_click_on_a_process_shows_its_unit(claim: Page) -> None:
    claim.click(*place_of(claim, "Investigate"))
    assert claim.text("#details h2") == "Investigate"
    assert held(claim) == ["Investigate", "interview", "site_visit"]
    assert sorted(claim.value(nodes("held"))) == sorted(held(claim))


def test_a_click_on_an_element_shows_the_unit_that_resumes_there(claim: Page) -> None:
    claim.click(*place_of(claim, "Pay"))
    claim.click_on("#details .element .id", "order_transfer")
    assert claim.text("#unit h3") == "The unit that resumes at order_transfer"
    assert held(claim) == ["Pay"]
    box = "document.getElementById('from-root').getBoundingClientRect()"
    claim.click(*claim.value(f"[{box}.x + 5, {box}.y + 5]"))
    assert claim.text("#unit h3") == "The unit of Claim that resumes at order_transfer"
    assert held(claim) == ["Claim", "Settle", "Pay"]


def test_the_way_from_the_root_leads_to_this_element_and_not_to_another_of_its_id(
    tmp_path: Path, page: Page
) -> None:
    """`check` is an element of the root and of two more processes, in one of which it is chosen."""
    elements = ["<manualTask />"]

    def named(id: str, *more: str) -> str:
        return process(id, *elements, *more).replace(f"{id}_0", "check")

    write(tmp_path / "left.bpmn", named("left", call("leaf")))
    write(tmp_path / "right.bpmn", named("right"), process("leaf"))
    path = write(tmp_path / "m.bpmn", named("root", call("left"), call("right")))
    done = command("graph", path, "--format", "html", "-o", tmp_path / "page.html")
    assert done.code == 0, done.err
    page.open(tmp_path / "page.html")
    page.click(*place_of(page, "left"))
    page.click_on("#details .element .id", "check")
    assert held(page) == ["left"]
    page.value("document.getElementById('from-root').click()")
    assert page.text("#unit h3") == "The unit of root that resumes at check"
    assert held(page) == ["root", "left"]
    # The page shows the unit that the library returns for the way to that process.
    units = ElementUnits.from_json(command("unit", path, "--defer", "nothing").out)
    assert list(units.needs("root", "left")) == ["root", "left"]
    page.click(*place_of(page, "leaf"))
    page.value("document.getElementById('from-root').click()")
    assert held(page) == ["root", "left", "leaf"]
    assert page.complaints == []


def test_a_unit_that_is_asked_for_is_shown_whole_if_several_processes_have_the_element(
    tmp_path: Path, page: Page
) -> None:
    def named(id: str) -> str:
        return process(id, "<manualTask />").replace(f"{id}_0", "check")

    root = process("root", call("left"), call("right"))
    path = write(tmp_path / "m.bpmn", root, named("left"))
    write(tmp_path / "right.bpmn", named("right"))
    page_path = tmp_path / "page.html"
    command("graph", path, "--format", "html", "-o", page_path, "--unit", "root", "check")
    page.open(page_path)
    assert held(page) == ["root", "left", "right"]


def test_names_are_beside_ids_and_can_be_searched(tmp_path: Path, page: Page) -> None:
    text = process("Process_1a2b", "<manualTask />").replace(
        'id="Process_1a2b_0"',
        'id="Activity_0jhbjkd" name="Check the <b>policy</b>"'.replace("<", "&lt;"),
    )
    text = text.replace("Process_1a2b_0", "Activity_0jhbjkd")
    text = text.replace('<process id="Process_1a2b"', '<process id="Process_1a2b" name="Claims"')
    text = text.replace('id="Process_1a2b_end"', 'id="Process_1a2b_end" name="Process 1A2B: end"')
    path = write(tmp_path / "m.bpmn", text, process("other"))
    done = command(
        "graph", path, "--process", "Process_1a2b", "--format", "html", "-o", tmp_path / "p.html"
    )
    assert done.code == 0, done.err
    page.open(tmp_path / "p.html")
    assert page.text("#details h2") == "Process_1a2b"
    assert page.text("#details .name") == "Claims"
    assert page.text(".tabulator-row .name") == "Claims"
    buttons = page.value(
        "[...document.querySelectorAll('#details .element')]"
        ".map(one => [...one.children].map(part => part.textContent))"
    )
    assert ["Activity_0jhbjkd", "Check the <b>policy</b>"] in buttons
    assert ["Process_1a2b_end"] in buttons
    label = page.value("[...document.querySelectorAll('.node tspan')].map(one => one.textContent)")
    assert label[:2] == ["Process_1a2b", "Claims"]
    box = "document.getElementById('search').getBoundingClientRect()"
    page.click(*page.value(f"[{box}.x + 20, {box}.y + 10]"))
    page.type("the <b>pol")
    assert page.text("#found") == "1 found"
    assert page.complaints == []


def test_what_spiffworkflow_added_is_folded_away(claim: Page) -> None:
    shown = "document.querySelector('#added').open"
    listed = claim.value(
        "[...document.querySelectorAll('#details > .elements .id')].map(one => one.textContent)"
    )
    added = claim.value("[...document.querySelectorAll('#added .id')].map(one => one.textContent)")
    assert claim.value(shown) is False
    assert added == ["Start", "Claim.EndJoin", "End"]
    assert "receive_claim" in listed
    assert not set(added) & set(listed)
    assert claim.text("#added summary") == "3 added by SpiffWorkflow"
    claim.click_on("#added summary", "3 added by SpiffWorkflow")
    assert claim.value(shown) is True
    claim.click_on("#added .id", "End")
    assert claim.text("#unit h3") == "The unit that resumes at End"
    assert claim.value(shown) is True


def test_specs_of_old_serializers_fold_what_was_added_too(tmp_path: Path, page: Page) -> None:
    names = ("Start", "End", "p.EndJoin", "work.BoundaryEventParent", "work", "Endless")
    tasks = {name: {"name": name, "typename": "Simple"} for name in names}
    spec = {"name": "p", "typename": "BpmnProcessSpec", "task_specs": tasks}
    page.open(
        written_page(
            tmp_path, ElementUnits.from_json(json.dumps({"spec": spec, "subprocess_specs": {}}))
        )
    )
    added = page.value("[...document.querySelectorAll('#added .id')].map(one => one.textContent)")
    assert added == ["Start", "End", "p.EndJoin", "work.BoundaryEventParent"]


def test_a_row_and_a_link_bring_their_process_into_view(claim: Page) -> None:
    claim.value("elementUnits.moveTo(9000, 0, 2)")
    assert not in_view(claim, "Appeal")
    claim.click_on(".tabulator-row .tabulator-cell", "Appeal")
    assert in_view(claim, "Appeal")
    assert not in_view(claim, "Claim")
    claim.click_on("#details .link", "Reject")
    assert claim.text("#details h2") == "Reject"
    assert in_view(claim, "Reject")
    pan = "elementUnits.view"
    before = claim.value(pan)
    claim.click(*place_of(claim, "Reject"))
    assert claim.value(pan) == before


def test_the_address_keeps_what_is_chosen(claim: Page, claim_page: Path) -> None:
    claim.click(*place_of(claim, "Pay"))
    claim.click_on("#details .element .id", "order_transfer")
    claim.value("document.getElementById('from-root').click()")
    kept = claim.value("location.hash")
    assert kept == "#process=Pay&element=order_transfer&from=Claim"
    claim.value("location.hash = '#process=Reject'")
    claim.settle()
    assert claim.text("#details h2") == "Reject"
    claim.open(claim_page, kept)
    assert claim.text("#unit h3") == "The unit of Claim that resumes at order_transfer"
    for nonsense in ("#process=no", "#process=Pay&element=no", "#%", "#"):
        claim.value(f"location.hash = {json.dumps(nonsense)}")
        claim.settle()
        assert claim.text("#details h2") == "Pay"


def test_the_legend_covers_nothing(claim: Page) -> None:
    box = "(id => document.getElementById(id).getBoundingClientRect())"
    assert claim.value(f"{box}('graph').bottom <= {box}('legend').top")
    assert claim.value(f"{box}('legend').bottom <= {box}('drawing').bottom")


def legend(page: Page) -> list[str]:
    """The entries of the legend that are shown."""
    shown = "[...document.querySelectorAll('#legend li')].filter(one => one.offsetParent)"
    return list(page.value(f"{shown}.map(one => one.textContent)"))


def test_only_a_comparison_has_a_legend_of_changes(tmp_path: Path, claim: Page) -> None:
    always = ["calls", "embeds", "triggers", "in the unit", "external"]
    assert legend(claim) == [*always, "folded: double-click to expand"]
    units = ElementUnits.from_json(claim_json())
    claim.open(compared(tmp_path, units, units))
    assert legend(claim)[6:] == ["added", "changed", "removed"]


def test_a_narrow_page_has_its_whole_title(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    units = ElementUnits.from_json(claim_json())
    units.save(tmp_path / "cache", "insurance/liability/registration-of-a-claim/main")
    path = tmp_path / "page.html"
    key = "insurance/liability/registration-of-a-claim/main"
    command("graph", tmp_path / "cache", key, "--format", "html", "-o", path)
    with Page(tmp_path_factory.mktemp("narrow"), (420, 900)) as narrow:
        narrow.open(path)
        width = narrow.value("innerWidth")
        for part in ("h1", "#about"):
            box = f"document.querySelector({json.dumps(part)}).getBoundingClientRect()"
            assert narrow.value(f"{box}.right") <= width
            assert narrow.value(
                f"(one => one.scrollWidth <= one.clientWidth)(document.querySelector('{part}'))"
            )
        assert narrow.complaints == []


@pytest.mark.parametrize("width", [420, 900, 1000, 1280])
def test_a_hint_is_whole_at_any_width(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, width: int
) -> None:
    path = compared(tmp_path, ElementUnits.from_json(claim_json()), second_version())
    with Page(tmp_path_factory.mktemp("narrow"), (width, 900)) as narrow:
        narrow.open(path)
        left, right, lines = narrow.value(
            """(() => {
              const text = document.createRange();
              text.selectNodeContents(document.getElementById("hint"));
              const {left, right} = text.getBoundingClientRect();
              return [left, right, text.getClientRects().length];
            })()"""
        )
        assert 0 <= left < right <= width
        assert lines == 1
        cut = "(one => one.scrollWidth > one.clientWidth)(document.getElementById('hint'))"
        assert not narrow.value(cut)


def test_the_page_says_what_its_numbers_are(claim: Page) -> None:
    titles = claim.value(
        "[...document.querySelectorAll('.tabulator-col-title')].map(one => one.textContent)"
    )
    assert {"processes in unit", "referenced by"} <= set(titles)
    cut = claim.value(
        "[...document.querySelectorAll('.tabulator-col-title')]"
        ".filter(one => one.scrollWidth > one.clientWidth).map(one => one.textContent)"
    )
    assert cut == []
    assert "folded: double-click to expand" in claim.text("#legend")
    assert "REFERENCED BY" in claim.text("#details")


def test_the_table_is_searched_by_process_and_element_and_sorted(claim: Page) -> None:
    rows = "window.elementUnits.table.getRows('active').map(one => one.getData().id)"
    box = "document.getElementById('search').getBoundingClientRect()"
    claim.click(*claim.value(f"[{box}.x + 20, {box}.y + 10]"))
    claim.type("opinion")
    assert sorted(claim.value(rows)) == ["Appeal", "Expert_opinion"]  # by its element
    assert claim.text("#found") == "2 found"
    claim.value("document.getElementById('search').select()")
    claim.type("Pa")
    claim.click_on(".tabulator-row .tabulator-cell", "Pay")
    assert claim.text("#details h2") == "Pay"
    claim.value("document.getElementById('search').select()")
    claim.type(" ")
    claim.click_on(".tabulator-col-title", "process")
    assert claim.value(rows) == sorted(claim.value(rows), key=str.casefold)
    claim.click_on(".tabulator-col-title", "size")
    sizes = claim.value("window.elementUnits.table.getRows('active').map(r => r.getData().bytes)")
    assert sizes == sorted(sizes, reverse=True)


def test_the_graph_is_zoomed_and_panned_with_the_mouse(claim: Page) -> None:
    def zoom() -> float:
        return claim.value("elementUnits.view.zoom")

    def pan() -> dict:
        return claim.value("elementUnits.view")

    claim.click_on("button", "Fit")
    before = zoom()
    claim.click_on("button", "+")
    assert zoom() > before
    before = zoom()
    for _ in range(10):  # the first turns tell the kind of wheel
        claim.call("Input.dispatchMouseEvent", type="mouseWheel", x=300, y=400, deltaX=0, deltaY=90)
        claim.settle()
    assert zoom() < before
    claim.click_on("button", "Fit")
    start = pan()
    for kind, x in (
        ("mousePressed", 60),
        ("mouseMoved", 100),
        ("mouseMoved", 160),
        ("mouseReleased", 160),
    ):
        claim.call("Input.dispatchMouseEvent", type=kind, x=x, y=80, button="left", buttons=1)
    claim.settle()
    assert pan()["x"] - start["x"] == pytest.approx(100, abs=41)


def test_the_unit_asked_for_is_shown_first(tmp_path: Path, page: Page) -> None:
    path = written_page(
        tmp_path, ElementUnits.from_json(claim_json()), "--unit", "Claim", "order_transfer"
    )
    page.open(path)
    assert page.text("#unit h3") == "The unit of Claim that resumes at order_transfer"
    assert held(page) == ["Claim", "Settle", "Pay"]


def test_the_way_is_named_by_the_process_that_was_asked_for(tmp_path: Path, page: Page) -> None:
    path = written_page(
        tmp_path, ElementUnits.from_json(claim_json()), "--unit", "Settle", "order_transfer"
    )
    page.open(path)
    assert page.text("#unit h3") == "The unit of Settle that resumes at order_transfer"
    assert held(page) == ["Settle", "Pay"]
    for top, way in (("Settle", ["Settle", "Pay"]), ("Claim", ["Claim", "Settle", "Pay"])):
        assert page.text("#unit label").strip() == f"on the way from {top}"
        assert held(page) == way
        page.value("document.getElementById('from-root').click()")
        assert held(page) == ["Pay"]
        page.value("document.getElementById('from-root').click()")
    assert page.complaints == []


def test_elements_that_are_not_listed_are_counted(tmp_path: Path, page: Page) -> None:
    tasks = {f"task_{number}": {"typename": "ManualTask"} for number in range(2_102)}
    spec = {"name": "p", "typename": "BpmnProcessSpec", "task_specs": tasks}
    text = json.dumps({"spec": spec, "subprocess_specs": {}})
    page.open(written_page(tmp_path, ElementUnits.from_json(text)))
    headings = page.value("[...document.querySelectorAll('h3')].map(one => one.textContent)")
    assert headings[-1] == "Elements (2,102)"
    assert page.value("document.querySelectorAll('#details .element').length") < 2_050
    assert "… 102 more" in page.text("#details .elements")
    assert page.complaints == []


def test_a_page_shows_hostile_ids_as_they_are(tmp_path: Path, page: Page) -> None:
    task = {"typename": "CallActivity"}
    specs = {
        name: {
            "name": name,
            "typename": "BpmnProcessSpec",
            "task_specs": {
                f"{name} {number}": {**task, "spec": to, "bpmn_id": to}
                for number, to in enumerate([*HOSTILE[place + 1 :], f"gone {name}"])
            },
        }
        for place, name in enumerate(HOSTILE)
    }
    root = {**specs[HOSTILE[0]], "name": "root"}
    units = ElementUnits.from_json(json.dumps({"spec": root, "subprocess_specs": specs}))
    page.open(written_page(tmp_path, units))
    ids = page.value("window.elementUnits.processes.map(one => one.id)")
    assert ids == list(units.process_ids)
    for number in range(len(ids)):
        page.value(f"document.querySelectorAll('.tabulator-row')[{number}].click()")
        page.value("document.querySelector('#details .element').click()")
        page.settle()
    assert page.value("typeof window.hacked") == "undefined"
    assert (
        page.value("document.querySelectorAll('img, #details script, #table script').length") == 0
    )
    assert page.complaints == []


def test_ten_thousand_processes_unfold_at_a_double_click(tmp_path: Path, page: Page) -> None:
    path = written_page(tmp_path, wide(10_000))
    assert path.stat().st_size < 1_300_000
    page.open(path)
    first = len(page.value(nodes()))
    assert 1 < first <= 61
    page.click(*place_of(page, "root"), times=2)
    assert first < len(page.value(nodes())) <= first + 41
    page.click_on("#views label", "Table")
    assert page.value("document.querySelectorAll('.tabulator-row').length") < 100
    box = "document.getElementById('search').getBoundingClientRect()"
    page.click(*page.value(f"[{box}.x + 20, {box}.y + 10]"))
    page.type("P7654")
    page.click_on(".tabulator-row .tabulator-cell", "P7654")
    assert page.text("#details h2") == "P7654"
    assert in_view(page, "P7654")
    assert page.complaints == []


def test_a_double_click_unfolds_a_process_whose_unit_unfolds_at_the_first(
    tmp_path: Path, page: Page
) -> None:
    def spec(name: str, *to: tuple[str, str]) -> dict:
        tasks = {f"to_{one}": {"typename": kind, "spec": one} for kind, one in to}
        return {"name": name, "typename": "BpmnProcessSpec", "task_specs": tasks}

    calls, embed = "CallActivity", "SubWorkflowTask"
    specs = {}
    for number in range(40):
        inner = [(embed, f"E{number}"), (calls, f"C{number}")]
        specs[f"P{number}"] = spec(f"P{number}", *inner)
        specs.update({name: spec(name) for _, name in inner})
    root = spec("root", *((calls, f"P{number}") for number in range(40)))
    units = ElementUnits.from_json(json.dumps({"spec": root, "subprocess_specs": specs}))
    page.open(written_page(tmp_path, units))
    drawn = "[...window.elementUnits.drawn()].map(n => window.elementUnits.processes[n].id)"
    assert not {"E7", "C7"} & set(page.value(drawn))
    page.click_on("button", "Fit")
    where = place_of(page, "P7")
    page.click(*where)
    assert held(page) == ["P7", "E7"]
    assert "E7" in page.value(drawn)
    assert place_of(page, "P7") == pytest.approx(where, abs=1)
    page.click(*place_of(page, "P8"), times=2)
    assert {"E8", "C8"} <= set(page.value(drawn))


# A comparison of two versions


def compared(tmp_path: Path, old: ElementUnits, new: ElementUnits, *options: str) -> Path:
    """The page of the new version, compared with the old one."""
    old.save(tmp_path / "cache", "before")
    return written_page(tmp_path, new, "--against", "before", *options)


def second_version() -> ElementUnits:
    """The claim model with another limit, another letter and another visit."""
    whole = json.loads(claim_json())
    specs = whole["subprocess_specs"]
    specs["check_policy"]["task_specs"]["find_policy"]["script"] = "policy = {}"
    specs["Letter"] = {**specs.pop("Legal_letter"), "name": "Letter"}
    specs["Reject"]["task_specs"]["write_rejection"]["spec"] = "Letter"
    visit = specs["site_visit"]["task_specs"]
    visit["<b>go</b>"] = {**visit.pop("visit_site"), "name": "<b>go</b>"}
    visit["plan_visit"]["outputs"] = visit["attach_photos"]["inputs"] = ["<b>go</b>"]
    return ElementUnits.from_json(json.dumps(whole))


def coloured(page: Page, change: str) -> list[str]:
    return sorted(page.value(nodes(change)))


def changes(page: Page) -> list[list[str]]:
    """The visible list of changes: each change, and its process or element."""
    listed = page.value("[...document.querySelectorAll('#changes li')].map(one => one.innerText)")
    return [[line for line in text.split("\n") if line] for text in listed]


def choose(page: Page, process_id: str) -> None:
    page.value(
        f"""[...document.querySelectorAll('.tabulator-row')].find(
          row => row.querySelector('.tabulator-cell').textContent === {json.dumps(process_id)}
        ).click()"""
    )
    page.settle()


def test_a_comparison_colours_processes_and_lists_elements(tmp_path: Path, page: Page) -> None:
    old = ElementUnits.from_json(claim_json())
    new = second_version()
    page.open(compared(tmp_path, old, new))
    diff = old.diff(new)
    assert coloured(page, "added") == ["Letter"]
    assert coloured(page, "removed") == ["Legal_letter"]
    assert coloured(page, "changed") == sorted(one.process_id for one in diff.changed)
    assert page.text("#about").startswith("14 processes, ")
    assert page.text("#about").endswith(f"; {diff.summary} since before")
    choose(page, "site_visit")
    expected = {process.process_id: process for process in diff.changed}["site_visit"]
    listed = changes(page)
    assert len(listed) == len(expected.elements) == 4
    for seen, element in zip(listed, expected.elements):
        assert seen[0] == f"{element.change}{element.element_id}"
    assert ["flow (inputs)"] in [one[1:] for one in listed]
    choose(page, "check_policy")
    (script,) = changes(page)
    assert script[0] == "changedfind_policy"
    assert script[1].startswith("script 'policy = {")
    choose(page, "Register")
    assert changes(page) == [["changedwithin it: check_policy"]]
    page.click_on("#changes .link", "check_policy")
    assert page.text("#details h2") == "check_policy"
    choose(page, "Pay")
    assert changes(page) == []
    assert page.complaints == []


def test_a_removed_process_is_drawn_below_its_caller_and_is_in_no_unit(
    tmp_path: Path, page: Page
) -> None:
    page.open(compared(tmp_path, ElementUnits.from_json(claim_json()), second_version()))
    edges = page.value(
        """[...document.querySelectorAll('#edges .gone')].map(({dataset: {from, to}}) =>
             [from, to].map(number => elementUnits.processes[number].id))"""
    )
    assert edges == [["Reject", "Legal_letter"]]
    choose(page, "Legal_letter")
    assert page.text("#details h2") == "Legal_letter"
    assert "only in before" in page.text("#details p")
    assert changes(page) == [["removedthe process"]]
    choose(page, "Reject")
    assert held(page) == ["Reject", "wait_for_appeal"]
    assert page.complaints == []


def test_versions_that_are_the_same_have_no_colours(tmp_path: Path, page: Page) -> None:
    units = ElementUnits.from_json(claim_json())
    page.open(compared(tmp_path, units, units))
    assert [coloured(page, one) for one in ("added", "changed", "removed")] == [[], [], []]
    assert page.text("#about").endswith(
        "0 processes changed, 0 added, 0 removed, 14 the same since before"
    )
    assert changes(page) == []


def test_a_comparison_shows_what_changed_in_a_large_workflow(tmp_path: Path, page: Page) -> None:
    old = wide(1_000)
    whole = json.loads(old.workflow("root", defer="nothing"))
    whole["subprocess_specs"]["P777"]["task_specs"]["new"] = {"typename": "UserTask"}
    page.open(compared(tmp_path, old, ElementUnits.from_json(json.dumps(whole))))
    assert coloured(page, "changed") == ["P777"]
    assert page.complaints == []


def test_only_the_page_compares_and_the_names_of_versions_stay_text(
    tmp_path: Path, page: Page
) -> None:
    name = "<img src=x onerror='window.hacked = 1'>"
    units = ElementUnits.from_json(claim_json())
    units.save(tmp_path / "cache", name)
    page.open(written_page(tmp_path, second_version(), "--against", name))
    assert page.text("#about").endswith(name)
    assert page.value("typeof window.hacked") == "undefined"
    for options in (["--format", "dot"], [], ["--format", "html", "--json"]):
        said = failing("graph", tmp_path / "cache", "key", "--against", name, *options, code=2)
        assert "--against is for --format html" in said
    said = failing(
        "graph", tmp_path / "cache", "key", "--against", "gone", "--format", "html", code=1
    )
    assert "cache key 'gone' is not cached" in said


def test_a_file_is_compared_with_a_file(tmp_path: Path, page: Page) -> None:
    paths = tmp_path / "old.json", tmp_path / "new.json"
    paths[0].write_text(claim_json(), encoding="utf-8")
    text = second_version().workflow("Claim", defer="nothing")
    paths[1].write_text(text, encoding="utf-8")
    out = tmp_path / "page.html"
    options = ["--against", paths[0], "--format", "html", "-o", out]
    done = command("graph", paths[1], *options)
    assert (done.code, done.err) == (0, "")
    page.open(out)
    assert coloured(page, "added") == ["Letter"]


def ask(page: Page, process_id: str, element_id: str) -> object:
    return page.value(
        f"""(() => {{
          const {{processes, unitOf}} = window.elementUnits;
          const number = processes.find(one => one.id === {json.dumps(process_id)}).number;
          const unit = unitOf(number, {json.dumps(element_id)});
          return unit && unit.map(one => processes[one].id).sort();
        }})()"""
    )


@pytest.mark.parametrize(
    "name", ["multi_instance_nested", "nested_calls", "mutual_recursion", "collaboration"]
)
def test_the_pages_units_are_the_librarys(tmp_path: Path, page: Page, name: str) -> None:
    units = ElementUnits.from_json(models.spec_json(models.MODELS[name]))
    chance = random.Random(name)
    page.open(written_page(tmp_path, units))
    for process_id in units.process_ids:
        reached = units.needs(process_id, defer="nothing")
        known = sorted({id for one in reached for id in (one, *units.element_ids(one))})
        for element_id in chance.sample(known, min(len(known), 12)):
            expected = sorted(units.needs(process_id, element_id))
            assert ask(page, process_id, element_id) == expected, (process_id, element_id)
    assert ask(page, units.root, "no such element") is None
