"""Managing a cache: listing, removing, checking and pruning it; `get_or_cache`; `durable`."""

from __future__ import annotations

import errno
import os
import shutil
import threading
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, Callable

import crowd
import pytest
from crowd import (
    Child,
    files_in,
    needs_fork,
    needs_links,
    needs_open_files_removed,
    needs_root,
    text,
)

from spiff_element_units import (
    CachedWorkflow,
    CacheError,
    CacheReport,
    CorruptPack,
    ElementUnits,
    ElementUnitsError,
    InvalidWorkflowSpec,
    PruneReport,
    UnitNotFound,
    cache_element_units_for_workflow,
    cache_keys,
    prune_cache,
    remove_cached_workflow,
    verify_cache,
    workflow_from_cached_element_unit,
)
from spiff_element_units.cache import platform, reports
from spiff_element_units.cache.directory import pack_path

HOUR = 3600
ODD_KEYS = ["", "../../etc/passwd", "/etc/passwd", "a\0b", "Key", "key", "\u00e9", "e\u0301"]
ODD_KEYS += ["\ud800", "🦊", "con", "k" * 10_000]


def cached(directory: Path, key: str, mark: str = "m", hours_ago: float = 0) -> Path:
    """Cache a workflow as if it was done some hours ago. Returns the path of its pack."""
    cache_element_units_for_workflow(directory, key, text(mark))
    path = Path(pack_path(directory, key))
    if hours_ago:
        set_back(path, hours_ago)
    return path


def set_back(path: Path, hours: float) -> None:
    then = time.time_ns() - int(hours * HOUR * 10**9)
    follow = os.utime not in os.supports_follow_symlinks  # Windows
    os.utime(path, ns=(then, then), follow_symlinks=follow)


def damage(path: Path, place: int = -20) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= 0xFF
    path.write_bytes(content)


def keys(directory: Path) -> list[str]:
    return [workflow.cache_key for workflow in cache_keys(directory)]


def keys_of(workflows: tuple[CachedWorkflow, ...]) -> list[str]:
    return [workflow.cache_key for workflow in workflows]


def snapshot(directory: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in files_in(directory)}


# Without a cache


@pytest.mark.parametrize("made", ["nothing", "directory", "v2", "shard"])
def test_a_cache_that_is_not_there_is_empty(made: str, tmp_path: Path) -> None:
    directory = tmp_path / "cache"
    made_of = {"nothing": "", "directory": "cache", "v2": "cache/v2", "shard": "cache/v2/ab"}
    (tmp_path / made_of[made]).mkdir(parents=True, exist_ok=True)
    assert cache_keys(directory) == ()
    assert verify_cache(directory) == CacheReport((), (), ())
    assert prune_cache(directory, max_age=0, max_bytes=0) == PruneReport((), (), 0)
    assert remove_cached_workflow(directory, "key") is False
    assert directory.exists() == (made != "nothing")
    with pytest.raises(UnitNotFound, match="'key' is not cached in"):
        ElementUnits.open(directory, "key")
    with pytest.raises(UnitNotFound, match="call cache_element_units_for_workflow first"):
        workflow_from_cached_element_unit(directory, "key", "A", "A")


