"""URLs of stores, what messages say and must not say, and the command on a store."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from store_workflows import workflow

from spiff_element_units import CacheError, ElementUnits, ElementUnitsError
from spiff_element_units.cli import main
from spiff_element_units.stores import failing, open_store
from spiff_element_units.stores.opening import is_url

WANT = ElementUnits.from_json(workflow(5))


@pytest.mark.parametrize(
    "text", ["cache", "/var/cache", "C:/cache", "./a b", "s3:x", "a//b", "://x"]
)
def test_a_path_is_no_url(text: str) -> None:
    assert not is_url(text)
    assert open_store(text) == Path(text)


def test_a_file_url_is_the_directory(tmp_path: Path) -> None:
    place = open_store(f"file://{tmp_path}/with%20space")
    assert place == tmp_path / "with space"
    WANT.save(place, "key")
    assert (tmp_path / "with space" / "v2").is_dir()


@pytest.mark.parametrize(
    "url", ["ftp://user:secret-word@host/x", "http://host/x?token=secret-word", "x+y://secret"]
)
def test_an_unknown_url_is_an_error_that_lists_the_known(url: str) -> None:
    with pytest.raises(ElementUnitsError, match="postgresql://") as caught:
        open_store(url)
    assert "secret-word" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "told", "library"),
    [
        (
            "postgresql://u:secret-word@db:5433/app?sslmode=require",
            "postgresql://db:5433/app",
            "psycopg",
        ),
        ("postgresql+psycopg://u:secret-word@db/app", "postgresql://db/app", "psycopg"),
        ("mysql://u:secret-word@db/app", "mysql://db/app", "pymysql"),
        ("mariadb://u:secret-word@db/app", "mariadb://db/app", "pymysql"),
        ("sqlite:///folder/file.db", "sqlite:///folder/file.db", "sqlalchemy"),
        ("redis://u:secret-word@host:7000/3", "redis://host:7000/3", "redis"),
        ("rediss://:secret-word@host", "redis://host:6379/0", "redis"),
        ("redis://", "redis://localhost:6379/0", "redis"),
        ("valkey://:secret-word@host:1/2", "redis://host:1/2", "redis"),
        ("unix://:secret-word@/run/redis.sock?db=1", "unix:///run/redis.sock", "redis"),
        (
            "s3://bucket/a/b?region=eu-west-1&access_key_id=i&secret_access_key=secret-word",
            "s3://bucket/a/b",
            "obstore",
        ),
        (
            "az://container/a?account_name=x&account_key=c2VjcmV0LXdvcmQ=",
            "az://container/a",
            "obstore",
        ),
        ("memory://", "memory://", "obstore"),
    ],
)
def test_a_url_gives_a_store_that_names_itself_without_credentials(
    url: str, told: str, library: str
) -> None:
    pytest.importorskip(library)
    if library in ("psycopg", "pymysql"):
        pytest.importorskip("sqlalchemy")
    store = open_store(url)
    assert str(store) == told
    assert "secret-word" not in repr(store)


@pytest.mark.parametrize(
    ("url", "library"),
    [
        ("redis://:secret-word@host:port/0", "redis"),
        ("postgresql://u:secret-word@host:port/x", "sqlalchemy"),
        ("s3://bucket/x?no_such_setting=secret-word", "obstore"),
        ("postgresql+nodriver://u:secret-word@host/x", "sqlalchemy"),
        ("memory://secret-word@name", "obstore"),
    ],
)
def test_a_url_that_a_library_refuses_is_an_error_without_credentials(
    url: str, library: str
) -> None:
    pytest.importorskip(library)
    with pytest.raises(ElementUnitsError, match="cannot open the store") as caught:
        open_store(url)
    assert "secret-word" not in str(caught.value)
    assert "Debug source" not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("url", ["s3:///bucket/units", "s3://", "gs:///x", "az://?account_name=x"])
def test_a_url_without_a_bucket_is_an_error_and_no_store_in_memory(url: str) -> None:
    pytest.importorskip("obstore")
    with pytest.raises(ElementUnitsError, match="names no bucket"):
        open_store(url)


@pytest.mark.parametrize("url", ["file://cache", "file://models/cache"])
def test_a_file_url_with_a_host_is_an_error_and_no_other_directory(url: str) -> None:
    with pytest.raises(ElementUnitsError, match="three slashes"):
        open_store(url)


@pytest.mark.parametrize(
    ("url", "library", "extra"),
    [
        ("s3://bucket", "obstore", "object-store"),
        ("postgresql://host/x", "sqlalchemy", "sql"),
        ("redis://host", "redis", "redis"),
    ],
)
def test_without_its_library_a_store_says_which_extra_to_install(
    url: str, library: str, extra: str
) -> None:
    script = (
        f"import sys; sys.modules[{library!r}] = None\n"
        "import spiff_element_units.stores as stores\n"
        f"try: stores.open_store({url!r})\n"
        "except ImportError as error: print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={"PYTHONPATH": ":".join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        check=False,
    )
    assert f"pip install 'spiff-element-units[{extra}]'" in done.stdout, done.stderr


def test_the_stores_can_be_imported_without_any_library() -> None:
    script = (
        "import sys\n"
        "for name in ('obstore', 'sqlalchemy', 'redis'): sys.modules[name] = None\n"
        "import spiff_element_units.stores, spiff_element_units.stores.testing"
    )
    subprocess.run(
        [sys.executable, "-c", script],
        env={"PYTHONPATH": ":".join(filter(None, sys.path))},
        check=True,
    )


def test_an_unknown_name_of_the_stores_is_an_attribute_error() -> None:
    from spiff_element_units import stores  # noqa: PLC0415

    with pytest.raises(AttributeError, match="NoStore"):
        stores.NoStore  # noqa: B018


@pytest.mark.parametrize(
    "reason",
    [
        "failed: secret-word",
        "failed at http://user:secret-word@host/x",
        "failed at https://host/x?sig=secret-word&more=1 again",
        "failed: secret-word%21",
    ],
)
def test_a_reason_is_told_without_credentials(reason: str) -> None:
    told = failing.failure("store", "read", OSError(reason), ["secret-word"])
    assert isinstance(told, CacheError)
    assert "secret-word" not in str(told)
    assert told.__cause__ is None
    assert "failed" in str(told)


def test_a_quoted_secret_is_left_out_too() -> None:
    told = failing.failure("store", "read", OSError("failed: a%2Fb%3D"), ["a/b="])
    assert "%2F" not in str(told)


def test_an_empty_password_hides_nothing() -> None:
    assert failing.without_credentials("no such host", ["", "hunter2"]) == "no such host"


def test_a_reason_without_credentials_is_the_cause() -> None:
    error = OSError("no route")
    assert failing.failure("store", "read", error, ["secret-word"]).__cause__ is error


def test_a_long_reason_is_cut_off() -> None:
    told = failing.failure("store", "read", OSError("x" * 5000))
    assert len(str(told)) < 500


def test_the_command_fills_lists_checks_and_prunes_a_store(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("sqlalchemy")
    url = f"sqlite:///{tmp_path / 'store.db'}"
    text = tmp_path / "claim.json"
    text.write_text(workflow(5))

    def command(*arguments: str, code: int = 0) -> Any:
        assert main(list(arguments)) == code
        return capsys.readouterr()

    cached = json.loads(command("cache", url, str(text), "--json").out)
    assert (cached["cache_dir"], cached["cached"]) == (url, 1)
    assert cached["workflows"][0]["bytes"] > 1000
    assert json.loads(command("cache", url, str(text), "--json").out)["unchanged"] == 1
    (row,) = json.loads(command("ls", url, "--json").out)["workflows"]
    assert (row["key"], row["bytes"]) == ("claim", cached["workflows"][0]["bytes"])
    assert command("unit", url, "claim", "p2").out.strip() == WANT.workflow("p2")
    assert "p3" in command("show", url, "claim").out
    assert json.loads(command("verify", url, "--json").out)["ok"] is True
    assert json.loads(command("rm", url, "claim", "--dry-run", "--json").out)["removed"] == [
        "claim"
    ]
    assert "is not cached" in command("unit", url, "clam", "p2", code=1).err
    assert "is a store" in command("show", url, code=2).err
    assert json.loads(command("prune", url, "--max-age", "0s", "--json").out)["removed"]
    assert json.loads(command("ls", url, "--json").out)["workflows"] == []


def test_the_command_says_which_store_fails_and_no_password(
    capsys: pytest.CaptureFixture[str],
) -> None:
    pytest.importorskip("redis")
    assert main(["ls", "redis://:secret-word@127.0.0.1:1/0"]) == 1
    told = capsys.readouterr().err
    assert "redis://127.0.0.1:1/0 cannot list" in told
    assert "secret-word" not in told


def test_a_redis_client_that_decodes_is_refused_when_the_store_is_made() -> None:
    redis = pytest.importorskip("redis")
    stores = pytest.importorskip("spiff_element_units.stores.redis_store")
    with pytest.raises(ElementUnitsError, match="decode_responses=False"):
        stores.RedisStore(redis.Redis(decode_responses=True))
