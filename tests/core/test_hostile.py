"""Hostile input: texts, ids, keys, files and links that an attacker has made.

For any input, the library raises nothing but an `ElementUnitsError`, and reads, writes and follows
nothing outside a cache. `test_growth.py` tests that the work does not grow faster than the input.
"""

from __future__ import annotations

import itertools
import json
import os
import random
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from struct import pack
from typing import Any, Callable

import crowd
import orjson
import pytest
from crowd import Child, files_in, mark_in, needs_fork, text
from dissect import Dissected, pack_of
from json_cases import CASES

from spiff_element_units import (
    CacheError,
    CorruptPack,
    ElementUnits,
    ElementUnitsError,
    InvalidWorkflowSpec,
    UnitNotFound,
    cache_element_units_for_workflow,
    cache_keys,
    prune_cache,
    remove_cached_workflow,
    verify_cache,
    workflow_from_cached_element_unit,
)
from spiff_element_units.cache.directory import check, pack_path


def put(directory: Path, mark: str = "m", key: str = "key") -> Path:
    cache_element_units_for_workflow(directory, key, text(mark))
    return Path(pack_path(directory, key))


def got(directory: Path, key: str = "key", element: str = "call") -> str:
    unit = workflow_from_cached_element_unit(directory, key, "A", element)
    return mark_in(unit, element=element)


# JSON, value by value

WITH_VALUE = {
    "a task": b'{"spec":{"name":"A","typename":"P","task_specs":{"T":{"typename":"T","data":%b}}},'
    b'"subprocess_specs":{}}',
    "a process": b'{"spec":{"data":%b,"name":"A","typename":"P","task_specs":{}},'
    b'"subprocess_specs":{}}',
    "a called process": b'{"spec":{"name":"A","typename":"P","task_specs":{}},"subprocess_specs":'
    b'{"B":{"name":"B","typename":"P","task_specs":{},"data":%b}}}',
    "the workflow": b'{"spec":{"name":"A","typename":"P","task_specs":{}},"subprocess_specs":{},'
    b'"x":%b}',
    "the front": b'{"x":%b,"spec":{"name":"A","typename":"P","task_specs":{}},'
    b'"subprocess_specs":{}}',
    "a key that comes again": b'{"x":%b,"x":1,"spec":{"name":"A","typename":"P","task_specs":{}},'
    b'"subprocess_specs":{}}',
}


def parsed(content: bytes) -> Any:
    """What the parser reads; None if it refuses the text."""
    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError:
        return None


@pytest.mark.parametrize("place", WITH_VALUE)
@pytest.mark.parametrize("name", CASES)
def test_a_value_is_accepted_and_refused_as_the_parser_does(name: str, place: str) -> None:
    content = WITH_VALUE[place] % CASES[name]
    expected = parsed(content)
    assert name.startswith("i_") or (expected is not None) == name.startswith("y_")
    if expected is None:
        with pytest.raises(InvalidWorkflowSpec):
            ElementUnits.from_json(content)
        return
    unit = orjson.loads(ElementUnits.from_json(content).workflow("A", defer="nothing"))
    whole = {**unit, "subprocess_specs": expected["subprocess_specs"]}
    del whole["serializer_version"]
    assert whole == expected
    for key in expected["subprocess_specs"]:
        units = ElementUnits.from_json(content)
        assert orjson.loads(units.spec_json(key)) == expected["subprocess_specs"][key]


@pytest.mark.parametrize("name", CASES)
def test_a_key_is_accepted_and_refused_as_the_parser_does(name: str) -> None:
    key = CASES[name]
    for content in (
        b'{"spec":{"name":"A","typename":"P","task_specs":{}},"subprocess_specs":{%b:null}}' % key,
        b'{%b:1,"spec":{"name":"A","typename":"P","task_specs":{}},"subprocess_specs":{}}' % key,
        b'{"spec":{"name":"A","typename":"P","task_specs":{%b:{"typename":"T"}}},'
        b'"subprocess_specs":{}}' % key,
    ):
        expected = parsed(content)
        if expected is None:
            with pytest.raises(InvalidWorkflowSpec):
                ElementUnits.from_json(content)
            continue
        units = ElementUnits.from_json(content)
        assert set(units.subprocess_ids) == set(expected["subprocess_specs"])
        assert units.element_ids("A") == tuple(expected["spec"]["task_specs"])


