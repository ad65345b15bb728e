"""From model files to loaders: what is parsed again, what is not, and what a key says."""

from __future__ import annotations

import os
import shutil

import driving
import models
import pytest
import spiff_bpmn
from forking import Halfway, in_child
from threads import at_once

from spiff_element_units import ElementUnits, UnitNotFound, prune_cache
from spiff_element_units.cache import directory, notes, sources, writing
from spiff_element_units.errors import CacheError, ElementUnitsError, InvalidWorkflowSpec
from spiff_element_units.spiff import Deployments, SpecLoaders
from spiff_element_units.spiff import deployments as module

TOP = [("human",), ("call", "third")]
THIRD = [("human",)]
CHANGED = [("human",), ("human",)]


class Place:
    """A folder with models, a cache, and what was parsed."""

    def __init__(self, folder):
        self.models = folder / "models"
        self.cache = folder / "cache"
        self.parsed = []

    def write(self, name, text):
        path = self.models / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def put(self, name, **processes):
        self.write(name, spiff_bpmn.bpmn(processes))

    def parse(self, process_id, files):
        self.parsed.append(process_id)
        parser = models.SpiffBpmnParser()
        for name in files.needed_for(process_id):
            add = parser.add_dmn_io if name.endswith(".dmn") else parser.add_bpmn_io
            add(files.open(name), name)
        others = parser.get_subprocess_specs(process_id, require_call_activity_specs=False)
        return parser.get_spec(process_id), others

    def deployments(self, parse=None, where=None, serializer=None, **options):
        loaders = SpecLoaders(self.cache, serializer or models.serializer())
        return Deployments(loaders, parse or self.parse, where or self.models, **options)

    def again(self):
        """What was parsed since the last call."""
        parsed, self.parsed = self.parsed, []
        return parsed


@pytest.fixture
def place(tmp_path):
    """Two models that call the same third one, and one that calls nothing."""
    made = Place(tmp_path)
    made.put("one.bpmn", one=TOP)
    made.put("below/two.bpmn", two=TOP)
    made.put("below/deep/third.bpmn", third=THIRD)
    made.put("alone.bpmn", alone=THIRD)
    return made


@pytest.fixture
def later(monkeypatch):
    """Set the clock so that all files that the test has written count as settled."""
    now = sources.time.time_ns
    monkeypatch.setattr(sources.time, "time_ns", lambda: now() + 10 * 10**9)


@pytest.fixture
def reads(monkeypatch):
    """The names of the files that are read."""
    names, read = [], sources.Sources.read

    def counting(self, name):
        names.append(name)
        return read(self, name)

    monkeypatch.setattr(sources.Sources, "read", counting)
    return names


by_trust = pytest.mark.parametrize("trust_stat", [True, False])


def finished(loader):
    workflow = loader.start(script_engine=models.script_engine())
    workflow.do_engine_steps()
    while not workflow.is_completed():
        driving.ready_tasks(workflow)[0].run()
        workflow.do_engine_steps()
    return True


# What is parsed


@by_trust
def test_a_model_is_parsed_once_while_nothing_changes(place, trust_stat):
    deployments = place.deployments(trust_stat=trust_stat)
    loader = deployments["one"]
    assert finished(loader)
    assert deployments["one"] is loader
    assert place.again() == ["one"]


@by_trust
def test_a_change_of_a_file_concerns_the_models_that_are_made_of_it(place, trust_stat):
    deployments = place.deployments(trust_stat=trust_stat)
    names = ["one", "two", "alone"]
    before = {name: deployments[name] for name in names}
    place.again()
    place.put("below/deep/third.bpmn", third=CHANGED)
    after = {name: deployments[name] for name in names}
    assert place.again() == ["one", "two"]
    assert after["alone"] is before["alone"]
    for name in ("one", "two"):
        assert after[name].units.digest != before[name].units.digest
        assert after[name].units.cache_key != before[name].units.cache_key
    place.put("one.bpmn", one=[("call", "third")])
    assert deployments["one"] is not after["one"]
    assert [deployments[name] for name in ("two", "alone")] == [after["two"], after["alone"]]
    assert place.again() == ["one"]


