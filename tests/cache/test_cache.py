"""The cache: where packs are, how they are written, and what happens when they are damaged.

Also how much of a pack is read: what a get reads does not grow with the workflow.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any, Callable

import orjson
import pytest
from crowd import needs_links, needs_open_files_removed

from spiff_element_units import (
    CacheError,
    CorruptPack,
    ElementUnits,
    UnitNotFound,
    cache_element_units_for_workflow,
    prune_cache,
    verify_cache,
    workflow_from_cached_element_unit,
)
from spiff_element_units.cache import directory as packs
from spiff_element_units.cache import platform
from spiff_element_units.cache.directory import PackFile, pack_path
from spiff_element_units.core.pack import Pack

KEY = "the key"
needs_pread = pytest.mark.skipif(
    not hasattr(os, "pread"), reason="needs pread: files are read whole without"
)


def process(name: str, *tasks: dict) -> dict:
    specs = {task["name"]: task for task in tasks}
    return {"name": name, "typename": "BpmnProcessSpec", "task_specs": specs}


def refer(typename: str, target: str) -> dict:
    return {"name": f"to {target}", "typename": typename, "spec": target}


def text_of(root: str, *processes: dict) -> str:
    top = process(root, refer("CallActivity", "B"), refer("SubWorkflowTask", "C"))
    specs = [process("B", refer("CallActivity", "C")), process("C"), *processes]
    return json.dumps({"spec": top, "subprocess_specs": {spec["name"]: spec for spec in specs}})


TEXT = text_of("A")
OTHER = text_of("Z")


def units_of(directory: Path, key: str = KEY) -> list[str]:
    """Every unit of the workflow that is cached under a key: of each process and each element."""
    units = ElementUnits.open(directory, key)
    return [
        workflow_from_cached_element_unit(directory, key, process_id, element_id)
        for process_id in units.process_ids
        for element_id in [process_id, *units.element_ids(process_id)]
    ]


def cached(directory: Path, key: str = KEY, text: str = TEXT) -> Path:
    """Cache a workflow; the path of its pack."""
    cache_element_units_for_workflow(directory, key, text)
    return Path(pack_path(directory, key))


def files_in(directory: Path) -> list[Path]:
    return [path for path in directory.rglob("*") if not path.is_dir()]


@pytest.fixture
def right(tmp_path: Path) -> list[str]:
    """The expected units."""
    cached(tmp_path / "elsewhere")
    return units_of(tmp_path / "elsewhere")


# Where packs are


def test_a_pack_lies_where_the_digest_of_its_key_says(tmp_path: Path) -> None:
    path = cached(tmp_path)
    name = hashlib.sha256(KEY.encode()).hexdigest()
    assert path == tmp_path / "v2" / name[:2] / f"{name}.pack"
    assert files_in(tmp_path) == [path]


ODD_KEYS = [
    *("", " ", ".", "..", "/", "../../etc/passwd", "/etc/passwd", "~", "C:\\x", "a/b", "a\\b"),
    *("\0", "a\0b", "key", "KEY", "Key", "key ", "\u00e9", "e\u0301", "🦊", "日本語", "\ud800"),
    *("\udc80", "\ud83e\udd8a", "k" * 10_000, "k" * 9_999, "con", "nul", "%00", "*", "v2"),
]


def test_keys_of_any_form_are_keys_of_their_own(tmp_path: Path) -> None:
    inside = tmp_path / "in" / "side"
    for number, key in enumerate(ODD_KEYS):
        cache_element_units_for_workflow(inside, key, text_of(f"process {number}"))
    for number, key in enumerate(ODD_KEYS):
        units = ElementUnits.open(inside, key)
        assert units.root == f"process {number}"
        assert units.cache_key == key
    files = files_in(tmp_path)
    assert len(files) == len(ODD_KEYS)
    assert all(path.parent.parent == inside / "v2" for path in files)


def test_an_earlier_versions_cache_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "v1").mkdir()
    (tmp_path / "v1" / "manifest.json").write_text("theirs")
    cached(tmp_path)
    assert (tmp_path / "v1" / "manifest.json").read_text() == "theirs"


def test_keys_do_not_share_packs(tmp_path: Path) -> None:
    for key in ("one", "two"):
        cached(tmp_path, key)
    Path(pack_path(tmp_path, "one")).unlink()
    with pytest.raises(UnitNotFound):
        units_of(tmp_path, "one")
    assert units_of(tmp_path, "two")


# Damage


def assert_healed(directory: Path, right: list[str], text: str = TEXT) -> None:
    cache_element_units_for_workflow(directory, KEY, text)
    assert units_of(directory) == right
    assert len(files_in(directory / "v2")) == 1


def get(directory: Path, process_id: str, element_id: str) -> str:
    """The unit, or the message if the pack is reported as damaged."""
    try:
        return workflow_from_cached_element_unit(directory, KEY, process_id, element_id)
    except CorruptPack as error:
        return str(error)


def assert_right_or_refused(directory: Path, right: list[str]) -> None:
    asked = [("A", "A"), ("A", "to B"), ("A", "to C"), ("B", "B"), ("B", "to C"), ("C", "C")]
    assert len(asked) == len(right)
    for (process_id, element_id), unit in zip(asked, right):
        got = get(directory, process_id, element_id)
        assert got == unit or got.endswith("cache the workflow again")


def test_a_flip_of_any_byte_is_refused_or_does_no_harm_and_is_healed(
    tmp_path: Path, right: list[str]
) -> None:
    path = cached(tmp_path / "cache")
    good = path.read_bytes()
    for place in range(0, len(good), 3):
        bad = bytearray(good)
        bad[place] ^= 0xA5
        path.write_bytes(bad)
        if place % 4 == 0:
            assert_right_or_refused(tmp_path / "cache", right)
        cache_element_units_for_workflow(tmp_path / "cache", KEY, TEXT)
        assert path.read_bytes() == good, place


def test_a_truncated_pack_is_refused_and_healed(tmp_path: Path, right: list[str]) -> None:
    path = cached(tmp_path / "cache")
    good = path.read_bytes()
    for end in [0, 1, 7, 8, 50, 96, 103, 104, *range(105, len(good), 41), len(good) - 1]:
        path.write_bytes(good[:end])
        with pytest.raises(CorruptPack, match="cache the workflow again"):
            units_of(tmp_path / "cache")
        cache_element_units_for_workflow(tmp_path / "cache", KEY, TEXT)
        assert path.read_bytes() == good


@pytest.mark.parametrize("garbage", [b"\0", b"\n", b"garbage" * 1000])
def test_a_pack_with_something_after_it_is_refused_and_healed(
    garbage: bytes, tmp_path: Path, right: list[str]
) -> None:
    path = cached(tmp_path / "cache")
    path.write_bytes(path.read_bytes() + garbage)
    with pytest.raises(CorruptPack):
        units_of(tmp_path / "cache")
    assert_healed(tmp_path / "cache", right)


@pytest.mark.parametrize("content", [b"", b"{}", TEXT.encode(), b"\x89SEU", bytes(100_000)])
def test_what_is_no_pack_is_refused_and_healed(
    content: bytes, tmp_path: Path, right: list[str]
) -> None:
    cached(tmp_path / "cache").write_bytes(content)
    with pytest.raises(CorruptPack, match="cache the workflow again"):
        units_of(tmp_path / "cache")
    assert_healed(tmp_path / "cache", right)


def test_a_pack_under_another_keys_name_is_refused_and_healed(
    tmp_path: Path, right: list[str]
) -> None:
    path, other = cached(tmp_path / "cache"), cached(tmp_path / "cache", "other", TEXT)
    os.replace(other, path)
    with pytest.raises(CorruptPack, match="belongs to cache key 'other', not 'the key'"):
        units_of(tmp_path / "cache")
    assert_healed(tmp_path / "cache", right)


def test_the_body_of_another_pack_is_refused_and_healed(tmp_path: Path, right: list[str]) -> None:
    path, other = cached(tmp_path / "cache"), cached(tmp_path / "other", text=OTHER)
    good, body = path.read_bytes(), other.read_bytes()
    assert len(good) == len(body)
    header = 96 + len(KEY) + 8
    path.write_bytes(good[:header] + body[header:])
    with pytest.raises(CorruptPack):
        units_of(tmp_path / "cache")
    assert_healed(tmp_path / "cache", right)


@pytest.mark.parametrize("version", [0, 2, 3, 2**32 - 1])
@pytest.mark.parametrize("sealed", [True, False])
def test_a_pack_of_another_format_is_told_and_caching_again_mends_it(
    sealed: bool, version: int, tmp_path: Path, right: list[str]
) -> None:
    """A reader relies only on the places of the magic and of the version."""
    path = cached(tmp_path / "cache")
    good = path.read_bytes()
    other = good[:8] + version.to_bytes(4, "little") + (good[12:] if sealed else b"anything")
    wanted = f"pack format {version}, but this version reads format 1; cache the workflow again"
    for mend in (
        lambda: cached(tmp_path / "cache"),
        lambda: ElementUnits.from_json(TEXT).save(tmp_path / "cache", KEY),
        lambda: ElementUnits.get_or_cache(tmp_path / "cache", KEY, lambda: TEXT),
    ):
        path.write_bytes(other)
        with pytest.raises(CorruptPack, match=wanted):
            units_of(tmp_path / "cache")
        (damaged,) = verify_cache(tmp_path / "cache").damaged
        assert wanted in damaged.reason
        assert path.read_bytes() == other
        mend()
        assert path.read_bytes() == good
        assert units_of(tmp_path / "cache") == right


def test_a_directory_in_a_packs_place_is_an_error(tmp_path: Path) -> None:
    path = cached(tmp_path)
    path.unlink()
    path.mkdir()
    with pytest.raises(CacheError, match="remove it and cache the workflow again"):
        units_of(tmp_path)
    with pytest.raises(CacheError, match="cannot write"):
        cache_element_units_for_workflow(tmp_path, KEY, TEXT)
    assert files_in(tmp_path) == []


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes")
def test_a_pipe_in_a_packs_place_is_an_error_and_is_healed(
    tmp_path: Path, right: list[str]
) -> None:
    path = cached(tmp_path / "cache")
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(CacheError, match="remove it and cache the workflow again"):
        units_of(tmp_path / "cache")
    assert_healed(tmp_path / "cache", right)


@needs_links
@pytest.mark.parametrize("target", ["missing", "loop", "good", "garbage", "/dev/null"])
def test_a_link_in_a_packs_place_is_followed_to_read_and_replaced_to_write(
    target: str, tmp_path: Path, right: list[str]
) -> None:
    path = cached(tmp_path / "cache")
    moved = Path(shutil.move(str(path), str(tmp_path / "good")))
    (tmp_path / "garbage").write_bytes(b"garbage")
    path.symlink_to(path if target == "loop" else tmp_path / target)
    if target == "good":
        assert units_of(tmp_path / "cache") == right
    else:
        with pytest.raises((CacheError, UnitNotFound)):
            units_of(tmp_path / "cache")
    assert_healed(tmp_path / "cache", right)
    assert not path.is_symlink()
    assert moved.exists()
    assert (tmp_path / "garbage").read_bytes() == b"garbage"


def test_a_damaged_pack_is_not_saved_elsewhere(tmp_path: Path) -> None:
    path = cached(tmp_path)
    bad = bytearray(path.read_bytes())
    bad[-20] ^= 1
    path.write_bytes(bad)
    units = ElementUnits.open(tmp_path, KEY)
    with pytest.raises(CorruptPack):
        units.save(tmp_path / "elsewhere", KEY)
    assert not (tmp_path / "elsewhere").exists()


@needs_pread
def test_a_file_that_cannot_be_read_any_more_is_an_error_of_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    large = text_of("A", *(process(f"{n}", refer("CallActivity", "C")) for n in range(100)))
    cached(tmp_path, text=large)
    units = ElementUnits.open(tmp_path, KEY)

    def fails(*arguments: Any) -> bytes:
        raise OSError(errno.EIO, "the disk is gone")

    monkeypatch.setattr(os, "pread", fails)
    for ask in (
        lambda: units.workflow("B"),
        lambda: units.needs("B", "to C"),
        lambda: units.process_ids,
        lambda: units.spec_json("50"),
        lambda: units.element_ids("50"),
        lambda: units.references("50"),
        lambda: units.save(tmp_path / "elsewhere", KEY),
        lambda: ElementUnits.open(tmp_path, KEY),
    ):
        with pytest.raises(CacheError, match="the disk is gone"):
            ask()


@needs_pread
def test_a_read_that_comes_in_small_pieces_is_put_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, right: list[str]
) -> None:
    cached(tmp_path / "cache")
    whole = os.pread
    monkeypatch.setattr(
        os, "pread", lambda file, length, offset: whole(file, min(length, 7), offset)
    )
    assert units_of(tmp_path / "cache") == right


# Writing


def identity(path: Path) -> tuple[int, bytes]:
    return path.stat().st_ino, path.read_bytes()


def test_the_same_text_again_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = cached(tmp_path)
    before = identity(path)
    for text in (TEXT, TEXT.encode()):
        cache_element_units_for_workflow(tmp_path, KEY, text)
        ElementUnits.from_json(text).save(tmp_path, KEY)
    ElementUnits.open(tmp_path, KEY).save(tmp_path, KEY)
    assert identity(path) == before
    monkeypatch.setattr(orjson, "loads", None)
    cache_element_units_for_workflow(tmp_path, KEY, TEXT)


def lock(path: Path) -> None:
    """Lock a pack as `prune_cache` does, and never close the file."""
    assert platform.try_lock(os.open(path, os.O_RDONLY)) is not False


MEANWHILE: dict[str, Callable[[Path], Any]] = {
    "removed": os.unlink,
    "dropped": lambda path: prune_cache(path.parents[2], max_bytes=0),
    "replaced by another workflow": lambda path: ElementUnits.from_json(OTHER).save(
        path.parents[2], KEY
    ),
    "about to be dropped": lock,
}


@needs_open_files_removed
@pytest.mark.parametrize("what", MEANWHILE)
@pytest.mark.parametrize("durable", [False, True])
def test_a_pack_that_goes_while_it_is_recognised_is_written_again(
    what: str, durable: bool, tmp_path: Path, right: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = tmp_path / "cache"
    path = cached(directory)
    held = path.open("rb")  # so that no other file gets its number
    really_check = packs.check

    def check(pack: Pack) -> None:
        monkeypatch.setattr(packs, "check", really_check)
        really_check(pack)
        MEANWHILE[what](path)

    monkeypatch.setattr(platform, "PAUSE", 0)
    monkeypatch.setattr(packs, "check", check)
    cache_element_units_for_workflow(directory, KEY, TEXT, durable=durable)
    assert packs.check is really_check
    assert path.stat().st_ino != os.fstat(held.fileno()).st_ino
    assert units_of(directory) == right
    held.close()


@pytest.mark.parametrize("text", [OTHER, TEXT + " ", TEXT.replace(" ", "", 1)])
def test_another_text_is_written(text: str, tmp_path: Path) -> None:
    path = cached(tmp_path)
    before = identity(path)
    cached(tmp_path, text=text)
    assert identity(path) != before
    assert ElementUnits.open(tmp_path, KEY).digest == hashlib.sha256(text.encode()).hexdigest()


def test_a_pack_is_complete_before_it_is_in_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, right: list[str]
) -> None:
    good = cached(tmp_path / "elsewhere").read_bytes()
    replace, seen = os.replace, []

    def watching(source: str, target: str) -> None:
        assert not os.path.exists(target)
        assert os.path.dirname(source) == os.path.dirname(target)
        seen.append(Path(source).read_bytes())
        replace(source, target)

    monkeypatch.setattr(os, "replace", watching)
    assert_healed(tmp_path / "cache", right)
    assert seen == [good]


def no_space(*arguments: Any, **options: Any) -> Any:
    raise OSError(errno.ENOSPC, "no space left")


def interrupted(*arguments: Any, **options: Any) -> Any:
    raise KeyboardInterrupt


@pytest.mark.parametrize("there_before", [True, False])
@pytest.mark.parametrize("function", ["replace", "open", "makedirs"])
def test_a_failed_write_leaves_what_was_there_and_nothing_else(
    function: str, there_before: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = tmp_path / "cache"
    before = cached(directory).read_bytes() if there_before else None
    units = ElementUnits.from_json(OTHER)
    with monkeypatch.context() as failing:
        failing.setattr(os, function, no_space)
        for attempt in (
            lambda: units.save(directory, KEY),
            lambda: cache_element_units_for_workflow(directory, KEY, OTHER),
        ):
            if function == "makedirs" and there_before:
                break
            with pytest.raises(CacheError, match="no space left") as raised:
                attempt()
            assert isinstance(raised.value.__cause__, OSError)
            assert repr(pack_path(directory, KEY)) in str(raised.value)
    files = files_in(tmp_path)
    assert [path.read_bytes() for path in files] == ([before] if there_before else [])
    cached(directory, text=OTHER)
    assert ElementUnits.open(directory, KEY).root == "Z"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_disk_leaves_what_was_there_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = cached(tmp_path).read_bytes()
    really_open = os.open

    def full(path: str, flags: int, mode: int = 0o777) -> int:
        file = really_open(path, flags, mode)
        if flags & os.O_CREAT:
            os.dup2(really_open("/dev/full", os.O_WRONLY), file)
        return file

    with monkeypatch.context() as failing:
        failing.setattr(os, "open", full)
        with pytest.raises(CacheError, match="cannot write"):
            cache_element_units_for_workflow(tmp_path, KEY, OTHER)
    assert [path.read_bytes() for path in files_in(tmp_path)] == [before]


def test_an_interrupted_write_leaves_what_was_there_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = cached(tmp_path).read_bytes()
    with monkeypatch.context() as failing:
        failing.setattr(os, "replace", interrupted)
        with pytest.raises(KeyboardInterrupt):
            cache_element_units_for_workflow(tmp_path, KEY, OTHER)
    assert [path.read_bytes() for path in files_in(tmp_path)] == [before]


def test_a_directory_that_goes_away_while_it_is_written_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, right: list[str]
) -> None:
    shutil.rmtree(cached(tmp_path / "cache").parent)
    assert_healed(tmp_path / "cache", right)


# How much is read


class Reads:
    """Counts what is read from pack files."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = self.size = 0
        read = PackFile.read

        def counted(file: PackFile, offset: int, length: int) -> bytes:
            data = read(file, offset, length)
            self.count += 1
            self.size += len(data)
            return data

        monkeypatch.setattr(PackFile, "read", counted)

    def of(self, ask: Callable[[], Any]) -> tuple[int, int]:
        self.count = self.size = 0
        ask()
        return self.count, self.size