@pytest.mark.parametrize("name", CASES)
def test_a_text_that_is_no_workflow_is_refused_whatever_it_is(name: str) -> None:
    for content in (CASES[name], b"\xef\xbb\xbf" + CASES[name], CASES[name] * 3):
        with pytest.raises(InvalidWorkflowSpec):
            ElementUnits.from_json(content)


# Ids

IDS = ["", "\0", "a\0b", "../../etc/passwd", "/etc/passwd", "C:\\con", "nul", "~root", "%s%n{0}"]
IDS += ["\u202e", "e\u0301", "\u00e9", "🦊" * 100, "\uffff", "\x7f\x1b[2J", "__class__", '"', "\\"]
IDS += ["null", "spec", "a" * 10_000_000]


def of_ids(root: str, called: str, element: str) -> dict:
    tasks = {element: {"typename": "CallActivity", "spec": called, "bpmn_id": f"{element}."}}
    process = {"typename": "P", "task_specs": tasks}
    specs = {called: {**process, "name": called}}
    return {"spec": {**process, "name": root}, "subprocess_specs": specs}


@pytest.mark.parametrize("hostile", IDS, ids=lambda id: ascii(id[:20]))
def test_an_id_of_any_form_is_an_id(hostile: str, tmp_path: Path) -> None:
    for root, called, element in (
        (hostile, "B", "T"),
        ("A", hostile, "T"),
        ("A", "B", hostile),
        (hostile, hostile, hostile),
    ):
        content = json.dumps(of_ids(root, called, element))
        cache_element_units_for_workflow(tmp_path, "key", content)
        units = ElementUnits.open(tmp_path, "key")
        assert units.root == root
        assert element in units.element_ids(called)
        assert units.references(root)[0].process_id == called
        unit = json.loads(workflow_from_cached_element_unit(tmp_path, "key", root, element))
        assert list(unit["subprocess_specs"]) == ([called] if element != root else [])
        unit = json.loads(units.workflow(root, f"{element}."))
        assert unit["spec"]["name"] == root
    assert len(files_in(tmp_path)) == 1


@pytest.mark.parametrize("hostile", [*IDS, "\ud800", "\udfff\ud800"], ids=lambda id: ascii(id[:20]))
def test_an_id_that_is_not_there_is_told_so_whatever_it_is(hostile: str, tmp_path: Path) -> None:
    put(tmp_path)
    units = ElementUnits.open(tmp_path, "key")
    for ask in (
        lambda: units.workflow(hostile),
        lambda: units.workflow("A", hostile),
        lambda: units.needs("A", "call", hostile),
        lambda: units.element_ids(hostile),
        lambda: units.spec_json(hostile),
        lambda: workflow_from_cached_element_unit(tmp_path, hostile, "A", "A"),
    ):
        with pytest.raises(UnitNotFound):
            ask()


@pytest.mark.parametrize("surrogate", ["\ud800", "a\udfffb"])
def test_a_lone_surrogate_in_a_text_is_refused_and_in_an_id_is_not_found(surrogate: str) -> None:
    content = json.dumps(of_ids("A", "B", "T"), ensure_ascii=False)
    for escaped in (surrogate, json.dumps(surrogate)[1:-1]):
        with pytest.raises(InvalidWorkflowSpec):
            ElementUnits.from_json(content.replace('"T"', f'"{escaped}"'))
    with pytest.raises(UnitNotFound):
        ElementUnits.from_json(content).workflow("A", surrogate)