@by_trust
def test_a_new_worker_does_not_parse(place, trust_stat):
    key = place.deployments(trust_stat=trust_stat)["one"].units.cache_key
    place.again()
    deployments = place.deployments(trust_stat=trust_stat)
    assert deployments["one"].units.cache_key == key
    assert finished(deployments["one"])
    assert place.again() == []


def test_a_new_worker_notices_what_changed_while_none_ran(place):
    before = place.deployments()["one"]
    place.put("below/deep/third.bpmn", third=CHANGED)
    place.again()
    assert place.deployments()["one"].units.digest != before.units.digest
    assert place.again() == ["one"]


def test_a_version_that_comes_back_has_its_key_and_pack_again(place):
    deployments = place.deployments()
    before = deployments["one"]
    text = (place.models / "one.bpmn").read_text()
    place.put("one.bpmn", one=CHANGED)
    deployments["one"]
    place.write("one.bpmn", text)
    assert deployments["one"].units.digest == before.units.digest
    assert deployments["one"].units.cache_key == before.units.cache_key


def test_a_missing_process_that_appears_in_a_new_file_is_noticed(place):
    (place.models / "below/deep/third.bpmn").unlink()
    deployments = place.deployments()
    loader = deployments["one"]
    assert loader.units.subprocess_ids == ("third",)
    assert loader.units.process_ids == ("one",)
    place.put("new.bpmn", third=THIRD)
    assert deployments["one"].units.process_ids == ("one", "third")


def test_a_process_that_moves_to_another_file_is_noticed(place):
    deployments = place.deployments()
    deployments["one"]
    shutil.move(place.models / "below/deep/third.bpmn", place.models / "moved.bpmn")
    place.again()
    assert finished(deployments["one"])
    assert place.again() == ["one"]


def test_a_second_file_with_the_same_process_is_noticed(place):
    deployments = place.deployments()
    deployments["one"]
    place.put("copy.bpmn", third=THIRD)
    with pytest.raises(Exception, match="Duplicate process ID"):
        deployments["one"]
    (place.models / "copy.bpmn").unlink()
    assert finished(deployments["one"])


def test_a_process_that_is_gone_is_not_found(place):
    deployments = place.deployments()
    deployments["one"]
    (place.models / "one.bpmn").unlink()
    with pytest.raises(UnitNotFound, match="no process 'one' in the model files"):
        deployments["one"]


def test_a_similar_id_is_suggested(place):
    with pytest.raises(UnitNotFound, match="did you mean 'alone'"):
        place.deployments()["aloen"]


def test_files_that_nobody_needs_may_be_anything(place):
    place.write("draft.bpmn", "<definitions")
    place.write(".hidden.bpmn", spiff_bpmn.bpmn({"third": CHANGED}))
    place.write("notes.txt", "third")
    deployments = place.deployments()
    assert finished(deployments["one"])
    place.write("draft.bpmn", "<defs/>")
    assert finished(deployments["one"])
    assert place.again() == ["one"]


def test_a_decision_counts(tmp_path):
    place = Place(tmp_path)
    model = models.MODELS["business_rule"]
    shutil.copytree(models.FOLDER, place.models)
    deployments = place.deployments()
    before = deployments[model.process_id]
    (dmn,) = model.dmn_files
    text = (place.models / dmn).read_text()
    assert "14" in text
    place.write(dmn, text.replace("14", "15"))
    assert deployments[model.process_id].units.digest != before.units.digest


ORDINARY = [
    model
    for model in models.MODELS.values()
    if not (model.collaboration or model.all_specs or model.external) and len(model.shows) >= 1
]


