"""A Django application. The state of an instance is a JSONField, and a step locks its row.

    python examples/django_application.py runserver

    POST /instances/                 {"process": "order", "data": {..}} starts an instance
    GET  /instances/ID/              what the instance waits for
    POST /instances/ID/tasks/TASK/   {..} does a task, with this data

This is a project in one file, with its settings, model, views and URLs. The environment variable
WORKFLOWS names the folder of the cache and of the SQLite database. If PGHOST is set, the database
is in PostgreSQL, and the variables of libpq say where.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import django
from django.conf import settings
from django.core.management import execute_from_command_line
from django.db import connection, models, transaction
from django.http import Http404, HttpRequest, JsonResponse
from django.shortcuts import get_object_or_404
from django.urls import path
from django.views.decorators.http import require_GET, require_POST
from SpiffWorkflow.bpmn.parser.BpmnParser import BpmnParser
from SpiffWorkflow.bpmn.serializer import BpmnWorkflowSerializer
from SpiffWorkflow.bpmn.workflow import BpmnWorkflow
from SpiffWorkflow.util.task import TaskState

from spiff_element_units import UnitNotFound
from spiff_element_units.spiff import Deployments, ModelFiles, SpecLoaders

FOLDER = Path(os.environ.get("WORKFLOWS", "workflows"))
FOLDER.mkdir(parents=True, exist_ok=True)
MODELS = Path(__file__).with_name("orders.bpmn")

# [settings]
SQLITE = {
    "ENGINE": "django.db.backends.sqlite3",
    "NAME": FOLDER / "instances.db",
    "OPTIONS": {"transaction_mode": "IMMEDIATE", "timeout": 30},
}
POSTGRESQL = {"ENGINE": "django.db.backends.postgresql", "NAME": "postgres"}

# [configure]
settings.configure(
    ALLOWED_HOSTS=["127.0.0.1", "testserver"],
    DATABASES={"default": POSTGRESQL if "PGHOST" in os.environ else SQLITE},
    ROOT_URLCONF=__name__,
    SECRET_KEY="only an example",
)
django.setup()


# [model]
class Instance(models.Model):
    state = models.JSONField()
    objects = models.Manager()

    class Meta:
        app_label = "workflows"


# [loaders]
def parse(process_id: str, files: ModelFiles) -> tuple[Any, Mapping[str, Any]]:
    parser = BpmnParser()
    for name in files.needed_for(process_id):
        parser.add_bpmn_io(files.open(name), name)
    return parser.get_spec(process_id), parser.get_subprocess_specs(process_id)


loaders = SpecLoaders(FOLDER / "cache", BpmnWorkflowSerializer(BpmnWorkflowSerializer.configure()))
deployments = Deployments(loaders, parse, [MODELS])


# [views]
@require_POST
def start(request: HttpRequest) -> JsonResponse:
    asked = json.loads(request.body)
    try:
        loader = deployments[asked["process"]]
    except UnitNotFound as error:
        raise Http404(str(error)) from None
    workflow = loader.start(asked["process"])
    workflow.task_tree.data.update(asked.get("data", {}))
    workflow.do_engine_steps()
    instance = Instance.objects.create(state=loader.to_dict(workflow))
    return JsonResponse(shown(instance, workflow), status=201)


@require_GET
def show(request: HttpRequest, number: int) -> JsonResponse:
    instance = get_object_or_404(Instance, pk=number)
    workflow = loaders.for_state(instance.state).resume(instance.state)
    return JsonResponse(shown(instance, workflow))


@require_POST
@transaction.atomic
def do(request: HttpRequest, number: int, task_id: str) -> JsonResponse:
    instance = get_object_or_404(Instance.objects.select_for_update(), pk=number)
    loader = loaders.for_state(instance.state)
    workflow = loader.resume(instance.state)
    task = next((one for one in human_tasks(workflow) if str(one.id) == task_id), None)
    if task is None:
        told = f"instance {number} does not wait for task {task_id} (any more)"
        return JsonResponse({"detail": told}, status=409)
    task.data.update(json.loads(request.body))
    task.run()
    workflow.do_engine_steps()
    instance.state = loader.to_dict(workflow)
    instance.save()
    return JsonResponse(shown(instance, workflow))


# [helpers]
def human_tasks(workflow: BpmnWorkflow) -> list[Any]:
    """The human tasks that are ready."""
    return [task for task in workflow.get_tasks(state=TaskState.READY) if task.task_spec.manual]


def shown(instance: Instance, workflow: BpmnWorkflow) -> dict[str, Any]:
    """What clients see of an instance."""
    return {
        "instance": instance.pk,
        "completed": workflow.is_completed(),
        "tasks": {str(task.id): task.task_spec.bpmn_name for task in human_tasks(workflow)},
        "data": workflow.data if workflow.is_completed() else {},
    }


def handler404(request: HttpRequest, exception: Exception) -> JsonResponse:
    return JsonResponse({"detail": str(exception)}, status=404)


# [urls]
urlpatterns = [
    path("instances/", start),
    path("instances/<int:number>/", show),
    path("instances/<int:number>/tasks/<task_id>/", do),
]


# [main]
def create_table() -> None:
    """Create the table of instances. In a project with apps, `migrate` does this."""
    if "workflows_instance" not in connection.introspection.table_names():
        with connection.schema_editor() as editor:
            editor.create_model(Instance)


if __name__ == "__main__":
    create_table()
    execute_from_command_line(sys.argv)
