"""The Celery application of the examples in this process, for the tests that run it."""

# ruff: noqa: E402 - the tests are skipped if an import is not installed
from __future__ import annotations

import importlib
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

for library in ("celery", "redis", "sqlalchemy"):
    pytest.importorskip(library, reason=f"the tests of Celery need {library}")

from celery_workers import EXAMPLE, Places, check, loaded, settings


class Modules(NamedTuple):
    """The modules of the example, and its application in this process."""

    application: Any
    tasks: Any
    here: Any


@contextmanager
def open_folder() -> Iterator[Path]:
    """A folder that servers without root rights may enter, unlike those of pytest."""
    folder = Path(tempfile.mkdtemp(prefix="celery-"))
    folder.chmod(0o711)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def deployed(
    places: Places, folder: Path, monkeypatch: pytest.MonkeyPatch, *more: str
) -> Iterator[Modules]:
    """The application on an empty database, with its model. `more` modules change it."""
    for name, value in settings(places, folder).items():
        monkeypatch.setenv(name, value)
    monkeypatch.syspath_prepend(EXAMPLE)
    module, tasks = loaded()
    for name in more:
        importlib.import_module(name)
    here = tasks.application()
    module.metadata.create_all(here.engine)
    here.deploy("order", EXAMPLE / "order.bpmn20.xml")
    yield Modules(module, tasks, here)
    module.metadata.drop_all(here.engine)
    here.engine.dispose()
    tasks.app.close()
    for name in ("tasks", "application", *more):
        del sys.modules[name]


def require_good(modules: Modules, ids: set[str]) -> None:
    """Fail with what the checker has found."""
    found = check(modules.application, modules.here, ids)
    assert found == (len(ids), 5 * len(ids), [], [], []), found
