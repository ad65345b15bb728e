"""The digest of a process: what it covers, and that nothing else counts.

The digests are compared with those of `digest_in`, which uses the naive model to find what belongs
to a process.
"""

from __future__ import annotations

import copy
import json
import random
import threading
from hashlib import sha256
from pathlib import Path
from typing import Any

import naive
import pytest
import strategies
from drawn import call, embed, spec, start, task, workflow
from hypothesis import event, given

from spiff_element_units import CorruptPack, ElementUnits, UnitNotFound

PLAIN = strategies.Spelling(random.Random(0), spaces=0, escapes=0, twice=0)


def spec_text(spec: dict) -> bytes:
    return PLAIN.value(spec).encode("utf-8", "surrogatepass")


def digest_in(whole: dict, process_id: str) -> str:
    own = spec_text(naive.spec_of(whole, naive.find(whole, process_id)))
    others = naive.belonging(whole, process_id)
    hashed = sha256(own)
    for key, one in sorted((key.encode(), spec_text(one)) for key, one in others.items()):
        hashed.update(len(key).to_bytes(4, "little") + key + sha256(one).digest())
    return hashed.hexdigest()


def digests(units: ElementUnits) -> dict[str, str]:
    return {name: units.process_digest(name) for name in units.process_ids}


@given(strategies.workflows())
def test_a_digest_is_the_one_of_the_naive_model_in_memory_and_from_a_cache(
    tmp_path_factory: Any, whole: dict
) -> None:
    units = ElementUnits.from_json(PLAIN.text(whole))
    expected = {name: digest_in(whole, name) for name in units.process_ids}
    assert digests(units) == expected
    assert digests(units) == expected, "once more, from memory"
    folder = tmp_path_factory.getbasetemp() / "digests"
    units.save(folder, "key")
    cached = ElementUnits.open(folder, "key")
    backwards = {name: cached.process_digest(name) for name in reversed(cached.process_ids)}
    assert backwards == expected
    most = max(len(naive.belonging(whole, name)) for name in expected)
    event(f"most that belong to a process: {most}")


@given(strategies.workflows(), strategies.st.data())
def test_a_change_of_one_spec_changes_the_digests_of_the_processes_that_it_belongs_to(
    whole: dict, data: Any
) -> None:
    held = [key for key, one in whole["subprocess_specs"].items() if one is not None]
    key = data.draw(strategies.st.sampled_from([naive.ROOT, *held]), label="changed")
    before = digests(ElementUnits.from_json(PLAIN.text(whole)))
    changed = copy.deepcopy(whole)
    naive.spec_of(changed, key)["new"] = None
    after = digests(ElementUnits.from_json(PLAIN.text(changed)))
    concerned = {
        name
        for name in before
        if naive.find(whole, name) == key
        or key in naive.belonging(whole, name)
        or key in naive.belonging(changed, name)
    }
    assert {name for name in before if before[name] != after[name]} == concerned


@given(strategies.workflows(), strategies.st.data())
def test_the_way_in_which_whitespace_lies_between_tokens_changes_no_digest(
    whole: dict, data: Any
) -> None:
    seed = data.draw(strategies.st.integers(0, 2**32))
    spaced = strategies.Spelling(random.Random(seed), spaces=0.7, escapes=0, twice=0)
    units = ElementUnits.from_json(spaced.text(whole))
    assert digests(units) == {name: digest_in(whole, name) for name in units.process_ids}


def test_the_digest_of_a_process_by_itself_is_that_of_its_spec_as_root_or_called() -> None:
    alone = workflow("A", A=[task()])
    called = workflow("B", B=[call("A"), call("C")], A=[task()], C=[embed("D")], D=[])
    expected = sha256(alone.spec_json("A")).hexdigest()
    assert alone.process_digest("A") == called.process_digest("A") == expected


