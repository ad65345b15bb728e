"""Servers that fail in the middle of a step: it is saved as a whole or not at all."""

from __future__ import annotations

from itertools import count
from typing import Any

import databases
import pytest
from databases import HUMAN_TASKS, do_human_task, instances_of, rows, started
from server_process import Server
from sqlalchemy import Column, Engine, MetaData, String, Table, event, insert, select
from sqlalchemy.exc import DBAPIError

from spiff_element_units.sql import Tables


def test_an_exception_while_a_piece_is_read_is_raised_unchanged(
    engine: Engine, made_tables: Tables
) -> None:
    instances = instances_of(engine, made_tables)
    instance_id = started(instances)
    for _ in range(2):
        with instances.step(instance_id) as workflow:
            do_human_task(workflow)
    with pytest.raises(DBAPIError), instances.step(instance_id) as workflow:
        made_tables.pieces.drop(engine)
        workflow.get_tasks()  # looks into a subprocess whose piece cannot be read
