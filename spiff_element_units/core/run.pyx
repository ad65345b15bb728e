"""Looks through the tasks of a saved run, as a resume needs it before anything is restored."""


def parents_come_first(object tasks not None):
    """Whether each task comes after its parent, if the parent is among these tasks."""
    cdef set before = set()
    for task_id, task in tasks.items():
        parent = task["parent"]
        if parent is not None and parent not in before and parent in tasks:
            return False
        before.add(task_id)
    return True


def with_subprocess(object tasks not None, object task_specs not None, dict subprocesses not None):
    """The tasks that have a subprocess, as (task id, task spec), in their order.

    The second result is the name of the first task spec that is not in `task_specs`, in a tuple, or
    None if there is none. The tasks behind it are not looked at.
    """
    cdef list found = []
    for task_id, task in tasks.items():
        name = task["task_spec"]
        task_spec = task_specs.get(name)
        if task_spec is None:
            return found, (name,)
        if task_id in subprocesses:
            found.append((task_id, task_spec))
    return found, None
