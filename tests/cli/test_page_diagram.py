"""The diagrams on the page of `graph --format html`, and instances on them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree
from xml.sax.saxutils import escape

import pytest
from chromium import Page, needs_chromium
from command import EXAMPLES, TOP, command, failing
from paged import axe_script, data_of, held
from SpiffWorkflow.util.task import TaskState
from written import MODEL, call, catch, process, script, timer, write

from spiff_element_units.cli._app import Failure
from spiff_element_units.cli._facts import Facts
from spiff_element_units.cli._models import diagrams
from spiff_element_units.cli._page import page as page_of
from spiff_element_units.cli._place import opened_file

pytestmark = needs_chromium

BPMN = f"{{{MODEL}}}"
NOT_DRAWN = {"sequenceFlow", "laneSet", "dataObject", "dataObjectReference", "textAnnotation"}
# A collapsed subprocess with a diagram of its own, as modelling tools write it.
LAID_OUT = """
<definitions xmlns="http://www.omg.org/spec/BPMN/20100524/MODEL" targetNamespace="t" id="d"
  xmlns:bpmndi="http://www.omg.org/spec/BPMN/20100524/DI"
  xmlns:dc="http://www.omg.org/spec/DD/20100524/DC"
  xmlns:di="http://www.omg.org/spec/DD/20100524/DI">
