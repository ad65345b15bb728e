"""The tables of instances. An application can take them into its own `MetaData` and migrations.

    instances   one row for each instance: its cache key, version number and times
    pieces      the pieces of its state (see `SpecLoader.save_pieces`), one row each
    waiting     an index of what instances wait for: one row for each task and event

All columns have plain types of SQLAlchemy, so that Alembic writes them into a migration as they
are. Times are UTC without a time zone, and have microseconds. On MySQL and MariaDB, texts are
compared as they are written, and not in the collation of the database.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Optional

from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
)
from sqlalchemy.dialects import mysql

LONGEST_ID = 64
LONGEST_NAME = 255


class Tables(NamedTuple):
    """The tables that `Instances` uses."""

    instances: Table
    pieces: Table
    waiting: Table


def tables(
    metadata: MetaData, prefix: str = "element_units_", schema: Optional[str] = None
) -> Tables:
    """Add the tables of instances to a `MetaData`, and return them.

        metadata = MetaData()  # or that of your models: Base.metadata
        instances = Instances(engine, loaders, tables(metadata))
        metadata.create_all(engine)

    The names of tables and indexes begin with `prefix`. `schema` is the schema of the tables.

    Raises InvalidRequestError of SQLAlchemy if the `MetaData` has a table of this name already.
    """
    instances = Table(
        f"{prefix}instances",
        metadata,
        Column("id", _text(LONGEST_ID), primary_key=True),
        Column("cache_key", _text(LONGEST_NAME), nullable=False),
        Column("process_id", _text(LONGEST_NAME), nullable=False),
        Column("version", Integer, nullable=False),
        Column("started_at", _time(), nullable=False),
        Column("changed_at", _time(), nullable=False),
        Column("ended_at", _time()),
        Column("due_at", _time()),
        Index(f"{prefix}due", "due_at", "id"),
        schema=schema,
    )
    pieces = Table(
        f"{prefix}pieces",
        metadata,
        Column("instance_id", _text(LONGEST_ID), ForeignKey(instances.c.id), primary_key=True),
        Column("piece_id", _ascii(36), primary_key=True),
        Column("version", Integer, nullable=False),
        Column("content", _bytes(), nullable=False),
        schema=schema,
    )
    number = BigInteger().with_variant(Integer, "sqlite")  # only this counts up there
    waiting = Table(
        f"{prefix}waiting",
        metadata,
        Column("id", number, primary_key=True, autoincrement=True),
        Column("instance_id", _text(LONGEST_ID), ForeignKey(instances.c.id), nullable=False),
        Column("kind", _ascii(16), nullable=False),
        Column("task_id", _ascii(36), nullable=False),
        Column("process_id", _text(LONGEST_NAME), nullable=False),
        Column("element_id", _text(LONGEST_NAME), nullable=False),
        Column("name", _long_text()),
        Column("lane", _text(LONGEST_NAME)),
        Column("event", _text(LONGEST_NAME)),
        Column("due_at", _time()),
        Column("details", _long_text()),
        Index(f"{prefix}waiting_instance", "instance_id"),
        Index(f"{prefix}waiting_element", "element_id", "id"),
        Index(f"{prefix}waiting_lane", "lane", "id"),
        Index(f"{prefix}waiting_event", "event", "id"),
        schema=schema,
        sqlite_autoincrement=True,  # or a later row may get the number of a deleted one
    )
    return Tables(instances, pieces, waiting)


def _text(length: int) -> Any:
    exact = mysql.VARCHAR(length, charset="utf8mb4", collation="utf8mb4_bin")
    return String(length).with_variant(exact, "mysql", "mariadb")


def _ascii(length: int) -> Any:
    exact = mysql.VARCHAR(length, charset="ascii", collation="ascii_bin")
    return String(length).with_variant(exact, "mysql", "mariadb")


def _long_text() -> Any:
    exact = mysql.LONGTEXT(charset="utf8mb4", collation="utf8mb4_bin")
    return Text().with_variant(exact, "mysql", "mariadb")


def _bytes() -> Any:
    return LargeBinary().with_variant(mysql.LONGBLOB(), "mysql", "mariadb")


def _time() -> Any:
    return DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")
