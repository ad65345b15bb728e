"""The tree on the page of `graph --format html`, which is opened level by level."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from chromium import Page, needs_chromium
from command import wide
from paged import held, in_view

from spiff_element_units import ElementUnits
from spiff_element_units.cli._facts import Facts
from spiff_element_units.cli._page import page as page_of

pytestmark = needs_chromium


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with Page(tmp_path_factory.mktemp("profile")) as made:
        yield made


def opened(page: Page, folder: Path, units: ElementUnits) -> None:
    path = folder / "page.html"
    path.write_text(page_of(Facts(units), "tree", None), encoding="utf-8")
    page.open(path)


def calling(calls: dict[str, list[str]]) -> ElementUnits:
    """Processes that call others; the first is the root."""
    specs = {
        name: {
            "name": name,
            "typename": "BpmnProcessSpec",
            "task_specs": {f"to_{to}": {"typename": "CallActivity", "spec": to} for to in others},
        }
        for name, others in calls.items()
    }
    root = next(iter(specs.values()))
    return ElementUnits.from_json(json.dumps({"spec": root, "subprocess_specs": specs}))


def deep() -> ElementUnits:
    """Levels below one another, ten processes in each; the first of a level calls the next."""
    calls = {"root": [f"L0_{one}" for one in range(10)]}
    for level in range(100):
        for one in range(10):
            calls[f"L{level}_{one}"] = []
        calls[f"L{level}_0"] = [f"L{level + 1}_{one}" for one in range(10)] if level < 99 else []
    return calling(calls)


def entries(page: Page) -> list[str]:
    """The visible tree: each line is an entry, indented by its level."""
    seen: list[str] = page.value(
        """[...document.querySelectorAll('#tree [role=treeitem]')].map(one =>
             ' '.repeat((one.getAttribute('aria-level') || 1) - 1)
             + (one.querySelector('.id') || one).innerText)"""
    )
    return seen


def twist(page: Page, process_id: str) -> None:
    """Click on the arrow that opens and folds an entry."""
    found = "one => one.querySelector('.id').innerText === " + json.dumps(process_id)
    at = page.value(
        f"""(() => {{
          const entry = [...document.querySelectorAll('#tree [data-number]')].find({found});
          const twist = entry.querySelector('.twist');
          twist.scrollIntoView({{block: "nearest"}});
          const {{x, y, width, height}} = twist.getBoundingClientRect();
          return [x + width / 2, y + height / 2];
        }})()"""
    )
    page.click(*at)


def shown(page: Page) -> list[bool]:
    visible = "['table', 'tree'].map(id => document.getElementById(id).offsetHeight > 0)"
    return list(page.value(visible))


def test_a_large_workflow_opens_with_the_tree_and_a_small_one_with_the_table(
    tmp_path: Path, page: Page
) -> None:
    opened(page, tmp_path, wide(299))
    assert shown(page) == [True, False]
    page.click_on("#views label", "Tree")
    assert shown(page) == [False, True]
    opened(page, tmp_path, wide(301))
    assert shown(page) == [False, True]
    page.click_on("#views label", "Table")
    assert shown(page) == [True, False]
    assert page.complaints == []


def test_ten_thousand_processes_are_listed_step_by_step(tmp_path: Path, page: Page) -> None:
    opened(page, tmp_path, wide(10_000))
    seen = entries(page)
    assert seen[:3] == ["root", " P0", " P1"]
    assert seen[101:] == ["9,900 more"]
    page.click_on("#tree .further", "9,900 more")
    assert entries(page)[101:103] == [" P100", " P101"]
    assert entries(page)[201:] == ["9,800 more"]
    assert page.value("document.activeElement.querySelector('.id').innerText") == "P100"
    twist(page, "P100")
    assert entries(page)[101:104] == [" P100", "  P9999", " P101"]
    twist(page, "P100")
    assert entries(page)[101:103] == [" P100", " P101"]
    assert held(page) == ["root"]
    twist(page, "P100")
    page.click_on("#tree .id", "P9999")
    assert held(page) == ["P9999"]
    assert in_view(page, "P9999")
    assert page.complaints == []


def test_what_is_found_is_shown_below_the_shortest_path_to_it(tmp_path: Path, page: Page) -> None:
    opened(page, tmp_path, deep())
    assert entries(page) == ["root", *(f" L0_{one}" for one in range(10))]
    page.value("document.getElementById('search').focus()")
    page.type("L3_7")
    # The process that calls it has an element of its name.
    assert page.text("#found") == "2 found"
    assert entries(page) == ["root", " L0_0", "  L1_0", "   L2_0", "    L3_7"]
    bold = "[...document.querySelectorAll('#tree .found > .row .id')].map(one => one.innerText)"
    assert page.value(bold) == ["L2_0", "L3_7"]
    page.press("Enter")
    assert held(page) == ["L3_7"]
    assert in_view(page, "L3_7")
    selected = "[...document.querySelectorAll('#tree [aria-selected=true] .id')]"
    assert page.value(f"{selected}.map(one => one.innerText)") == ["L3_7"]
    page.value("document.getElementById('search').select()")
    page.type(" ")
    assert entries(page) == ["root", *(f" L0_{one}" for one in range(10))]
    assert page.complaints == []


def test_more_than_a_hundred_that_are_found_are_counted(tmp_path: Path, page: Page) -> None:
    opened(page, tmp_path, wide(1_000))
    page.value("document.getElementById('search').focus()")
    page.type("p")
    assert page.text("#found") == "1,001 found"
    assert len(entries(page)) == 100
    assert page.text("#tree .rest") == "901 more found"


def test_the_keyboard_goes_through_the_tree(tmp_path: Path, page: Page) -> None:
    opened(page, tmp_path, deep())

    def focused() -> str:
        name: str = page.value("document.activeElement.querySelector('.id').innerText")
        return name

    page.value("document.querySelector('#tree [tabindex=\"0\"]').focus()")
    assert focused() == "root"
    for key, at in (
        ("ArrowDown", "L0_0"),
        ("ArrowRight", "L0_0"),  # opens it
        ("ArrowRight", "L1_0"),
        ("ArrowDown", "L1_1"),
        ("ArrowUp", "L1_0"),
        ("ArrowLeft", "L0_0"),
        ("End", "L0_9"),
        ("Home", "root"),
        ("ArrowDown", "L0_0"),
    ):
        page.press(key)
        assert focused() == at, key
    assert "  L1_9" in entries(page)
    page.press("ArrowLeft")
    assert "  L1_9" not in entries(page)
    page.press("Enter")
    assert held(page) == ["L0_0"]
    assert focused() == "L0_0"
    stops = "document.querySelectorAll('#tree [tabindex=\"0\"]').length"
    assert page.value(stops) == 1
    assert page.complaints == []


def test_a_process_below_itself_is_not_opened_again(tmp_path: Path, page: Page) -> None:
    opened(page, tmp_path, calling({"a": ["b"], "b": ["c", "a", "b"], "c": []}))
    page.click_on("#views label", "Tree")
    twist(page, "b")
    assert entries(page) == ["a", " b", "  c", "  a", "  b"]
    folded = "document.querySelectorAll('#tree [aria-expanded=false]').length"
    assert page.value(folded) == 0
    about = "[...document.querySelectorAll('#tree .about')].map(one => one.innerText)"
    assert [one.endswith(", again") for one in page.value(about)] == [
        False,
        False,
        False,
        True,
        True,
    ]


def test_every_process_can_be_reached_from_the_top(tmp_path: Path, page: Page) -> None:
    """The tree also has processes that the root does not lead to, and circles of processes."""
    opened(page, tmp_path, calling({"root": [], "alone": ["x"], "x": [], "y": ["z"], "z": ["y"]}))
    page.click_on("#views label", "Tree")
    assert entries(page) == ["root", "alone", "y"]
    twist(page, "y")
    twist(page, "alone")
    assert entries(page) == ["root", "alone", " x", "y", " z"]
    page.value("document.getElementById('search').focus()")
    page.type("z")
    assert entries(page) == ["y", " z", "  y"]
    assert page.complaints == []
