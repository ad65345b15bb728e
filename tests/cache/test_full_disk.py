"""Full disks, directories that cannot be written, and impossible paths, on a real file system.

Each of them raises a `CacheError` that names the path and the reason. The pack that was there is
intact, and no partial file stays.
"""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable

import crowd
import pytest
from crowd import Child, files_in, mark_in, needs_fork, needs_root, text

from spiff_element_units import (
    CacheError,
    CorruptPack,
    ElementUnits,
    UnitNotFound,
    cache_element_units_for_workflow,
    cache_keys,
    prune_cache,
    verify_cache,
    workflow_from_cached_element_unit,
)
from spiff_element_units.cache.directory import pack_path

resource = pytest.importorskip("resource", reason="needs the limits and errors of POSIX")


def put(directory: Path, mark: str, filling: int = 0, **options: Any) -> None:
    cache_element_units_for_workflow(directory, "key", text(mark, filling), **options)


def got(directory: Path, filling: int = 0) -> str:
    return mark_in(workflow_from_cached_element_unit(directory, "key", "A", "call"), filling)


def assert_refused(
    directory: Path, reason: int, do: Callable[[], Any], verb: str = "write"
) -> None:
    """Require a CacheError that names the path and the reason, and has the cause."""
    with pytest.raises(CacheError) as raised:
        do()
    assert type(raised.value) is CacheError
    assert f"cannot {verb} the pack {pack_path(directory, 'key')!r}" in str(raised.value)
    assert os.strerror(reason) in str(raised.value)
    assert isinstance(raised.value.__cause__, OSError)
    assert raised.value.__cause__.errno == reason


def snapshot(directory: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in files_in(directory)}


# Full


def limited(limit: int, work: Callable[[], Any], which: int = resource.RLIMIT_FSIZE) -> None:
    """Do something in a process that may not write longer files (or open more)."""

    def run() -> None:
        resource.setrlimit(which, (limit, limit))
        work()

    with Child(run):
        pass


@needs_fork
@pytest.mark.parametrize("durable", [False, True])
@pytest.mark.parametrize("there_before", [False, True])
def test_a_file_that_may_not_grow_is_told_wherever_it_stops(
    there_before: bool, durable: bool, tmp_path: Path
) -> None:
    directory = tmp_path / "cache"
    put(tmp_path / "elsewhere", "new")
    size = os.path.getsize(pack_path(tmp_path / "elsewhere", "key"))
    if there_before:
        put(directory, "old")
    before = snapshot(directory)

    def refused() -> None:
        assert_refused(directory, errno.EFBIG, lambda: put(directory, "new", durable=durable))
        units = ElementUnits.from_json(text("new"))
        assert_refused(directory, errno.EFBIG, lambda: units.save(directory, "key"))

    for limit in [0, 1, 95, 96, 97, *range(100, size, 200), size - 1]:
        limited(limit, refused)
        assert snapshot(directory) == before
        if there_before:
            assert got(directory) == "old"
    limited(size, lambda: put(directory, "new"))
    assert got(directory) == "new"


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Small disks with the given mount options."""
    mounted: list[Path] = []

    def mount(options: str) -> Path:
        place = tmp_path / f"disk {len(mounted)}"
        place.mkdir()
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "none", str(place)],
            capture_output=True,
            check=False,
        )
        if done.returncode:
            pytest.skip("cannot mount here")
        mounted.append(place)
        return place

    yield mount
    for place in mounted:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def fill(path: Path) -> None:
    """Write until the disk is full."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT)
    written = 1
    while written:
        try:
            written = os.write(file, bytes(4096))
        except OSError:
            written = 0
    os.close(file)


