"""`cache` of the command: spec JSON, BPMN and DMN files; bad, unchanged and hostile files."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from pathlib import Path
from typing import Any

import models
import pytest
from command import EXAMPLES, TOP, command, failing, plain, terminal
from SpiffWorkflow.bpmn.serializer import BpmnWorkflowSerializer

from spiff_element_units import ElementUnits, cache_keys
from spiff_element_units.cli import main

BPMN = TOP / "tests" / "bpmn"


def keys(cache: Path) -> list[str]:
    return [one.cache_key for one in cache_keys(cache)]


@pytest.fixture
def specs(tmp_path: Path) -> Path:
    """A folder of spec JSON files, some of them in folders below it."""
    folder = tmp_path / "specs"
    for name in ("nested_calls", "timers", "sub/stamp"):
        path = folder / f"{name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        model = models.ALL_MODELS[Path(name).name if "/" not in name else "gateways"]
        path.write_text(models.spec_json(model), encoding="utf-8")
    return folder


def test_spec_json_files_are_cached_byte_by_byte(tmp_path: Path, specs: Path) -> None:
    done = command("cache", tmp_path / "cache", specs)
    assert done.code == 0
    assert done.lines[-1] == "3 cached, 0 unchanged, 0 failed"
    assert sorted(line.split(":")[0] for line in done.lines[:-1]) == [
        "cached nested_calls",
        "cached stamp",
        "cached timers",
    ]
    for path in specs.rglob("*.json"):
        units = ElementUnits.from_json(path.read_bytes())
        cached = ElementUnits.open(tmp_path / "cache", path.stem)
        assert cached.workflow(units.root) == units.workflow(units.root)
        assert cached.digest == hashlib.sha256(path.read_bytes()).hexdigest()


def test_what_is_unchanged_is_skipped_and_counted(tmp_path: Path, specs: Path) -> None:
    command("cache", tmp_path / "cache", specs)
    before = {one.cache_key: Path(one.path).stat().st_ino for one in cache_keys(tmp_path / "cache")}
    (specs / "timers.json").write_bytes((specs / "timers.json").read_bytes() + b"\n")
    done = command("cache", tmp_path / "cache", specs)
    assert done.lines[-1] == "1 cached, 2 unchanged, 0 failed"
    after = {one.cache_key: Path(one.path).stat().st_ino for one in cache_keys(tmp_path / "cache")}
    assert [key for key in before if before[key] != after[key]] == ["timers"]


def test_the_json_of_cache_has_this_shape(tmp_path: Path, specs: Path) -> None:
    (specs / "broken.json").write_text('{"spec": {}}', encoding="utf-8")
    (specs / "form.json").write_text('{"title": "A form"}', encoding="utf-8")
    done = command("cache", tmp_path / "cache", specs, "--json")
    assert done.code == 1
    report = json.loads(done.out)
    assert report.keys() == {
        "cache_dir",
        "each",
        "cached",
        "unchanged",
        "workflows",
        "failed",
        "others",
        "not_executable",
    }
    assert (report["cached"], report["unchanged"]) == (3, 0)
    assert report["others"] == [str(specs / "form.json")]
    (failed,) = report["failed"]
    assert failed.keys() == {"file", "process", "reason", "workflows"}
    assert failed["file"] == str(specs / "broken.json")
    one = next(one for one in report["workflows"] if one["key"] == "nested_calls")
    units = ElementUnits.open(tmp_path / "cache", "nested_calls")
    assert one == {
        "key": "nested_calls",
        "state": "cached",
        "file": str(specs / "nested_calls.json"),
        "root": units.root,
        "processes": len(units.process_ids),
        "bytes": next(c.size for c in cache_keys(tmp_path / "cache") if c.cache_key == one["key"]),
        "digest": units.digest,
        "external": [],
    }


def test_a_bad_file_is_reported_and_the_rest_go_on(tmp_path: Path, specs: Path) -> None:
    (specs / "a_first.json").write_text('{"spec": [1 2]}', encoding="utf-8")
    done = command("cache", tmp_path / "cache", specs, tmp_path / "no such.json")
    assert done.code == 1
    assert "3 cached, 0 unchanged, 2 failed" in done.out
    errors = done.err.splitlines()
    assert len(errors) == 2
    assert f"{specs / 'a_first.json'}: " in errors[0]
    assert "no such.json: No such file" in errors[1]
    assert len(keys(tmp_path / "cache")) == 3


def test_json_that_is_no_workflow_fails_where_it_is_named(tmp_path: Path) -> None:
    (tmp_path / "form.json").write_text('{"title": "A form"}', encoding="utf-8")
    failing("cache", tmp_path / "cache", tmp_path / "form.json")
    assert "no workflow" in failing("cache", tmp_path / "cache", tmp_path)


def test_keys_come_from_a_template(tmp_path: Path, specs: Path) -> None:
    template = "{path}:{name}:{hash}"
    command("cache", tmp_path / "cache", specs, "--key-template", template)
    digest = hashlib.sha256((specs / "sub" / "stamp.json").read_bytes()).hexdigest()
    assert f"sub/stamp:stamp:{digest}" in keys(tmp_path / "cache")
    command("cache", tmp_path / "folders", specs, "--key-template", "{folder}>{name}")
    assert sorted(keys(tmp_path / "folders")) == [">nested_calls", ">timers", "sub>stamp"]


@pytest.mark.parametrize(
    "template", ["{no}", "{name.x}", "{", "{0}", "{name[x]}", f"{{name:{10**14}}}"]
)
def test_a_wrong_key_template_is_a_usage_error_and_told_once(
    tmp_path: Path, specs: Path, template: str
) -> None:
    says = failing("cache", tmp_path / "cache", specs, "--key-template", template, code=2)
    assert f"--key-template {template!r} is wrong" in says
    assert not (tmp_path / "cache").exists()


def test_a_key_is_for_one_workflow(tmp_path: Path, specs: Path) -> None:
    command("cache", tmp_path / "cache", specs / "timers.json", "--key", "../t")
    assert keys(tmp_path / "cache") == ["../t"]
    assert "one workflow" in failing("cache", tmp_path / "c", specs, "--key", "t", code=2)
    done = command("cache", tmp_path / "c", specs, "--key-template", "same")
    assert done.code == 1
    assert "1 cached, 0 unchanged, 2 failed" in done.out
    assert "its key 'same' is already the key of" in done.err


def test_a_workflow_comes_through_standard_input_too(tmp_path: Path) -> None:
    text = models.spec_json(models.ALL_MODELS["timers"])
    done = command("cache", tmp_path / "cache", "--key", "piped", input=text)
    assert done.code == 0
    assert keys(tmp_path / "cache") == ["piped"]
    assert "give --key" in command("cache", tmp_path / "cache", input=text).err


# BPMN


@pytest.mark.parametrize("name", ["nested_calls", "embedded_in_called", "recursive_call"])
def test_bpmn_files_become_what_an_application_makes_of_them(tmp_path: Path, name: str) -> None:
    model = models.MODELS[name]
    (root,) = {model.process_id}
    done = command("cache", tmp_path / "cache", BPMN / f"{name}.bpmn", "--process", root)
    assert done.code == 0, done.err
    cached = ElementUnits.open(tmp_path / "cache", root)
    expected = ElementUnits.from_json(models.spec_json(model))
    assert json.loads(cached.workflow(root, defer="nothing")) == json.loads(
        expected.workflow(root, defer="nothing")
    )


def test_all_bpmn_files_are_one_model(tmp_path: Path) -> None:
    """One file calls a process of another file, and uses a decision of a third."""
    text = (EXAMPLES / "claim.bpmn").read_text(encoding="utf-8")
    start = text.index('  <bpmn:process id="Pay"')
    end = text.index("</bpmn:process>", start) + len("</bpmn:process>\n")
    head, tail = text[: text.index("  <bpmn:process")], "</bpmn:definitions>"
    (tmp_path / "pay.bpmn").write_text(head + text[start:end] + tail, encoding="utf-8")
    (tmp_path / "rest.bpmn").write_text(text[:start] + text[end:], encoding="utf-8")
    done = command("cache", tmp_path / "cache", tmp_path / "rest.bpmn", tmp_path / "pay.bpmn")
    assert done.code == 0, done.err
    assert ElementUnits.open(tmp_path / "cache", "Claim").needs("Pay") == ("Pay",)
    done = command("cache", tmp_path / "lacking", tmp_path / "rest.bpmn", "--json").json
    assert [(one["key"], one["external"]) for one in done["workflows"]] == [("Claim", ["Pay"])]
    done = command("cache", tmp_path / "dmn", BPMN / "business_rule.bpmn", BPMN / "fare.dmn")
    assert done.code == 0, done.err


def test_with_check_a_model_that_loses_nothing_is_cached(tmp_path: Path) -> None:
    done = command("cache", tmp_path / "cache", EXAMPLES, "--check")
    assert done.code == 0, done.err
    assert keys(tmp_path / "cache") == ["Claim", "complaint", "order"]


def test_with_check_a_model_that_loses_something_is_reported_and_the_others_cached(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    convert = BpmnWorkflowSerializer.to_dict

    def forgetful(self: Any, obj: Any, **kwargs: Any) -> Any:
        dct = convert(self, obj, **kwargs)
        if dct.get("name") == "order":
            dct["task_specs"]["order_check"]["bpmn_name"] = None
        return dct

    monkeypatch.setattr(BpmnWorkflowSerializer, "to_dict", forgetful)
    assert main(["cache", str(tmp_path), str(EXAMPLES), "--check"]) == 1
    told = capsys.readouterr().err
    assert "loses 'bpmn_name' of ManualTask 'order_check' of process 'order'" in told
    assert keys(tmp_path) == ["Claim", "complaint"]
    assert main(["cache", str(tmp_path), str(EXAMPLES)]) == 0
    assert keys(tmp_path) == ["Claim", "complaint", "order"]


def test_check_is_for_bpmn_files(tmp_path: Path, specs: Path) -> None:
    done = command("cache", tmp_path / "cache", specs, "--check")
    assert (done.code, "--check is for BPMN files" in done.err) == (2, True)


def test_each_process_that_no_other_calls_is_a_root(tmp_path: Path) -> None:
    command("cache", tmp_path / "cache", EXAMPLES)
    assert keys(tmp_path / "cache") == ["Claim", "complaint", "order"]
    command("cache", tmp_path / "circle", BPMN / "mutual_recursion.bpmn")
    assert len(keys(tmp_path / "circle")) == 1
    command("cache", tmp_path / "one", EXAMPLES, "--process", "Settle")
    assert ElementUnits.open(tmp_path / "one", "Settle").process_ids == ("Settle", "Pay")
    says = failing("cache", tmp_path / "x", EXAMPLES, "--process", "Settel")
    assert "no process 'Settel'" in says


def test_a_workflow_that_lacks_what_a_bad_file_may_have_is_not_cached(tmp_path: Path) -> None:
    shutil.copy(BPMN / "external_call.bpmn", tmp_path)
    shutil.copy(EXAMPLES / "orders.bpmn", tmp_path)
    for encoding in ("utf-8", "utf-16"):
        (tmp_path / "other.bpmn").write_text('<process id="survey">', encoding=encoding)
        cache = tmp_path / f"cache {encoding}"
        (line,) = command("cache", cache, tmp_path).err.splitlines()
        assert "other.bpmn: it is not XML" in line
        assert line.endswith("; not cached for it: claim")
        assert keys(cache) == ["complaint", "order"]
    (tmp_path / "other.bpmn").write_text('<process id="something">', encoding="utf-8")
    done = command("cache", tmp_path / "all", tmp_path)
    assert done.code == 1
    assert keys(tmp_path / "all") == ["claim", "complaint", "order"]


def test_an_error_in_a_process_names_the_file_and_the_element(tmp_path: Path) -> None:
    says = failing("cache", tmp_path / "cache", BPMN / "business_rule.bpmn")
    assert "business_rule.bpmn" in says
    assert "element 'fare_decide'" in says


@pytest.mark.parametrize("parser", ["bpmn", "spiff", "camunda"])
def test_each_parser_makes_its_own_specs(tmp_path: Path, parser: str) -> None:
    done = command("cache", tmp_path / "cache", BPMN / "gateways.bpmn", "--parser", parser)
    assert done.code == 0, done.err
    says = command("cache", tmp_path / "cache", BPMN / "fare.dmn", "--parser", "bpmn").err
    assert "--parser bpmn cannot read DMN" in says


def test_the_same_files_make_the_same_workflow_anywhere(tmp_path: Path) -> None:
    digests = set()
    for place in ("one", "other"):
        shutil.copytree(EXAMPLES, tmp_path / place / "models")
        done = command("cache", tmp_path / "cache", tmp_path / place, "--json").json
        digests.add(tuple(one["digest"] for one in done["workflows"]))
        assert done["cached"] == (3 if place == "one" else 0)
    assert len(digests) == 1


# Untrusted XML


BOMB = """<?xml version="1.0"?><!DOCTYPE d [<!ENTITY a "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa">
{}]><definitions xmlns="http://www.omg.org/spec/BPMN/20100524/MODEL">
<process id="p" isExecutable="true"><startEvent id="s"/><scriptTask id="t"><script>&{};</script>
</scriptTask></process></definitions>"""


def bomb() -> str:
    """A file that would be gigabytes if its entities were expanded."""
    names = "abcdefghijkl"
    entities = [
        f'<!ENTITY {name} "{"".join([f"&{before};"] * 20)}">'
        for before, name in zip(names, names[1:])
    ]
    return BOMB.format("\n".join(entities), names[-1])


def external(target: str) -> str:
    return BOMB.format(f'<!ENTITY x SYSTEM "{target}">', "x")


@pytest.mark.parametrize("suffix", ["bpmn", "dmn"])
@pytest.mark.parametrize("kind", ["bomb", "file", "network", "parameter", "utf-16"])
def test_entities_are_refused(tmp_path: Path, suffix: str, kind: str) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("TOP SECRET", encoding="utf-8")
    text = {
        "bomb": bomb(),
        "utf-16": bomb().replace('"1.0"', '"1.0" encoding="utf-16"'),
        "file": external(secret.as_uri()),
        "network": external("http://127.0.0.1:9/entity"),
        "parameter": f'<!DOCTYPE d SYSTEM "{secret.as_uri()}"><definitions/>',
    }[kind]
    path = tmp_path / f"hostile.{suffix}"
    path.write_text(text, encoding="utf-16" if kind == "utf-16" else "utf-8")
    started = time.process_time()
    done = command("cache", tmp_path / "cache", path, EXAMPLES / "orders.bpmn")
    assert time.process_time() - started < 60
    assert done.code == 1
    assert done.err.count("\n") == 1
    assert str(path) in done.err
    assert "<!DOCTYPE>" in done.err or "not XML" in done.err
    assert "SECRET" not in done.out + done.err
    assert keys(tmp_path / "cache") == ["complaint", "order"]
    if suffix == "bpmn":
        failing("show", path)


def test_xml_that_is_too_deep_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "deep.bpmn"
    path.write_text("<a>" * 100_000 + "</a>" * 100_000, encoding="utf-8")
    assert "not XML" in failing("show", path)


# On a terminal


def test_a_terminal_gets_a_progress_bar_with_rate_and_time_left(
    tmp_path: Path, specs: Path
) -> None:
    (specs / "broken.json").write_text('{"spec": {}}', encoding="utf-8")
    done = terminal("cache", tmp_path / "cache", specs)
    assert done.code == 1
    printed = plain(done.out)
    assert "4/4" in printed
    assert "/s " in printed
    assert "left" in printed
    assert f"{specs / 'broken.json'}: " in printed.replace("\n", "")
    assert printed.strip().splitlines()[-1] == "3 cached, 0 unchanged, 1 failed"