<process id="p" isExecutable="true"><startEvent id="s"/><subProcess id="inner">
<startEvent id="is"/><manualTask id="im" name="&lt;b&gt;in&lt;/b&gt;"/><endEvent id="ie"/>
<sequenceFlow id="if1" sourceRef="is" targetRef="im"/>
<sequenceFlow id="if2" sourceRef="im" targetRef="ie"/></subProcess><endEvent id="e"/>
<sequenceFlow id="f1" sourceRef="s" targetRef="inner"/>
<sequenceFlow id="f2" sourceRef="inner" targetRef="e"/></process>
<bpmndi:BPMNDiagram id="D"><bpmndi:BPMNPlane id="P" bpmnElement="p">
<bpmndi:BPMNShape id="s_di" bpmnElement="s">
<dc:Bounds x="10" y="60" width="36" height="36"/></bpmndi:BPMNShape>
<bpmndi:BPMNShape id="inner_di" bpmnElement="inner" isExpanded="false">
<dc:Bounds x="100" y="40" width="100" height="80"/></bpmndi:BPMNShape>
<bpmndi:BPMNShape id="e_di" bpmnElement="e">
<dc:Bounds x="260" y="60" width="36" height="36"/></bpmndi:BPMNShape>
<bpmndi:BPMNEdge id="f1_di" bpmnElement="f1"><di:waypoint x="46" y="78"/>
<di:waypoint x="100" y="78"/></bpmndi:BPMNEdge></bpmndi:BPMNPlane></bpmndi:BPMNDiagram>
<bpmndi:BPMNDiagram id="D2"><bpmndi:BPMNPlane id="inner_plane" bpmnElement="inner">
<bpmndi:BPMNShape id="im_di" bpmnElement="im">
<dc:Bounds x="100" y="40" width="100" height="80"/></bpmndi:BPMNShape>
</bpmndi:BPMNPlane></bpmndi:BPMNDiagram></definitions>
"""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with Page(tmp_path_factory.mktemp("profile")) as made:
        yield made


def graph(place: Path, folder: Path, *options: object) -> Path:
    """The page of a model."""
    path = folder / "page.html"
    done = command("graph", place, "--format", "html", "-o", path, *options)
    assert done.code == 0, done.err
    return path


def opened(page: Page, path: Path) -> None:
    page.open(path)
    page.value("document.querySelector('#drawings input[value=diagram]').click()")
    page.settle()


def drawn(page: Page, mark: str = "djs-shape") -> list[str]:
    """The elements in the diagram that have a mark."""
    shapes = f"[...document.querySelectorAll('#diagram .layer-root-list, #diagram .{mark}')]"
    ids: list[str] = page.value(
        f"""{shapes}.filter(one => one.matches('.djs-shape') && one.getClientRects().length
              && !one.dataset.elementId.endsWith('_label')).map(one => one.dataset.elementId)"""
    )
    return sorted(ids)


def middle(page: Page, element: str) -> tuple[float, float]:
    shape = f"document.querySelector('#diagram .djs-shape[data-element-id={element}] .djs-visual')"
    box = f"{shape}.getBoundingClientRect()"
    x, y = page.value(f"(box => [box.x + box.width / 2, box.y + box.height / 2])({box})")
    return x, y


def crumbs(page: Page) -> list[str]:
    shown = "[...document.querySelectorAll('#crumbs li')].map(one => one.innerText)"
    return list(page.value(shown))


def pick(page: Page, process_id: str) -> None:
    """Choose a process, as a link does."""
    page.value(f"location.hash = new URLSearchParams({{process: {json.dumps(process_id)}}})")
    page.settle()


def elements_of(container: Any) -> Iterator[str]:
    for one in container:
        kind = one.tag.replace(BPMN, "")
        if one.tag.startswith(BPMN) and "id" in one.attrib and kind not in NOT_DRAWN:
            if re.search("Event$|[Tt]ask$|Gateway$|Activity$|ubProcess$|transaction", kind):
                yield one.attrib["id"]
            yield from elements_of(one)


@pytest.fixture
def claim(page: Page, tmp_path: Path) -> Iterator[Page]:
    opened(page, graph(EXAMPLES / "claim.bpmn", tmp_path))
    yield page
    assert page.complaints == []


def test_the_diagram_of_the_chosen_process_is_shown_and_says_who_laid_it_out(claim: Page) -> None:
    root = ElementTree.parse(EXAMPLES / "claim.bpmn").getroot()
    top = {one.attrib["id"]: one for one in root.iter(f"{BPMN}process")}
    assert drawn(claim) == sorted(elements_of(top["Claim"]))
    assert claim.text("#layout") == "This model has no layout. The page has laid it out."
    pick(claim, "Investigate")
    assert drawn(claim) == sorted(elements_of(top["Investigate"]))
    # An embedded subprocess is in the diagram of its process.
    pick(claim, "interview")
    assert drawn(claim) == sorted(elements_of(top["Investigate"]))


def test_the_watermark_is_seen_in_light_and_dark(claim: Page) -> None:
    mark = "document.querySelector('.bjs-powered-by')"
    for scheme in ("light", "dark", "light"):
        claim.prefer(scheme)
        uncovered = "([x, y]) => mark.contains(document.elementFromPoint(x, y))"
        assert claim.value(
            f"""(mark => {{
              const {{left, top, right, bottom}} = mark.getBoundingClientRect();
              return [[left + 3, top + 3], [right - 3, top + 3], [right - 3, bottom - 3],
                      [(left + right) / 2, (top + bottom) / 2]].every({uncovered});
            }})({mark})"""
        )
        assert claim.value(f"getComputedStyle({mark}).backgroundColor") == "rgb(255, 255, 255)"


def test_axe_finds_nothing_in_a_diagram(claim: Page) -> None:
    claim.value(f"{axe_script()};0")
    found = "axe.run().then(({violations}) => violations.map(one => [one.impact, one.id]))"
    assert claim.value(found) == []


def test_what_the_unit_holds_is_marked(claim: Page) -> None:
    held_here = drawn(claim, "held")
    assert "receive_claim" in held_here
    assert "settle_large_claim" not in held_here  # the unit does not contain the called process
    pick(claim, "Pay")
    claim.click_on("#details .element .id", "order_transfer")
    claim.value("document.getElementById('from-root').click()")
    assert held(claim) == ["Claim", "Settle", "Pay"]
    assert drawn(claim, "chosen") == ["order_transfer"]
    pick(claim, "Claim")
    assert drawn(claim, "chosen") == []


def test_a_click_on_an_element_chooses_it_in_the_details_and_the_other_way_round(
    claim: Page,
) -> None:
    claim.click(*middle(claim, "receive_claim"))
    assert claim.text("#unit h3") == "The unit that resumes at receive_claim"
    assert drawn(claim, "chosen") == ["receive_claim"]
    claim.click_on("#details .element .id", "how_large")
    assert drawn(claim, "chosen") == ["how_large"]


def test_a_call_leads_to_the_called_diagram_and_the_breadcrumbs_back(claim: Page) -> None:
    button = "document.querySelector('.djs-overlays[data-container-id=settle_large_claim] .call')"
    assert claim.value(f"{button}.getAttribute('aria-label')") == "Open Settle"
    claim.value(f"{button}.click()")
    claim.settle()
    assert claim.text("#details h2") == "Settle"
    assert crumbs(claim) == ["Claim", "Settle"]
    claim.click(*middle(claim, "pay_claim"), times=2)
    assert claim.text("#details h2") == "Pay"
    assert crumbs(claim) == ["Claim", "Settle", "Pay"]
    claim.click_on("#crumbs .link", "Claim")
    assert claim.text("#details h2") == "Claim"
    assert crumbs(claim) == ["Claim"]
    claim.value(f"{button}.click()")
    claim.settle()
    pick(claim, "Reject")  # which Claim calls too
    pick(claim, "Appeal")
    assert crumbs(claim) == ["Appeal"]


def test_a_layout_of_the_model_is_kept_and_a_collapsed_subprocess_opens(
    page: Page, tmp_path: Path
) -> None:
    model = tmp_path / "p.bpmn"
    model.write_text(LAID_OUT.strip(), encoding="utf-8")
    opened(page, graph(model, tmp_path))
    assert page.text("#layout") == ""
    assert drawn(page) == ["e", "inner", "s"]
    page.value("document.querySelector('.bjs-drilldown').click()")
    page.settle()
    assert page.text("#details h2") == "inner"
    assert drawn(page) == ["im"]
    assert "<b>in</b>" in page.text("#diagram")
    pick(page, "p")
    assert drawn(page) == ["e", "inner", "s"]
    assert page.complaints == []


def test_a_model_without_a_layout_says_which_lane_each_element_is_in(
    page: Page, tmp_path: Path
) -> None:
    model = tmp_path / "lanes.bpmn"
    text = (TOP / "tests" / "bpmn" / "lanes.bpmn").read_text(encoding="utf-8")
    end = "<flowNodeRef>leave_end</flowNodeRef>"
    inner = f"<childLaneSet><lane id='deputy'>{end}</lane></childLaneSet>"
    text = text.replace(end, inner)
    model.write_text(text, encoding="utf-8")
    opened(page, graph(model, tmp_path))
    lanes = page.value(
        """Object.fromEntries([...document.querySelectorAll('.djs-overlay .lane')].map(one =>
             [one.closest('.djs-overlays').dataset.containerId, one.innerText]))"""
    )
    assert lanes == {
        "leave_start": "Staff",
        "leave_ask": "Staff",
        "leave_review": "Boss",
        "leave_end": "Boss › deputy",
    }
    assert page.complaints == []
    opened(page, graph(TOP / "tests" / "bpmn" / "non_ascii.bpmn", tmp_path))
    assert page.value("document.querySelectorAll('.djs-overlay .lane').length") == 0


# Finds elements that overlap, and lines that cross elements that they do not join.
WRONG = """(() => {
  const all = elementUnits.viewer.get('elementRegistry').getAll().filter(one => !one.labelTarget);
  const shapes = all.filter(one => !one.waypoints && one.parent), wrong = [];
  const within = (one, other) => one === other || one.parent && within(one.parent, other);
  const apart = (one, other) => within(one, other) || within(other, one)
    || one.host === other || other.host === one;
  for (const one of shapes)
    for (const other of shapes)
      if (!apart(one, other) && one.x < other.x + other.width && other.x < one.x + one.width
          && one.y < other.y + other.height && other.y < one.y + one.height)
        wrong.push(`${one.id} lies on ${other.id}`);
  for (const flow of all.filter(one => one.waypoints)) {
    const ends = [flow.source, flow.target];
    for (let at = 1; at < flow.waypoints.length; at++) {
      const [from, to] = [flow.waypoints[at - 1], flow.waypoints[at]];
      for (let part = 0; part <= 1; part += 0.02) {
        const x = from.x + part * (to.x - from.x), y = from.y + part * (to.y - from.y);
        for (const one of shapes)
          if (!ends.some(end => within(end, one) || one.host === end || end.host === one)
              && x > one.x + 1 && x < one.x + one.width - 1
              && y > one.y + 1 && y < one.y + one.height - 1)
            wrong.push(`${flow.id} crosses ${one.id}`);
      }
    }
  }
  return [...new Set(wrong)];
})()"""


def test_every_process_of_every_model_is_laid_out_whole_and_without_crossing(
    page: Page, tmp_path: Path
) -> None:
    checked = 0
    for model in sorted((TOP / "tests" / "bpmn").glob("*.bpmn")):
        tree = ElementTree.parse(model).getroot()
        root = next(one for one in tree.iter(f"{BPMN}process")).attrib["id"]
        try:
            units = opened_file(str(model), "spiff", root)
        except Failure:
            continue  # it needs another parser
        path = tmp_path / "page.html"
        text = page_of(Facts(units), "model", None, diagrams=diagrams(str(model), "spiff"))
        path.write_text(text, encoding="utf-8")
        opened(page, path)
        there = page.value("elementUnits.processes.map(one => one.id)")
        for one in tree.iter(f"{BPMN}process"):
            if one.attrib["id"] not in there:
                continue
            pick(page, one.attrib["id"])
            assert page.text("#lost") == "", model
            assert drawn(page) == sorted(elements_of(one)), model
            assert [model, *page.value(WRONG)] == [model]
            checked += 1
        assert page.complaints == []
    assert checked > 40


def test_a_cached_workflow_without_its_source_has_no_diagrams_and_says_how_to_get_them(
    page: Page, tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    assert command("cache", cache, EXAMPLES / "claim.bpmn").code == 0
    with_diagrams = graph(EXAMPLES / "claim.bpmn", tmp_path).stat().st_size
    path = graph(cache, tmp_path, "Claim")
    assert path.stat().st_size < with_diagrams < 2_000_000
    page.open(path)
    assert page.value("document.getElementById('drawings').offsetParent") is None
    assert page.text("#hint") == "For diagrams, cache its BPMN files with --keep-source."
    assert page.complaints == []


def test_an_instance_of_a_cached_workflow_is_watched_on_the_diagram_that_is_kept(
    page: Page, tmp_path: Path
) -> None:
    cache, state = tmp_path / "cache", tmp_path / "state.json"
    assert command("cache", cache, approval(tmp_path), "--keep-source").code == 0
    command("run", cache, "root", "--state", state)
    page.open(graph(cache, tmp_path, "root", "--state", state))
    page.settle()
    assert page.text("#about").endswith("; 1 instance")
    assert drawn(page, "done") == ["root_0", "root_1", "root_start"]
    assert drawn(page, "waits") == ["root_2"]
    pick(page, "sub")
    assert drawn(page) == ["sub_0", "sub_end", "sub_start"]
    assert page.complaints == []


def test_a_process_whose_bpmn_is_not_there_says_so(page: Page, tmp_path: Path) -> None:
    model = write(tmp_path / "m.bpmn", process("root", call("gone"), call("other")))
    write(tmp_path / "other.bpmn", process("other"))
    opened(page, graph(model, tmp_path))
    assert drawn(page) == ["root_0", "root_1", "root_end", "root_start"]
    buttons = "[...document.querySelectorAll('.djs-overlay .call')].map(one => one.title)"
    assert page.value(buttons) == ["Open other"]
    assert page.complaints == []


# Ids that bpmn-js does not read

LETTERS = {
    "name": "Größe prüfen",  # a name that is an id too
    "event": "Ende des Jahres é",
    "host": "测量尺寸",
    "boundary": "9-to-5",
    "gateway": "id$&",  # String.replace would take this for a pattern
    "default": "идти",
    "flow": "flow 2",
    "lane": "Straße",
    "inner": "упаковать 📦",
}


def strange(folder: Path, layout: bool) -> Path:
    """A model whose ids bpmn-js does not read, and which refers to all of them."""
    shapes = ("s", "{host}", "{boundary}", "{gateway}", "{inner}", "is", "ie", "{event}")
    parts = [
        f'<bpmndi:BPMNShape id="{one}_di" bpmnElement="{one}" isExpanded="true">'
        f'<dc:Bounds x="{at * 90}" y="9" width="50" height="50"/></bpmndi:BPMNShape>'
        for at, one in enumerate(shapes)
    ] + [
        f'<bpmndi:BPMNEdge id="{one}_di" bpmnElement="{one}"><di:waypoint x="0" y="0"/>'
        '<di:waypoint x="9" y="9"/></bpmndi:BPMNEdge>'
        for one in ("f1", "{flow}", "{default}", "f4", "f5", "f6", "f7")
    ]
    diagram = (
        '<bpmndi:BPMNDiagram id="D"><bpmndi:BPMNPlane id="P" bpmnElement="{name}">'
        f"{''.join(parts)}</bpmndi:BPMNPlane></bpmndi:BPMNDiagram>"
    )
    text = STRANGE.replace("{diagram}", diagram * layout)
    for word, id in LETTERS.items():
        text = text.replace(f"{{{word}}}", escape(id))
    path = folder / "strange.bpmn"
    path.write_text(text.strip(), encoding="utf-8")
    return path


STRANGE = """
<definitions xmlns="http://www.omg.org/spec/BPMN/20100524/MODEL" targetNamespace="t" id="d ö"
  xmlns:bpmndi="http://www.omg.org/spec/BPMN/20100524/DI"
  xmlns:dc="http://www.omg.org/spec/DD/20100524/DC"
  xmlns:di="http://www.omg.org/spec/DD/20100524/DI">
