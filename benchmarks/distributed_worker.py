"""The Celery application of examples/celery, which counts bytes and conflicts, for distributed.py.

With STATES=full in the environment, an instance is one row with SpiffWorkflow's full JSON.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import application
import redis
import tasks
from celery.signals import task_postrun
from psycopg import Cursor
from SpiffWorkflow.bpmn.workflow import BpmnWorkflow

from spiff_element_units.spiff import StatePieces
from spiff_element_units.spiff.piece_texts import LIVE, content, piece_text
from spiff_element_units.sql import Conflict, Instances

app = tasks.app
COUNTS = "counts"  # a hash in Redis
counted = {"read": 0, "written": 0}
counts: Any = redis.Redis.from_url(tasks.BROKER_URL)


class CountingCursor(Cursor[Any]):
    """Counts the bytes of the parameters and of the values that it gets."""

    def execute(self, query: Any, params: Any = None, **options: Any) -> Any:
        values = params.values() if isinstance(params, dict) else params or ()
        plain = [getattr(one, "obj", one) for one in values]  # bytes are in a wrapper
        counted["written"] += sum(len(one) for one in plain if isinstance(one, (str, bytes)))
        done = super().execute(query, params, **options)
        found = self.pgresult
        if found is not None:
            counted["read"] += sum(
                len(found.get_value(row, column) or b"")
                for row in range(found.ntuples)
                for column in range(found.nfields)
            )
        return done

    def executemany(self, query: Any, params_seq: Any, **options: Any) -> None:
        for params in params_seq:
            self.execute(query, params)


class FullLoader:
    """A loader for `Instances`, with SpiffWorkflow's full JSON as the only piece."""

    def __init__(self, loader: Any, spec_json: str) -> None:
        self.waiting = loader.waiting
        restored = application.SERIALIZER.from_dict
        found = json.loads(spec_json)
        self.root = restored(found["spec"])
        self.others = {name: restored(one) for name, one in found["subprocess_specs"].items()}

    def start(self, process_id: Any = None) -> Any:
        return BpmnWorkflow(self.root, self.others)

    def resume_pieces(self, read: Any, script_engine: Any = None) -> Any:
        workflow = application.SERIALIZER.deserialize_json(content(read(LIVE))[1])
        workflow.script_engine = script_engine
        return workflow

    def save_pieces(self, workflow: Any) -> StatePieces:
        text = application.SERIALIZER.serialize_json(workflow)
        return StatePieces({LIVE: piece_text(LIVE, {}, text)})


class FullLoaders:
    def __init__(self, loaders: Any, spec_json: Any) -> None:
        self.loaders = loaders
        self.spec_json = spec_json
        self.kept: dict[str, FullLoader] = {}

    def __getitem__(self, cache_key: str) -> FullLoader:
        if cache_key not in self.kept:
            self.kept[cache_key] = FullLoader(self.loaders[cache_key], self.spec_json(cache_key))
        return self.kept[cache_key]


class Counting(application.Application):
    def __init__(self) -> None:
        super().__init__()
        self.engine = application.database(cursor_factory=CountingCursor)
        full = os.environ.get("STATES") == "full"
        loaders: Any = FullLoaders(self.loaders, self.spec_json) if full else self.loaders
        self.instances = Instances(self.engine, loaders, application.INSTANCES)

    @contextmanager
    def step(self, instance_id: str) -> Iterator[application.Step]:
        try:
            with super().step(instance_id) as step:
                yield step
        except Conflict:
            counts.hincrby(COUNTS, "conflicts", 1)
            raise


tasks.Application = Counting


@task_postrun.connect
def tell(**_: Any) -> None:
    """Add what this task has read and written to the counts of all workers."""
    for name, number in counted.items():
        counts.hincrby(COUNTS, name, number)
        counted[name] = 0
