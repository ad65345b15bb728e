"""Run the benchmarks: ours and those of other versions, in separate processes, by turns.

    python benchmarks/run.py --rival PYTHON [--quick] [SPEC_JSON ..]
    python benchmarks/run.py --instances --before PYTHON [--quick]

The interpreter that runs it needs this library, SpiffWorkflow, pyperf and matplotlib. `PYTHON` is
an interpreter with spiff-element-units 0.3.1 and pyperf, or with 0.4.0, SpiffWorkflow and pyperf.
Without it, the rows of that version are left out. `--instances` measures only instances with a
history. If you name spec JSON files, or folders of them, caching and getting them is measured too.

A round runs every job once. Jobs that are compared run one after another, and the next round runs
them in the opposite order. Each round has its ratios. The table has the median and the quartiles of
these ratios. Workflows are made once and kept in `.cache` beside this file.

Written to `--output` (`results` beside this file, or `results/instances`; with --quick
`.cache/quick`, or `.cache/quick-instances`): `benchmarks.json`,
which pyperf reads; `probes.json`, what is not a time; `summary.json` and `table.md`, the table;
and the plots.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple, Optional

import history_rows
import plots
import pyperf
import report
from histories import History
from histories import prepared as with_history
from measured import BEFORE, RIVAL, Results, name_of
from workflows import SIZES, Tree, prepared

HERE = Path(__file__).parent
CACHE = HERE / ".cache"
FLAT = Tree(36, fan_out=35, embedded=0)  # the one kind of workflow that 0.3.1 decomposes
SECONDS = 0.05  # the time of the loops of one value, if one operation does not take longer

WAYS = ("engine", "json", "orjson", "pickle")  # of running without units
SUBJECTS = {
    "cache": ("ours", RIVAL, "loads", "write"),
    "cache again": ("ours", RIVAL),
    "get start": ("ours", RIVAL, "read"),
    "get deep": ("ours", RIVAL, "read"),
    "get leaf": ("ours",),
    "workflow()": ("ours", "copy"),
    "workflow() leaf": ("ours", "copy"),
    "start": ("cold", "root", "warm", *WAYS),
    "resume": ("cold", "warm", *WAYS),
    "resume deep": ("cold", "warm", *WAYS),
    "save": ("ours", *WAYS[1:]),
    "save deep": ("ours", *WAYS[1:]),
}
STEPS = ("pieces", "text", BEFORE, "json")
SUBJECTS.update({f"step, {what}": STEPS for what in ("tree", "first level", "loop", "multi")})
SUBJECTS["step, resting"] = STEPS
SUBJECTS["cut"] = ("text", "loads")
SUBJECTS["waiting"] = ("text", "pieces", "dict", "json")
SUBJECTS["registry hit"] = ("ours",)
SUBJECTS["unchanged folder"] = ("stat", "digests")
UNSETTLED = [f"{what}, nothing settled" for what in history_rows.UNSETTLED]
SUBJECTS.update(dict.fromkeys(UNSETTLED, ("text", BEFORE)))
TREES = (14, 39, 155, 399, 1_110)  # finished calls
LOOPS = (10, 30, 100, 200)


class Workflow(NamedTuple):
    """A workflow to measure on: its name in the results, and its prepared folder."""

    name: str
    folder: Path


class Job(NamedTuple):
    """One case, or probe, with one subject on one workflow, and in how many rounds it runs."""

    what: str
    workflow: Workflow
    subject: str
    rounds: int
    script: str = "cases.py"
    is_probe: bool = False

    @property
    def name(self) -> str:
        """Its name in the results."""
        return name_of(self.what, self.workflow.name, self.subject)


# What is run


def full_jobs() -> Iterator[Job]:
    """The jobs of a full run, those that are compared next to each other."""
    rounds = {36: 5, 200: 5, 10_000: 1}  # on the largest, some take half a minute
    for what in ("cache", "get start", "start", "resume", "save"):
        for size in SIZES:
            yield from _jobs(what, tree(size), rounds.get(size, 3))
    for what in ("get deep", "workflow()", "workflow() leaf"):
        yield from _jobs(what, tree(36), 5)
    for what in ("cache again", "resume deep", "save deep"):
        yield from _jobs(what, tree(200), 5)
    for size in (36, 10_000):
        yield from _jobs("get leaf", tree(size), 5)
    for what in ("cache", "get start", "get deep"):
        yield from _jobs(what, workflow_of(FLAT, "36 flat"), 5)
    yield from _probes(tree(10_000), 15)
    yield from many_jobs(5)


def quick_jobs() -> Iterator[Job]:
    """Only the jobs of the table, in fewer rounds and without the largest workflow."""
    yield from _jobs("cache", tree(200), 3, ("ours", RIVAL, "loads"))
    yield from _jobs("cache", tree(1_500), 3, ("ours", RIVAL))
    yield from _jobs("cache again", tree(200), 3)
    for what in ("get start", "get deep", "workflow()"):
        yield from _jobs(what, tree(36), 3)
    for size in (36, 1_500):
        yield from _jobs("get leaf", tree(size), 3)
    running = ("ours", "cold", "root", "warm", "engine", "json")
    for what in ("start", "resume", "save"):
        for size in (36, 200):
            yield from _jobs(what, tree(size), 3, running)
    yield from _probes(tree(1_500), 5)
    yield from many_jobs(3)


def many_jobs(rounds: int) -> Iterator[Job]:
    """The jobs of a worker with many models."""
    for what in ("registry hit", "unchanged folder"):
        for job in _jobs(what, tree(36), rounds):
            yield job._replace(script="many_models.py")
    yield Job("worker", tree(36), "ours", 1, "many_models.py", is_probe=True)


def instance_jobs(quick: bool) -> Iterator[Job]:
    """The jobs of instances with a history; quick: those of the table, in fewer rounds."""
    rounds, only = (3, ("pieces", "text", "dict", BEFORE, "loads")) if quick else (5, None)

    def jobs(what: str, kind: str, calls: int, rounds: int = rounds) -> Iterator[Job]:
        for job in _jobs(what, history(kind, calls), rounds, only):
            yield job._replace(script="instances.py")

    def probe(what: str, kind: str, calls: int, rounds: int, *subjects: str) -> Iterator[Job]:
        for subject in subjects:
            yield Job(what, history(kind, calls), subject, rounds, "instances.py", is_probe=True)

    yield from jobs("step, first level", "first", 10)
    yield from jobs("step, tree", "tree", 1_110)
    yield from jobs("cut", "tree", 1_110)
    yield from jobs("waiting", "tree", 1_110)
    yield from jobs("step, multi", "multi", 200)
    for what in UNSETTLED:
        for job in _jobs(what, tree(36), 2 * rounds):
            yield job._replace(script="instances.py")
    yield from probe("moved", "first", 10, 1, "pieces")
    yield from probe("moved", "tree", 1_110, 1, *STEPS)
    yield from probe("resumed", "tree", 1_110, 3, "text")
    yield from probe("walk", "walk", 1_110, 1, "pieces")
    if quick:
        yield from jobs("step, loop", "loop", 200)
        return
    for calls in LOOPS:
        yield from jobs("step, loop", "loop", calls, rounds if calls == 200 else 3)
    for calls in TREES[:-1]:
        yield from jobs("step, tree", "tree", calls, 3)
    yield from jobs("step, resting", "resting", 1_000, 3)


def given_jobs(paths: Sequence[Path], rounds: int, scratch: Path) -> Iterator[Job]:
    """The jobs of spec JSON files, and of those in folders."""
    files = [file for path in paths for file in (sorted(path.rglob("*.json")) or [path])]
    for number, file in enumerate(file for file in files if file.suffix == ".json"):
        folder = scratch / f"{number}"
        folder.mkdir()
        shutil.copyfile(file, folder / "spec.json")
        root = json.loads(file.read_text(encoding="utf-8"))["spec"]["name"]
        (folder / "about.json").write_text(json.dumps({"root": root}), encoding="utf-8")
        for what in ("cache", "get start"):
            yield from _jobs(what, Workflow(file.stem, folder), rounds)


def tree(processes: int) -> Workflow:
    """The workflow of so many processes."""
    return workflow_of(Tree(processes), f"{processes}")


def history(kind: str, calls: int) -> Workflow:
    """The instance with such a history."""
    return Workflow(f"{calls}", with_history(History(kind, calls), CACHE))


def workflow_of(tree: Tree, name: str) -> Workflow:
    """The workflow of a tree, under a name of its own."""
    return Workflow(name, prepared(tree, CACHE))


def _jobs(
    what: str, workflow: Workflow, rounds: int, only: Optional[Sequence[str]] = None
) -> Iterator[Job]:
    for subject in SUBJECTS[what]:
        if only is None or subject in only:
            yield Job(what, workflow, subject, rounds)


def _probes(largest: Workflow, imports: int) -> Iterator[Job]:
    """The jobs of `probes.py`."""

    def probe(what: str, workflow: Workflow, rounds: int, *subjects: str) -> Iterator[Job]:
        for subject in subjects or ("ours",):
            yield Job(what, workflow, subject, rounds, "probes.py", is_probe=True)

    for size in (200, 1_500):
        yield from probe("caching", tree(size), 3, "ours", RIVAL)
    for workflow in (tree(36), largest):
        yield from probe("reading", workflow, 1)
    for size in (36, 200):
        yield from probe("sizes", tree(size), 1)
    yield from probe("opened", largest, 3)
    yield from probe("loader", tree(200), 1)
    yield from probe("importing", tree(36), imports, "orjson", "spiff_element_units")


# Running it


class Interpreters(NamedTuple):
    """The Python that runs ours, and those that run 0.3.1 and 0.4.0, if there are such."""

    ours: str
    rival: Optional[str]
    before: Optional[str]

    def of(self, subject: str) -> Optional[str]:
        """The one that runs a subject."""
        return {RIVAL: self.rival, BEFORE: self.before}.get(subject, self.ours)


def run(jobs: Sequence[Job], interpreters: Interpreters, values: int) -> Results:
    """Run all rounds of some jobs. A job that fails is noted and not run again."""
    results = Results()
    rounds = max(job.rounds for job in jobs)
    for number in range(rounds):
        turn = [job for job in jobs if job.rounds > number]
        for done, job in enumerate(turn if number % 2 == 0 else turn[::-1]):
            _show(f"round {number + 1} of {rounds}, {done + 1} of {len(turn)}: {job.name}")
            if job.name in results.failures:
                continue
            try:
                measured = _measure(job, interpreters, values)
            except subprocess.CalledProcessError as error:
                results.failures[job.name] = error.stderr.strip().rpartition("\n")[2]
                continue
            kind = results.probes if job.is_probe else results.times
            kind.setdefault(job.name, []).append(measured)
    _show("")
    return results


def _measure(job: Job, interpreters: Interpreters, values: int) -> Any:
    """Run one process. Returns its values in seconds, or the result of its probe."""
    python = interpreters.of(job.subject)
    command = [str(python), str(HERE / job.script), job.what, job.subject, str(job.workflow.folder)]
    if job.is_probe:
        return json.loads(_output(command))
    with tempfile.TemporaryDirectory() as folder:
        file = f"{folder}/run.json"
        if job.workflow.name == str(max(SIZES)):
            values = 1  # it may take seconds
        command += [f"--seconds={SECONDS}", f"--values={values}", "--warmups=0", "--loops=1"]
        _output([*command, "--worker", f"--output={file}"])
        return list(pyperf.Benchmark.load(file).get_values())


def _output(command: Sequence[str]) -> str:
    """What a command prints. It finds what its own interpreter has installed, and ours this tree:
    both packages import by the same name."""
    path = {} if {RIVAL, BEFORE} & {*command} else {"PYTHONPATH": str(HERE.parent)}
    plain = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment = {**plain, **path}
    return subprocess.run(
        command, env=environment, check=True, capture_output=True, text=True
    ).stdout


def _show(line: str) -> None:
    if sys.stderr.isatty():
        print(f"\r{line[:99]:<99}", end="" if line else "\r", file=sys.stderr, flush=True)


# Writing it down


def environment(subjects: set[str]) -> dict[str, str]:
    """What the results depend on: the processor and the versions, but no names of this machine."""
    names = ("spiff-element-units", "SpiffWorkflow", "orjson")
    from spiff_element_units import __version__

    found = {"spiff-element-units": __version__}
    found.update({name: version(name) for name in names[1:]})
    peers = [one for one in (RIVAL, BEFORE) if one in subjects]
    if peers:
        found["peer"] = f"spiff-element-units {' and '.join(peers)}"
    return {
        "cpu": _cpu(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        **found,
        "date": time.strftime("%Y-%m-%d"),
    }


def _cpu() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            return next(line.split(":")[1].strip() for line in file if line.startswith("model na"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def write(results: Results, about: dict[str, str], on: str, folder: Path) -> None:
    """Write all files of the results."""
    folder.mkdir(parents=True, exist_ok=True)
    suite = pyperf.BenchmarkSuite(
        [
            pyperf.Benchmark(
                [
                    pyperf.Run(values, metadata={"name": name, **about}, collect_metadata=False)
                    for values in rounds
                ]
            )
            for name, rounds in results.times.items()
        ]
    )
    suite.dump(str(folder / "benchmarks.json"), replace=True)
    rows = report.rows(results)
    summary = {"environment": about, "rows": [row._asdict() for row in rows]}
    for name, held in (("summary", summary), ("probes", results.probes)):
        text = json.dumps(held, indent=1) + "\n"
        (folder / f"{name}.json").write_text(text, encoding="utf-8")
    (folder / "table.md").write_text(report.markdown(results, about, on), encoding="utf-8")
    plots.draw(results, folder)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    arguments.add_argument("spec_json", nargs="*", type=Path, help="files, or folders of them")
    arguments.add_argument("--quick", action="store_true", help="the table alone, in two minutes")
    arguments.add_argument("--rival", help=f"the Python that has spiff-element-units {RIVAL}")
    arguments.add_argument("--before", help=f"the Python that has spiff-element-units {BEFORE}")
    arguments.add_argument("--instances", action="store_true", help="instances with a history")
    arguments.add_argument("--ours", default=sys.executable, help="the Python that has ours")
    arguments.add_argument("--output", type=Path, help="the folder for the results")
    given = arguments.parse_args()
    interpreters = Interpreters(given.ours, given.rival, given.before)
    with tempfile.TemporaryDirectory() as scratch:
        if given.instances:
            jobs = list(instance_jobs(given.quick))
        else:
            jobs = list(quick_jobs() if given.quick else full_jobs())
        jobs += given_jobs(given.spec_json, 3 if given.quick else 9, Path(scratch))
        jobs = [job for job in jobs if interpreters.of(job.subject)]
        results = run(jobs, interpreters, 3 if given.quick or given.instances else 5)
    about = environment({job.subject for job in jobs})
    on = "calls" if given.instances else "processes"
    folder = CACHE / "quick" if given.quick else HERE / "results"
    if given.instances:
        folder = CACHE / "quick-instances" if given.quick else folder / "instances"
    write(results, about, on, given.output or folder)
    print(report.text(results, about, on))
    if results.failures:
        raise SystemExit(f"{len(results.failures)} measurements failed")


if __name__ == "__main__":
    main()
