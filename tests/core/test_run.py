"""The questions of a resume about the tasks of a run, compared with naive answers."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spiff_element_units.core.run import parents_come_first, with_subprocess

IDS = st.sampled_from("abcdef")
TASKS = st.dictionaries(
    IDS, st.fixed_dictionaries({"parent": st.none() | IDS, "task_spec": st.sampled_from("xyz")})
)
TASK_SPECS = st.dictionaries(st.sampled_from("xyz"), st.just("spec"))
SUBPROCESSES = st.dictionaries(IDS, st.none())


@given(TASKS)
def test_parents_come_first_if_no_task_is_before_its_parent(tasks: dict[str, Any]) -> None:
    ids = list(tasks)
    pairs = ((ids.index(one["parent"]), ids.index(key)) for key, one in tasks.items()
             if one["parent"] in tasks)  # fmt: skip
    assert parents_come_first(tasks) is all(parent < child for parent, child in pairs)


@given(TASKS, TASK_SPECS, SUBPROCESSES)
def test_tasks_with_a_subprocess_are_found_up_to_one_of_an_unknown_element(
    tasks: dict[str, Any], task_specs: dict[str, Any], subprocesses: dict[str, Any]
) -> None:
    wanted: list[Any] = []
    unknown: Any = None
    for key, one in tasks.items():
        if one["task_spec"] not in task_specs:
            unknown = (one["task_spec"],)
            break
        if key in subprocesses:
            wanted.append((key, task_specs[one["task_spec"]]))
    assert with_subprocess(tasks, task_specs, subprocesses) == (wanted, unknown)


@pytest.mark.parametrize("wrong", [{"a": {}}, {"a": []}, {"a": None}, [], None])
def test_tasks_of_another_form_raise_what_python_raises(wrong: Any) -> None:
    for look in (parents_come_first, lambda tasks: with_subprocess(tasks, {}, {})):
        with pytest.raises((KeyError, TypeError, AttributeError)):
            look(wrong)
