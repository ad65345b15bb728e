"""The Celery application of the examples, with real servers and workers that are killed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from celery_example import Modules, deployed, open_folder, require_good
from celery_workers import PIECES, People, Places, Processes, check, drive, started_servers
from served import skip
from servers import Missing
from sqlalchemy import delete, insert, select

from spiff_element_units.sql import Conflict

ORDERS = 20


@pytest.fixture(scope="module", params=["redis", "rabbitmq"])
def places(request: pytest.FixtureRequest) -> Iterator[Places]:
    try:
        with open_folder() as folder, started_servers(folder, request.param) as started:
            yield started
    except Missing as missing:
        skip(missing, "postgresql", request.param)


@pytest.fixture
def modules(places: Places, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Modules]:
    yield from deployed(places, tmp_path, monkeypatch)


@pytest.fixture
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Modules]:
    """The application in one process, in SQLite and without a broker."""
    database = f"sqlite:///{tmp_path / 'app.db'}"
    yield from deployed(Places(database, "memory://"), tmp_path, monkeypatch)


def place_orders(modules: Modules, count: int) -> People:
    people = People(modules.application, modules.tasks)
    for number in range(count):
        people.order(f"order-{number}")
    return people


def test_nothing_is_lost_or_done_twice_if_a_worker_is_killed(
    places: Places, modules: Modules, tmp_path: Path
) -> None:
    people = place_orders(modules, ORDERS)
    with Processes(places, tmp_path) as processes:
        processes.beat()
        for name in ("first", "second"):
            processes.worker(name)
        for ended in drive(people, processes, ORDERS):
            if ended >= ORDERS // 4 and "first" in processes.running:
                processes.kill("first")
                processes.worker("third")
    require_good(modules, people.ordered)


def test_orders_and_human_tasks_whose_messages_were_lost_are_sent_again(
    places: Places, modules: Modules, tmp_path: Path
) -> None:
    people = place_orders(modules, 3)
    modules.tasks.app.control.purge()
    with Processes(places, tmp_path) as processes:
        processes.beat()
        processes.worker("first")
        people.away = True
        for _ in drive(people, processes, 3, wonder=1):
            if len(modules.here.instances.waiting()) == 3:
                break
        processes.kill("first")
        people.away = False
        people.work()
        assert modules.tasks.app.control.purge() >= 3
        processes.worker("second")
        for _ in drive(people, processes, 3, wonder=1):
            pass
    require_good(modules, people.ordered)


# The application in one process


def human_task(modules: Modules, instance_id: str) -> str:
    (entry,) = modules.here.instances.waiting(instance_id=instance_id)
    assert entry.kind == "human"
    return str(entry.task_id)


def until_the_timer(modules: Modules, instance_id: str = "order-0") -> None:
    modules.here.start("order", {"pieces": PIECES}, instance_id)
    modules.here.complete(instance_id, human_task(modules, instance_id), {"person": "Ada"})


def until_the_bill(modules: Modules, instance_id: str = "order-0") -> int:
    """Returns the number of the call in the outbox."""
    until_the_timer(modules, instance_id)
    while not (calls := modules.here.advance(instance_id)):
        pass  # the timer of a second is not due
    (number,) = calls
    return int(number)


def answer(modules: Modules, message_id: str, paid: int, instance_id: str = "order-0") -> None:
    modules.here.accept(message_id, instance_id, "payment", {"paid": paid})
    modules.here.receive(message_id)


def finish(modules: Modules, number: int, instance_id: str = "order-0") -> None:
    answer(modules, f"bank-{number}", 12 * PIECES, instance_id)
    modules.here.complete(instance_id, human_task(modules, instance_id), {"person": "Bob"})


def version(modules: Modules, instance_id: str = "order-0") -> int:
    table = modules.application.INSTANCES.instances
    with modules.here.engine.connect() as connection:
        row = connection.execute(select(table.c.version).where(table.c.id == instance_id))
        return int(row.scalar_one())


def test_a_task_that_is_delivered_again_finds_nothing_to_do(alone: Modules) -> None:
    here = alone.here
    for expected in (2, 2):
        here.start("order", {"pieces": PIECES}, "order-0")
        assert version(alone) == expected
    task = human_task(alone, "order-0")
    for person in ("Ada", "Bob"):
        here.complete("order-0", task, {"person": person})
        assert version(alone) == 3
    while not here.due():
        pass  # the timer of a second is not due
    assert here.advance("order-0") == [1]
    assert here.advance("order-0") == []
    for _ in range(2):
        answer(alone, "bank-1", 12 * PIECES)
        assert version(alone) == 5
    task = human_task(alone, "order-0")
    for person in ("Ada", "Bob"):
        here.complete("order-0", task, {"person": person})
    answer(alone, "bank-2", 0)
    require_good(alone, {"order-0"})


def test_a_message_that_comes_too_early_is_tried_again(alone: Modules) -> None:
    until_the_timer(alone)
    with pytest.raises(alone.application.NotYet, match="'order-0' does not wait for message"):
        answer(alone, "bank-1", 0)
    assert alone.application.NotYet in alone.tasks.receive.autoretry_for


def test_a_call_that_its_worker_could_not_send_is_sent_by_another(
    alone: Modules, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = until_the_bill(alone)
    assert alone.here.forgotten() == []
    monkeypatch.setattr(alone.application, "SOON", -alone.application.SOON)
    assert alone.here.forgotten() == [number]
    call = alone.here.call(number)
    assert call == (number, "order-0", "bank/request", {"amount": 12 * PIECES})
    alone.here.sent(number)
    assert alone.here.forgotten() == []
    assert alone.here.call(number) is None


def test_a_message_whose_task_the_broker_has_lost_is_received(
    alone: Modules, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = until_the_bill(alone)
    alone.here.sent(number)
    alone.here.accept(f"bank-{number}", "order-0", "payment", {"paid": 12 * PIECES})
    assert alone.here.unreceived() == []
    monkeypatch.setattr(alone.application, "SOON", -alone.application.SOON)
    assert alone.here.unreceived() == [f"bank-{number}"]
    alone.tasks.wake()
    assert alone.here.unreceived() == []
    alone.here.complete("order-0", human_task(alone, "order-0"), {"person": "Bob"})
    require_good(alone, {"order-0"})


def test_a_call_is_written_only_with_its_step(alone: Modules) -> None:
    until_the_timer(alone)
    here = alone.here
    while not here.due():
        pass
    with pytest.raises(Conflict), here.step("order-0") as late:
        late.workflow.refresh_timers()
        late.workflow.do_engine_steps()
        assert late.calls == [1]
        raise Conflict("another step was faster")
    with here.engine.connect() as connection:
        assert connection.execute(select(alone.application.OUTBOX)).all() == []
    assert len(here.advance("order-0")) == 1


def test_the_checker_finds_what_is_lost_or_done_twice(alone: Modules) -> None:
    module, here = alone.application, alone.here
    finish(alone, until_the_bill(alone))
    require_good(alone, {"order-0"})
    assert check(module, here, {"order-0", "order-1"}).lost[0] == "order-1 is not there"
    until_the_timer(alone, "order-1")
    found = check(module, here, {"order-0", "order-1"})
    assert "order-1 has not ended" in found.lost
    assert "order-1: no bill" in found.lost
    here.instances.remove("order-1")
    with here.engine.begin() as connection:
        row = dict(connection.execute(select(module.OUTBOX)).mappings().one())
        connection.execute(insert(module.OUTBOX).values({**row, "number": 99}))
    assert check(module, here, {"order-0"}).twice == ["order-0 has 2 of bill"]
    with here.engine.begin() as connection:
        connection.execute(delete(module.OUTBOX))
    assert check(module, here, {"order-0"}).lost == ["order-0 has no bill"]


def test_the_checker_finds_a_history_that_no_single_worker_makes(alone: Modules) -> None:
    finish(alone, until_the_bill(alone))
    with alone.here.instances.step("order-0") as workflow:
        bill = next(iter(workflow.get_tasks(spec_name="bill")))
        bill.last_state_change = 1.0
    (order,) = check(alone.application, alone.here, {"order-0"}).impossible
    assert order.startswith("order-0: ['bill', 'ordered'")


def test_waking_advances_all_that_is_due_though_one_fails(
    alone: Modules, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = ["order-0", "order-1", "order-2"]
    for instance_id in ids:
        until_the_timer(alone, instance_id)
    while len(alone.here.due()) < len(ids):
        pass  # the timers of a second are not due
    advance = alone.here.advance

    def failing(instance_id: str) -> Any:
        if instance_id == "order-1":
            raise ZeroDivisionError
        return advance(instance_id)

    monkeypatch.setattr(alone.here, "advance", failing)
    monkeypatch.setattr(alone.tasks, "WAKE", 1000)
    alone.tasks.wake()
    assert [version(alone, instance_id) for instance_id in ids] == [4, 3, 4]
    assert alone.here.due() == ["order-1"]
