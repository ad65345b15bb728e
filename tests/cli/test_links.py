"""Calls from one cached workflow to another: `run`, `show` and `graph` follow them."""

from __future__ import annotations

from pathlib import Path

import pytest
from command import command, failing
from paged import data_of
from written import call, process, script, write

from spiff_element_units import ElementUnits, cache_keys


def cached(folder: Path, **files: str) -> Path:
    """A cache with a workflow for each file; `__` in a name is a folder."""
    for name, text in files.items():
        write(folder / "tree" / f"{name.replace('__', '/')}.bpmn", text)
    done = command("cache", folder / "cache", folder / "tree", "--each", "folder")
    assert done.code == 0, done.err
    return folder / "cache"


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """`shop` calls `pay` of another workflow, which calls `bank` of a third."""
    return cached(
        tmp_path,
        a__shop=process("shop", call("pack"), call("pay"), call("nowhere")),
        a__pack=process("pack"),
        b__pay=process("pay", call("bank"), call("check")) + process("check"),
        c__bank=process("bank", script("paid = 1")),
        c__other=process("other"),
    )


def test_run_follows_a_call_to_another_workflow(tmp_path: Path) -> None:
    cache = cached(
        tmp_path,
        a__shop=process("shop", call("pay")),
        b__pay=process("pay", call("bank")),
        c__bank=process("bank", script("paid = 1")),
    )
    done = command("run", cache, "a/shop", "--json").json
    assert (done["status"], done["data"]) == ("completed", {"paid": 1})
    assert done["linked"] == [
        {"process": "pay", "key": "b/pay"},
        {"process": "bank", "key": "c/bank"},
    ]
    assert done["loaded"]["processes"] == ["shop"]
    lines = command("run", cache, "a/shop").lines
    assert lines[-3:-1] == ["pay is from b/pay", "bank is from c/bank"]


def test_a_function_that_another_workflow_lacks_is_told(tmp_path: Path) -> None:
    cache = cached(
        tmp_path,
        a__shop=process("shop", call("pay")),
        b__pay=process("pay", script("paid = double(1)")),
    )
    says = failing("run", cache, "a/shop")
    assert "calls the function 'double', which it does not get (element 'pay_0' of" in says


def test_a_run_with_links_goes_on_where_it_stopped(tmp_path: Path) -> None:
    cache = cached(
        tmp_path,
        a__shop=process("shop", call("pay")),
        b__pay=process("pay", "<manualTask />", script("paid = 1")),
    )
    arguments = ("run", cache, "a/shop", "--state", tmp_path / "state", "--json")
    assert command(*arguments).json["status"] == "waiting"
    assert command(*arguments, input="{}\n").json["data"] == {"paid": 1}


def test_a_process_that_no_workflow_has_is_told(cache: Path) -> None:
    assert "'nowhere'" in failing("run", cache, "a/shop")


def test_the_nearest_workflow_is_taken_and_the_others_are_told(tmp_path: Path) -> None:
    cache = cached(
        tmp_path,
        x__shop=process("shop", call("pay")),
        x__near__pay=process("pay", script("n = 'near'")),
        y__pay=process("pay", script("n = 'far'")),
        # In this workflow it is not the root, so the command does not choose it.
        x__a__all=process("all", call("pay")) + process("pay", script("n = 'inside'")),
    )
    done = command("run", cache, "x/shop")
    assert done.code == 0, done.err
    assert '"n": "near"' in done.out
    assert "pay is from x/near/pay (also in y/pay)" in done.lines


def test_a_process_inside_of_another_workflow_is_found_too(tmp_path: Path) -> None:
    cache = cached(
        tmp_path,
        a__shop=process("shop", call("pay")),
        b__all=process("all", call("pay")) + process("pay", script("paid = 1")),
    )
    assert command("run", cache, "a/shop", "--json").json["data"] == {"paid": 1}


def test_show_goes_on_into_the_other_workflows(cache: Path) -> None:
    lines = [line.split("  ") for line in command("show", cache, "a/shop").lines]
    told = {words[0] or words[1] or words[2]: " ".join(words) for words in lines}
    assert "called by shop_1, from b/pay" in told["pay"]
    assert "from" not in told["pack"] + told["check"]
    assert "called by pay_0, from c/bank" in told["bank"]
    assert "external" in told["nowhere"]
    shown = command("show", cache, "a/shop", "--json").json
    assert shown["digest"] == ElementUnits.open(cache, "a/shop").digest
    assert {one["id"]: one["from"] for one in shown["processes"]} == {
        "shop": None,
        "pack": None,
        "pay": "b/pay",
        "check": "b/pay",
        "bank": "c/bank",
    }
    external = [
        reference["process_id"]
        for one in shown["processes"]
        for reference in one["references"]
        if reference["external"]
    ]
    assert external == ["nowhere"]
    assert shown["bytes"] == sum(one["bytes"] for one in shown["processes"])


def test_graph_goes_on_into_the_other_workflows(cache: Path, tmp_path: Path) -> None:
    drawn = command("graph", cache, "a/shop").out
    assert "from b#47;pay" in drawn
    assert "from c#47;bank" in drawn
    assert drawn.count("external") >= 1
    described = command("graph", cache, "a/shop", "--json").json
    origins = {one["id"]: one["from"] for one in described["processes"]}
    assert origins["bank"] == "c/bank"
    page = tmp_path / "page.html"
    assert command("graph", cache, "a/shop", "--format", "html", "-o", page).code == 0
    assert "bank" in [one[0] for one in data_of(page.read_text(encoding="utf-8"))["processes"]]


def test_a_process_of_the_same_name_stays_external(tmp_path: Path) -> None:
    """`pay` leads to a `check` that differs from the one here. The command must not mix them up."""
    cache = cached(
        tmp_path,
        a__shop=process("shop", call("check"), call("pay")) + process("check", script("n = 1")),
        b__pay=process("pay", call("check")) + process("check", script("n = 2")),
    )
    shown = command("show", cache, "a/shop", "--json").json
    assert [one["id"] for one in shown["processes"]] == ["shop", "check"]


def test_a_recursive_root_stays_itself(tmp_path: Path) -> None:
    cache = cached(
        tmp_path,
        a__shop=process("shop", call("shop"), call("pay")),
        b__pay=process("pay", call("shop2")),
    )
    assert len(cache_keys(cache)) == 2
    lines = command("show", cache, "a/shop").lines
    assert any("called by shop_0, recursive" in line for line in lines)
    assert any("from b/pay" in line for line in lines)


def test_a_damaged_workflow_links_to_nothing(cache: Path) -> None:
    (path,) = (Path(one.path) for one in cache_keys(cache) if one.cache_key == "b/pay")
    path.write_bytes(b"no pack")
    lines = command("show", cache, "a/shop").lines
    assert any("called by shop_1, external" in line for line in lines)
