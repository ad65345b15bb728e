"""`ElementUnits`: its answers, its life from open to close, and use by many threads at once."""

from __future__ import annotations

import gc
import json
import os
import shutil
import threading
from enum import Enum
from pathlib import Path
from typing import Any, Callable

import pytest

from spiff_element_units import (
    CacheError,
    ElementUnits,
    Reference,
    UnitNotFound,
    __version__,
    cache_element_units_for_workflow,
    cache_keys,
    prune_cache,
    remove_cached_workflow,
    verify_cache,
    workflow_from_cached_element_unit,
)

KEY = "the key"


def process(name: str, *tasks: dict) -> dict:
    return {
        "name": name,
        "typename": "BpmnProcessSpec",
        "task_specs": {task["name"]: task for task in tasks},
    }


def refer(typename: str, target: str, **fields: Any) -> dict:
    return {"name": f"to {target}", "typename": typename, "spec": target, **fields}


WORKFLOW = {
    "spec": process(
        "Größe",
        {"name": "Start", "typename": "BpmnStartTask", "trigger_specs": ["B", "Y"]},
        refer("CallActivity", "C", bpmn_id="Activity_1"),
        refer("SubWorkflowTask", "X"),
    ),
    "subprocess_specs": {
        "C": process("C", {"name": "T", "typename": "UserTask"}),
        "X": None,
        "B": process("B", refer("Ours", "C")),
    },
    "serializer_version": "1.5",
    "extra": {"b": 1, "a": [1e2]},
}
TEXT = json.dumps(WORKFLOW, ensure_ascii=False)


def in_memory(directory: Path) -> ElementUnits:
    return ElementUnits.from_json(TEXT)


def from_cache(directory: Path) -> ElementUnits:
    ElementUnits.from_json(TEXT).save(directory, KEY)
    return ElementUnits.open(directory, KEY)


@pytest.fixture(params=[in_memory, from_cache])
def units(request: Any, tmp_path: Path) -> ElementUnits:
    return request.param(tmp_path)


# Its answers


def test_it_tells_the_processes(units: ElementUnits) -> None:
    assert units.root == "Größe"
    assert units.process_ids == ("Größe", "C", "B")
    assert units.subprocess_ids == ("C", "X", "B")


def test_it_tells_the_elements(units: ElementUnits) -> None:
    assert units.element_ids("Größe") == ("Start", "to C", "Activity_1", "to X")
    assert units.element_ids("C") == ("T",)


def test_it_tells_the_references_with_external_ones_marked(units: ElementUnits) -> None:
    assert units.references("Größe") == (
        Reference("trigger", "B", "Start", False),
        Reference("trigger", "Y", "Start", True),
        Reference("call", "C", "to C", False),
        Reference("embedded", "X", "to X", True),
    )
    assert units.references("B")[0].kind == "embedded"
    assert units.references("C") == ()


def test_a_unit_is_text_without_whitespace_in_its_fixed_order(units: ElementUnits) -> None:
    specs = {key: units.spec_json(key).decode() for key in units.process_ids}
    assert units.workflow("Größe", "to C") == (
        f'{{"spec":{specs["Größe"]},'
        f'"subprocess_specs":{{"C":{specs["C"]},"B":{specs["B"]}}},'
        f'"serializer_version":"spiff-element-units-{__version__}",'
        '"source_serializer_version":"1.5","extra":{"b":1,"a":[100.0]}}'
    )


def test_a_spec_is_the_callers_bytes(units: ElementUnits) -> None:
    assert (
        units.spec_json("B")
        == json.dumps(WORKFLOW["subprocess_specs"]["B"], separators=(",", ":")).encode()
    )
    assert isinstance(units.spec_json("Größe"), bytes)
    assert json.loads(units.spec_json("Größe")) == WORKFLOW["spec"]


def test_a_workflow_without_a_version_gets_ours() -> None:
    bare = {key: WORKFLOW[key] for key in ("spec", "subprocess_specs")}
    unit = json.loads(ElementUnits.from_json(json.dumps(bare)).workflow("C"))
    assert unit.pop("serializer_version") == f"spiff-element-units-{__version__}"
    assert unit == {"spec": WORKFLOW["subprocess_specs"]["C"], "subprocess_specs": {}}


def test_it_knows_the_key_that_it_was_opened_by(tmp_path: Path) -> None:
    assert from_cache(tmp_path).cache_key == KEY
    assert in_memory(tmp_path).cache_key is None
    assert repr(from_cache(tmp_path)) == "<ElementUnits of 'Größe' cached as 'the key'>"
    assert repr(in_memory(tmp_path)) == "<ElementUnits of 'Größe'>"


class Ids(str, Enum):
    ROOT = "Größe"
    ELEMENT = "to C"
    KEY = "the key"
    DEFER = "all"