def test_processes_that_each_refer_to_each_end(tmp_path: Path) -> None:
    """A thousand processes (`make stress`) have a million references in cycles."""
    number = crowd.amount("CYCLE", 200)
    tasks = [
        {f"{other}": {"typename": kind, "spec": f"{other}"} for other in range(number)}
        for kind in ("CallActivity", "SubWorkflowTask")
    ]
    process = {"name": "", "typename": "P"}
    specs = {f"{n}": {**process, "task_specs": tasks[n % 2]} for n in range(number)}
    root = {**process, "name": "root", "task_specs": tasks[1]}
    cache_element_units_for_workflow(
        tmp_path, "key", json.dumps({"spec": root, "subprocess_specs": specs})
    )
    units = ElementUnits.open(tmp_path, "key")
    asked = itertools.product(("root", "0", f"{number - 1}"), ("calls", "all", "nothing"))
    for process_id, defer in asked:
        assert len(units.needs(process_id, "7", defer=defer)) <= number + 1
    assert len(units.needs("root", defer="nothing")) == number + 1
    assert len(units.references("7")) == number


@pytest.mark.parametrize("kind", ["CallActivity", "SubWorkflowTask"])
def test_more_paths_than_can_be_walked_end(kind: str, tmp_path: Path) -> None:
    """Pairs of processes that both refer to both of the next pair, and the last to the first: a
    billion ways lead through thirty pairs, 10**60 through two hundred."""
    pairs = 200
    names = [[f"{n}{side}" for side in "ab"] for n in range(pairs)]
    specs = {}
    for n, pair in enumerate(names):
        following = names[(n + 1) % pairs]
        tasks = {f"to {name}": {"typename": kind, "spec": name} for name in following}
        specs.update({name: {"name": name, "typename": "P", "task_specs": tasks} for name in pair})
    specs["last"] = {"name": "last", "typename": "P", "task_specs": {"T": {"typename": "T"}}}
    specs["199b"]["task_specs"]["to last"] = {"typename": kind, "spec": "last"}
    workflow = {"spec": {**specs["0a"], "name": "root"}, "subprocess_specs": specs}
    cache_element_units_for_workflow(tmp_path, "key", json.dumps(workflow))
    units = ElementUnits.open(tmp_path, "key")
    assert len(units.needs("root", "T")) == 2 * pairs + 2
    assert len(units.needs("5a", "T", defer="all")) == 2 * pairs + 1
    assert len(units.needs("root", defer="nothing")) == 2 * pairs + 2


# Arguments

WRONG: list[Any] = [None, True, 7, 1.5, b"bytes", bytearray(b"{}"), ["a"], {}, object(), str]


class Deceptive(str):
    """A string whose methods lie about its content."""

    def __str__(self) -> str:
        raise RuntimeError("no")

    def encode(self, *arguments: Any) -> bytes:
        raise RuntimeError("no")

    def __eq__(self, other: object) -> bool:
        return False

    def __hash__(self) -> int:
        return 0


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: type(wrong).__name__)
def test_an_argument_of_another_type_is_a_type_error(wrong: Any, tmp_path: Path) -> None:
    put(tmp_path)
    units = ElementUnits.open(tmp_path, "key")
    asked: list[Callable[[], Any]] = [
        lambda: workflow_from_cached_element_unit(tmp_path, wrong, "A", "A"),
        lambda: workflow_from_cached_element_unit(tmp_path, "key", wrong, "A"),
        lambda: workflow_from_cached_element_unit(tmp_path, "key", "A", wrong),
        lambda: cache_element_units_for_workflow(tmp_path, wrong, text("m")),
        lambda: remove_cached_workflow(tmp_path, wrong),
        lambda: units.save(tmp_path, wrong),
        lambda: units.references(wrong),
        lambda: units.process_digest(wrong),
        lambda: units.diff(wrong),
        lambda: units.needs("A", "call", wrong),
    ]
    if not isinstance(wrong, bytes):
        asked.append(lambda: cache_element_units_for_workflow(tmp_path, "key", wrong))
        asked.append(lambda: ElementUnits.from_json(wrong))
    for ask in asked:
        with pytest.raises(TypeError):
            ask()
    assert len(files_in(tmp_path)) == 1


# Keys and paths

