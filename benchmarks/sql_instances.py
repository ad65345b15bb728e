"""Instances in a database: steps with a short and a long history, few and many instances, and zlib.

    python benchmarks/sql_instances.py [--rounds 30] [--many 100000] [--servers sqlite postgresql]

It starts the servers that are installed here, as the tests do, and measures in turns:

    step     resume an instance, do a human task, save it: with 10 and with 1,110 settled
             subprocesses, and the latter as one row with the full JSON of SpiffWorkflow
    many     `due`, `waiting` and a step with 1,000 instances in the database, and with many
    pieces   the size of pieces, and the time to compress and decompress them

Each step is a commit. The servers write without fsync, SQLite with `journal_mode=WAL` and
`synchronous=NORMAL`. Times are medians. Writes a table to the standard output and to
`benchmarks/results/sql/table.md`. Exits with 1 if a number is not reached.
"""

from __future__ import annotations

import argparse
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from functools import partial
from importlib.util import find_spec
from itertools import count, cycle
from pathlib import Path
from typing import Any
from uuid import uuid4

from histories import History, prepared
from side_by_side import Missing, in_turns, running
from sqlalchemy import (
    Column,
    Engine,
    MetaData,
    String,
    Table,
    Text,
    event,
    func,
    insert,
    literal,
    select,
    update,
)
from sqlalchemy.dialects import mysql
from workflows import go_on, serializer

from spiff_element_units import ElementUnits
from spiff_element_units.spiff import SpecLoader
from spiff_element_units.sql import Instances, Tables, tables

sys.path.append(str(Path(__file__).parent.parent / "tests"))

import databases

CACHE = Path(__file__).parent.parent / "build" / "histories"
RESULTS = Path(__file__).parent / "results" / "sql"
FLAT, FASTER, MANY_FLAT = 1.3, 20.0, 1.5
FEW = 1_000
WARM_UP = 2
DUE = 50
ONE_HUMAN = {"root": [("script", "x = 1"), ("human",), ("human",)]}
Rows = list[list[str]]


@contextmanager
def started(name: str) -> Iterator[Engine]:
    """An engine for a server, which ends with the block. Raises Missing."""
    with running(name) as server:
        engine = databases.engine(server.url)
        if name == "sqlite":
            event.listen(engine, "connect", _usual)
        yield engine
        engine.dispose()


def _usual(connection: Any, _: Any) -> None:
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")


def copied(engine: Engine, made: Tables, instance_id: str, copies: int) -> list[str]:
    """Copies of an instance, made by the database. Each is waited for and due as the first."""
    ids = [str(uuid4()) for _ in range(copies)]
    with engine.begin() as connection:
        for new in ids:
            for table in made:
                key = "id" if table is made.instances else "instance_id"
                columns = [one for one in table.columns if one.name != "id" or key == "id"]
                told = [literal(new) if one.name == key else one for one in columns]
                rows = select(*told).where(table.c[key] == instance_id)
                connection.execute(insert(table).from_select(columns, rows))
    return ids