<process id="{name}" name="{name}" isExecutable="true">
<laneSet id="lanes"><lane id="{lane}" name="{lane}"><flowNodeRef>{host}</flowNodeRef></lane>
</laneSet>
<startEvent id="s"><outgoing>f1</outgoing></startEvent>
<manualTask id="{host}" name="{host}"><incoming>f1</incoming>
<outgoing>{flow}</outgoing></manualTask>
<boundaryEvent id="{boundary}" attachedToRef="{host}">
<timerEventDefinition id="t"><timeDuration>"P1D"
</timeDuration></timerEventDefinition></boundaryEvent>
<exclusiveGateway id="{gateway}" default="{default}"/>
<subProcess id="{inner}" name="{inner}"><startEvent id="is"/><endEvent id="ie"/>
<sequenceFlow id="f7" sourceRef="is" targetRef="ie"/></subProcess>
<endEvent id="{event}"/>
<sequenceFlow id="f1" sourceRef="s" targetRef="{host}"/>
<sequenceFlow id="{flow}" sourceRef="{host}" targetRef="{gateway}"/>
<sequenceFlow id="{default}" sourceRef="{gateway}" targetRef="{event}"/>
<sequenceFlow id="f4" sourceRef="{gateway}" targetRef="{inner}">
<conditionExpression>x == 1</conditionExpression></sequenceFlow>
<sequenceFlow id="f5" sourceRef="{boundary}" targetRef="{event}"/>
<sequenceFlow id="f6" sourceRef="{inner}" targetRef="{event}"/>
</process>{diagram}</definitions>
"""


@pytest.mark.parametrize("layout", [True, False], ids=["with a layout", "without a layout"])
def test_a_model_is_drawn_whatever_its_ids_are(page: Page, tmp_path: Path, layout: bool) -> None:
    one = LETTERS
    opened(page, graph(strange(tmp_path, layout), tmp_path))
    assert (page.text("#layout") == "") == layout
    shapes = ("event", "host", "boundary", "gateway", "inner")
    assert drawn(page) == sorted(["s", "is", "ie", *(one[word] for word in shapes)])
    joined: list[list[str]] = page.value(
        """elementUnits.viewer.get('elementRegistry').filter(one => one.waypoints)
             .map(one => [one.source.id, one.target.id])"""
    )
    assert sorted(joined) == sorted(
        [
            ["s", one["host"]],
            ["is", "ie"],
            [one["host"], one["gateway"]],
            [one["gateway"], one["event"]],
            [one["gateway"], one["inner"]],
            [one["boundary"], one["event"]],
            [one["inner"], one["event"]],
        ]
    )
    at = "elementUnits.viewer.get('elementRegistry').get"
    assert page.value(f"{at}({json.dumps(one['boundary'])}).host.id") == one["host"]
    gateway = f"{at}({json.dumps(one['gateway'])}).businessObject"
    assert page.value(f"{gateway}.default.id") == one["default"]
    assert page.value(f"{gateway}.$parent.name") == one["name"]
    lane = f"{gateway}.$parent.laneSets[0].lanes[0]"
    assert page.value(f"[{lane}.id, {lane}.name, {lane}.flowNodeRef[0].id]") == [
        one["lane"],
        one["lane"],
        one["host"],
    ]
    page.click_on("#details .element .id", one["host"])
    assert drawn(page, "chosen") == [one["host"]]
    assert page.complaints == []


def test_a_call_leads_to_a_process_whatever_its_id_is(page: Page, tmp_path: Path) -> None:
    opened(page, graph(TOP / "tests" / "bpmn" / "non_ascii.bpmn", tmp_path))
    page.value("document.querySelector('.djs-overlay .call').click()")
    page.settle()
    assert page.text("#details h2") == "检查流程"
    assert drawn(page) == sorted(["开始", "检查", "结束"])
    assert page.text("#layout") == "This model has no layout. The page has laid it out."
    assert page.complaints == []


def test_an_instance_is_watched_whatever_the_ids_of_its_model_are(
    page: Page, tmp_path: Path
) -> None:
    model = write(tmp_path / "m.bpmn", process("größe", script("x = 1"), "<manualTask />"))
    page.open(graph(model, tmp_path, "--state", instance(model, tmp_path / "state.json")))
    assert drawn(page, "waits") == ["größe_1"]
    assert badges(page) == {"größe_start": "1", "größe_0": "1", "größe_1": "waits"}
    assert page.complaints == []


# Instances


def approval(folder: Path) -> Path:
    """A script and a call, and then the process waits for a person or a message."""
    message = "<messageEventDefinition messageRef='paid'/>"
    root = process("root", script("x = 1"), call("sub"), "<manualTask />", catch(message))
    return write(
        folder / "m.bpmn",
        '<message id="paid" name="paid"/>',
        root,
        process("sub", script("y = 2")),
    )


def instance(model: Path, state: Path, *answers: str) -> Path:
    """The state of an instance that has done human tasks."""
    options = ["--answers", state.with_suffix(".answers")] if answers else []
    if answers:
        state.with_suffix(".answers").write_text(json.dumps({one: {} for one in answers}))
    done = command("run", model, "--state", state, *options)
    assert state.exists(), done
    return state


def badges(page: Page) -> dict[str, str]:
    found: dict[str, str] = page.value(
        """Object.fromEntries([...document.querySelectorAll('.djs-overlay .count')].map(one =>
             [one.closest('.djs-overlays').dataset.containerId, one.innerText]))"""
    )
    return found


def waits(page: Page) -> list[str]:
    lines = "[...document.querySelectorAll('#waits li')].map(one => one.innerText)"
    return [" ".join(line.split()) for line in page.value(lines)]


def test_an_instance_is_watched_on_its_diagram(page: Page, tmp_path: Path) -> None:
    model = approval(tmp_path)
    state = instance(model, tmp_path / "state.json")
    page.open(graph(model, tmp_path, "--state", state))
    page.settle()
    assert page.text("#about").endswith("; 1 instance")
    assert drawn(page, "done") == ["root_0", "root_1", "root_start"]
    assert drawn(page, "waits") == ["root_2"]
    assert drawn(page, "predicted") == ["root_3", "root_end"]
    assert badges(page) == {"root_start": "1", "root_0": "1", "root_1": "1", "root_2": "waits"}
    assert waits(page) == ["root_2 a person"]
    assert page.text("#runs") == "1 running, 0 settled"
    pick(page, "sub")
    assert page.text("#runs") == "0 running, 1 settled"
    assert drawn(page, "done") == ["sub_0", "sub_end", "sub_start"]
    assert waits(page) == ["root_2 in root, a person"]
    page.click_on("#waits .link", "root_2")
    assert drawn(page, "chosen") == ["root_2"]
    instance(model, state, "root_2")
    page.open(graph(model, tmp_path, "--state", state))
    assert drawn(page, "waits") == ["root_3"]
    assert waits(page) == ["root_3 message 'paid'"]
    assert page.complaints == []


def test_elements_that_ran_more_than_once_say_how_often(page: Page, tmp_path: Path) -> None:
    root = process("root", call("sub"), call("sub"), "<manualTask />")
    model = write(tmp_path / "m.bpmn", root, process("sub", script("y = 2")))
    state = instance(model, tmp_path / "state.json")
    page.open(graph(model, tmp_path, "--state", state))
    pick(page, "sub")
    assert badges(page) == {"sub_start": "2", "sub_0": "2", "sub_end": "2"}
    assert page.text("#runs") == "0 running, 2 settled"


def test_a_call_waits_while_the_process_that_it_calls_runs(page: Page, tmp_path: Path) -> None:
    root = process("root", call("sub"), "<manualTask />")
    model = write(tmp_path / "m.bpmn", root, process("sub", "<manualTask />"))
    state = instance(model, tmp_path / "state.json")
    page.open(graph(model, tmp_path, "--state", state))
    assert page.text("#details h2") == "sub"  # the page opens where somebody must do something
    assert waits(page) == ["sub_0 a person"]
    pick(page, "root")
    assert drawn(page, "waits") == ["root_0"]
    assert badges(page) == {"root_start": "1", "root_0": "waits"}
    assert drawn(page, "predicted") == ["root_1", "root_end"]
    (tmp_path / "states").mkdir()
    for number in range(2):
        (tmp_path / "states" / f"{number}.json").write_bytes(state.read_bytes())
    page.open(graph(model, tmp_path, "--states", tmp_path / "states"))
    pick(page, "root")
    assert badges(page) == {"root_0": "2"}
    assert page.complaints == []


def test_a_task_that_was_started_and_has_nothing_below_it_waits_for_its_result(
    page: Page, tmp_path: Path
) -> None:
    """A service task does this if its engine answers later."""
    model = write(tmp_path / "m.bpmn", process("root", "<manualTask />"))
    state = instance(model, tmp_path / "state.json")
    text = json.loads(state.read_text())
    (ready,) = (one for one in text["tasks"].values() if one["task_spec"] == "root_0")
    ready["state"] = TaskState.STARTED
    state.write_text(json.dumps(text))
    page.open(graph(model, tmp_path, "--state", state))
    assert waits(page) == ["root_0 its result"]


def test_a_timer_says_what_it_waits_for(page: Page, tmp_path: Path) -> None:
    model = write(tmp_path / "m.bpmn", process("root", timer("timeDuration", '"P1D"')))
    state = instance(model, tmp_path / "state.json")
    page.open(graph(model, tmp_path, "--state", state))
    assert waits(page) == ['root_0 timer "P1D"']


def test_many_instances_are_a_heat_map_of_where_they_wait(page: Page, tmp_path: Path) -> None:
    model = approval(tmp_path)
    states = tmp_path / "states"
    states.mkdir()
    for number in range(5):
        instance(model, states / f"{number}.json", *["root_2"] * (number == 0))
    for path in states.glob("*.answers"):
        path.unlink()
    page.open(graph(model, tmp_path, "--states", states))
    assert page.text("#about").endswith("; 5 instances")
    assert drawn(page, "heat4") == ["root_2"]
    assert drawn(page, "heat1") == ["root_3"]
    assert badges(page) == {"root_2": "4", "root_3": "1"}
    assert waits(page) == ["root_2 a person, 4 times", "root_3 message 'paid'"]
    assert page.text("#runs") == "5 running, 0 settled"
    assert page.complaints == []


def test_a_file_that_is_no_state_of_the_workflow_is_named(tmp_path: Path) -> None:
    model = approval(tmp_path)
    state = instance(model, tmp_path / "state.json")
    html = ["--format", "html"]
    for text, said in (
        ("[]", "is not the state of an instance"),
        ("{", "is not the state of an instance"),
        ("{}", "is not the state of an instance: it has no 'spec'"),
        (
            state.read_text().replace('"process_id": "root"', '"process_id": "rest"'),
            "runs process 'rest', which the workflow does not contain",
        ),
    ):
        other = tmp_path / "other.json"
        other.write_text(text, encoding="utf-8")
        error = failing("graph", model, *html, "--state", other)
        assert str(other) in error
        assert said in error
    error = failing("graph", model, "--state", state, code=2)
    assert "--state and --states are for --format html" in error
    error = failing("graph", model, *html, "--state", state, "--states", tmp_path, code=2)
    assert "give --state for one instance, or --states for many" in error


def test_a_comparison_colours_the_elements_of_the_diagram(page: Page, tmp_path: Path) -> None:
    before = process("root", script("x = 1"), call("sub"))
    after = process("root", script("x = 2"), call("sub"), "<manualTask />")
    old = write(tmp_path / "old" / "m.bpmn", before, process("sub"))
    new = write(tmp_path / "new" / "m.bpmn", after, process("sub"))
    opened(page, graph(new, tmp_path, "--against", old))
    assert drawn(page, "added") == ["root_2"]
    assert "root_0" in drawn(page, "changed")
    assert "root_start" not in drawn(page, "changed")
    assert page.complaints == []


# The diagrams of the other version


@pytest.fixture
def versions(tmp_path: Path) -> tuple[Path, Path]:
    """An old and a new version. `gone` and its call were removed, and `fresh` was added."""
    steps = script("x = 1"), call("kept"), call("gone"), "<manualTask />"
    old = process("root", *steps), process("gone", script("z = 1")), process("kept")
    steps = script("x = 2"), call("kept")
    new = process("root", *steps), process("fresh"), process("kept", call("fresh"))
    return write(tmp_path / "old" / "m.bpmn", *old), write(tmp_path / "new" / "m.bpmn", *new)


def choose_version(page: Page, name: str) -> None:
    page.click_on("#versions label", f"{name} version")


def checked_version(page: Page) -> str:
    return page.value("document.querySelector('#versions :checked').value")


def coloured(page: Page, kind: str, style: str, colour: str) -> list[str]:
    """The elements of a kind that have a colour of the page."""
    ids: list[str] = page.value(
        f"""(() => {{
              const probe = document.body.appendChild(document.createElement('i'));
              probe.style.color = 'var(--{colour})';
              const wanted = getComputedStyle(probe).color;
              probe.remove();
              return [...document.querySelectorAll('#diagram .djs-{kind}')].filter(one =>
                getComputedStyle(one.querySelector('.djs-visual > :not(defs)')).{style} === wanted
              ).map(one => one.dataset.elementId);
            }})()"""
    )
    return sorted(ids)


def flows(page: Page, change: str) -> list[str]:
    colour = {"added": "come", "removed": "gone"}[change]
    return coloured(page, "connection", "stroke", colour)


def test_the_colours_of_what_differs_are_seen_also_in_the_unit_and_in_the_dark(
    page: Page, tmp_path: Path
) -> None:
    end = script("y = 1")
    old = write(tmp_path / "1.bpmn", process("root", script("x = 1"), end, "<manualTask />"))
    new = write(tmp_path / "2.bpmn", process("root", script("x = 2"), "<manualTask />"))
    (tmp_path / "back").mkdir()
    path = graph(new, tmp_path, "--against", old), graph(old, tmp_path / "back", "--against", new)
    for scheme in ("dark", "light"):
        page.prefer(scheme)
        opened(page, path[0])
        assert coloured(page, "shape", "fill", "changed") == ["root_0", "root_1", "root_end"]
        assert coloured(page, "shape", "fill", "held") == ["root_start"]
        choose_version(page, "Old")
        assert coloured(page, "shape", "fill", "removed") == ["root_2"]
        assert coloured(page, "shape", "fill", "changed") == ["root_0", "root_1", "root_end"]
        opened(page, path[1])
        assert coloured(page, "shape", "fill", "added") == ["root_2"]
        assert drawn(page, "held") == ["root_0", "root_1", "root_2", "root_end", "root_start"]


def test_the_old_diagram_shows_what_was_removed_and_changed(
    page: Page, tmp_path: Path, versions: tuple[Path, Path]
) -> None:
    old, new = versions
    opened(page, graph(new, tmp_path, "--against", old))
    assert checked_version(page) == "new"
    assert drawn(page, "removed") == []
    assert drawn(page) == ["root_0", "root_1", "root_end", "root_start"]
    choose_version(page, "Old")
    assert drawn(page) == ["root_0", "root_1", "root_2", "root_3", "root_end", "root_start"]
    assert drawn(page, "removed") == ["root_2", "root_3"]
    assert "root_0" in drawn(page, "changed")
    assert drawn(page, "added") == drawn(page, "held") == []
    assert flows(page, "removed") == ["root_1_flow", "root_2_flow", "root_3_flow"]
    choose_version(page, "New")
    assert flows(page, "added") == ["root_1_flow"]
    assert drawn(page) == ["root_0", "root_1", "root_end", "root_start"]
    assert page.complaints == []


def test_a_process_that_was_removed_is_shown_and_is_reached_by_the_old_call(
    page: Page, tmp_path: Path, versions: tuple[Path, Path]
) -> None:
    old, new = versions
    opened(page, graph(new, tmp_path, "--against", old))
    pick(page, "gone")
    assert (checked_version(page), page.text("#lost")) == ("old", "")
    assert drawn(page) == drawn(page, "removed") == ["gone_0", "gone_end", "gone_start"]
    assert flows(page, "removed") == ["gone_0_flow", "gone_start_flow"]
    disabled = "[...document.querySelectorAll('#versions :disabled')].map(one => one.value)"
    assert page.value(disabled) == ["new"]
    pick(page, "fresh")
    assert (checked_version(page), page.value(disabled)) == ("new", ["old"])
    assert drawn(page, "added") == ["fresh_end", "fresh_start"]
    pick(page, "root")
    choose_version(page, "Old")
    page.value("document.querySelector('.djs-overlay [title=\"Open gone\"]').click()")
    page.settle()
    assert (page.text("#details h2"), crumbs(page)) == ("gone", ["root", "gone"])
    page.click_on("#crumbs .link", "root")
    assert (checked_version(page), page.value(disabled)) == ("old", [])
    assert page.complaints == []


def test_an_element_that_was_removed_leads_to_itself_in_the_old_diagram_and_back(
    page: Page, tmp_path: Path, versions: tuple[Path, Path]
) -> None:
    old, new = versions
    page.open(graph(new, tmp_path, "--against", old))
    page.click_on("#changes .link", "root_2")
    assert (checked_version(page), drawn(page, "chosen")) == ("old", ["root_2"])
    page.click(*middle(page, "root_3"))
    assert drawn(page, "chosen") == ["root_3"]
    page.click_on("#changes .link", "root_1")
    assert (checked_version(page), drawn(page, "chosen")) == ("new", ["root_1"])
    assert page.complaints == []


def test_the_address_keeps_the_version_which_is_switched_with_the_keyboard_too(
    page: Page, tmp_path: Path, versions: tuple[Path, Path]
) -> None:
    old, new = versions
    path = graph(new, tmp_path, "--against", old)
    opened(page, path)
    page.value("document.querySelector('#versions :checked').focus()")
    page.press("ArrowLeft")
    assert checked_version(page) == "old"
    fragment = page.value("location.hash")
    page.open(path, fragment)
    assert (checked_version(page), drawn(page, "removed")) == ("old", ["root_2", "root_3"])
    assert page.complaints == []


def test_axe_finds_nothing_in_an_old_diagram(
    page: Page, tmp_path: Path, versions: tuple[Path, Path]
) -> None:
    old, new = versions
    opened(page, graph(new, tmp_path, "--against", old))
    choose_version(page, "Old")
    page.value(f"{axe_script()};0")
    found = "axe.run().then(({violations}) => violations.map(one => [one.impact, one.id]))"
    assert page.value(found) == []


def test_a_process_that_is_not_called_any_more_is_gone_though_its_bpmn_is_there(
    page: Page, tmp_path: Path
) -> None:
    left = process("left", script("x = 1"))
    old = write(tmp_path / "1.bpmn", process("root", call("left")), left)
    new = write(tmp_path / "2.bpmn", process("root"), left)
    opened(page, graph(new, tmp_path, "--process", "root", "--against", old))
    pick(page, "left")
    assert checked_version(page) == "old"
    assert drawn(page, "removed") == ["left_0", "left_end", "left_start"]
    assert flows(page, "removed") == ["left_0_flow", "left_start_flow"]
    assert page.complaints == []


def test_an_element_that_nothing_led_to_is_added_in_the_new_diagram_only(
    page: Page, tmp_path: Path
) -> None:
    """SpiffWorkflow does not read such an element, but the diagram shows it."""
    new = process("root", script("x = 1"), "<manualTask />")
    flow = '<sequenceFlow id="root_0_flow" sourceRef="root_0" targetRef="{}"/>'
    old = new.replace(flow.format("root_1"), flow.format("root_end"))
    assert old != new
    paths = [write(tmp_path / name, text) for name, text in (("1.bpmn", old), ("2.bpmn", new))]
    opened(page, graph(paths[1], tmp_path, "--against", paths[0]))
    assert drawn(page, "added") == ["root_1"]
    choose_version(page, "Old")
    assert drawn(page) == ["root_0", "root_1", "root_end", "root_start"]
    assert drawn(page, "added") == drawn(page, "removed") == []
    assert page.complaints == []


def test_instances_are_on_the_new_diagram_only(
    page: Page, tmp_path: Path, versions: tuple[Path, Path]
) -> None:
    new = write(tmp_path / "waits.bpmn", process("root", "<manualTask />"))
    state = instance(new, tmp_path / "state.json")
    opened(page, graph(new, tmp_path, "--against", versions[0], "--state", state))
    assert badges(page) == {"root_start": "1", "root_0": "waits"}
    choose_version(page, "Old")
    assert badges(page) == {}
    assert drawn(page, "waits") == drawn(page, "done") == []
    assert "root_1" in drawn(page, "removed")
    choose_version(page, "New")
    assert badges(page) == {"root_start": "1", "root_0": "waits"}
    assert page.complaints == []


def test_versions_in_folders_and_in_a_cache_have_the_diagrams_of_both(
    page: Page, tmp_path: Path, versions: tuple[Path, Path]
) -> None:
    old, new = (one.parent for one in versions)
    cache = tmp_path / "cache"
    for key, folder in (("1", old), ("2", new)):
        options = ["--process", "root", "--key", key, "--keep-source"]
        assert command("cache", cache, folder, *options).code == 0
    of_cache = graph(cache, tmp_path, "2", "--against", "1"), "1"
    (tmp_path / "folders").mkdir()
    folders = graph(new, tmp_path / "folders", "--against", old, "--process", "root"), str(old)
    for path, _ in (of_cache, folders):
        opened(page, path)
        choose_version(page, "Old")
        assert drawn(page, "removed") == ["root_2", "root_3"]
        pick(page, "gone")
        assert drawn(page) == ["gone_0", "gone_end", "gone_start"]
        assert page.complaints == []


def test_a_version_whose_bpmn_is_not_at_hand_says_how_to_get_its_diagrams(
    page: Page, tmp_path: Path, versions: tuple[Path, Path]
) -> None:
    cache = tmp_path / "cache"
    for key, model, *options in (("1", versions[0]), ("2", versions[1], "--keep-source")):
        options += ["--process", "root", "--key", key]
        assert command("cache", cache, model, *options).code == 0
    opened(page, graph(cache, tmp_path, "2", "--against", "1"))
    assert drawn(page, "changed") == ["root_0", "root_1", "root_end"]
    assert flows(page, "added") == []  # the page knows nothing about them
    choose_version(page, "Old")
    assert page.text("#lost") == (
        "The BPMN of this process in 1 is not in the page. For its diagrams, cache its BPMN files "
        "with --keep-source."
    )
    choose_version(page, "New")
    assert page.text("#lost") == ""
    # The other way round, the diagrams are those of the old version.
    opened(page, graph(cache, tmp_path, "1", "--against", "2"))
    assert page.text("#lost") == "The BPMN of this process is not in the page."
    assert page.text("#hint") == "For diagrams, cache its BPMN files with --keep-source."
    choose_version(page, "Old")
    assert drawn(page, "removed") == []
    assert "root_0" in drawn(page, "changed")
    assert page.complaints == []


def test_a_diagram_that_both_versions_have_is_in_the_page_once(tmp_path: Path) -> None:
    same = write(tmp_path / "same.bpmn", process("same", script("mark = 'once'")))
    for version in "12":
        folder = tmp_path / version
        write(folder / "m.bpmn", process("root", script(f"x = {version}"), call("same")))
        (folder / "same.bpmn").write_bytes(same.read_bytes())
    path = graph(tmp_path / "2" / "m.bpmn", tmp_path, "--against", tmp_path / "1" / "m.bpmn")
    diagrams = data_of(path.read_text(encoding="utf-8"))["diagrams"]
    assert sum("mark = 'once'" in diagram for diagram in diagrams) == 1
