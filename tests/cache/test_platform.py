"""Differences between operating systems: the tests take each branch on any of them."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Callable

import pytest
from crowd import files_in, mark_in, text

from spiff_element_units import (
    CacheError,
    CorruptPack,
    ElementUnits,
    cache_element_units_for_workflow,
    cache_keys,
    prune_cache,
    remove_cached_workflow,
    verify_cache,
)
from spiff_element_units.cache import platform
from spiff_element_units.cache.directory import _LONGEST_BELOW, pack_path
from spiff_element_units.cache.writing import temporary_path


def put(directory: Path, key: str = "key", mark: str = "m", **options: Any) -> Path:
    cache_element_units_for_workflow(directory, key, text(mark), **options)
    return Path(pack_path(directory, key))


def got(directory: Path, key: str = "key") -> str:
    return mark_in(ElementUnits.open(directory, key).workflow("A", "call"))


def denied(monkeypatch: pytest.MonkeyPatch, name: str, is_denied: Callable[[str], bool]) -> None:
    """A function of `os` that fails for some paths with PermissionError."""
    real = getattr(os, name)

    def denying(path: Any, *arguments: Any, **more: Any) -> Any:
        if is_denied(path):
            raise PermissionError(errno.EACCES, "in use", path)
        return real(path, *arguments, **more)

    monkeypatch.setattr(os, name, denying)


def first(times: int) -> Callable[[str], bool]:
    left = iter(range(times))
    return lambda path: next(left, None) is not None


# Renaming over open files


@pytest.mark.usefixtures("windows")
def test_a_reader_waits_for_a_writer_that_is_renaming_but_not_forever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path)
    with monkeypatch.context() as meanwhile:
        denied(meanwhile, "open", first(3))
        assert got(tmp_path) == "m"
        denied(meanwhile, "open", lambda path: True)
        with pytest.raises(CacheError, match="in use") as raised:
            got(tmp_path)
    assert not isinstance(raised.value, CorruptPack)


@pytest.mark.skipif(os.name == "nt", reason="Windows waits")
def test_elsewhere_nobody_waits_for_what_is_denied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path)
    denied(monkeypatch, "open", first(1))
    with pytest.raises(CacheError, match="in use"):
        got(tmp_path)


@pytest.mark.usefixtures("windows")
def test_a_directory_that_cannot_be_opened_is_told_as_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = put(tmp_path)
    path.unlink()
    path.mkdir()
    denied(monkeypatch, "open", os.path.isdir)
    with pytest.raises(CorruptPack, match="is not a regular file"):
        got(tmp_path)
    (damaged,) = verify_cache(tmp_path).damaged
    assert "is not a regular file" in damaged.reason


# Names and lengths


@pytest.mark.parametrize("key", ["key", "KEY", "Key", "\u017f", "\u212a", "\ufb01"])
def test_where_upper_and_lower_case_are_one_no_names_meet(key: str, tmp_path: Path) -> None:
    path = put(tmp_path, key)
    for name in (path, Path(temporary_path(str(path)))):
        inside = name.relative_to(tmp_path).as_posix()
        assert inside == inside.casefold()
        assert inside.isascii()
    assert path.name != Path(pack_path(tmp_path, "another")).name


DIRECTORIES = {
    "short": ("C:\\cache", "C:\\cache"),
    "relative and short": ("cache", "cache"),
    "long": (f"C:\\{'d' * 160}", f"\\\\?\\C:\\{'d' * 160}"),
    "long with slashes and dots": (f"C:/x/../{'d' * 160}", f"\\\\?\\C:\\{'d' * 160}"),
    "long on a share": (f"\\\\server\\{'d' * 160}", f"\\\\?\\UNC\\server\\{'d' * 160}"),
    "long and said so": (f"\\\\?\\C:\\{'d' * 250}", f"\\\\?\\C:\\{'d' * 250}"),
    "a device": (f"\\\\.\\C:\\{'d' * 250}", f"\\\\.\\C:\\{'d' * 250}"),
}


@pytest.mark.parametrize("given", DIRECTORIES)
def test_on_windows_a_long_directory_is_named_so_that_it_can_be_used(
    given: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory, used = DIRECTORIES[given]
    monkeypatch.setattr(platform, "LONGEST_PATH", 259)
    assert platform.reachable(directory, _LONGEST_BELOW) == used
    longest = 259 - _LONGEST_BELOW - len("C:\\")
    assert platform.reachable(f"C:\\{longest * 'd'}", _LONGEST_BELOW)[0] == "C"
    assert platform.reachable(f"C:\\{longest * 'd'}d", _LONGEST_BELOW)[0] == "\\"


def test_no_path_in_a_cache_is_longer_than_is_reckoned_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "getpid", lambda: 2**32 - 1)
    path = temporary_path(pack_path(tmp_path, "key" * 1000))
    assert len(path) == len(str(tmp_path)) + _LONGEST_BELOW


def test_every_function_uses_the_directory_as_it_can_be_reached(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def elsewhere(directory: str, below: int) -> str:
        return directory.replace("said", "used")

    monkeypatch.setattr(platform, "reachable", elsewhere)
    said = tmp_path / "said"
    put(said)
    put(said, "durable", durable=True)
    ElementUnits.get_or_cache(said, "third", lambda: text("m"))
    assert got(said) == "m"
    assert len(cache_keys(said)) == len(verify_cache(said).good) == 3
    assert remove_cached_workflow(said, "key")
    assert len(prune_cache(said, max_bytes=0).removed) == 2
    assert files_in(tmp_path) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["used"]


# Syncing


@pytest.mark.parametrize("works", [True, False])
def test_on_macos_what_is_durable_is_out_of_the_drives_cache_where_that_can_be(
    works: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    called: list[str] = []

    def full(file: int, command: int) -> None:
        assert command == 51
        called.append("full")
        if not works:
            raise OSError(errno.ENOTSUP, "not on this file system")

    fake = SimpleNamespace(F_FULLFSYNC=51, fcntl=full, LOCK_EX=2, LOCK_SH=1, LOCK_NB=4, LOCK_UN=8)
    fake.flock = lambda file, kind: None
    monkeypatch.setattr(platform, "fcntl", fake)
    monkeypatch.setattr(os, "fsync", lambda file: called.append("plain"))
    put(tmp_path / "cache", durable=True)
    at_least = 1 if platform.WINDOWS else 4  # the file, and the directories above it
    assert called.count("full") >= at_least
    assert called.count("plain") == (0 if works else called.count("full"))
    assert got(tmp_path / "cache") == "m"
