"""Alembic writes migrations for the tables as for any others."""

from __future__ import annotations

from typing import Any

import pytest
from databases import do_human_task, instances_of, started
from sqlalchemy import Engine, MetaData

from spiff_element_units.sql import tables

pytest.importorskip("alembic")

from alembic.autogenerate import compare_metadata, produce_migrations, render_python_code
from alembic.migration import MigrationContext
from alembic.operations import Operations


def context_of(connection: Any) -> MigrationContext:
    def mine(name: Any, kind: str, parents: Any) -> bool:
        return kind != "table" or name.startswith("migrated_")

    return MigrationContext.configure(connection, opts={"include_name": mine})


def test_a_migration_makes_the_tables_and_then_nothing_is_left_to_do(engine: Engine) -> None:
    metadata = MetaData()
    made = tables(metadata, prefix="migrated_")
    try:
        with engine.begin() as connection:
            context = context_of(connection)
            script = produce_migrations(context, metadata)
            assert script.upgrade_ops is not None
            code = render_python_code(
                script.upgrade_ops, render_as_batch=False, migration_context=context
            )
            assert "spiff_element_units" not in code  # it needs nothing but SQLAlchemy
            with Operations.context(context) as operations:
                for one in script.upgrade_ops.ops:
                    for inner in getattr(one, "ops", [one]):  # the indexes of a table
                        operations.invoke(inner)
        with engine.connect() as connection:
            assert compare_metadata(context_of(connection), metadata) == []
        instances = instances_of(engine, made)
        with instances.step(started(instances)) as workflow:
            do_human_task(workflow)
    finally:
        metadata.drop_all(engine)
