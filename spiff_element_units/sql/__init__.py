"""Store the instances of an application in its relational database, with SQLAlchemy 2.

    instances = Instances(engine, loaders)
    instance_id = instances.start("claim-1", "Claim", data={"amount": 800})
    with instances.step(instance_id) as workflow:  # resumed from its pieces
        workflow.do_engine_steps()
    # what changed is saved here, in one transaction

This needs SQLAlchemy 2 and SpiffWorkflow 3.0 or later, and the driver of your database.
"""

try:
    import sqlalchemy as _  # noqa: F401
except ImportError as error:
    raise ImportError(
        "spiff_element_units.sql needs SQLAlchemy 2: pip install 'SQLAlchemy>=2.0.43,<3'"
    ) from error

from .errors import Conflict, UnknownInstance
from .history import FinishedTask, HistoryPage
from .instances import Instances, Loaders
from .tables import Tables, tables
from .waits import WaitingEntry

__all__ = [
    "Conflict",
    "FinishedTask",
    "HistoryPage",
    "Instances",
    "Loaders",
    "Tables",
    "UnknownInstance",
    "WaitingEntry",
    "tables",
]