@pytest.mark.parametrize("model", ORDINARY, ids=lambda model: model.name)
def test_the_files_that_are_needed_are_those_of_the_model(model, tmp_path):
    """Other files in the folder do not matter. The text is the same as the application makes."""
    seen = []

    def parse(process_id, files):
        seen.extend(files.needed_for(process_id))
        parser = model.parser()
        for name in seen:
            add = parser.add_dmn_io if name.endswith(".dmn") else parser.add_bpmn_io
            add(files.open(name), name)
        return parser.get_spec(process_id), parser.get_subprocess_specs(process_id)

    loaders = SpecLoaders(tmp_path / "cache", models.serializer())
    loader = Deployments(loaders, parse, models.FOLDER)[model.process_id]
    assert sorted(seen) == sorted(path.name for path in (*model.bpmn_paths, *model.dmn_paths))
    assert loader.units.digest == ElementUnits.from_json(models.spec_json(model)).digest


def test_a_collaboration_needs_the_files_of_its_participants(tmp_path):
    model = models.MODELS["collaboration"]

    def parse(process_id, files):
        parser = model.parser()
        for name in files.needed_for(process_id):
            parser.add_bpmn_io(files.open(name), name)
        return parser.get_collaboration(process_id)

    loaders = SpecLoaders(tmp_path / "cache", models.serializer())
    loader = Deployments(loaders, parse, models.FOLDER)[model.process_id]
    assert loader.units.digest == ElementUnits.from_json(models.spec_json(model)).digest


def test_a_parse_that_asks_for_all_names_is_done_again_when_a_file_is_added(place):
    def parse(process_id, files):
        assert sorted(files) == list(files)
        return place.parse(process_id, files)

    deployments = place.deployments(parse)
    deployments["one"]
    place.put("new.bpmn", new=THIRD)
    deployments["one"]
    assert place.again() == ["one", "one"]


def test_a_change_during_the_parse_is_noticed_by_the_next_who_asks(place):
    def parse(process_id, files):
        parsed = place.parse(process_id, files)
        if len(place.parsed) == 1:
            place.put("one.bpmn", one=CHANGED)
        return parsed

    deployments = place.deployments(parse)
    before = deployments["one"]
    after = deployments["one"]
    assert place.again() == ["one", "one"]
    assert before.units.digest != after.units.digest
    assert deployments["one"] is after


# A list of files


def test_files_may_be_a_list(place):
    files = [place.models / "one.bpmn", place.models / "below/deep/third.bpmn"]
    deployments = place.deployments(where=files)
    assert finished(deployments["one"])
    with pytest.raises(UnitNotFound):
        deployments["two"]
    place.put("below/deep/third.bpmn", third=CHANGED)
    assert finished(deployments["one"])
    assert place.again() == ["one", "two", "one"]


# Marks and contents


def test_while_nothing_changes_no_file_is_read(place, later, reads):
    deployments = place.deployments()
    deployments["one"]
    reads.clear()
    deployments["one"], deployments["one"]
    assert reads == []
    place.deployments()["one"]  # a new worker trusts what the note says of the files
    assert reads == []


def test_without_trust_all_files_are_read_each_time(place, later, reads):
    deployments = place.deployments(trust_stat=False)
    deployments["one"]
    reads.clear()
    deployments["one"]
    assert len(reads) == 4


@pytest.mark.parametrize("copied", [True, False])
def test_a_file_that_is_newer_than_two_seconds_is_read_each_time(place, reads, copied):
    if copied:  # with the time of the original
        for path in place.models.rglob("*.bpmn"):
            os.utime(path, ns=(1, 1))
    deployments = place.deployments()
    deployments["one"]
    reads.clear()
    deployments["one"]
    assert len(reads) == 4


@by_trust
def test_a_change_that_leaves_size_and_time_is_noticed(place, later, trust_stat):
    deployments = place.deployments(trust_stat=trust_stat)
    before = deployments["one"]
    path = place.models / "one.bpmn"
    status, text = path.stat(), path.read_text()
    path.write_text(text.replace('targetNamespace="tests"', 'targetNamespace="other"'))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert path.stat().st_size == status.st_size
    place.again()
    assert deployments["one"].units.cache_key != before.units.cache_key
    assert place.again() == ["one"]


def test_a_file_that_is_touched_is_not_parsed_again(place, later):
    deployments = place.deployments()
    loader = deployments["one"]
    os.utime(place.models / "one.bpmn", ns=(1, 1))
    assert deployments["one"] is loader
    assert place.again() == ["one"]