FUNCTIONS: list[Callable] = [
    cache_keys,
    verify_cache,
    prune_cache,
    lambda cache_dir: remove_cached_workflow(cache_dir, "key"),
    lambda cache_dir: ElementUnits.get_or_cache(cache_dir, "key", lambda: text("m")),
]


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_directory_that_cannot_be_one_is_an_error_of_ours(
    function: Callable, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("not a directory")
    for wrong in (None, 7, b"bytes"):
        with pytest.raises(TypeError):
            function(wrong)
    for wrong in ("", "nul\0", "\ud800", "d" * 5000, tmp_path / "file", f"{tmp_path}/file/below"):
        with pytest.raises(CacheError) as raised:
            function(wrong)
        assert type(raised.value) is CacheError


@pytest.mark.parametrize("wrong", [None, 7, b"key", ["key"]])
def test_a_key_that_is_no_string_is_a_type_error(wrong: Any, tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="cache_key must be a str"):
        remove_cached_workflow(tmp_path, wrong)
    with pytest.raises(TypeError, match="cache_key must be a str"):
        ElementUnits.get_or_cache(tmp_path, wrong, lambda: text("m"))


# Listing


def test_what_is_cached_is_listed_with_size_time_and_digest(tmp_path: Path) -> None:
    before = datetime.now(timezone.utc)
    path = cached(tmp_path, "key")
    after = datetime.now(timezone.utc)
    (workflow,) = cache_keys(tmp_path)
    assert workflow.cache_key == "key"
    assert workflow.size == path.stat().st_size
    assert before - timedelta(milliseconds=1) <= workflow.cached_at <= after
    assert workflow.digest == ElementUnits.from_json(text("m")).digest
    assert workflow.path == str(path)


def test_keys_are_listed_in_their_order_whatever_they_are(tmp_path: Path) -> None:
    for key in ODD_KEYS:
        cached(tmp_path, key)
    assert keys(tmp_path) == sorted(ODD_KEYS)


def test_a_directory_in_any_form_is_listed(tmp_path: Path, monkeypatch: Any) -> None:
    cached(tmp_path, "key")
    monkeypatch.chdir(tmp_path)
    assert len(cache_keys(str(tmp_path))) == len(cache_keys(tmp_path)) == len(cache_keys(".")) == 1


@needs_links
def test_nothing_but_good_packs_in_their_places_is_listed(tmp_path: Path) -> None:
    good = cached(tmp_path, "good")
    damage(cached(tmp_path, "damaged header"), place=30)
    cached(tmp_path, "elsewhere")
    cached(tmp_path, "misplaced").rename(pack_path(tmp_path, "elsewhere"))
    cached(tmp_path, "linked").rename(tmp_path / "moved")
    Path(pack_path(tmp_path, "linked")).symlink_to(tmp_path / "moved")
    cached(tmp_path, "cut").write_bytes(b"")
    cached(tmp_path, "directory").unlink()
    Path(pack_path(tmp_path, "directory")).mkdir()
    (good.parent / "notes.txt").write_text("a stranger's")
    (tmp_path / "v2" / "notes.txt").write_text("a stranger's")
    (tmp_path / "v2" / "other").mkdir()
    shutil.copy(good, good.with_suffix(".copy"))
    shutil.copy(good, tmp_path / "v2" / "other" / good.name)
    (tmp_path / "v2" / "00").mkdir(exist_ok=True)
    shutil.copy(good, tmp_path / "v2" / "00" / good.name)
    assert keys(tmp_path) == ["good"]


def test_a_time_that_no_calendar_has_is_the_end_of_it(tmp_path: Path) -> None:
    assert reports.moment(10**30) == datetime.max.replace(tzinfo=timezone.utc)
    assert reports.moment(-(10**30)) == datetime.min.replace(tzinfo=timezone.utc)
    path = cached(tmp_path, "key")
    os.utime(path, (0, -1))
    assert cache_keys(tmp_path)[0].cached_at == datetime(
        1969, 12, 31, 23, 59, 59, tzinfo=timezone.utc
    )


@needs_fork
def test_what_a_pack_takes_to_list_does_not_depend_on_how_many_there_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    for name in ("open", "pread", "listdir", "lstat", "stat"):
        real = getattr(os, name)
        monkeypatch.setattr(
            os, name, lambda *args, n=name, r=real, **more: calls.append(n) or r(*args, **more)
        )
    counted = []
    for number in (100, 1000):
        for key in range(number):
            cached(tmp_path / str(number), f"{key}")
        calls.clear()
        assert len(cache_keys(tmp_path / str(number))) == number
        counted.append((len(calls) - calls.count("listdir")) / number)
        assert calls.count("listdir") <= 257
    assert counted[0] == counted[1] <= 3


# Removing


def test_a_key_that_is_removed_is_not_cached_any_more(tmp_path: Path) -> None:
    for key in ODD_KEYS:
        cached(tmp_path, key)
    for number, key in enumerate(ODD_KEYS, 1):
        assert remove_cached_workflow(tmp_path, key) is True
        with pytest.raises(UnitNotFound):
            ElementUnits.open(tmp_path, key)
        assert keys(tmp_path) == sorted(ODD_KEYS[number:])
        assert remove_cached_workflow(tmp_path, key) is False
    assert files_in(tmp_path) == []


def test_who_has_a_removed_workflow_open_goes_on_being_served(tmp_path: Path) -> None:
    cached(tmp_path, "key")
    units = ElementUnits.open(tmp_path, "key")
    assert remove_cached_workflow(tmp_path, "key")
    assert crowd.mark_in(units.workflow("A", "call")) == "m"


def test_a_damaged_pack_can_be_removed(tmp_path: Path) -> None:
    cached(tmp_path, "key").write_bytes(b"garbage")
    assert remove_cached_workflow(tmp_path, "key")
    assert files_in(tmp_path) == []


@needs_links
def test_a_link_is_removed_and_not_what_it_leads_to(tmp_path: Path) -> None:
    cached(tmp_path, "key").rename(tmp_path / "theirs")
    Path(pack_path(tmp_path, "key")).symlink_to(tmp_path / "theirs")
    assert remove_cached_workflow(tmp_path, "key")
    assert files_in(tmp_path) == [tmp_path / "theirs"]


def test_what_cannot_be_removed_is_told(tmp_path: Path) -> None:
    path = Path(pack_path(tmp_path, "key"))
    path.mkdir(parents=True)
    with pytest.raises(CacheError, match="cannot remove") as raised:
        remove_cached_workflow(tmp_path, "key")
    assert repr(str(path)) in str(raised.value)
    assert isinstance(raised.value.__cause__, OSError)


# Verifying


def test_a_good_cache_is_told_to_be_good(tmp_path: Path) -> None:
    for key in ODD_KEYS:
        cached(tmp_path, key)
    report = verify_cache(tmp_path)
    assert report.ok
    assert report.good == cache_keys(tmp_path)
    assert report.damaged == report.leftovers == ()


def link(path: Path) -> None:
    path.unlink()
    try:
        path.symlink_to("away")
    except OSError:
        pytest.skip("may not make symbolic links")


DAMAGES: dict[str, tuple[Callable[[Path], Any], str]] = {
    "header": (lambda path: damage(path, 30), "checksum of its header"),
    "end": (lambda path: damage(path, -1), "checksum"),
    "middle": (lambda path: damage(path, 500), "checksum"),
    "empty": (lambda path: path.write_bytes(b""), "not a pack"),
    "garbage": (lambda path: path.write_bytes(b"garbage" * 100), "not a pack"),
    "cut": (lambda path: path.write_bytes(path.read_bytes()[:-1]), "bytes"),
    "link": (link, "symbolic link"),
    "directory": (lambda path: (path.unlink(), path.mkdir()), "not a regular file"),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_pack_is_told_with_the_reason_and_caching_again_mends_it(
    name: str, tmp_path: Path
) -> None:
    cached(tmp_path, "good")
    path = cached(tmp_path, "bad")
    do, reason = DAMAGES[name]
    do(path)
    report = verify_cache(tmp_path)
    assert not report.ok
    assert keys_of(report.good) == ["good"]
    (found,) = report.damaged
    assert found.path == str(path)
    assert reason in found.reason
    assert found.cache_key == ("bad" if name in ("end", "middle") else None)
    if name != "directory":
        cached(tmp_path, "bad")
        assert verify_cache(tmp_path).ok


def test_every_flipped_byte_is_found(tmp_path: Path) -> None:
    path = cached(tmp_path, "key")
    good = path.read_bytes()
    for place in range(0, len(good), 7):
        path.write_bytes(good)
        damage(path, place)
        assert len(verify_cache(tmp_path).damaged) == 1, place


def test_a_pack_in_the_place_of_another_is_told(tmp_path: Path) -> None:
    path = cached(tmp_path, "one")
    for other in (Path(pack_path(tmp_path, "two")), tmp_path / "v2" / "00" / path.name):
        other.parent.mkdir(exist_ok=True)
        shutil.copy(path, other)
    report = verify_cache(tmp_path)
    assert keys_of(report.good) == ["one"]
    assert [found.cache_key for found in report.damaged] == ["one", "one"]
    assert all("in the wrong place" in found.reason for found in report.damaged)


def test_a_file_where_a_directory_should_be_is_told(tmp_path: Path) -> None:
    cached(tmp_path, "key")
    (tmp_path / "v2" / "zz").write_text("a stranger's")
    wrong = tmp_path / "v2" / "00"
    wrong.write_text("in the way")
    report = verify_cache(tmp_path)
    assert keys_of(report.good) == ["key"]
    assert [found.path for found in report.damaged] == [str(wrong)]
    assert str(wrong) in report.damaged[0].reason
    for function in (cache_keys, prune_cache):
        with pytest.raises(CacheError, match="cannot list"):
            function(tmp_path)


def test_verifying_changes_nothing(tmp_path: Path) -> None:
    cached(tmp_path, "good")
    damage(cached(tmp_path, "bad"))
    temporary = Path(pack_path(tmp_path, "good") + ".1-0123456789abcdef.tmp")
    temporary.write_bytes(b"half")
    before = snapshot(tmp_path)
    report = verify_cache(tmp_path)
    assert report.leftovers == (str(temporary),)
    assert snapshot(tmp_path) == before


# Pruning


@pytest.mark.parametrize(
    "age", [2.5 * HOUR, timedelta(hours=2.5), timedelta(hours=2, minutes=30), int(2.5 * HOUR)]
)
def test_what_is_older_than_allowed_is_dropped_oldest_first(age: Any, tmp_path: Path) -> None:
    for hours in (1, 4, 2, 3, 5):
        cached(tmp_path, f"{hours}", hours_ago=hours)
    listed = {workflow.cache_key: workflow for workflow in cache_keys(tmp_path)}
    report = prune_cache(tmp_path, max_age=age)
    assert report.removed == (listed["5"], listed["4"], listed["3"])
    assert report.bytes_freed == sum(workflow.size for workflow in report.removed)
    assert report.leftovers == ()
    assert keys(tmp_path) == ["1", "2"]


def test_packs_are_dropped_oldest_first_until_they_take_no_more_than_allowed(
    tmp_path: Path,
) -> None:
    for hours in (1, 4, 2, 3, 5):
        size = cached(tmp_path, f"{hours}", hours_ago=hours).stat().st_size
    assert prune_cache(tmp_path, max_bytes=5 * size).removed == ()
    assert keys_of(prune_cache(tmp_path, max_bytes=5 * size - 1).removed) == ["5"]
    assert keys_of(prune_cache(tmp_path, max_bytes=2 * size).removed) == ["4", "3"]
    assert keys_of(prune_cache(tmp_path, max_bytes=0).removed) == ["2", "1"]
    assert files_in(tmp_path) == []


def test_age_and_size_are_both_kept_to(tmp_path: Path) -> None:
    for hours in (1, 2, 3, 4):
        size = cached(tmp_path, f"{hours}", hours_ago=hours).stat().st_size
    assert keys_of(prune_cache(tmp_path, max_age=3.5 * HOUR, max_bytes=2 * size).removed) == [
        "4",
        "3",
    ]
    assert keys_of(prune_cache(tmp_path, max_age=1.5 * HOUR, max_bytes=2 * size).removed) == ["2"]


def test_without_a_limit_no_pack_is_dropped(tmp_path: Path) -> None:
    cached(tmp_path, "key", hours_ago=10**5)
    assert prune_cache(tmp_path) == PruneReport((), (), 0)
    for endless in (float("inf"), 1e300, timedelta.max, 10**400):
        assert prune_cache(tmp_path, max_age=endless) == PruneReport((), (), 0)
    assert prune_cache(tmp_path, max_bytes=10**400) == PruneReport((), (), 0)
    assert keys(tmp_path) == ["key"]


@pytest.mark.parametrize("max_bytes", [None, 0, 2_000])
@pytest.mark.parametrize("max_age", [None, 3 * HOUR])
def test_a_dry_run_reports_what_a_prune_does_and_does_nothing(
    max_age: Any, max_bytes: Any, tmp_path: Path
) -> None:
    for hours in range(1, 6):
        cached(tmp_path, f"key {hours}", hours_ago=hours)
    damage(cached(tmp_path, "damaged", hours_ago=4.5), place=0)
    leftover = Path(f"{pack_path(tmp_path, 'key 1')}.1-0123456789abcdef.tmp")
    leftover.write_bytes(b"half a pack")
    before = snapshot(tmp_path)
    dry = prune_cache(tmp_path, max_age=max_age, max_bytes=max_bytes, dry_run=True)
    assert snapshot(tmp_path) == before
    assert str(leftover) in dry.leftovers
    assert dry == prune_cache(tmp_path, max_age=max_age, max_bytes=max_bytes)
    assert not leftover.exists()


def test_an_age_of_nothing_drops_everything_cached_so_far(tmp_path: Path) -> None:
    cached(tmp_path, "key")
    cached(tmp_path, "from the future", hours_ago=-1)
    assert keys_of(prune_cache(tmp_path, max_age=0).removed) == ["key"]
    assert keys_of(prune_cache(tmp_path, max_bytes=0).removed) == ["from the future"]


@pytest.mark.parametrize("by", ["function", "save", "get_or_cache"])
def test_what_is_cached_again_as_it_was_is_as_good_as_new(by: str, tmp_path: Path) -> None:
    path = cached(tmp_path, "key", hours_ago=5)
    identity = path.stat().st_ino
    if by == "function":
        cached(tmp_path, "key")
    elif by == "save":
        ElementUnits.open(tmp_path, "key").save(tmp_path, "key")
    else:
        damage(path)
        ElementUnits.get_or_cache(tmp_path, "key", lambda: text("m"))
    assert prune_cache(tmp_path, max_age=HOUR).removed == ()
    assert by == "get_or_cache" or path.stat().st_ino == identity


def test_reading_does_not_make_a_workflow_younger(tmp_path: Path) -> None:
    cached(tmp_path, "key", hours_ago=5)
    workflow_from_cached_element_unit(tmp_path, "key", "A", "call")
    ElementUnits.get_or_cache(tmp_path, "key", lambda: text("m"))
    cache_keys(tmp_path)
    verify_cache(tmp_path)
    assert keys_of(prune_cache(tmp_path, max_age=HOUR).removed) == ["key"]


def test_a_damaged_pack_ages_like_any(tmp_path: Path) -> None:
    path = cached(tmp_path, "damaged")
    path.write_bytes(b"garbage")
    set_back(path, 5)
    damage(cached(tmp_path, "inside"), -20)
    set_back(Path(pack_path(tmp_path, "inside")), 6)
    report = prune_cache(tmp_path, max_age=HOUR)
    assert keys_of(report.removed) == ["inside"]
    assert report.leftovers == (str(path),)
    assert files_in(tmp_path) == []


@needs_links
def test_what_is_not_ours_is_let_be(tmp_path: Path) -> None:
    path = cached(tmp_path, "key", hours_ago=5)
    linked = cached(tmp_path, "linked")
    linked.rename(tmp_path / "moved")
    linked.symlink_to(tmp_path / "moved")
    Path(pack_path(tmp_path, "directory")).mkdir(parents=True)
    theirs = [
        *(tmp_path / name for name in ("notes.txt", "v1", "moved")),
        *(path.parent / name for name in ("notes.txt", "x.tmp", f"{path.name}.tmp", "a.pack")),
        linked,
    ]
    for other in theirs:
        if not other.exists():
            other.write_text("theirs")
        set_back(other, 100)
    assert keys_of(prune_cache(tmp_path, max_age=0, max_bytes=0).removed) == ["key"]
    assert files_in(tmp_path) == sorted(theirs)
    assert Path(pack_path(tmp_path, "directory")).is_dir()


@pytest.mark.parametrize(
    ("error", "limits"),
    [
        (TypeError, {"max_age": "1"}),
        (TypeError, {"max_age": True}),
        (TypeError, {"max_age": datetime.now()}),
        (TypeError, {"max_bytes": 1.5}),
        (TypeError, {"max_bytes": True}),
        (TypeError, {"max_bytes": "1"}),
        (ElementUnitsError, {"max_age": -1}),
        (ElementUnitsError, {"max_age": timedelta(seconds=-1)}),
        (ElementUnitsError, {"max_age": float("nan")}),
        (ElementUnitsError, {"max_bytes": -1}),
    ],
)
def test_a_limit_that_is_none_is_refused(error: type, limits: dict, tmp_path: Path) -> None:
    cached(tmp_path, "key", hours_ago=5)
    with pytest.raises(error, match=next(iter(limits))):
        prune_cache(tmp_path, **limits)
    assert keys(tmp_path) == ["key"]


# What happens during a prune


def between(monkeypatch: pytest.MonkeyPatch, name: str, nth: int, do: Callable[[], Any]) -> None:
    """Do something just before `prune_cache` calls a function of `os` for the nth time."""
    real = getattr(os, name)
    calls = [0]

    def first(*args: Any, **more: Any) -> Any:
        calls[0] += 1
        if calls[0] == nth:
            with monkeypatch.context() as undone:
                undone.setattr(os, name, real)
                do()
        return real(*args, **more)

    monkeypatch.setattr(os, name, first)


MOMENTS = [("listdir", 1), ("lstat", 1), ("open", 1), ("open", 2), ("lstat", 2), ("rename", 1)]


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do not wait for locks: here everything is in one process, which would wait for itself."""
    monkeypatch.setattr(platform, "PAUSE", 0)


@pytest.mark.parametrize("mark", ["m", "another"])
@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("links", [True, False])
def test_what_is_cached_while_a_prune_is_at_work_stays(
    links: bool, moment: tuple, mark: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cached(tmp_path, "key", hours_ago=5)
    if not links:
        monkeypatch.delattr(os, "link")
    between(monkeypatch, *moment, lambda: cached(tmp_path, "key", mark))
    prune_cache(tmp_path, max_age=HOUR)
    units = ElementUnits.open(tmp_path, "key")
    assert crowd.mark_in(units.workflow("A", "call")) == mark
    assert len(files_in(tmp_path)) == 1


needs_locks = pytest.mark.skipif(platform.fcntl is None, reason="needs locks on files")


@pytest.mark.parametrize("mark", ["m", "another"])
@pytest.mark.parametrize("moment", [*MOMENTS[:3], pytest.param(MOMENTS[3], marks=needs_locks)])
def test_what_is_cached_while_a_prune_is_at_work_is_there_at_every_moment(
    moment: tuple, mark: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cached(tmp_path, "key", hours_ago=5)
    done: list[str] = []

    def watch(name: str) -> None:
        real = getattr(os, name)

        def watched(*args: Any, **more: Any) -> Any:
            result = real(*args, **more)
            if done == ["cached"]:
                done.append("asked")
                assert (
                    crowd.mark_in(ElementUnits.open(tmp_path, "key").workflow("A", "call")) == mark
                )
                done.remove("asked")
            return result

        monkeypatch.setattr(os, name, watched)

    for name in ("lstat", "open", "rename", "unlink", "link", "close"):
        watch(name)
    between(monkeypatch, *moment, lambda: (cached(tmp_path, "key", mark), done.append("cached")))
    prune_cache(tmp_path, max_age=HOUR)
    assert done == ["cached"]


@needs_locks
@pytest.mark.parametrize("mark", ["m", "another"])
def test_a_writer_waits_for_a_prune_that_is_dropping_the_pack(
    mark: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cached(tmp_path, "key", hours_ago=5)
    happened: list[str] = []
    moved = threading.Event()
    monkeypatch.setattr(platform, "PATIENCE", 10**9)
    monkeypatch.setattr(time, "sleep", lambda seconds: moved.set())

    def write() -> None:
        cached(tmp_path, "key", mark)
        happened.append("written")
        moved.set()

    writer = threading.Thread(target=write)
    between(monkeypatch, "rename", 1, lambda: (writer.start(), moved.wait()))
    between(monkeypatch, "unlink", 1, lambda: happened.append("dropped"))
    assert keys_of(prune_cache(tmp_path, max_age=HOUR).removed) == ["key"]
    writer.join()
    assert happened == ["dropped", "written"]
    assert crowd.mark_in(ElementUnits.open(tmp_path, "key").workflow("A", "call")) == mark


@pytest.mark.parametrize("mark", ["m", "another"])
def test_what_is_cached_while_a_prune_has_it_set_aside_stays(
    mark: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cached(tmp_path, "key", hours_ago=5)
    between(monkeypatch, "unlink", 1, lambda: cached(tmp_path, "key", mark))
    assert keys_of(prune_cache(tmp_path, max_age=HOUR).removed) == ["key"]
    assert crowd.mark_in(ElementUnits.open(tmp_path, "key").workflow("A", "call")) == mark
    assert len(files_in(tmp_path)) == 1


def test_a_pack_that_is_dropped_while_it_is_recognised_is_written_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("utime", "lstat"):
        cached(tmp_path, "key")
        with monkeypatch.context() as meanwhile:
            between(meanwhile, name, 1, lambda: remove_cached_workflow(tmp_path, "key"))
            cached(tmp_path, "key")
        assert keys(tmp_path) == ["key"]


@pytest.mark.parametrize(("name", "nth"), [("lstat", 1), ("open", 1), ("open", 2), ("rename", 1)])
def test_a_pack_that_is_removed_while_a_prune_is_at_work_is_no_trouble(
    name: str, nth: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cached(tmp_path, "key", hours_ago=5)
    cached(tmp_path, "other", hours_ago=5)
    between(monkeypatch, name, nth, lambda: remove_cached_workflow(tmp_path, "key"))
    report = prune_cache(tmp_path, max_age=HOUR)
    assert "other" in keys_of(report.removed)
    assert files_in(tmp_path) == []


@pytest.mark.parametrize("function", [cache_keys, verify_cache])
def test_a_pack_that_is_removed_while_it_is_looked_at_is_left_out(
    function: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cached(tmp_path, "key")
    between(monkeypatch, "open", 1, lambda: remove_cached_workflow(tmp_path, "key"))
    result = function(tmp_path)
    assert result in ((), CacheReport((), (), ()))


def test_a_directory_that_is_deleted_while_a_prune_is_at_work_is_no_trouble(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number, name in enumerate(("lstat", "open", "rename")):
        directory = tmp_path / str(number)
        for key in ("one", "two"):
            cached(directory, key, hours_ago=5)
        with monkeypatch.context() as meanwhile:
            between(meanwhile, name, 1, lambda directory=directory: shutil.rmtree(directory))
            prune_cache(directory, max_age=0)
        assert not directory.exists()


# Temporary files


@needs_fork
def test_the_leftover_of_a_dead_writer_is_removed(tmp_path: Path) -> None:
    cached(tmp_path, "key", "old")
    with crowd.writer_at_work(tmp_path, "key", "new") as child:
        child.kill()
    (leftover,) = verify_cache(tmp_path).leftovers
    size = os.path.getsize(leftover)
    assert size > 0
    assert keys(tmp_path) == ["key"]
    assert prune_cache(tmp_path) == PruneReport((), (leftover,), size)
    assert len(files_in(tmp_path)) == 1
    assert crowd.mark_in(ElementUnits.open(tmp_path, "key").workflow("A", "call")) == "old"


@needs_fork
def test_the_file_of_a_living_writer_is_let_be_however_old(tmp_path: Path) -> None:
    with crowd.writer_at_work(tmp_path, "key", "new"):
        (path,) = files_in(tmp_path)
        set_back(path, 10**4)
        assert prune_cache(tmp_path, max_age=0, max_bytes=0) == PruneReport((), (), 0)
        assert files_in(tmp_path) == [path]


def leftover_of(directory: Path, hours_ago: float = 0) -> Path:
    path = Path(pack_path(directory, "key") + ".7b-0123456789abcdef.tmp")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"half a pack")
    set_back(path, hours_ago)
    return path


@pytest.mark.skipif(os.name == "nt", reason="Windows tells by removing: it removes no open file")
@pytest.mark.parametrize("reason", ["no locks", "locks fail", "cannot open"])
def test_without_locks_a_leftover_is_one_that_is_a_day_old(
    reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = leftover_of(tmp_path, hours_ago=23)

    def fails(*args: Any) -> Any:
        raise OSError(errno.ENOLCK, "no locks")

    if reason == "no locks":
        monkeypatch.setattr(platform, "fcntl", None)
    elif reason == "locks fail":
        monkeypatch.setattr(platform.fcntl, "flock", fails)
    else:
        monkeypatch.setattr(os, "open", fails)
    assert prune_cache(tmp_path).leftovers == ()
    set_back(path, 25)
    assert prune_cache(tmp_path).leftovers == (str(path),)
    assert files_in(tmp_path) == []


@needs_open_files_removed
def test_a_writer_whose_temporary_file_is_removed_writes_once_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("utime", "replace"):
        with monkeypatch.context() as meanwhile:
            between(meanwhile, name, 1, lambda: [path.unlink() for path in files_in(tmp_path)])
            cached(tmp_path, name)
        assert keys(tmp_path) == [name]
        remove_cached_workflow(tmp_path, name)


def test_a_writer_whose_temporary_file_is_taken_before_it_has_it_writes_once_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = platform.try_lock
    answers = iter([False, None, True, True])

    def taken(file: int, *, shared: bool = False) -> Any:
        answer = shared or next(answers)
        return real(file, shared=shared) if answer else answer

    monkeypatch.setattr(platform, "try_lock", taken)
    cached(tmp_path, "key")
    cached(tmp_path, "other")
    assert keys(tmp_path) == ["key", "other"]
    assert len(files_in(tmp_path)) == 2


@needs_open_files_removed
def test_a_temporary_file_that_was_removed_before_it_is_locked_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, removed = platform.try_lock, []

    def first_remove(file: int, *, shared: bool = False) -> Any:
        if not removed:
            removed.extend(files_in(tmp_path))
            removed[0].unlink()
        return real(file, shared=shared)

    monkeypatch.setattr(platform, "try_lock", first_remove)
    cached(tmp_path, "key")
    assert removed
    assert keys(tmp_path) == ["key"]


def test_a_directory_that_is_deleted_while_it_is_made_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`os.makedirs` finds the path, looks whether it is a directory, and it is gone."""
    real, failed = os.makedirs, []

    def races(path: str, *args: Any, **more: Any) -> None:
        if not failed:
            failed.append(path)
            raise FileExistsError(errno.EEXIST, "File exists", path)
        real(path, *args, **more)

    monkeypatch.setattr(os, "makedirs", races)
    cached(tmp_path / "cache", "key")
    assert failed
    assert keys(tmp_path / "cache") == ["key"]


def test_a_writer_whose_files_vanish_time_and_again_gives_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*args: Any) -> Any:
        raise FileNotFoundError(errno.ENOENT, "gone", "it")

    monkeypatch.setattr(os, "replace", gone)
    with pytest.raises(CacheError, match="gone"):
        cached(tmp_path, "key")
    assert files_in(tmp_path) == []


# Get or cache


def test_what_is_cached_is_opened_and_not_made(tmp_path: Path) -> None:
    cached(tmp_path, "key")
    units = ElementUnits.get_or_cache(tmp_path, "key", lambda: pytest.fail("was called"))
    assert crowd.mark_in(units.workflow("A", "call")) == "m"
    assert units.cache_key == "key"


@pytest.mark.parametrize("encode", [str, str.encode])
def test_what_is_not_cached_is_made_and_cached(encode: Callable, tmp_path: Path) -> None:
    directory = tmp_path / "fresh" / "machine"
    units = ElementUnits.get_or_cache(directory, "key", lambda: encode(text("m")))
    assert crowd.mark_in(units.workflow("A", "call")) == "m"
    assert units.cache_key == "key"
    assert ElementUnits.open(directory, "key").digest == units.digest


@pytest.mark.parametrize("name", [name for name in DAMAGES if name != "directory"])
def test_what_is_damaged_is_made_and_cached_anew(name: str, tmp_path: Path) -> None:
    DAMAGES[name][0](cached(tmp_path, "key"))
    units = ElementUnits.get_or_cache(tmp_path, "key", lambda: text("m"))
    assert crowd.mark_in(units.workflow("A", "call")) == "m"
    assert verify_cache(tmp_path).ok
    assert keys(tmp_path) == ["key"]


def test_what_cannot_be_cached_is_told_and_served(tmp_path: Path) -> None:
    Path(pack_path(tmp_path, "key")).mkdir(parents=True)
    with pytest.warns(RuntimeWarning, match="cannot write"):
        units = ElementUnits.get_or_cache(tmp_path, "key", lambda: text("m"))
    assert crowd.mark_in(units.workflow("A", "call")) == "m"


def test_what_is_made_wrong_is_told_and_nothing_is_cached(tmp_path: Path) -> None:
    def fails() -> str:
        raise LookupError("no such model")

    with pytest.raises(LookupError, match="no such model") as raised:
        ElementUnits.get_or_cache(tmp_path, "key", fails)
    assert raised.value.__context__ is None
    for wrong in ("", "{}", b"\xff"):
        with pytest.raises(InvalidWorkflowSpec):
            ElementUnits.get_or_cache(tmp_path, "key", lambda wrong=wrong: wrong)
    for wrong in (None, 7, {}):
        with pytest.raises(TypeError):
            ElementUnits.get_or_cache(tmp_path, "key", lambda wrong=wrong: wrong)
        with pytest.raises(TypeError, match="make_json must be callable"):
            ElementUnits.get_or_cache(tmp_path, "key", wrong)
    assert files_in(tmp_path) == []


# Durable


class Synced:
    """Notes the paths of the files and directories that are synced."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.paths: list[str] = []
        real = os.fsync
        monkeypatch.setattr(
            os,
            "fsync",
            lambda file: (self.paths.append(os.readlink(f"/proc/self/fd/{file}")), real(file)),
        )


needs_proc = pytest.mark.skipif(not os.path.exists("/proc/self/fd"), reason="needs /proc")


@needs_proc
def test_durable_syncs_the_file_before_and_the_directories_after_it_is_in_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced = Synced(monkeypatch)
    directory = tmp_path / "new" / "cache"
    path = pack_path(directory, "key")
    for number, save in enumerate(
        (
            lambda: cache_element_units_for_workflow(directory, "key", text("m"), durable=True),
            lambda: ElementUnits.from_json(text("n")).save(directory, "key", durable=True),
        )
    ):
        synced.paths.clear()
        save()
        assert synced.paths[0].startswith(path + ".")
        expected = [os.path.dirname(path), str(directory / "v2"), str(directory)]
        made = [str(directory), str(tmp_path / "new"), str(tmp_path)] if number == 0 else []
        assert synced.paths[1:] == list(dict.fromkeys(expected + made))


@needs_proc
def test_durable_syncs_what_was_stored_before_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = cached(tmp_path, "key")
    synced = Synced(monkeypatch)
    cache_element_units_for_workflow(tmp_path, "key", text("m"), durable=True)
    assert synced.paths == [str(p) for p in (path, path.parent, tmp_path / "v2", tmp_path)]
    ElementUnits.get_or_cache(tmp_path, "new", lambda: text("m"), durable=True)
    assert len(synced.paths) > 4


@needs_proc
def test_the_default_syncs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced = Synced(monkeypatch)
    cached(tmp_path, "key")
    cached(tmp_path, "key")
    ElementUnits.open(tmp_path, "key").save(tmp_path, "other")
    ElementUnits.get_or_cache(tmp_path, "third", lambda: text("m"))
    assert synced.paths == []


@pytest.mark.parametrize("there_before", [True, False])
def test_what_cannot_be_synced_is_told(
    there_before: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if there_before:
        cached(tmp_path, "key")

    def fails(file: int) -> None:
        raise OSError(errno.EIO, "the disk is gone")

    monkeypatch.setattr(platform, "sync_file", fails)
    with pytest.raises(CacheError, match=r"pack '.*\.pack': .*the disk is gone"):
        cache_element_units_for_workflow(tmp_path, "key", text("m"), durable=True)
    assert len(files_in(tmp_path)) == there_before


# Other systems


@pytest.mark.usefixtures("windows")
def test_all_of_it_works_where_files_cannot_be_read_at_a_place(tmp_path: Path) -> None:
    path = cached(tmp_path, "key", hours_ago=5)
    units = ElementUnits.open(tmp_path, "key")
    cached(tmp_path, "key", "new")
    assert crowd.mark_in(units.workflow("A", "call")) == "m"
    cache_element_units_for_workflow(tmp_path, "key", text("new"), durable=True)
    cached(tmp_path, "old", hours_ago=5)
    cached(tmp_path, "again", hours_ago=5)
    cached(tmp_path, "again")
    assert keys_of(prune_cache(tmp_path, max_age=HOUR).removed) == ["old"]
    assert verify_cache(tmp_path).ok
    path.unlink()
    path.symlink_to(tmp_path)
    assert "symbolic link" in verify_cache(tmp_path).damaged[0].reason
    assert cached(tmp_path, "key").is_symlink() is False
    assert remove_cached_workflow(tmp_path, "key")
    assert keys(tmp_path) == ["again"]


@pytest.mark.usefixtures("windows")
@pytest.mark.skipif(not os.path.exists("/proc/self/fd"), reason="needs /proc")
def test_no_file_is_kept_open_where_that_would_be_in_the_way(tmp_path: Path) -> None:
    cached(tmp_path, "key")
    before = len(os.listdir("/proc/self/fd"))
    units = ElementUnits.open(tmp_path, "key")
    assert len(os.listdir("/proc/self/fd")) == before
    assert units.root == "A"


def busy(monkeypatch: pytest.MonkeyPatch, name: str, times: int) -> None:
    """Let a file be in use for the first attempts."""
    real = getattr(os, name)
    left = [times]

    def denied(*args: Any, **more: Any) -> Any:
        if left[0]:
            left[0] -= 1
            raise PermissionError(errno.EACCES, "in use")
        return real(*args, **more)

    monkeypatch.setattr(os, name, denied)


@pytest.mark.usefixtures("windows")
def test_what_somebody_has_open_is_waited_for_but_not_forever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("replace", "unlink"):
        for times in (3, 10**9):
            cached(tmp_path, "key", "old")
            with monkeypatch.context() as meanwhile:
                busy(meanwhile, name, times)
                if times == 3:
                    cached(tmp_path, "key", "new")
                    assert remove_cached_workflow(tmp_path, "key")
                elif name == "replace":
                    with pytest.raises(CacheError, match="in use"):
                        cached(tmp_path, "key", "new")
                else:
                    with pytest.raises(CacheError, match="in use"):
                        remove_cached_workflow(tmp_path, "key")


@pytest.mark.usefixtures("windows")
def test_what_somebody_has_open_is_not_pruned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    leftover = leftover_of(tmp_path)
    cached(tmp_path, "old", hours_ago=5)
    with monkeypatch.context() as meanwhile:
        busy(meanwhile, "unlink", 1)
        busy(meanwhile, "rename", 1)
        assert prune_cache(tmp_path, max_age=0) == PruneReport((), (), 0)
    assert len(files_in(tmp_path)) == 2
    report = prune_cache(tmp_path, max_age=0)
    assert keys_of(report.removed) == ["old"]
    assert report.leftovers == (str(leftover),)


# Not allowed


def as_nobody(work: Callable[[], Any]) -> None:
    """Do something in a process that is not root."""

    def run() -> None:
        os.setgid(crowd.NOBODY)
        os.setuid(crowd.NOBODY)
        work()

    with Child(run):
        pass


@needs_fork
@needs_root
def test_who_may_not_is_told(tmp_path: Path) -> None:
    for parent in (tmp_path, *tmp_path.parents):
        if parent.stat().st_uid == 0 and parent.stat().st_mode & 0o777 == 0o700:
            parent.chmod(0o755)
    path = cached(tmp_path / "cache", "key", hours_ago=5)
    leftover = leftover_of(tmp_path / "cache", hours_ago=50)

    def read_only() -> None:
        directory = tmp_path / "cache"
        assert keys(directory) == ["key"]
        assert verify_cache(directory).ok
        assert prune_cache(tmp_path / "none") == PruneReport((), (), 0)
        with pytest.raises(CacheError, match="cannot remove"):
            remove_cached_workflow(directory, "key")
        with pytest.raises(CacheError, match="cannot remove the temporary file"):
            prune_cache(directory)
        units = ElementUnits.get_or_cache(directory, "key", lambda: pytest.fail("was called"))
        assert units.root == "A"
        cached(directory, "key")  # recognised, although its time cannot be set
        with pytest.raises(CacheError, match="cannot write"):
            cached(directory, "key", "another")

    as_nobody(read_only)
    leftover.unlink()

    def no_pruning() -> None:
        with pytest.raises(CacheError, match="cannot remove the pack"):
            prune_cache(tmp_path / "cache", max_age=0)

    as_nobody(no_pruning)
    path.chmod(0)

    def unreadable_pack() -> None:
        assert keys(tmp_path / "cache") == []
        assert "Permission denied" in verify_cache(tmp_path / "cache").damaged[0].reason
        with pytest.raises(CacheError, match="cannot read"):
            ElementUnits.get_or_cache(tmp_path / "cache", "key", lambda: text("m"))

    as_nobody(unreadable_pack)
    path.parent.chmod(0)

    def unreadable_shard() -> None:
        for function in (cache_keys, prune_cache):
            with pytest.raises(CacheError, match="cannot list"):
                function(tmp_path / "cache")
        (found,) = verify_cache(tmp_path / "cache").damaged
        assert found.path == str(path.parent)

    as_nobody(unreadable_shard)
    path.parent.chmod(0o755)
    (tmp_path / "cache").chmod(0)

    def unreadable_cache() -> None:
        for function in FUNCTIONS:
            with pytest.raises(CacheError) as raised:
                function(tmp_path / "cache")
            assert not isinstance(raised.value, CorruptPack)

    as_nobody(unreadable_cache)
    (tmp_path / "cache").chmod(0o755)
    assert keys(tmp_path / "cache") == ["key"]