@needs_root
@pytest.mark.parametrize("durable", [False, True])
def test_a_full_disk_is_told_and_what_is_there_stays(durable: bool, disk: Callable) -> None:
    place = disk("size=256k")
    put(place, "old", 20_000)
    before = snapshot(place)
    for filling in (80_000, 100_000, 1_000_000):
        assert_refused(
            place, errno.ENOSPC, lambda filling=filling: put(place, "new", filling, durable=durable)
        )
        assert snapshot(place) == before
        assert got(place, 20_000) == "old"
        assert verify_cache(place).ok
    put(place, "old", 20_000)
    put(place, "new", 20_000)
    assert got(place, 20_000) == "new"


@needs_root
def test_a_disk_without_a_byte_left_can_be_read_and_pruned(disk: Callable) -> None:
    place = disk("size=256k")
    cache = place / "cache"
    put(cache, "old")
    fill(place / "ballast")
    before = snapshot(cache)
    assert_refused(cache, errno.ENOSPC, lambda: put(cache, "new"))
    assert_refused(place / "more", errno.ENOSPC, lambda: put(place / "more", "new"))
    assert snapshot(cache) == before
    put(cache, "old")
    assert got(cache) == "old"
    assert len(prune_cache(cache, max_bytes=0).removed) == 1
    put(cache, "new")
    assert got(cache) == "new"


@needs_root
def test_a_disk_that_takes_no_more_files_is_told(disk: Callable) -> None:
    place = disk("size=1m,nr_inodes=8")
    put(place, "old")
    for number in range(8 - len(list(place.rglob("*"))) - 1):
        (place / f"ballast {number}").touch()
    before = snapshot(place)
    assert_refused(place, errno.ENOSPC, lambda: put(place, "new"))
    assert snapshot(place) == before
    assert got(place) == "old"
    assert_refused(place / "more", errno.ENOSPC, lambda: put(place / "more", "new"))


@needs_root
def test_a_disk_that_is_read_only_is_told_and_serves_what_it_has(disk: Callable) -> None:
    place = disk("size=1m")
    put(place, "old")
    subprocess.run(["mount", "-o", "remount,ro", str(place)], check=True)
    for durable in (False, True):
        put(place, "old", durable=durable)
        assert_refused(
            place, errno.EROFS, lambda durable=durable: put(place, "new", durable=durable)
        )
    assert_refused(place / "more", errno.EROFS, lambda: put(place / "more", "new"))
    assert got(place) == "old"
    assert len(cache_keys(place)) == 1
    assert verify_cache(place).ok
    assert ElementUnits.get_or_cache(place, "key", lambda: "never").root == "A"
    with pytest.raises(CacheError, match="Read-only file system"):
        prune_cache(place, max_age=0)
    assert len(files_in(place)) == 1


@pytest.mark.parametrize("reason", [errno.EDQUOT, errno.ENOSPC, errno.EIO])
@pytest.mark.parametrize("function", ["open", "replace", "fsync"])
def test_a_quota_that_is_used_up_is_told(
    function: str, reason: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path, "old")
    before = snapshot(tmp_path)

    def fails(*arguments: Any) -> Any:
        raise OSError(reason, os.strerror(reason))

    with monkeypatch.context() as failing:
        failing.setattr(os, function, fails)
        assert_refused(tmp_path, reason, lambda: put(tmp_path, "new", durable=True))
    assert snapshot(tmp_path) == before


@needs_fork
def test_too_many_open_files_is_told(tmp_path: Path) -> None:
    put(tmp_path, "old")

    def refused() -> None:
        full = [os.open(os.devnull, os.O_RDONLY)]
        while full:
            try:
                full.append(os.open(os.devnull, os.O_RDONLY))
            except OSError:
                break
        ask = lambda: got(tmp_path)  # noqa: E731
        assert_refused(tmp_path, errno.EMFILE, ask, "read")
        assert_refused(tmp_path, errno.EMFILE, lambda: put(tmp_path, "new"))
        with pytest.raises(CacheError, match="Too many open files"):
            cache_keys(tmp_path)
        for file in full:
            os.close(file)
        assert got(tmp_path) == "old"

    limited(64, refused, resource.RLIMIT_NOFILE)
    assert len(files_in(tmp_path)) == 1