@pytest.mark.parametrize("gone", ["one.bpmn", "below/deep"])
def test_what_is_removed_while_the_folder_is_listed_is_not_there(place, monkeypatch, gone):
    scandir, path = os.scandir, place.models / gone

    class Listed(list):
        def __enter__(self):
            return self

        def __exit__(self, *error):
            pass

    def then_remove(folder):
        found = Listed(scandir(folder))
        if os.path.samefile(folder, path.parent):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        return found

    monkeypatch.setattr(sources.os, "scandir", then_remove)
    assert finished(place.deployments()["alone"])
    monkeypatch.undo()
    assert not path.exists()


# Keys


def test_the_same_files_have_the_same_key_everywhere(place, tmp_path):
    other = Place(tmp_path / "other")
    shutil.copytree(place.models, other.models)
    keys = {one.deployments()["one"].units.cache_key for one in (place, other)}
    assert len(keys) == 1
    assert keys.pop().startswith("one ")


def test_versions_are_in_the_key(place, monkeypatch):
    keys = {place.deployments()["one"].units.cache_key}
    monkeypatch.setattr(module, "spiff_version", "3.9.9")
    keys.add(place.deployments()["one"].units.cache_key)
    registry = models.serializer().registry
    serializer = models.BpmnWorkflowSerializer(registry, version="5")
    keys.add(place.deployments(serializer=serializer)["one"].units.cache_key)
    assert len(keys) == 3
    assert place.again() == ["one"] * 3


# Notes that are lost


def test_a_pack_that_was_pruned_is_made_again_under_its_key(place):
    key = place.deployments()["one"].units.cache_key
    prune_cache(place.cache, max_bytes=0)
    assert place.deployments()["one"].units.cache_key == key
    assert place.again() == ["one", "one"]


def test_a_pack_that_is_damaged_is_made_again(place):
    key = place.deployments()["one"].units.cache_key
    with open(directory.pack_path(place.cache, key), "wb") as pack:
        pack.write(b"no pack")
    assert finished(place.deployments()["one"])
    assert place.again() == ["one", "one"]


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"{", b"null", b"[]", b"[" * 100_000, b'{"format": 1}', b'{"format": 0}'),
        b'{"format": 1, "files": 7}',
        b'{"format": 1, "files": {"one.bpmn": []}, "models": {}}',
    ],
)
def test_a_note_that_is_damaged_costs_a_parse(place, content):
    place.deployments()["one"]
    (note,) = place.cache.rglob("*.note")
    note.write_bytes(content)
    assert finished(place.deployments()["one"])
    assert place.again() == ["one", "one"]
    place.deployments()["one"]
    assert place.again() == []


def test_a_cache_that_cannot_be_written_costs_a_parse_for_each_worker(place, monkeypatch):
    def full(*args, **kwargs):
        raise OSError("No space left on device")

    monkeypatch.setattr(writing, "write_file", full)
    deployments = place.deployments()
    with pytest.warns(RuntimeWarning, match="No space left"):
        loader = deployments["one"]
    assert finished(loader)
    assert deployments["one"] is loader
    assert place.again() == ["one"]


def test_workers_add_to_what_others_have_noted(place):
    first, second = place.deployments(), place.deployments()
    first["one"], second["two"], first["alone"]
    place.again()
    third = place.deployments()
    assert [finished(third[name]) for name in ("one", "two", "alone")] == [True] * 3
    assert place.again() == []


def test_a_worker_does_not_parse_what_another_has_parsed_meanwhile(place):
    first, second = place.deployments(), place.deployments()
    second["alone"], first["one"]
    place.again()
    assert finished(second["one"])
    assert place.again() == []


def test_a_worker_does_not_parse_a_change_that_another_has_parsed(place):
    """Even if the changed model has other files, and other models were parsed meanwhile."""
    first, second = place.deployments(), place.deployments()
    first["one"], second["one"]
    place.again()
    place.put("one.bpmn", one=[("call", "alone")])
    after = first["one"]
    second["alone"]
    assert place.again() == ["one", "alone"]
    for worker in (second, place.deployments()):
        assert worker["one"].units.cache_key == after.units.cache_key
    assert place.again() == []


