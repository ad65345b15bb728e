"""`ls`, `verify`, `prune` and `rm` of the command."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest
from command import EXAMPLES, command, failing, fill, plain, terminal

from spiff_element_units import ElementUnits, cache_keys

KEYS = ["Claim", "order", "complaint"]  # largest first


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    made = fill(tmp_path, EXAMPLES)
    for age, key in enumerate(KEYS):
        path = next(one.path for one in cache_keys(made) if one.cache_key == key)
        os.utime(path, (1_700_000_000 + age, 1_700_000_000 + age))
    return made


def pack(cache: Path, key: str) -> Path:
    return Path(next(one.path for one in cache_keys(cache) if one.cache_key == key))


def test_ls_lists_the_largest_first_with_whole_ids_and_plain_numbers(cache: Path) -> None:
    done = command("ls", cache)
    assert done.lines[0].split() == ["key", "size", "processes", "cached"]
    rows = [line.split() for line in done.lines[1:]]
    assert [row[0] for row in rows] == KEYS
    assert rows[0][1:] == [str(pack(cache, "Claim").stat().st_size), "14", "2023-11-14T22:13:20Z"]


@pytest.mark.parametrize(
    ("sort", "keys"),
    [("key", sorted(KEYS)), ("processes", KEYS), ("time", KEYS), ("size", KEYS)],
)
def test_ls_sorts(cache: Path, sort: str, keys: list) -> None:
    listed = command("ls", cache, "--sort", sort, "--json").json["workflows"]
    assert [one["key"] for one in listed] == keys


def test_the_json_of_ls_has_this_shape(cache: Path) -> None:
    listed = command("ls", cache, "--json").json
    assert listed["cache_dir"] == str(cache)
    assert listed["workflows"][0] == {
        "key": "Claim",
        "bytes": pack(cache, "Claim").stat().st_size,
        "processes": 14,
        "cached_at": "2023-11-14T22:13:20Z",
        "digest": ElementUnits.open(cache, "Claim").digest,
        "path": str(pack(cache, "Claim")),
    }


def test_a_key_cannot_drive_the_terminal(tmp_path: Path) -> None:
    units = ElementUnits.open(fill(tmp_path, EXAMPLES / "claim.bpmn"), "Claim")
    units.save(tmp_path / "odd", "\x1b[2Jgone\nnext [bold]größe[/bold]")
    for printed in (command("ls", tmp_path / "odd").out, terminal("ls", tmp_path / "odd").out):
        assert r"\x1b[2Jgone\nnext [bold]größe[/bold]" in plain(printed).replace("\n", "")


def test_a_terminal_gets_bold_headers_and_rounded_sizes(cache: Path) -> None:
    printed = terminal("ls", cache).out
    assert "\x1b[1m" in printed
    assert re.search(r"Claim +\d\d\.\d kB", plain(printed))


def test_no_color_is_respected(cache: Path) -> None:
    (pack(cache, "order")).write_bytes(b"no pack")
    assert "\x1b[31m" in terminal("verify", cache).out
    printed = terminal("verify", cache, NO_COLOR="1").out
    assert "damaged" in printed
    assert "\x1b[31m" not in printed


def test_verify_reads_everything_and_fails_where_something_is_damaged(cache: Path) -> None:
    good = command("verify", cache)
    assert (good.code, good.out) == (0, "3 good, 0 damaged\n")
    path = pack(cache, "order")
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)
    (path.parent / f"{path.name}.1-0123456789abcdef.tmp").write_bytes(b"half a pack")
    done = command("verify", cache)
    assert done.code == 1
    assert "damaged order: " in done.out
    assert "2 good, 1 damaged" in done.out
    report = command("verify", cache, "--json")
    assert report.code == 1
    shape = json.loads(report.out)
    assert shape["ok"] is False
    assert [one["key"] for one in shape["good"]] == ["Claim", "complaint"]
    assert shape["damaged"][0].keys() == {"path", "key", "reason"}
    assert shape["leftovers"] == [str(path.parent / f"{path.name}.1-0123456789abcdef.tmp")]


@pytest.mark.parametrize("limits", [["--max-age", "1d"], ["--max-bytes", "1kB"]])
def test_a_dry_prune_says_what_a_prune_removes(cache: Path, limits: list) -> None:
    leftover = pack(cache, "order").with_name(f"{pack(cache, 'order').name}.1-0123456789abcdef.tmp")
    leftover.write_bytes(b"half a pack")
    dry = command("prune", cache, *limits, "--dry-run", "--json").json
    assert len(cache_keys(cache)) == 3
    assert leftover.exists()
    wet = command("prune", cache, *limits, "--json").json
    assert not cache_keys(cache)
    assert not leftover.exists()
    assert [one["key"] for one in wet["removed"]] == KEYS
    assert wet["leftovers"] == [str(leftover)]
    assert {**dry, "dry_run": False} == wet


def test_prune_says_what_it_keeps_to(cache: Path) -> None:
    keep = pack(cache, "complaint").stat().st_size + pack(cache, "order").stat().st_size
    done = command("prune", cache, "--max-bytes", f"{keep}")
    assert done.lines[0].startswith("removed Claim, 2023-11-14T22:13:20Z, ")
    assert [one.cache_key for one in cache_keys(cache)] == ["complaint", "order"]
    assert command("prune", cache).out == "0 workflows, 0 leftovers, 0 bytes freed\n"


def test_rm_removes_what_is_there_and_fails_for_what_is_not(cache: Path) -> None:
    dry = command("rm", cache, "Claim", "--dry-run")
    assert (dry.code, dry.out) == (0, "would remove Claim\n")
    done = command("rm", cache, "Claim", "Cleim", "order")
    assert done.code == 1
    assert done.out == "removed Claim\nremoved order\n"
    assert done.err.startswith("spiff-element-units: cache key 'Cleim' is not cached")
    assert [one.cache_key for one in cache_keys(cache)] == ["complaint"]
    assert command("rm", cache, "complaint", "--json").json == {
        "cache_dir": str(cache),
        "dry_run": False,
        "removed": ["complaint"],
        "missing": [],
    }


def test_upkeep_of_what_is_no_folder_is_a_failure(tmp_path: Path) -> None:
    for name in ("ls", "verify", "prune"):
        assert "there is no folder" in failing(name, tmp_path / "nowhere")
        assert f"{str(EXAMPLES)!r} is not a cache" in failing(name, EXAMPLES)
    assert "is not a cache" in failing("rm", tmp_path, "key")
    assert "is not a cache" in failing("show", tmp_path, "key")
