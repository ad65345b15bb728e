"""If a part of the library is missing, the message names it and the command that installs it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import spiff_element_units

PACKAGE = Path(spiff_element_units.__file__).parent
PROJECT = Path(__file__).parent.parent / "pyproject.toml"


def test_a_checkout_without_compiled_modules_says_how_to_build_them(tmp_path: Path) -> None:
    """A checkout is like this after `pip install .`: its folder hides the installed package."""
    sources = shutil.ignore_patterns("*.so", "*.pyd", "__pycache__")
    shutil.copytree(PACKAGE, tmp_path / PACKAGE.name, ignore=sources)
    done = subprocess.run(
        [sys.executable, "-c", "import spiff_element_units"],
        cwd=tmp_path,
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    said = done.stderr.splitlines()[-1]
    assert said.startswith("ImportError: the compiled modules of spiff-element-units for Python ")
    assert f" are not in {tmp_path / PACKAGE.name / 'core'}; " in said
    assert "run pip install -e . in it" in said


@pytest.mark.parametrize(
    ("extra", "module"), [("spiff", "spiff/__init__"), ("cli", "cli/__init__")]
)
def test_a_message_names_what_its_extra_installs(extra: str, module: str) -> None:
    """It must not name the extra: a package index may have another release, or none."""
    listed = re.search(rf"^{extra} = \[(.*)\]$", PROJECT.read_text("utf-8"), re.MULTILINE)
    assert listed is not None
    wanted = " ".join(f"'{requirement}'" for requirement in re.findall('"(.+?)"', listed[1]))
    assert f'"pip install {wanted}"' in (PACKAGE / f"{module}.py").read_text("utf-8")