# Serving from memory what cannot be stored


def made(directory: Path, key: str = "key", **options: Any) -> str:
    """The mark of the workflow that `get_or_cache` returns for a text."""
    units = ElementUnits.get_or_cache(directory, key, lambda: text("new"), **options)
    assert units.cache_key == key
    assert units._decoded("A") == ElementUnits.from_json(text("new"))._decoded("A")
    return mark_in(units.workflow("A", "call"))


@needs_root
@pytest.mark.parametrize("durable", [False, True])
def test_what_does_not_fit_on_a_full_disk_is_served_from_memory(
    durable: bool, disk: Callable
) -> None:
    place = disk("size=256k")
    fill(place / "ballast")
    with pytest.warns(RuntimeWarning, match="No space left on device.* from memory") as warned:
        assert made(place / "cache", durable=durable) == "new"
    assert [one.filename for one in warned] == [__file__]
    assert verify_cache(place / "cache").good == ()
    (place / "ballast").unlink()
    assert made(place / "cache") == "new"
    assert [one.cache_key for one in cache_keys(place / "cache")] == ["key"]


@needs_fork
@needs_root
def test_what_may_not_be_written_is_served_from_memory(tmp_path: Path) -> None:
    directory = tmp_path / "cache"
    put(directory, "old")
    for place in (directory, *directory.rglob("*")):
        place.chmod(0o555 if place.is_dir() else 0o444)
    before = snapshot(tmp_path)

    def served() -> None:
        with pytest.warns(RuntimeWarning, match="Permission denied"):
            assert made(directory, "other") == "new"
        assert got(directory) == "old"
        assert ElementUnits.get_or_cache(directory, "key", lambda: "never").root == "A"

    as_nobody(directory, served)
    assert snapshot(tmp_path) == before


