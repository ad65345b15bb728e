"""Measures a worker that has many models.

python benchmarks/many_models.py CASE SUBJECT FOLDER ..    as `cases.py`
python benchmarks/many_models.py worker ours FOLDER        as `probes.py`
"""

from __future__ import annotations

import gc
import os
import sys
from typing import Any

from given import Given, new_engine, new_serializer
from probes import memory_now, run_probe
from timing import Operation, case, run_case
from workflows import Tree, bpmn_texts, process_id

FILES = 500
OPEN = 50  # loaders in the registry whose hit is measured
FEW, MANY = 200, 1_000  # models; the bounds are reached before the first number


@case("registry hit", "ours")
def hit(name: str, subject: str, given: Given) -> Operation:
    """Ask a registry for a loader that it keeps."""
    from spiff_element_units.spiff import SpecLoaders

    text = given.text()
    loaders = SpecLoaders(given.scratch, new_serializer(), lambda key: text)
    for number in range(OPEN):
        loaders[f"{number}"]
    return Operation(lambda: loaders["7"])


@case("unchanged folder", "stat", "digests")
def unchanged(name: str, subject: str, given: Given) -> Operation:
    """Ask for a model in a folder of files that have not changed."""
    from SpiffWorkflow.spiff.parser.process import SpiffBpmnParser

    from spiff_element_units.cache import sources
    from spiff_element_units.spiff import Deployments, SpecLoaders

    tree = Tree(FILES, embedded=0)
    for number, text in enumerate(bpmn_texts(tree)):
        path = given.scratch / "models" / f"group{number % 25}" / f"{process_id(number)}.bpmn"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    sources._SETTLES_IN = 0  # as if the files were older

    def parse(asked: str, files: Any) -> Any:
        parser = SpiffBpmnParser()
        for file in files.needed_for(asked):
            parser.add_bpmn_io(files.open(file), file)
        return parser.get_spec(asked), parser.get_subprocess_specs(asked)

    loaders = SpecLoaders(given.scratch / "cache", new_serializer())
    deployments = Deployments(
        loaders, parse, given.scratch / "models", trust_stat=subject == "stat"
    )
    leaf = process_id(FILES - 1)
    deployments[leaf]
    return Operation(lambda: deployments[leaf])


def worker(given: Given, subject: str) -> dict[str, Any]:
    """The memory of a worker that starts an instance of each of many models.

    It restores all specs of each model. The packs are removed when they are open, to save disk.
    """
    from spiff_element_units.cache.directory import pack_path
    from spiff_element_units.spiff import SpecLoaders

    text, engine = given.text(), new_engine()
    loaders = SpecLoaders(given.scratch, new_serializer(), lambda key: text)

    def serve(numbers: range) -> int:
        for number in numbers:
            loader = loaders[f"{number}"]
            os.unlink(pack_path(given.scratch, f"{number}"))
            loader.start(script_engine=engine).do_engine_steps()
            for name in loader.units.process_ids:
                loader.spec(name)
        gc.collect()
        return memory_now()

    before = memory_now()
    few = serve(range(FEW))
    many = serve(range(FEW, MANY))
    kept = sum(len(loaders[key].kept) for key in loaders.kept)
    return {"before": before, "few": few, "many": many, "loaders": len(loaders.kept), "specs": kept}


PROBES = {"worker": worker}


if __name__ == "__main__":
    run_probe(PROBES) if sys.argv[1] in PROBES else run_case()
