"""The troubleshooting page has messages that users meet: these tests produce all of them.

A heading of the page is the beginning of a message, in which `…` stands for anything. `PRODUCED`
has a function for each heading. It raises the error that the entry names, or prints what the
command prints.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Callable

import driving
import pytest
from memory_store import MemoryStore
from SpiffWorkflow.bpmn.parser.BpmnParser import BpmnParser
from SpiffWorkflow.bpmn.serializer import BpmnWorkflowSerializer

import spiff_element_units
from spiff_element_units import ElementUnits
from spiff_element_units.cache.stored import key_name
from spiff_element_units.cli import main
from spiff_element_units.spiff import Deployments, SpecLoader, SpecLoaders, check_round_trip
from spiff_element_units.stores import open_store
from spiff_element_units.stores.failing import failing as failing_store

TOP = Path(__file__).parent.parent
PAGE = TOP / "docs" / "troubleshooting.md"

if not PAGE.exists():
    pytest.skip("an sdist does not have the page", allow_module_level=True)

ENTRY = re.compile(r"^### `(.+)`\n\n(?:`(\w+)`\. )?", re.MULTILINE)
ENTRIES = dict(ENTRY.findall(PAGE.read_text("utf-8")))


def serializer() -> BpmnWorkflowSerializer:
    return BpmnWorkflowSerializer(BpmnWorkflowSerializer.configure())


def orders() -> dict[str, Any]:
    """The workflow of the example: order calls payment and shipping."""
    parser = BpmnParser()
    parser.add_bpmn_file(str(TOP / "examples" / "orders.bpmn"))
    specs = {name: serializer().to_dict(spec) for name, spec in parser.find_all_specs().items()}
    return {"spec": specs.pop("order"), "subprocess_specs": specs}


def units(**specs: Any) -> ElementUnits:
    """The units of the example, with other specs in place of its own."""
    workflow = orders()
    workflow["spec"] = specs.pop("order", workflow["spec"])
    workflow["subprocess_specs"].update(specs)
    return ElementUnits.from_json(json.dumps(workflow))


def loader(**specs: Any) -> SpecLoader:
    return SpecLoader(units(**specs), serializer())


def payment(**task_spec: Any) -> dict[str, Any]:
    """The spec of payment, with something else in its tasks."""
    spec = orders()["subprocess_specs"]["payment"]
    for one in spec["task_specs"].values():
        if one["name"] == "payment_receive":
            one.update(task_spec)
    return spec


def run_to_payment(started_by: SpecLoader) -> Any:
    """An instance that has reached the call of payment."""
    workflow = started_by.start("order")
    workflow.task_tree.data.update(customer="Ada", pieces=3)
    workflow.do_engine_steps()
    (task,) = (task for task in workflow.get_tasks() if task.task_spec.name == "order_check")
    task.run()
    workflow.do_engine_steps()
    return workflow


def state(**changes: Any) -> str:
    """A saved state of the example, with other members."""
    saved = json.loads(loader().save(run_to_payment(loader())))
    return json.dumps({**saved, **changes})


def cached(folder: Path) -> Path:
    """The pack of the example, cached in a folder under `key`."""
    units().save(folder, "key")
    (pack,) = folder.glob("v2/*/*.pack")
    return pack


def damaged(folder: Path, at: int, value: bytes) -> ElementUnits:
    with open(cached(folder), "r+b") as pack:
        pack.seek(at)
        pack.write(value)
    return ElementUnits.open(folder, "key")


def renamed(folder: Path) -> None:
    """A pack in the place of another key's."""
    pack = cached(folder)
    units().save(folder, "other")
    (other,) = (one for one in folder.glob("v2/*/*.pack") if one != pack)
    pack.replace(other)
    ElementUnits.open(folder, "other")


def written_over(folder: Path) -> None:
    (folder / "v2").write_text("a file in the place of a directory")
    units().save(folder, "key")


def closed() -> ElementUnits:
    with units() as used:
        return used


def sources_alone(folder: Path) -> Path:
    """A folder with the package as it is in a checkout, without compiled modules."""
    compiled = shutil.ignore_patterns("*.so", "*.pyd", "__pycache__")
    shutil.copytree(
        Path(spiff_element_units.__file__).parent, folder / "spiff_element_units", ignore=compiled
    )
    return folder