class Odd(str):
    """A string that overrides everything."""

    def _own_way(self, *arguments: Any, **options: Any) -> Any:
        raise AssertionError("asked, though it is its text that counts")

    __str__ = __repr__ = __format__ = __len__ = __iter__ = encode = isascii = _own_way


class OwnBytes(bytes):
    """A subclass of bytes, as some libraries have it."""

    isascii = Odd._own_way


def test_any_kind_of_str_is_a_string(tmp_path: Path) -> None:
    ElementUnits.from_json(TEXT).save(tmp_path, Ids.KEY)
    opened = ElementUnits.open(tmp_path, Ids.KEY)
    assert opened.needs(Ids.ROOT, Ids.ELEMENT, defer=Ids.DEFER) == ("Größe", "C")
    assert opened.workflow(Ids.ROOT, Ids.ELEMENT) == opened.workflow("Größe", "to C")
    assert opened.element_ids(Ids.ROOT) == opened.element_ids("Größe")
    assert opened.references(Ids.ROOT) == opened.references("Größe")
    assert opened.spec_json(Ids.ROOT) == opened.spec_json("Größe")


@pytest.mark.parametrize("kind", [Odd, lambda text: Enum("Kind", {"X": text}, type=str).X])
def test_a_string_of_another_class_is_taken_as_its_text(kind: Callable, tmp_path: Path) -> None:
    right = ElementUnits.from_json(TEXT)
    assert ElementUnits.from_json(kind(TEXT)).digest == right.digest
    cache_dir, key, root = kind(f"{tmp_path}"), kind(KEY), kind("Größe")
    cache_element_units_for_workflow(cache_dir, key, kind(TEXT))
    right.save(cache_dir, key)
    opened = ElementUnits.open(cache_dir, key)
    assert type(opened.cache_key) is str
    assert repr(opened) == "<ElementUnits of 'Größe' cached as 'the key'>"
    for units in (
        opened,
        ElementUnits.get_or_cache(cache_dir, key, lambda: pytest.fail("was called")),
        ElementUnits.get_or_cache(cache_dir, kind("more"), lambda: kind(TEXT)),
    ):
        assert type(units.cache_key) is str
        for ask in ("element_ids", "references", "spec_json", "needs", "workflow", "_decoded"):
            assert getattr(units, ask)(root) == getattr(right, ask)("Größe"), ask
        assert units._has(root)
        for defer in ("calls", "all", "nothing"):
            asked = (root, kind("to C"), kind("Größe"))
            assert units.needs(*asked, defer=kind(defer)) == right.needs(
                "Größe", "to C", defer=defer
            )
        for asked in ((kind("none"),), (root, kind("none")), (root, kind("Größ"))):
            with pytest.raises(UnitNotFound, match=r"'none'|'Größ'"):
                units.needs(*asked)
        assert type(units.needs(root)[0]) is str
    assert workflow_from_cached_element_unit(cache_dir, key, root, root) == right.workflow("Größe")
    assert [type(one.cache_key) for one in cache_keys(cache_dir)] == [str, str]
    assert verify_cache(cache_dir).ok
    assert prune_cache(cache_dir, max_bytes=0, dry_run=True).removed
    assert remove_cached_workflow(cache_dir, key)
    with pytest.raises(UnitNotFound, match="cache key 'the key' is not cached in '"):
        ElementUnits.open(cache_dir, key)


def test_any_kind_of_bytes_is_a_text() -> None:
    units = ElementUnits.from_json(OwnBytes(TEXT.encode()))
    assert units.digest == ElementUnits.from_json(TEXT).digest


def test_it_cannot_be_changed(units: ElementUnits) -> None:
    for name in ("root", "process_ids", "digest", "cache_key", "anything"):
        with pytest.raises(AttributeError):
            setattr(units, name, "other")


# How it ends


QUESTIONS: list[Callable[[ElementUnits], Any]] = [
    lambda units: units.root,
    lambda units: units.process_ids,
    lambda units: units.subprocess_ids,
    lambda units: units.digest,
    lambda units: units.element_ids("C"),
    lambda units: units.references("C"),
    lambda units: units.needs("C"),
    lambda units: units.workflow("C"),
    lambda units: units.spec_json("C"),
]


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_closed_one_says_so(question: Callable, units: ElementUnits) -> None:
    question(units)
    units.close()
    with pytest.raises(CacheError, match="closed; open it again"):
        question(units)


def test_a_closed_one_cannot_be_saved(units: ElementUnits, tmp_path: Path) -> None:
    units.close()
    with pytest.raises(CacheError, match="closed"):
        units.save(tmp_path / "other", KEY)
    assert not (tmp_path / "other").exists()


def test_closing_twice_is_once(units: ElementUnits) -> None:
    units.close()
    units.close()
    assert repr(units) == "<ElementUnits, closed>"


def test_it_closes_at_the_end_of_a_with_block(units: ElementUnits) -> None:
    with units as same:
        assert same is units
        assert same.root == "Größe"
    with pytest.raises(CacheError):
        _ = units.root


