"""Celery runs the steps of instances.

    celery --app tasks worker
    celery --app tasks beat

    from tasks import start
    start.delay("order", {"pieces": 3}, "order-7")

`BROKER_URL` names the broker: redis://:password@redis/0, or amqp://app:password@rabbitmq// for
RabbitMQ. What must not be lost is in the database (see application.py).

A message of Celery may be delivered twice, and to two workers at the same time. Each task may
therefore run twice: only one of two steps is saved, and the other is done again and then finds
nothing to do.
"""

# pyright: reportFunctionMemberAccess=false, reportAttributeAccessIssue=false
from __future__ import annotations

import os
import random
from functools import cache
from time import monotonic
from typing import Any

from application import Application, Call, NotYet
from celery import Celery
from celery.signals import worker_process_init
from celery.utils.log import get_task_logger
from kombu.entity import Queue
from sqlalchemy.exc import OperationalError

from spiff_element_units.sql import Conflict, UnknownInstance

BROKER_URL = os.environ.get("BROKER_URL", "redis://localhost:6379/0")
WAKE = float(os.environ.get("WAKE_SECONDS", "5"))  # how often beat looks for due timers
# Redis delivers a message again if it was not acknowledged for so long. RabbitMQ does so when the
# connection of the worker ends.
VISIBILITY = float(os.environ.get("VISIBILITY_SECONDS", "300"))

TRANSPORT_OPTIONS: dict[str, dict[str, Any]] = {
    "redis": {
        "visibility_timeout": VISIBILITY,
        # How often a worker looks for such messages. By default that is every 100 seconds.
        "unacked_restore_interval": max(1, int(VISIBILITY) // 10),
        "unacked_restore_throttle": 1,
        # A worker that is cut off from Redis notices it after so many seconds, and connects again.
        "socket_timeout": 60,
        "socket_keepalive": True,
    },
    "amqp": {"confirm_publish": True},  # a message is sent when RabbitMQ says that it has it
}

logger = get_task_logger(__name__)
app = Celery("tasks", broker=BROKER_URL)
app.conf.update(
    task_acks_late=True,  # a message is delivered again if its worker dies
    task_reject_on_worker_lost=True,
    task_ignore_result=True,  # the result is in the database
    worker_prefetch_multiplier=1,
    broker_connection_retry_on_startup=True,
    broker_transport_options=TRANSPORT_OPTIONS.get(BROKER_URL.partition(":")[0], {}),
    broker_heartbeat=60,  # seconds; RabbitMQ and a worker that cannot reach it give up each other
    # A queue of its own, so that a long queue of other tasks does not hold up the timers.
    task_queues=[Queue("celery"), Queue("wake")],
    task_routes={"tasks.wake": {"queue": "wake"}},
    beat_schedule={"wake": {"task": "tasks.wake", "schedule": WAKE, "options": {"expires": WAKE}}},
)

# Conflict: another step of the instance was faster. OperationalError: the database is away, or a
# lock was not free. NotYet: a message comes too early. UnknownInstance: another worker has begun to
# store the instance.
AGAIN = {
    "autoretry_for": (Conflict, OperationalError, NotYet, UnknownInstance),
    "retry_backoff": True,  # after up to 1, 2, 4, 8 seconds and so on
    "retry_backoff_max": max(1, min(60, int(VISIBILITY) // 2)),  # before Redis delivers it again
    "max_retries": 20,
}


@cache
def application() -> Application:
    """The application of this process. Celery forks its workers, so each makes its own."""
    return Application()


@worker_process_init.connect
def warm_up(**_: Any) -> None:
    application().warm_up()


@app.task(**AGAIN)
def start(process_id: str, data: dict[str, Any], instance_id: str) -> None:
    send_all(application().start(process_id, data, instance_id))


@app.task(**AGAIN)
def advance(instance_id: str) -> None:
    send_all(application().advance(instance_id))


@app.task(**AGAIN)
def complete(instance_id: str, task_id: str, data: dict[str, Any]) -> None:
    send_all(application().complete(instance_id, task_id, data))


@app.task(**AGAIN)
def receive(message_id: str) -> None:
    send_all(application().receive(message_id))


@app.task
def wake() -> None:
    """Advance the instances that are due, and do the calls and messages that were forgotten.

    Beat runs this every few seconds. It does the work itself until the next run. If it sent a task
    for each instance, tasks would pile up when the workers are busy: an instance stays due until
    its task runs.
    """
    ends = monotonic() + WAKE
    work: list[tuple[Any, Any]] = [(advance, one) for one in application().due()]
    work += [(send, number) for number in application().forgotten()]
    work += [(receive, message_id) for message_id in application().unreceived()]
    random.shuffle(work)  # other workers do the same
    for task, argument in work:
        try:
            task(argument)
        except (Conflict, NotYet):
            pass  # another worker does it, or it is too early
        except Exception:
            logger.exception("%s %s failed; it is tried again", task.name, argument)
        if monotonic() > ends:
            return


@app.task(**AGAIN)
def send(number: int) -> None:
    """Send a call to its service, at least once."""
    call = application().call(number)
    if call is not None:
        SERVICES[call.operation](call)
        application().sent(number)


def send_all(numbers: list[int]) -> None:
    for number in numbers:
        send.delay(number)


def ask_the_bank(call: Call) -> None:
    """Stands in for a bank, which recognises a call by its number and answers with a message."""
    paid = {"paid": call.parameters["amount"]}
    message_id = f"bank-{call.number}"
    application().accept(message_id, call.instance_id, "payment", paid)
    receive.delay(message_id)


SERVICES = {"bank/request": ask_the_bank}