def test_a_cache_that_cannot_be_written_is_told_once_a_directory(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("one", "two"):
        for key in ("key", "other"):
            Path(pack_path(tmp_path / name, key)).mkdir(parents=True)
    asked = (("one", "key"), ("one", "other"), ("one", "key"), ("two", "key"))
    with pytest.warns(RuntimeWarning) as warned:
        marks = [made(tmp_path / name, key) for name, key in asked]
    assert marks == ["new"] * 4
    told = [str(one.message) for one in warned]
    logged = [record.getMessage() for record in caplog.records]
    damaged = [one for one in logged if "is not a regular file" in one]
    assert [one for one in logged if one not in damaged] == told
    assert len(damaged) == 4
    assert {record.name for record in caplog.records} == {"spiff_element_units"}
    for name, message in zip(("one", "two"), told):
        assert message.startswith(f"cannot write the pack {pack_path(tmp_path / name, 'key')!r}: ")
    assert len(told) == 2


def test_what_may_be_cached_is_cached_without_a_warning(
    tmp_path: Path, recwarn: pytest.WarningsRecorder, caplog: pytest.LogCaptureFixture
) -> None:
    assert made(tmp_path) == "new"
    assert got(tmp_path) == "new"
    assert not recwarn.list
    assert not caplog.records


# Not allowed, missing, or not a directory


def as_nobody(directory: Path, work: Callable[[], Any]) -> None:
    """Do something in a process that is not root and can enter the directory."""
    for parent in directory.parents:
        if parent.stat().st_mode & 0o777 == 0o700:
            parent.chmod(0o755)

    def run() -> None:
        os.setgid(crowd.NOBODY)
        os.setuid(crowd.NOBODY)
        work()

    with Child(run):
        pass


@needs_fork
@needs_root
@pytest.mark.parametrize("closed", ["cache", "cache/v2", "shard"])
@pytest.mark.parametrize("mode", [0o555, 0o000])
def test_a_directory_that_may_not_be_written_is_told(
    mode: int, closed: str, tmp_path: Path
) -> None:
    """It is the innermost directory that exists. In the last case it contains the pack."""
    directory = tmp_path / "cache"
    place = Path(pack_path(directory, "key")).parent if closed == "shard" else tmp_path / closed
    place.mkdir(parents=True)
    if closed == "shard":
        put(directory, "old")
    before = snapshot(tmp_path)
    for made in (directory, *directory.rglob("*")):
        os.chown(made, crowd.NOBODY, crowd.NOBODY)
    place.chmod(mode)

    def refused() -> None:
        assert_refused(directory, errno.EACCES, lambda: put(directory, "new"))
        if mode == 0o000:
            assert_refused(directory, errno.EACCES, lambda: got(directory), "read")
        elif closed == "shard":
            assert got(directory) == "old"
            put(directory, "old")
        else:
            with pytest.raises(UnitNotFound):
                got(directory)

    as_nobody(directory, refused)
    place.chmod(0o755)
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize("where", ["cache", "cache/v2", "shard", "above"])
def test_a_file_where_a_directory_should_be_is_told(where: str, tmp_path: Path) -> None:
    directory = tmp_path / "cache"
    if where == "above":
        (tmp_path / "file").write_text("in the way")
        directory = tmp_path / "file" / "cache"
    else:
        shard = Path(pack_path(directory, "key")).parent
        place = shard if where == "shard" else tmp_path / where
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text("in the way")
    before = snapshot(tmp_path)
    reason = errno.ENOTDIR
    assert_refused(directory, reason, lambda: put(directory, "new"))
    assert_refused(directory, reason, lambda: put(directory, "new", durable=True))
    assert_refused(directory, reason, lambda: got(directory), "read")
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize("directory", ["d" * 300, "d/" * 3000, f"{'e' * 200}/" * 30])
def test_a_path_that_is_too_long_is_told(directory: str, tmp_path: Path) -> None:
    too_long = tmp_path / directory
    for ask in (lambda: put(too_long, "new"), lambda: got(too_long)):
        with pytest.raises(CacheError, match="File name too long") as raised:
            ask()
        assert str(too_long) in str(raised.value)
    assert files_in(tmp_path) == []


def test_a_link_that_leads_nowhere_or_in_a_circle_is_told(tmp_path: Path) -> None:
    circle, nowhere = tmp_path / "circle", tmp_path / "nowhere"
    circle.symlink_to(circle)
    nowhere.symlink_to(tmp_path / "away")
    for directory in (circle, nowhere):
        with pytest.raises(CacheError, match="cannot write"):
            put(directory, "new")
        with pytest.raises((CacheError, UnitNotFound)):
            got(directory)


def test_a_link_to_a_directory_is_a_directory(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    put(tmp_path / "link", "new", durable=True)
    assert got(tmp_path / "real") == got(tmp_path / "link") == "new"
    assert len(cache_keys(tmp_path / "link")) == 1


@needs_fork
def test_a_current_directory_that_is_gone_is_told(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()

    def refused() -> None:
        os.chdir(gone)
        gone.rmdir()
        for directory in (".", "below"):
            with pytest.raises(CacheError, match="cannot write"):
                put(Path(directory), "new")
            with pytest.raises(UnitNotFound):
                got(Path(directory))
            assert cache_keys(directory) == ()
            assert prune_cache(directory, max_age=0).removed == ()

    with Child(refused):
        pass
    assert files_in(tmp_path) == []


def test_no_failure_is_taken_for_damage(tmp_path: Path) -> None:
    """If a pack cannot be read, it must not be cached again: that would hide the problem."""
    (tmp_path / "file").write_text("not a directory")
    with pytest.raises(CacheError) as raised:
        ElementUnits.get_or_cache(tmp_path / "file", "key", lambda: pytest.fail("was called"))
    assert not isinstance(raised.value, CorruptPack)