@pytest.mark.skipif(os.name == "nt", reason="names of files are text there")
def test_a_file_whose_name_is_not_utf_8_may_be_there(place):
    try:
        place.put(os.fsdecode(b"m\xfcller.bpmn"), other=THIRD)
    except OSError:
        pytest.skip("this file system refuses such names")
    for _ in range(2):
        assert finished(place.deployments()["one"])
    assert place.again() == ["one"]


def test_a_note_that_a_dead_writer_left_behind_is_pruned(place):
    place.deployments()["one"]
    (note,) = place.cache.rglob("*.note")
    left = f"{note}.1-{'0' * 16}.tmp"
    with open(left, "w", encoding="utf-8"):
        pass
    assert prune_cache(place.cache).leftovers == (left,)
    assert notes.read_note(str(place.cache), f"deployments of {place.models}") is not None


# Errors


def test_a_parse_that_reads_nothing_is_told(place):
    deployments = place.deployments(lambda process_id, files: (None, {}))
    with pytest.raises(ElementUnitsError, match="has read no file"):
        deployments["one"]


@pytest.mark.parametrize("returned", [None, "text", (1,), (1, 2)])
def test_a_parse_that_returns_something_else_is_told(place, returned):
    with pytest.raises(TypeError, match="must return a spec and a dict"):
        place.deployments(lambda process_id, files: returned)["one"]


def test_specs_that_cannot_be_serialized_are_told(place):
    def parse(process_id, files):
        spec, others = place.parse(process_id, files)
        spec.documentation = object()
        spec.data_objects = {"thing": object()}
        return spec, others

    with pytest.raises(InvalidWorkflowSpec, match="'one' cannot be serialized"):
        place.deployments(parse)["one"]


def test_errors_of_parse_are_raised_and_the_next_call_parses_again(place):
    fails = [True]

    def parse(process_id, files):
        if fails.pop():
            raise KeyError("mine")
        return place.parse(process_id, files)

    deployments = place.deployments(parse)
    with pytest.raises(KeyError, match="mine"):
        deployments["one"]
    fails.append(False)
    assert finished(deployments["one"])


def test_a_file_that_is_not_there_is_not_found(place):
    def parse(process_id, files):
        files.read("oen.bpmn")

    with pytest.raises(UnitNotFound, match=r"no file 'oen.bpmn'.*'one.bpmn'"):
        place.deployments(parse)["one"]


def test_a_folder_that_is_not_there_is_told(place):
    with pytest.raises(CacheError, match="cannot look at the model files"):
        place.deployments(where=place.models / "nowhere")["one"]


@pytest.mark.parametrize("wrong", [{"loaders": None}, {"parse": None}])
def test_a_wrong_argument_is_refused_at_once(place, wrong):
    loaders = SpecLoaders(place.cache, models.serializer())
    arguments = {"loaders": loaders, "parse": place.parse, "where": place.models, **wrong}
    with pytest.raises(TypeError):
        Deployments(**arguments)


# Threads and forks


def test_threads_that_ask_at_once_parse_once(place):
    deployments = place.deployments()
    loaders = at_once(6, lambda: deployments["one"])
    assert len(set(map(id, loaders))) == 1
    assert place.again() == ["one"]
    assert not deployments._texts
    assert not deployments._parsing


def test_nobody_waits_for_the_parse_of_another_model(place):
    halfway = Halfway(lambda: deployments["one"])

    def parse(process_id, files):
        if process_id == "one":
            halfway.stop()
        return place.parse(process_id, files)

    deployments = place.deployments(parse)
    with halfway:
        assert finished(deployments["two"])
    assert finished(deployments["one"])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing forks here")
def test_a_child_parses_while_a_thread_of_its_parent_parsed(place):
    halfway = Halfway(lambda: deployments["one"])

    def parse(process_id, files):
        halfway.stop()
        return place.parse(process_id, files)

    deployments = place.deployments(parse)
    with halfway:
        assert in_child(lambda: finished(deployments["one"])) == "done"