def failing_import(modules: str, folder: Path) -> None:
    """Raise the error of an import in a Python of its own, which looks in a folder first."""
    done = subprocess.run(
        [sys.executable, "-c", f"import {modules}"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        check=False,
    )
    error, _, message = done.stderr.splitlines()[-1].partition(": ")
    assert error == "ImportError"
    raise ImportError(message)


def resolving(found: ElementUnits) -> SpecLoader:
    return SpecLoader(units(payment=None), serializer(), resolve=lambda _: found)


def two_of_one_name() -> None:
    """Payment comes from another workflow, and embeds a `complaint` that differs from ours."""
    embeds = {"typename": "SubWorkflowTask", "spec": "complaint"}
    other = {"spec": payment(**embeds), "subprocess_specs": {"complaint": orders()["spec"]}}
    mapping = resolving(ElementUnits.from_json(json.dumps(other))).subprocess_specs("order")
    mapping["complaint"], mapping["payment"]


def command(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    assert main(arguments) == 1


def without_click(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "click", None)
    command(monkeypatch, "ls", "unit-cache")


def hostile(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    bpmn = folder / "hostile.bpmn"
    bpmn.write_text('<!DOCTYPE d [<!ENTITY e SYSTEM "file:///x">]><d>&e;</d>')
    command(monkeypatch, "show", str(bpmn))


class Enveloped(BpmnWorkflowSerializer):  # type: ignore[misc]
    """Puts a state into a dict of its own."""

    def serialize_json(self, workflow: Any, use_gzip: bool = False) -> str:
        return json.dumps({"state": super().serialize_json(workflow)})


class Readable(Enveloped):
    """Finds the state in it again."""

    def deserialize_json(self, text: str, use_gzip: bool = False) -> Any:
        return super().deserialize_json(json.loads(text)["state"])


class Elsewhere(BpmnWorkflowSerializer):  # type: ignore[misc]
    """Restores a workflow in a way of its own."""

    def deserialize_json(self, text: str, use_gzip: bool = False) -> Any:
        return run_to_payment(loader())


def without_call() -> SpecLoader:
    """A loader of orders in which payment is not called, but is a task with the same name."""
    spec = orders()["spec"]
    for one in spec["task_specs"].values():
        if one.get("spec") == "payment":
            one.update(typename="ManualTask")
            del one["spec"]
    return loader(order=spec)


def changed_payment() -> SpecLoader:
    """A loader of orders with another version of the payment."""
    return loader(payment=payment(documentation="another one"))


def back_to_life(folder: Path) -> None:
    """A reset into a payment that was settled before it changed."""
    units().save(folder, "old")
    old = SpecLoader(ElementUnits.open(folder, "old"), serializer())
    changed_payment().units.save(folder, "new")
    new = SpecLoader(ElementUnits.open(folder, "new"), serializer())
    workflow = new.resume(old.save(paid()))
    driving.reset(workflow, "payment_receive")
    new.save(workflow)


def paid() -> Any:
    """An instance whose payment is settled."""
    workflow = run_to_payment(loader())
    (task,) = (task for task in workflow.get_tasks() if task.task_spec.name == "payment_receive")
    task.run()
    workflow.do_engine_steps()
    return workflow


def pieces() -> dict[str, str]:
    return dict(loader().save_pieces(paid()).changed)


def without_last_task() -> None:
    """A look into a settled subprocess of which a part was removed."""
    saved = json.loads(loader().save(paid()))
    (settled,) = (one for one in saved["subprocesses"].values() if one["spec"] == "payment")
    del settled["last_task"]
    loader().resume(json.dumps(saved)).get_tasks()


def stored(harm: Callable[[MemoryStore, str], object]) -> None:
    """Cache a workflow in a store, damage its pack, and ask for a part that was not read yet."""
    store = MemoryStore()
    units(**{f"more{number}": payment() for number in range(200)}).save(store, "key")
    (name,) = (name for name in store.held if "/packs/" in name)
    opened = ElementUnits.open(store, "key")
    harm(store, name)
    for process in opened.process_ids:
        opened.workflow(process)
    ElementUnits.open(store, "key")


def no_server() -> None:
    """Ask a server that does not exist, as an adapter does."""
    with failing_store("redis://cache:6379/0", "read 'f1/keys/0'", (OSError,)):
        socket.create_connection(("127.0.0.1", 1), 1)


def look_at_all(stored: dict[str, Any]) -> None:
    loader().resume_pieces(stored.get).get_tasks()


def of_another_instance() -> None:
    """The payment of one instance in the place of another's."""
    stored, (other,) = pieces(), (one for piece, one in pieces().items() if piece != "live")
    look_at_all({piece: one if piece == "live" else other for piece, one in stored.items()})


def wrong_header(**changes: Any) -> str:
    return state(spiff_element_units={**json.loads(state())["spiff_element_units"], **changes})


def of_gone_element() -> None:
    """A state with a task of an element that the workflow no longer has."""
    text = state().replace('"order_received"', '"gone"')
    loader().resume(text)


def deployed(folder: Path, process_id: str, parse: Any = None) -> None:
    def parse_needed(asked: str, files: Any) -> Any:
        return files.needed_for(asked)

    loaders = SpecLoaders(folder, serializer())
    Deployments(loaders, parse or parse_needed, TOP / "examples")[process_id]


def forgetful() -> None:
    """Checks a spec whose name a serializer forgets."""
    parser = BpmnParser()
    parser.add_bpmn_file(str(TOP / "examples" / "orders.bpmn"))
    spec, writer = parser.get_spec("order"), serializer()
    to_dict = writer.to_dict
    writer.to_dict = lambda obj: {**to_dict(obj), "description": "other"}
    check_round_trip(spec, writer)


def in_a_database(what: str) -> None:
    """Let a step of an instance in SQLite fail."""
    from sqlalchemy import create_engine  # noqa: PLC0415 - may be missing

    from spiff_element_units.sql import Instances  # noqa: PLC0415

    with tempfile.TemporaryDirectory() as folder:
        engine = create_engine(f"sqlite:///{folder}/db", connect_args={"timeout": 0})
        instances = Instances(engine, {"orders-1": loader()})
        instances.tables.instances.metadata.create_all(engine)
        one = instances.start("orders-1", instance_id="one")
        try:
            if what == "twice":
                instances.start("orders-1", instance_id="one")
            elif what == "autocommit":
                alone = engine.execution_options(isolation_level="AUTOCOMMIT")
                Instances(alone, {"orders-1": loader()}).start("orders-1")
            elif what == "unknown":
                instances.look("nobody")
            elif what == "no loader":
                Instances(engine, {}).look(one)
            else:
                lock = what == "locked"
                with instances.step(one, lock=lock), instances.step(one, lock=lock):
                    pass
        finally:
            engine.dispose()


Produce = Callable[[Path, pytest.MonkeyPatch], Any]
PRODUCED: list[tuple[str, Produce]] = [
    (
        "the compiled modules of spiff-element-units for Python … are not in …",
        lambda folder, _: failing_import("spiff_element_units", sources_alone(folder)),
    ),
    ("the workflow is not JSON: …", lambda *_: ElementUnits.from_json('{"spec": {')),
    ("the workflow must be an object, …", lambda *_: ElementUnits.from_json("[]")),
    ('the workflow has no "…"; expected …', lambda *_: ElementUnits.from_json("{}")),
    (
        'spec has no "…" (…); serialize the workflow with SpiffWorkflow again',
        lambda *_: units(order={"name": "order"}),
    ),
    ("spec.… must be …, not …", lambda *_: units(order={**orders()["spec"], "name": 1})),
    ("cannot write the pack …: …", lambda folder, _: written_over(folder)),
    ("no process … in the model files …", lambda folder, _: deployed(folder, "ordr")),
    (
        "parse(…) has read no file with files.read or files.open",
        lambda folder, _: deployed(folder, "order", lambda *_: (None, {})),
    ),
    ("the serializer loses … of process …", lambda *_: forgetful()),
    ("cache key … is not cached in …", lambda folder, _: ElementUnits.open(folder, "key")),
    ("no process … in the workflow of …", lambda *_: units().needs("Payment")),
    (
        "no process …: …, so the process is external",
        lambda *_: units(payment=None).needs("payment"),
    ),
    (
        "element … exists in the workflow, but process … does not lead to it",
        lambda *_: units().needs("complaint", "payment_receive"),
    ),
    (
        "no element … in process … or the processes that it leads to",
        lambda *_: units().needs("order", "payment_recieve"),
    ),
    (
        "pack … is damaged (…); cache the workflow again",
        lambda folder, _: damaged(folder, 40, b"damage"),
    ),
    ("pack … belongs to cache key …, not …", lambda folder, _: renamed(folder)),
    (
        "pack … has pack format …, but this version reads format …",
        lambda folder, _: damaged(folder, 8, b"c"),
    ),
    ("cannot read the pack …: …", lambda *_: ElementUnits.open("a\0b", "key")),
    ("this ElementUnits is closed; open it again", lambda *_: closed().root),
    ("defer must be one of …", lambda *_: units().needs("order", defer="some")),
    (
        "spiff_element_units.spiff needs SpiffWorkflow 3.0 or later",
        lambda folder, _: failing_import(
            "sys; sys.modules['SpiffWorkflow'] = None; import spiff_element_units.spiff", folder
        ),
    ),
    (
        "the serializer cannot restore process …: … has the typename …, which it does not know",
        lambda *_: loader(payment=payment(typename="Mine")).spec("payment"),
    ),
    (
        "the serializer cannot restore process … (…)",
        lambda *_: loader(payment=payment(typename="ExclusiveGateway")).spec("payment"),
    ),
    (
        "CallActivity … of process … refers to process …, which is not in …",
        lambda *_: run_to_payment(loader(payment=None)),
    ),
    (
        "resolve(…) returned …, which has no such process",
        lambda *_: run_to_payment(resolving(units(payment=None))),
    ),
    ("process … in …, which … needs, differs from the one in …", lambda *_: two_of_one_name()),
    (
        "process …, which the instance is in, is not the same in … as in …",
        lambda *_: without_call().resume(state()),
    ),
    (
        "the instance of process … cannot be migrated: …",
        lambda *_: without_call().migrate(state(), loader()),
    ),
    (
        "the settled subprocess … ran on process … of …, which is not there any more",
        lambda *_: changed_payment().resume(loader().save(paid())).get_tasks(),
    ),
    (
        "subprocess … of process … settled on an earlier version of the workflow, and a reset …",
        lambda folder, _: back_to_life(folder),
    ),
    ("the state is not JSON: …", lambda *_: loader().resume(state()[:100])),
    ("the state is a JSON …, not an object", lambda *_: loader().resume(json.dumps(state()))),
    (
        'the state has no "…", which is in every state of SpecLoader.save and serialize_json',
        lambda *_: loader().resume(pieces()["live"]),
    ),
    (
        'the state has neither "spiff_element_units" nor a "spec" with a name',
        lambda *_: loader().resume(state(spiff_element_units=None)),
    ),
    (
        "the state is of process …, not of …; leave process_id out",
        lambda *_: loader().resume(state(), process_id="nobody"),
    ),
    (
        "the state cannot be written as JSON: …",
        lambda *_: loader().resume({"tasks": {1: object()}}),
    ),
    (
        "process …, which the instance is in, has changed since, and … is not there any more",
        lambda *_: loader().waiting(
            wrong_header(digest="0" * 64, cache_key=None, processes={"order": "0" * 64})
        ),
    ),
    (
        'the state has no "…" at its top level, so it does not say which workflow it is of',
        lambda folder, _: SpecLoaders(folder, serializer()).for_state(
            serializer().serialize_json(loader().start())
        ),
    ),
    (
        "the state's spiff_element_units.state_format is …",
        lambda *_: loader().resume(wrong_header(state_format=99)),
    ),
    (
        "the state has a task of element … of process …, but the process has no such element",
        lambda *_: of_gone_element(),
    ),
    (
        "the state has a subprocess at element … of process …, but that element refers to no "
        "process",
        lambda *_: without_call().resume(wrong_header(digest=without_call().units.digest)),
    ),
    ("the state of process … cannot be restored (…)", lambda *_: loader().resume(state(root="x"))),
    (
        "the settled subprocess of process … cannot be restored (…)",
        lambda *_: without_last_task(),
    ),
    (
        "the workflow was started by the loader of …, and this is the loader of …",
        lambda *_: loader(other=payment()).save(run_to_payment(loader())),
    ),
    (
        "serializer must be a BpmnWorkflowSerializer, not …",
        lambda *_: SpecLoader(units(), BpmnWorkflowSerializer.configure()),
    ),
    (
        "… wrote a state that cannot be resumed: …",
        lambda *_: SpecLoader(units(), Enveloped()).save(run_to_payment(loader())),
    ),
    (
        "… does not restore a workflow with the serializer's registry; …",
        lambda *_: SpecLoader(units(), Elsewhere()).resume(state()),
    ),
    (
        "piece … of the state is damaged: …",
        lambda *_: look_at_all({piece: f" {text}" for piece, text in pieces().items()}),
    ),
    ("piece … of the state is missing: …", lambda *_: of_another_instance()),
    ("piece … of the state cannot be read (…)", lambda *_: loader().resume_pieces({}.__getitem__)),
    (
        "the state cannot be split into pieces, because …",
        lambda *_: SpecLoader(units(), Readable()).save_pieces(run_to_payment(loader())),
    ),
    (
        "… names no store that is known; it must be …",
        lambda *_: open_store("http://user:password@host/cache"),
    ),
    (
        "… needs …: pip install 'spiff-element-units[…]', or …",
        lambda folder, _: failing_import(
            "sys; sys.modules['redis'] = None; import spiff_element_units.stores.redis_store",
            folder,
        ),
    ),
    ("…://… cannot …: …", lambda *_: no_server()),
    (
        "pack … is not there any more; open the cache key again, …",
        lambda *_: stored(lambda store, name: store.delete(name)),
    ),
    (
        "pack … cannot be read: … returned … of … bytes at byte …",
        lambda *_: stored(lambda store, name: store.write(name, b"cut off")),
    ),
    (
        "… in … is damaged (it names no pack); cache the workflow again",
        lambda *_: stored(lambda store, name: store.write(key_name("key"), b"no pointer")),
    ),
    ("another step has changed instance …", lambda *_: in_a_database("conflict")),
    (
        "instance …: the database gave way to another transaction (…)",
        lambda *_: in_a_database("locked"),
    ),
    (
        "the database connection has the isolation level AUTOCOMMIT, …",
        lambda *_: in_a_database("autocommit"),
    ),
    ("there is an instance … already", lambda *_: in_a_database("twice")),
    ("the database does not contain instance …", lambda *_: in_a_database("unknown")),
    ("instance …: no loader has the cache key …", lambda *_: in_a_database("no loader")),
    ("spiff-element-units: the command needs …", lambda _, monkeypatch: without_click(monkeypatch)),
    (
        "spiff-element-units: there is no folder …",
        lambda _, monkeypatch: command(monkeypatch, "ls", "nowhere"),
    ),
    (
        "spiff-element-units: …: it has a document type (<!DOCTYPE>), …",
        lambda folder, monkeypatch: hostile(monkeypatch, folder),
    ),
]


def headings_of(message: str) -> list[str]:
    """The headings that a message begins with."""
    return [
        heading
        for heading in ENTRIES
        if re.match(".*".join(map(re.escape, heading.split("…"))), message)
    ]


@pytest.mark.parametrize(("heading", "produce"), PRODUCED, ids=[one for one, _ in PRODUCED])
def test_a_message_is_on_the_page_under_its_beginning_and_kind(
    heading: str,
    produce: Produce,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    kind = ""
    try:
        produce(tmp_path, monkeypatch)
        message = capsys.readouterr().err
    except Exception as error:
        message, kind = str(error), type(error).__name__
    assert headings_of(message) == [heading], f"{kind}: {message}"
    assert ENTRIES[heading] == kind


def test_every_message_on_the_page_is_produced_here() -> None:
    assert list(ENTRIES) == [heading for heading, _ in PRODUCED]