def test_an_error_leaves_a_with_block(units: ElementUnits) -> None:
    with pytest.raises(KeyError), units:
        raise KeyError("theirs")


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="needs /proc")
def test_nothing_open_is_left_behind(tmp_path: Path) -> None:
    from_cache(tmp_path)
    gc.collect()
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        units = ElementUnits.open(tmp_path, KEY)
        units.workflow("C")
        units.close()
        with pytest.raises(ValueError, match="not cached"):
            ElementUnits.open(tmp_path, "no key")
    for path in tmp_path.glob("v2/*/*.pack"):
        path.write_bytes(b"garbage")
    for _ in range(20):
        with pytest.raises(CacheError):
            ElementUnits.open(tmp_path, KEY)
    del units
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) == before


# What happens to the cache meanwhile


def other_text() -> str:
    return json.dumps({**WORKFLOW, "spec": process("Other")})


@pytest.mark.parametrize("used_before", [True, False])
def test_it_serves_what_it_opened_whatever_becomes_of_the_cache(
    used_before: bool, tmp_path: Path
) -> None:
    whole = ElementUnits.from_json(TEXT).workflow("Größe", defer="nothing")
    for change in (
        lambda: ElementUnits.from_json(other_text()).save(tmp_path, KEY),
        lambda: [os.unlink(path) for path in tmp_path.glob("v2/*/*")],
        lambda: shutil.rmtree(tmp_path),
    ):
        units = from_cache(tmp_path)
        if used_before:
            assert units.workflow("Größe", defer="nothing") == whole
        change()
        assert units.workflow("Größe", defer="nothing") == whole
        assert units.element_ids("C") == ("T",)


def test_what_was_removed_can_be_saved_again_by_who_has_it_open(tmp_path: Path) -> None:
    units = from_cache(tmp_path)
    shutil.rmtree(tmp_path)
    units.save(tmp_path, "another key")
    saved = ElementUnits.open(tmp_path, "another key")
    assert saved.workflow("Größe", defer="nothing") == units.workflow("Größe", defer="nothing")
    assert saved.digest == units.digest


# Threads


def together(count: int, work: Callable[[int], Any]) -> list[Any]:
    """The results of threads that start at the same time."""
    results: list[Any] = [None] * count
    ready = threading.Barrier(count)

    def run(number: int) -> None:
        ready.wait()
        try:
            results[number] = work(number)
        except BaseException as error:
            results[number] = error

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def large() -> str:
    specs = {
        f"{n}": process(f"{n}", refer("SubWorkflowTask", f"{(n * 7 + 1) % 60}")) for n in range(60)
    }
    top = process("top", *(refer("CallActivity", name) for name in specs))
    return json.dumps({"spec": top, "subprocess_specs": specs})


def test_threads_may_use_one_at_once(tmp_path: Path) -> None:
    memory = ElementUnits.from_json(large())
    memory.save(tmp_path, KEY)
    names = memory.process_ids
    wanted = [memory.workflow(name) for name in names]
    for _ in range(5):
        opened = ElementUnits.open(tmp_path, KEY)
        got = together(8, lambda number, units=opened: [units.workflow(n) for n in names[number:]])
        assert got == [wanted[number:] for number in range(8)]


def test_closing_under_other_threads_gives_them_answers_or_says_so(tmp_path: Path) -> None:
    ElementUnits.from_json(large()).save(tmp_path, KEY)
    wanted = ElementUnits.open(tmp_path, KEY).workflow("top", defer="nothing")
    for _ in range(10):
        opened = ElementUnits.open(tmp_path, KEY)

        def work(number: int, units: ElementUnits = opened) -> Any:
            return units.close() if number == 3 else units.workflow("top", defer="nothing")

        for result in together(6, work):
            assert result in (wanted, None) or isinstance(result, CacheError), result


def test_threads_may_cache_and_read_one_key_at_once(tmp_path: Path) -> None:
    texts = [large(), TEXT, other_text()]
    wanted = {text: ElementUnits.from_json(text).digest for text in texts}
    ElementUnits.from_json(TEXT).save(tmp_path, KEY)

    def work(number: int) -> str:
        text = texts[number % 3]
        if number < 6:
            ElementUnits.from_json(text).save(tmp_path, KEY)
        units = ElementUnits.open(tmp_path, KEY)
        units.workflow(units.root, defer="nothing")
        return units.digest

    for _ in range(5):
        assert set(together(9, work)) <= set(wanted.values())
    assert len(list(tmp_path.glob("v2/*/*"))) == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_it_may_be_used_after_a_fork(tmp_path: Path) -> None:
    units = from_cache(tmp_path)
    wanted = units.workflow("Größe")
    child = os.fork()
    if child == 0:
        os._exit(0 if units.workflow("Größe") == wanted and units.needs("C") == ("C",) else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert units.workflow("Größe") == wanted
