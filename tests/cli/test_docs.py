"""The page and the pictures of the command show exactly what the command prints."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import models
import pytest
import transcripts
from command import TOP, command
from written import call, process, script, write

from spiff_element_units import cache_keys
from spiff_element_units.cli._app import _COMMANDS as COMMANDS

pytestmark = pytest.mark.skipif(
    models.SPIFF_VERSION < (3, 2), reason="the sizes shown are those of SpiffWorkflow 3.2's specs"
)


def test_the_page_of_the_command_has_what_it_prints() -> None:
    page = (TOP / "docs" / "cli.md").read_text(encoding="utf-8")
    assert page.count("$ spiff-element-units ") > 15
    assert transcripts.rewritten(page) == page


def test_the_pictures_in_the_readme_show_what_the_command_prints(tmp_path: Path) -> None:
    pytest.importorskip("termios")
    import recordings  # noqa: PLC0415 - needs a pseudo-terminal

    readme = (TOP / "README.md").read_text(encoding="utf-8")
    for name, picture in recordings.pictures(tmp_path).items():
        assert f"docs/recordings/{name}.svg" in readme
        path = recordings.FOLDER / f"{name}.svg"
        assert path.read_text(encoding="utf-8") == picture
        assert "@font-face" not in picture
        assert "url(http" not in picture


# The output of --json


SCHEMA = json.loads((TOP / "docs" / "cli.schema.json").read_text(encoding="utf-8"))
ANY = {"data"}  # objects of the application, with any members


def strict(schema: Any) -> Any:
    """The schema, but it allows only members that it names. So it must name all."""
    if isinstance(schema, list):
        return [strict(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    made = {name: one if name in ANY else strict(one) for name, one in schema.items()}
    if "properties" in made and "$defs" not in made:
        made["unevaluatedProperties"] = False
    return made


def relaxed(name: str) -> dict:
    """A definition that others extend: it allows their members too."""
    return {**strict(SCHEMA["$defs"][name]), "unevaluatedProperties": True}


def check(name: str, output: str) -> None:
    definitions = {one: strict(schema) for one, schema in SCHEMA["$defs"].items()}
    for extended in ("reference", "cached_workflow"):
        definitions[extended] = relaxed(extended)
    validator = jsonschema.Draft202012Validator({"$ref": f"#/$defs/{name}", "$defs": definitions})
    validator.validate(json.loads(output))


@pytest.fixture
def filled(tmp_path: Path) -> Path:
    """A cache in which a workflow calls one of another, and one is damaged."""
    write(tmp_path / "a" / "shop.bpmn", process("shop", call("pay"), call("gone")))
    write(tmp_path / "b" / "pay.bpmn", process("pay", call("bank")) + process("bank"))
    (tmp_path / "b" / "bad.bpmn").write_text("<", encoding="utf-8")
    (tmp_path / "b" / "form.json").write_text("{}", encoding="utf-8")
    write(tmp_path / "b" / "drawn.bpmn", process("drawn", executable=False))
    done = command("cache", tmp_path / "cache", tmp_path, "--each", "folder", "--json")
    check("cache", done.out)
    printed = json.loads(done.out)
    assert all(printed[one] for one in ("workflows", "failed", "others", "not_executable"))
    return tmp_path / "cache"


def test_the_schema_is_one_and_each_command_that_prints_has_its_part() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    page = (TOP / "docs" / "cli.md").read_text(encoding="utf-8")
    for name in COMMANDS:
        if "--json" in command(name, "--help").out:
            assert name in SCHEMA["$defs"], name
            assert f"- `{name}" in page


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("ls", ("ls",)),
        ("show", ("show", "a/shop")),
        ("unit", ("unit", "a/shop", "--explain")),
        ("unit", ("unit", "b/pay", "pay", "bank", "--explain")),
        ("graph", ("graph", "a/shop")),
        ("graph", ("graph", "b/pay", "--unit", "pay", "bank")),
        ("run", ("run", "b/pay", "--signal", "none")),
        ("run", ("run", "b/pay", "--max-steps", "1")),
        ("verify", ("verify",)),
        ("prune", ("prune", "--max-bytes", "1kB")),
        ("rm", ("rm", "a/shop", "nothing")),
    ],
)
def test_what_json_prints_is_what_its_schema_says(
    filled: Path, name: str, arguments: tuple[str, ...]
) -> None:
    first, *rest = arguments
    check(name, command(first, filled, *rest, "--json").out)


def test_verify_and_ls_keep_to_the_schema_if_something_is_damaged(filled: Path) -> None:
    path = Path(cache_keys(filled)[0].path)
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    (path.parent / f"{path.name}.1-0123456789abcdef.tmp").write_bytes(b"half a pack")
    printed = command("verify", filled, "--json").out
    assert json.loads(printed)["damaged"]
    check("verify", printed)
    check("ls", command("ls", filled, "--json").out)


def test_diff_check_and_migrate_keep_to_the_schema(tmp_path: Path) -> None:
    cache, state = tmp_path / "cache", tmp_path / "state.json"
    for version, label in (("1", "first"), ("2", "second")):
        path = write(
            tmp_path / version / "p.bpmn",
            process("p", "<manualTask />", script(f"n = '{label}'")),
        )
        command("cache", cache, path, "--key", version)
    command("run", cache, "1", "--state", state)
    for old, new in (("1", "2"), ("1", "1")):
        check("diff", command("diff", cache, old, new, "--json").out)
    done = command("check", cache, "2", state, "--json")
    assert json.loads(done.out)["can_be_migrated"], done
    check("check", done.out)
    done = command("migrate", cache, "2", state, "--to", tmp_path / "to", "--json")
    assert json.loads(done.out)["migrated"], done
    check("migrate", done.out)


def test_a_member_that_is_in_no_schema_is_seen(filled: Path) -> None:
    printed = json.loads(command("show", filled, "a/shop", "--json").out)
    printed["processes"][0]["start_unit"]["more"] = 1
    with pytest.raises(jsonschema.ValidationError, match="more"):
        check("show", json.dumps(printed))