def steps(engine: Engine, rounds: int) -> Rows:
    """Steps with a short and a long history, and as one row."""
    metadata = MetaData()
    made = tables(metadata, prefix="steps_")
    text = Text().with_variant(mysql.LONGTEXT(), "mysql", "mariadb")
    whole = Table(
        "steps_whole", metadata, Column("id", String(64), primary_key=True), Column("state", text)
    )
    metadata.create_all(engine)
    actions = []
    for calls in (10, 1110):
        history = History("first" if calls == 10 else "tree", calls)
        folder = prepared(history, CACHE)
        units = ElementUnits.from_json((folder / "spec.json").read_text("utf-8"))
        instances = Instances(engine, {"key": SpecLoader(units, serializer())}, made)
        state = (folder / "state.json").read_text("utf-8")
        first = instances.add("key", state)
        ids = iter(copied(engine, made, first, rounds + WARM_UP))
        actions.append(partial(_step, instances, ids))
    numbers = map(str, count())
    with engine.begin() as connection:
        for number in range(rounds + WARM_UP):
            connection.execute(insert(whole).values(id=str(number), state=state))
    short, long = in_turns(rounds, *actions, warm_up=WARM_UP)
    step = partial(_whole_step, engine, whole, numbers)
    (one,) = in_turns(max(1, rounds // 10), step, warm_up=WARM_UP)
    name = engine.dialect.name
    told = [f"{short:.1f} ms", f"{long:.1f} ms", *_judged(long / short, FLAT, at_most=True)]
    row = [f"{one:.0f} ms", f"{long:.1f} ms", *_judged(one / long, FASTER, at_most=False)]
    metadata.drop_all(engine)
    return [
        [f"{name}: a step, 10 and 1,110 settled subprocesses", *told],
        [f"{name}: a step as one row, and in pieces, 1,110", *row],
    ]


def _step(instances: Instances, ids: Iterator[str]) -> None:
    with instances.step(next(ids)) as workflow:
        go_on(workflow)


def _whole_step(engine: Engine, whole: Table, numbers: Iterator[str]) -> None:
    """The same without the library: an application has one row with the full JSON."""
    of_it = whole.c.id == next(numbers)
    with engine.begin() as connection:
        state = connection.execute(select(whole.c.state).where(of_it)).scalar_one()
        workflow = serializer().deserialize_json(state)
        go_on(workflow)
        changed = update(whole).where(of_it).values(state=serializer().serialize_json(workflow))
        connection.execute(changed)


def many(engine: Engine, rounds: int, number: int) -> Rows:
    """Questions and steps with few and many instances in the database."""
    loader = databases.loader_of(ONE_HUMAN)
    questions: list[list[Callable[[], object]]] = []
    every = []
    for size in (FEW, number):
        metadata = MetaData()
        made = tables(metadata, prefix=f"many_{size}_")
        metadata.create_all(engine)
        every.append(metadata)
        instances = Instances(engine, {"key": loader}, made)
        now = datetime.now(timezone.utc)
        ids = filled(engine, made, instances, size, now)
        spread = cycle(ids[:: max(1, size // 200)])
        questions.append(
            [
                partial(instances.due, now),
                partial(instances.waiting, element="root_human_3"),
                partial(instances.waiting, message="rare"),
                partial(_step, instances, spread),
            ]
        )
    names = ["due, 50 are", "waiting, all are", "waiting, 20 are", "a step"]
    found = []
    for name, few, lots in zip(names, *questions):
        short, long = in_turns(rounds, few, lots, warm_up=WARM_UP)
        told = [f"{short:.2f} ms", f"{long:.2f} ms", *_judged(long / short, MANY_FLAT, True)]
        found.append([f"{engine.dialect.name}: {name}, {FEW:,} and {number:,} instances", *told])
    for metadata in every:
        metadata.drop_all(engine)
    return found


def filled(
    engine: Engine, made: Tables, instances: Instances, size: int, now: datetime
) -> list[str]:
    """The ids of so many instances: 50 are due, all wait at an element, 20 for a message."""
    first = databases.started_with(instances, "key")
    with engine.connect() as connection:
        rows = [[dict(row._mapping) for row in connection.execute(select(table))] for table in made]
    later = (now + timedelta(days=30)).replace(tzinfo=None)
    soon = (now - timedelta(days=1)).replace(tzinfo=None)
    ids = [str(uuid4()) for _ in range(size)]
    due = set(ids[:: size // DUE][:DUE])
    rare = set(ids[:: size // 20][:20])
    for at in range(0, size, 2000):
        some = ids[at : at + 2000]
        with engine.begin() as connection:
            new = [
                {**rows[0][0], "id": one, "due_at": soon if one in due else later} for one in some
            ]
            connection.execute(insert(made.instances), new)
            new = [{**row, "instance_id": one} for one in some for row in rows[1]]
            connection.execute(insert(made.pieces), new)
            wait = {key: value for key, value in rows[2][0].items() if key != "id"}
            connection.execute(insert(made.waiting), [{**wait, "instance_id": one} for one in some])
            messages = [
                {**wait, "instance_id": one, "kind": "message", "event": "rare"}
                for one in some
                if one in rare
            ]
            if messages:
                connection.execute(insert(made.waiting), messages)
    instances.remove(first)
    with engine.connect() as connection:
        assert connection.execute(select(func.count()).select_from(made.instances)).scalar() == size
        if engine.dialect.name == "postgresql":
            connection.exec_driver_sql("ANALYZE")
    return ids


def pieces(rounds: int) -> Rows:
    """The time and the size of compressed pieces of an instance."""
    folder = prepared(History("tree", 1110), CACHE)
    units = ElementUnits.from_json((folder / "spec.json").read_text("utf-8"))
    loader = SpecLoader(units, serializer())
    changed = loader.split((folder / "state.json").read_text("utf-8")).changed
    texts = {"live": changed["live"].encode()}
    settled = [text.encode() for piece_id, text in changed.items() if piece_id != "live"]
    texts["settled"] = sorted(settled, key=len)[len(settled) // 2]
    ways: dict[str, tuple[Callable[[bytes], bytes], Callable[[bytes], bytes]]] = {
        f"zlib {level}": (partial(_zlib, level), zlib.decompress) for level in (1, 6, 9)
    }
    if find_spec("zstandard"):
        import zstandard

        for level in (1, 3, 9):
            ways[f"zstd {level}"] = (
                lambda text, level=level: zstandard.ZstdCompressor(level).compress(text),
                lambda text: zstandard.ZstdDecompressor().decompress(text),
            )
    found = []
    for name, text in texts.items():
        for way, (compress, decompress) in ways.items():
            small = compress(text)
            assert decompress(small) == text
            actions = partial(compress, text), partial(decompress, small)
            there, back = in_turns(10 * rounds, *actions, warm_up=WARM_UP)
            size = f"{len(text):,} -> {len(small):,} bytes ({len(small) / len(text):.0%})"
            found.append([f"{name} piece, {way}", size, f"{there:.3f} ms", f"{back:.3f} ms"])
    return found


def _zlib(level: int, text: bytes) -> bytes:
    return zlib.compress(text, level)


def _judged(factor: float, limit: float, at_most: bool) -> list[str]:
    reached = factor <= limit if at_most else factor >= limit
    sign = "≤" if at_most else "≥"
    return [f"{factor:.2f}", f"{sign} {limit:g}", "yes" if reached else "no"]


def table(head: list[str], rows: Rows) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    arguments.add_argument("--rounds", type=int, default=30)
    arguments.add_argument("--many", type=int, default=100_000)
    arguments.add_argument("--servers", nargs="+", default=["sqlite", "postgresql"])
    given = arguments.parse_args()
    rows: Rows = []
    for name in given.servers:
        try:
            with started(name) as engine:
                rows += steps(engine, given.rounds)
                rows += many(engine, given.rounds, given.many)
        except Missing as missing:
            print(f"{name}: {missing}")
    told = table(["what", "first", "second", "factor", "limit", "reached"], rows)
    told += "\n" + table(["what", "size", "compress", "decompress"], pieces(given.rounds))
    print(told)
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / "table.md").write_text(told, encoding="utf-8")
    return int(any(row[-1] == "no" for row in rows))


if __name__ == "__main__":
    sys.exit(main())