KEYS = [
    "../../etc/passwd",
    "/etc/passwd",
    "/dev/null",
    "C:\\windows\\x",
    "\\\\server\\share",
    "con",
    "nul.txt",
]
KEYS += [
    "",
    ".",
    "..",
    "~",
    "$HOME",
    "`id`",
    "%2e%2e%2f",
    "\0",
    "a\0b",
    "key ",
    "key.",
    "a" * 10_000,
]
KEYS += [
    "KEY",
    "key",
    "\u00e9",
    "e\u0301",
    "\u212b",
    "\u00c5",
    "\ufb01",
    "fi",
    "\ud800",
    "-rf",
    "*",
]


def test_no_key_leads_out_of_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = tmp_path / "a" / "b" / "cache"
    touched: list[Any] = []

    def watch(name: str) -> None:
        real = getattr(os, name)

        def watched(path: Any, *arguments: Any, **more: Any) -> Any:
            touched.append(path)
            return real(path, *arguments, **more)

        monkeypatch.setattr(os, name, watched)

    for name in ("open", "replace", "rename", "unlink", "lstat", "stat", "listdir", "makedirs"):
        watch(name)
    for number, key in enumerate(KEYS):
        put(cache, f"mark {number}", key)
    for number, key in enumerate(KEYS):
        assert got(cache, key) == f"mark {number}"
    assert {found.cache_key for found in cache_keys(cache)} == set(KEYS)
    assert verify_cache(cache).ok
    assert len(prune_cache(cache, max_age=0).removed) == len(KEYS)
    for key in KEYS:
        assert not remove_cached_workflow(cache, key)
    monkeypatch.undo()
    inside = str(cache)
    for path in {str(path) for path in touched if not isinstance(path, int)}:
        assert os.path.normpath(path) == path
        assert path.startswith(inside) or inside.startswith(path), path
    assert files_in(tmp_path) == []


def test_hints_and_messages_show_what_is_not_printable_as_an_escape(tmp_path: Path) -> None:
    for hostile in ("\x1b[2J", "a\nb", "\0", "\ud800"):
        with pytest.raises(UnitNotFound) as raised:
            ElementUnits.open(tmp_path, hostile)
        assert hostile not in str(raised.value)


# Files

needs_posix = pytest.mark.skipif(os.name != "posix", reason="needs modes, links and pipes of POSIX")


@needs_posix
@pytest.mark.parametrize(
    ("umask", "file", "directory"),
    [
        (0o022, 0o644, 0o755),
        (0o077, 0o600, 0o700),
        (0o002, 0o664, 0o775),
        (0o000, 0o666, 0o777),
    ],
)
def test_files_and_directories_have_the_modes_that_the_umask_leaves(
    umask: int, file: int, directory: int, tmp_path: Path
) -> None:
    before = os.umask(umask)
    try:
        path = put(tmp_path / "cache")
        put(tmp_path / "cache", "another")
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == file
    for made in (path.parent, tmp_path / "cache" / "v2", tmp_path / "cache"):
        assert stat.S_IMODE(made.stat().st_mode) == directory


@pytest.mark.skipif(not os.path.exists("/proc/self/fd"), reason="needs /proc")
def test_no_file_is_given_to_programs_that_are_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = put(tmp_path)
    units = ElementUnits.open(tmp_path, "key")
    opened: list[bool] = []
    real = os.open

    def watched(*arguments: Any, **more: Any) -> int:
        file = real(*arguments, **more)
        opened.append(os.get_inheritable(file))
        return file

    monkeypatch.setattr(os, "open", watched)
    put(tmp_path, "another")
    cache_element_units_for_workflow(tmp_path, "durable", text("m"), durable=True)
    cache_element_units_for_workflow(tmp_path, "durable", text("m"), durable=True)
    got(tmp_path)
    verify_cache(tmp_path)
    prune_cache(tmp_path, max_age=0)
    assert len(opened) > 10
    assert not any(opened)
    monkeypatch.undo()
    listing = "import os; print(*(os.readlink(f'/proc/self/fd/{n}') for n in range(3, 50)"
    listing += " if os.path.exists(f'/proc/self/fd/{n}')))"
    said = subprocess.run(
        [sys.executable, "-c", listing], capture_output=True, check=True, close_fds=False
    ).stdout.decode()
    assert path.name not in said
    assert units.root == "A"