def many(count: int) -> str:
    """A process that calls many others. Each of these has a Start and embeds a process of its own.

    The fifth calls the sixth, which calls the seventh. Only the seventh has a certain element."""
    specs = {}
    for number in range(count):
        tasks = [refer("SubWorkflowTask", f"inner {number}"), {"name": "Start", "typename": "T"}]
        if number in (5, 6):
            tasks.append({**refer("CallActivity", f"{number + 1}"), "bpmn_id": "deeper"})
        if number == 7:
            tasks.append({"name": "deep", "typename": "T", "data": "x" * 500})
        specs[f"{number}"] = process(f"{number}", *tasks)
        specs[f"inner {number}"] = process(f"inner {number}", {"name": "I", "typename": "T"})
    top = process("top", *(refer("CallActivity", f"{number}") for number in range(8)))
    return json.dumps({"spec": top, "subprocess_specs": specs})


GETS = {
    "the start of the root": ("top", "top"),
    "an element of the root": ("top", "to 3"),
    "the start of another": ("3", "3"),
    "an element of another": ("3", "Start"),
    "a process deeper down": ("5", "7"),
    "an element deeper down": ("5", "deep"),
    "an element at the end of a path from the root": ("top", "deep"),
}


@pytest.mark.parametrize("get", GETS)
def test_what_a_get_reads_does_not_grow_with_the_workflow(
    get: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = {}
    for count in (50, 5_000):
        cache_element_units_for_workflow(tmp_path, f"{count}", many(count))
        reads = Reads(monkeypatch)
        read[count] = reads.of(
            lambda count=count: workflow_from_cached_element_unit(tmp_path, f"{count}", *GETS[get])
        )
        monkeypatch.undo()
    (small_count, small_size), (large_count, large_size) = read.values()
    assert 0 < large_count <= small_count + 6
    assert large_size <= small_size + 4_000
    assert large_count <= 30


def test_what_a_get_reads_by_a_common_id_does_not_grow_with_the_workflow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each inner process has an I. Process 3 leads only to that of its own inner process."""
    reads, sizes = Reads(monkeypatch), []
    for count in (50, 5_000):
        units = opened_of(tmp_path, f"{count}", many(count))
        assert units.needs("3", "I") == ("3", "inner 3")
        sizes.append(reads.of(lambda key=f"{count}": get_common(tmp_path, key))[1])
    assert sizes[1] <= sizes[0] + 4_000


def get_common(directory: Path, key: str) -> str:
    return workflow_from_cached_element_unit(directory, key, "3", "I")


def opened_of(directory: Path, key: str, text: str) -> ElementUnits:
    cached(directory, key, text)
    return ElementUnits.open(directory, key)


def test_a_start_unit_with_many_embedded_processes_is_read_in_a_few_pieces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"{number}" for number in range(300)]
    specs = {name: process(name, {"name": f"T{name}", "typename": "T"}) for name in names}
    top = process("top", *(refer("SubWorkflowTask", name) for name in names))
    cached(tmp_path, text=json.dumps({"spec": top, "subprocess_specs": specs}))
    reads = Reads(monkeypatch)
    count, size = reads.of(lambda: workflow_from_cached_element_unit(tmp_path, KEY, "top", "top"))
    assert count <= 30
    assert size <= Path(pack_path(tmp_path, KEY)).stat().st_size + 10_000


def test_a_pack_held_open_reads_a_unit_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads = Reads(monkeypatch)
    units = opened_of(tmp_path, KEY, many(200))
    assert reads.of(lambda: units.workflow("5", "deep"))[0] > 0
    assert reads.of(lambda: units.workflow("5", "deep")) == (0, 0)


def test_to_open_reads_a_few_kilobytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cached(tmp_path, text=many(2_000))
    count, size = Reads(monkeypatch).of(lambda: ElementUnits.open(tmp_path, KEY))
    assert count == 1
    assert size <= 4096


def test_the_parser_reads_the_text_about_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parse, parsed = orjson.loads, []

    def counted(text: Any) -> Any:
        parsed.append(len(text))
        return parse(text)

    monkeypatch.setattr(orjson, "loads", counted)
    ratios = []
    for count in (50, 2_000):
        parsed.clear()
        text = many(count)
        ElementUnits.from_json(text)
        assert sum(parsed) <= 1.1 * len(text)
        ratios.append(len(parsed) / count)
    assert ratios[1] <= ratios[0]


def test_a_refused_text_is_not_parsed_over_and_over(monkeypatch: pytest.MonkeyPatch) -> None:
    parse, parsed = orjson.loads, []

    def counted(text: Any) -> Any:
        parsed.append(len(text))
        return parse(text)

    monkeypatch.setattr(orjson, "loads", counted)
    for bad in (many(500)[:-1], many(500)[:-3] + "}}]", many(500).replace("Start", "\\x")):
        parsed.clear()
        with pytest.raises(ValueError, match="not JSON"):
            ElementUnits.from_json(bad)
        assert sum(parsed) <= 3 * len(bad)


def test_no_json_is_parsed_to_get_a_unit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cached(tmp_path)
    monkeypatch.setattr(orjson, "loads", None)
    monkeypatch.setattr(json, "loads", None)
    assert workflow_from_cached_element_unit(tmp_path, KEY, "A", "to B")
