"""The version is in one place, and the changelog has it."""

from __future__ import annotations

import re
from datetime import date
from importlib import metadata
from pathlib import Path

import pytest

import spiff_element_units

TOP = Path(__file__).parent.parent
KINDS = ["Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"]
LINES = (TOP / "CHANGELOG.md").read_text("utf-8").splitlines()
SECTIONS = [line for line in LINES if line.startswith("## ")]


def test_what_is_installed_has_the_version_that_the_package_says() -> None:
    try:
        installed = metadata.distribution("spiff-element-units")
    except metadata.PackageNotFoundError:
        pytest.skip("not installed: the tests run on the tree")
    if installed.read_text("RECORD") is None:
        pytest.skip("not installed: this is what a build left in the tree")
    assert installed.version == spiff_element_units.__version__


def test_the_version_stands_in_one_place() -> None:
    version = spiff_element_units.__version__
    assert re.fullmatch(r"\d+\.\d+\.\d+((a|b|rc)\d+)?", version)
    assert 'dynamic = ["version"]' in (TOP / "pyproject.toml").read_text("utf-8")
    for name in ("pyproject.toml", "setup.py", "README.md"):
        assert f'"{version}"' not in (TOP / name).read_text("utf-8"), name


def test_the_changelog_begins_with_this_version_or_with_what_is_not_released() -> None:
    version = spiff_element_units.__version__
    first, *released = SECTIONS
    if first == "## [Unreleased]":
        assert not any(f"[{version}]" in line for line in released)
    else:
        assert first.startswith(f"## [{version}] - ")


def test_the_changelog_has_the_form_of_keep_a_changelog() -> None:
    assert LINES[0] == "# Changelog"
    for line in SECTIONS[SECTIONS[0] == "## [Unreleased]" :]:
        released = re.fullmatch(r"## \[\d+\.\d+\.\d+\S*\] - (\d{4}-\d\d-\d\d)", line)
        assert released, line
        date.fromisoformat(released[1])
    kinds: list[str] = []
    for number, line in enumerate(LINES):
        if line.startswith("## "):
            kinds = []
        elif line.startswith("### "):
            kinds.append(line[4:])
            assert kinds == [kind for kind in KINDS if kind in kinds], line
            assert LINES[number - 1] == LINES[number + 1] == ""
            assert LINES[number + 2].startswith("- ")
        elif line.startswith("- ") and LINES[number - 1] == "":
            assert LINES[number - 2].startswith("### "), line