def test_a_digest_covers_what_is_embedded_and_triggered_at_any_depth_and_nothing_called() -> None:
    model: dict[str, Any] = {
        "A": [start("T"), embed("E"), call("C")],
        "E": [embed("F")],
        "F": [],
        "T": [embed("G")],
        "G": [],
        "C": [embed("H")],
        "H": [],
    }
    before = digests(workflow("A", **model))
    for name, concerned in [
        ("A", "A"), ("E", "AE"), ("F", "AEF"), ("T", "AT"), ("G", "ATG"), ("C", "C"), ("H", "CH"),
    ]:  # fmt: skip
        after = digests(workflow("A", **{**model, name: [*model[name], task("new")]}))
        assert [one for one in model if before[one] != after[one]] == list(concerned)


def test_embedded_subprocesses_that_exchange_their_specs_are_another_process() -> None:
    first = workflow("A", A=[embed("E"), embed("F")], E=[task("x")], F=[task("y")])
    exchanged = json.loads(first.workflow("A"))
    specs = exchanged["subprocess_specs"]
    specs["E"], specs["F"] = specs["F"], specs["E"]
    second = ElementUnits.from_json(json.dumps(exchanged))
    assert first.process_digest("A") != second.process_digest("A")
    assert first.spec_json("A") == second.spec_json("A")


def test_the_order_of_the_subprocess_specs_does_not_count() -> None:
    model: dict[str, Any] = {"A": [embed("E"), embed("F")], "E": [task("x")], "F": [task("y")]}
    turned = {name: model[name] for name in reversed(model)}
    assert digests(workflow("A", **model)) == digests(workflow("A", **turned))


def test_the_root_has_the_digest_that_it_has_elsewhere_unless_it_calls_another_of_its_id() -> None:
    def recursive(inner: list[dict]) -> ElementUnits:
        specs = {"A": spec("A", inner)}
        whole = {"spec": spec("A", [call("A")]), "subprocess_specs": specs}
        return ElementUnits.from_json(json.dumps(whole))

    same = recursive([call("A")])
    elsewhere = workflow("B", B=[call("A")], A=[call("A")])
    assert same.process_digest("A") == elsewhere.process_digest("A")
    other, another = recursive([task("x")]), recursive([task("y")])
    assert len({units.process_digest("A") for units in (same, other, another)}) == 3


def test_a_digest_reads_what_it_covers_and_nothing_else(tmp_path: Path) -> None:
    model = {f"P{number}": [task("x" * 10_000)] for number in range(100)}
    workflow("A", A=[call(name) for name in model], **model).save(tmp_path, "key")
    units = ElementUnits.open(tmp_path, "key")
    (pack,) = tmp_path.rglob("*.pack")
    expected = sha256(units.spec_json("P7")).hexdigest()
    broken = bytearray(pack.read_bytes())
    for number in range(100):
        if number != 7:
            place = broken.index(b'{"name":"P%d"' % number)
            broken[place + 9] ^= 1
    pack.write_bytes(broken)
    damaged = ElementUnits.open(tmp_path, "key")
    assert damaged.process_digest("P7") == expected
    with pytest.raises(CorruptPack):
        damaged.process_digest("P8")


def test_a_process_that_is_not_there_has_no_digest() -> None:
    units = workflow("A", A=[call("B")], B=None)
    for name in ("B", "nowhere"):
        with pytest.raises(UnitNotFound):
            units.process_digest(name)
    with pytest.raises(TypeError, match="process_id must be a str, not int"):
        units.process_digest(7)  # type: ignore[arg-type]


def test_threads_that_ask_at_once_get_the_same_digests(tmp_path: Path) -> None:
    model: dict[str, Any] = {f"P{number}": [embed(f"P{number + 1}")] for number in range(100)}
    workflow("P0", **model, P100=[]).save(tmp_path, "key")
    expected = digests(ElementUnits.open(tmp_path, "key"))
    shared = ElementUnits.open(tmp_path, "key")
    found: list[dict[str, str]] = []
    threads = [
        threading.Thread(target=lambda: found.append(digests(shared))) for _ in range(4)
    ]  # fmt: skip
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [expected] * 4