@needs_posix
def test_what_a_link_leads_to_is_never_written(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    for target in ("theirs", "nowhere"):
        path = put(cache)
        path.unlink()
        (tmp_path / "theirs").write_text("theirs")
        path.symlink_to(tmp_path / target)
        put(cache, "new")
        assert not path.is_symlink()
        assert got(cache) == "new"
        assert (tmp_path / "theirs").read_text() == "theirs"
        assert not (tmp_path / "nowhere").exists()


@needs_posix
def test_a_link_to_the_very_same_pack_is_not_taken_for_it(tmp_path: Path) -> None:
    """The owner of the target could change it later."""
    cache = tmp_path / "cache"
    path = put(cache)
    path.rename(tmp_path / "theirs")
    path.symlink_to(tmp_path / "theirs")
    then = (tmp_path / "theirs").stat().st_mtime_ns
    put(cache)
    assert not path.is_symlink()
    assert (tmp_path / "theirs").stat().st_mtime_ns == then


@needs_posix
def test_a_link_in_the_place_of_a_temporary_file_is_not_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody can guess its name; if somebody does, there is an error and no harm."""
    path = put(tmp_path / "cache")
    monkeypatch.setattr(os, "urandom", bytes)
    (tmp_path / "theirs").write_text("theirs")
    Path(f"{path}.{os.getpid():x}-{bytes(8).hex()}.tmp").symlink_to(tmp_path / "theirs")
    with pytest.raises(CacheError, match="File exists"):
        put(tmp_path / "cache", "new")
    assert (tmp_path / "theirs").read_text() == "theirs"
    assert got(tmp_path / "cache") == "m"


@needs_posix
def test_a_temporary_file_that_is_a_link_or_a_pipe_is_left_alone(tmp_path: Path) -> None:
    path = put(tmp_path / "cache")
    link, pipe = (Path(f"{path}.1-{'0' * 15}{n}.tmp") for n in (1, 2))
    (tmp_path / "theirs").write_text("theirs")
    link.symlink_to(tmp_path / "theirs")
    os.mkfifo(pipe)
    for place in (link, pipe):
        os.utime(place, (0, 0), follow_symlinks=False)
    assert prune_cache(tmp_path / "cache").leftovers == ()
    assert (tmp_path / "theirs").read_text() == "theirs"


NOT_FILES: list[Callable[[Path], Any]] = [
    lambda path: path.mkdir(),
    getattr(os, "mkfifo", lambda path: None),
    lambda path: path.symlink_to("/dev/zero"),
    lambda path: path.symlink_to("/dev/null"),
    lambda path: path.symlink_to(path),
    lambda path: path.symlink_to(path.parent),
    lambda path: path.write_bytes(b""),
]


@needs_posix
@pytest.mark.parametrize("make", NOT_FILES)
def test_what_is_no_file_in_a_packs_place_is_neither_read_nor_waited_for(
    make: Callable[[Path], Any], tmp_path: Path
) -> None:
    path = put(tmp_path)
    path.unlink()
    make(path)
    with pytest.raises(CacheError):
        got(tmp_path)
    assert cache_keys(tmp_path) == ()
    assert len(verify_cache(tmp_path).damaged) == 1
    prune_cache(tmp_path, max_age=0)
    if not path.is_dir() or path.is_symlink():
        put(tmp_path)
        assert got(tmp_path) == "m"


# Forged packs


def claims() -> Iterator[bytes]:
    """Small files that claim to be large."""
    good = pack_of(text("m"), "key")
    for place, width in ((12, "<I"), (16, "<Q"), (56, "<I"), (72, "<Q"), (80, "<Q"), (88, "<Q")):
        for claim in (2**30, 2**31 - 1, 2**32 - 1, 2**40, 2**63 - 1, 2**64 - 1):
            number = pack(width, claim & (2 ** (32 if width == "<I" else 64) - 1))
            forged = Dissected(good)
            forged.data[place : place + len(number)] = number
            yield bytes(forged.data)
            forged.seal_header()
            yield bytes(forged.data)


def as_pack(directory: Path, content: bytes) -> Path:
    path = Path(pack_path(directory, "key"))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


@needs_fork
@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="needs /proc")
def test_gigabytes_that_are_claimed_are_not_allocated(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")

    def ask() -> None:
        with open("/proc/self/statm") as status:
            used = int(status.read().split()[0]) * resource.getpagesize()
        limit = used + 256 * 2**20
        if "asan" not in os.environ.get("LD_PRELOAD", ""):
            resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        for forged in claims():
            as_pack(tmp_path, forged)
            with pytest.raises(CorruptPack):
                got(tmp_path)
            assert not verify_cache(tmp_path).ok

    with Child(ask):
        pass


@needs_fork
@pytest.mark.skipif(sys.platform == "darwin", reason="macOS limits no memory")
@pytest.mark.skipif("asan" in os.environ.get("LD_PRELOAD", ""), reason="its memory is not limited")
def test_a_file_that_is_larger_than_memory_is_an_error_of_ours(tmp_path: Path) -> None:
    """A file with a hole takes no room on the disk, and a terabyte in memory."""
    resource = pytest.importorskip("resource")
    good = pack_of(text("m"), "key")
    sizes = [2**30, 2**34, 2**40]

    def ask() -> None:
        limit = 2**30
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        for size in sizes:
            forged = Dissected(good)
            forged.set_header("body", size - forged.body)
            path = as_pack(tmp_path, bytes(forged.data))
            os.truncate(path, size)
            with pytest.raises(CacheError):
                check(ElementUnits.open(tmp_path, "key")._use())
            assert len(verify_cache(tmp_path).damaged) == 1
            for name in ("tail", "roster"):
                forged.set_header(name, size - forged.body - 10**6)
                path.write_bytes(forged.data)
                os.truncate(path, size)
                with pytest.raises(CacheError):
                    got(tmp_path)
            key = Dissected(good)
            key.set_header("key length", 2**32 - 1)
            path.write_bytes(key.data)
            os.truncate(path, size)
            with pytest.raises(CacheError):
                got(tmp_path)
            with pytest.raises(CacheError):
                ElementUnits.open(tmp_path, "key")
            path.unlink()
            put(tmp_path)
            assert got(tmp_path) == "m"

    with Child(ask):
        pass


ELEMENTS = ["A", "B", "C", "call", "embed", "in B", "in C"]


def assert_right_or_corrupt(directory: Path, mark: str) -> int:
    """Require that every unit is right or refused. Returns how many were right."""
    right = 0
    for element in ELEMENTS:
        try:
            assert got(directory, element=element) == mark
            right += 1
        except CorruptPack:
            pass
    return right


def exchanged(first: Dissected, second: Dissected) -> Iterator[tuple[str, bytes]]:
    """The first pack with each part, header included, from the second one."""
    parts = [(part.name, first.body + part.offset, part.length + 8) for part in first.parts]
    parts += [("header", 0, first.body), ("body", first.body, len(first.data) - first.body)]
    parts += [("digest", 24, 32), ("numbers", 56, 40), ("header's checksum", first.body - 8, 8)]
    for name, at, length in parts:
        content = bytearray(first.data)
        content[at : at + length] = second.data[at : at + length]
        yield name, bytes(content)
        content[first.body - 8 : first.body] = first.data[first.body - 8 : first.body]
        yield name, bytes(content)


@pytest.mark.parametrize("other", ["n", "key", "longer"])
def test_a_part_of_another_pack_never_gives_another_unit(other: str, tmp_path: Path) -> None:
    first = Dissected(pack_of(text("m"), "key"))
    if other == "key":
        second = Dissected(pack_of(text("m"), "yek"))
    else:
        second = Dissected(pack_of(text("n", filling=0 if other == "n" else 1), "key"))
    right = refused = 0
    for name, content in exchanged(first, second):
        as_pack(tmp_path, content)
        if name == "header" and other == "n" and content[:24] != first.data[:24]:
            continue
        number = assert_right_or_corrupt(tmp_path, "m")
        right += number
        refused += len(ELEMENTS) - number
        put(tmp_path)
        assert got(tmp_path) == "m"
    assert right > 0 or other == "longer"
    assert refused > 0


def test_ranges_of_another_pack_never_give_another_unit(tmp_path: Path) -> None:
    chance = random.Random(3)
    first, second = pack_of(text("m"), "key"), pack_of(text("n"), "key")
    assert len(first) == len(second)
    for _ in range(crowd.amount("RANGES", 300)):
        start, end = sorted(chance.choices(range(len(first) + 1), k=2))
        if (start, end) == (0, len(first)):
            continue
        as_pack(tmp_path, first[:start] + second[start:end] + first[end:])
        units = {}
        for element in ELEMENTS:
            try:
                units[element] = got(tmp_path, element=element)
            except CorruptPack:
                continue
        assert len(set(units.values())) <= 1, (start, end, units)


def test_several_wrong_bytes_never_give_another_unit(tmp_path: Path) -> None:
    chance = random.Random(5)
    good = pack_of(text("m"), "key")
    refused = 0
    for _ in range(crowd.amount("FLIPS", 300)):
        content = bytearray(good)
        for place in chance.choices(range(len(good)), k=chance.choice([1, 1, 2, 3, 8, 100])):
            content[place] ^= chance.randrange(1, 256)
        as_pack(tmp_path, bytes(content))
        refused += len(ELEMENTS) - assert_right_or_corrupt(tmp_path, "m")
    assert refused > 0
    put(tmp_path)
    assert got(tmp_path) == "m"


def public_questions(directory: Path) -> Iterator[Callable[[], Any]]:
    """All questions about a cache with one pack, and about that pack."""
    yield lambda: cache_keys(directory)
    yield lambda: verify_cache(directory)
    yield lambda: prune_cache(directory, max_bytes=0, dry_run=True)
    yield lambda: workflow_from_cached_element_unit(directory, "key", "A", "call")
    yield lambda: ElementUnits.open(directory, "key").save(directory / "other", "key")
    for name in ("root", "process_ids", "subprocess_ids", "digest"):
        yield lambda name=name: getattr(ElementUnits.open(directory, "key"), name)
    yield lambda: repr(ElementUnits.open(directory, "key"))
    yield lambda: ElementUnits.open(directory, "key")._inner_root()
    other = ElementUnits.from_json(text("other"))
    yield lambda: ElementUnits.open(directory, "key").diff(other)
    yield lambda: other.diff(ElementUnits.open(directory, "key"))
    for process_id, element_id in itertools.product(["A", "B", "C", "none"], [*ELEMENTS, "none"]):
        for name in (
            *("element_ids", "references", "spec_json", "process_digest"),
            *("_decoded", "_has"),
        ):
            yield lambda n=name, p=process_id: getattr(ElementUnits.open(directory, "key"), n)(p)
        for name in ("workflow", "needs"):
            yield lambda n=name, p=process_id, e=element_id: getattr(
                ElementUnits.open(directory, "key"), n
            )(p, e)


def test_only_our_errors_leave_the_library_whichever_part_of_a_pack_is_damaged(
    tmp_path: Path,
) -> None:
    good = pack_of(text("m"), "key")
    for part in Dissected(good).parts:
        for forged in (False, True):
            pack = Dissected(good)
            pack.data[pack.body + part.offset + part.length // 2] ^= 0xFF
            if forged:
                pack.seal(part)
            as_pack(tmp_path, bytes(pack.data))
            refused = 0
            for question in public_questions(tmp_path):
                try:
                    question()
                except ElementUnitsError:
                    refused += 1
            assert refused > 0 or forged, part


def test_random_files_in_a_packs_place_are_refused(tmp_path: Path) -> None:
    chance = random.Random(4)
    good = pack_of(text("m"), "key")
    for number in range(crowd.amount("FILES", 300)):
        size = chance.choice([0, 1, 8, 95, 104, 500, 4096, 4097, 20_000])
        content = chance.randbytes(size)
        if number % 3:
            keep = chance.choice([8, 12, 16, 24, 56, 96, 107])
            content = good[:keep] + content
        as_pack(tmp_path, content)
        for element in ELEMENTS[:3]:
            with pytest.raises(CorruptPack):
                got(tmp_path, element=element)
        assert not verify_cache(tmp_path).ok
    put(tmp_path)
    assert got(tmp_path) == "m"
