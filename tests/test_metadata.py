"""A build links to the repository that SPIFF_ELEMENT_UNITS_URL names; without it, to nothing."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from email import message_from_string
from email.message import Message
from pathlib import Path

import pytest

import spiff_element_units

TOP = Path(__file__).parent.parent
README = (TOP / "README.md").read_text("utf-8")
REPOSITORY = "https://example.org/owner/name"
AT = f"v{spiff_element_units.__version__}"

pytestmark = pytest.mark.skipif(
    not (TOP / "spiff_element_units").is_dir(), reason="the package's sources are not here"
)


def metadata(folder: Path, url: str) -> Message:
    pytest.importorskip("Cython")
    subprocess.run(
        [sys.executable, "setup.py", "--quiet", "egg_info", "--egg-base", str(folder)],
        cwd=TOP,
        env={**os.environ, "SPIFF_ELEMENT_UNITS_URL": url},
        check=True,
    )
    return message_from_string(next(folder.glob("*/PKG-INFO")).read_text("utf-8"))


def targets(text: str) -> list[tuple[str, str]]:
    """What a text links to: each with "!" if it is a picture."""
    return re.findall(r"(!?)\[[^]]*\]\(([^)]+)\)", text)


def test_without_a_url_the_metadata_has_the_readme_as_it_is(tmp_path: Path) -> None:
    made = metadata(tmp_path, "")
    assert made.get_all("Project-URL") is None
    assert made.get_payload() == README


@pytest.mark.parametrize("url", [REPOSITORY, f"{REPOSITORY}/"])
def test_with_a_url_every_link_leads_into_the_repository(url: str, tmp_path: Path) -> None:
    made = metadata(tmp_path, url)
    urls = dict(line.split(", ") for line in made.get_all("Project-URL", []))
    assert urls["Source"] == REPOSITORY
    assert urls["Issues"] == f"{REPOSITORY}/issues"
    assert urls["Changelog"] == f"{REPOSITORY}/blob/{AT}/CHANGELOG.md"
    was, now = targets(README), targets(str(made.get_payload()))
    assert len(was) == len(now) > 10
    for (picture, path), linked in zip(was, now):
        kind = "raw" if picture else "blob"
        here = f"{REPOSITORY}/{kind}/{AT}/{path}"
        assert linked == (picture, path if path.startswith("https://") else here)


def test_with_a_url_nothing_but_links_changes_in_the_readme(tmp_path: Path) -> None:
    text = str(metadata(tmp_path, REPOSITORY).get_payload())
    assert re.sub(rf"{REPOSITORY}/(blob|raw)/{AT}/", "", text) == README


def test_what_the_readme_links_to_is_there() -> None:
    paths = [path.partition("#")[0] for _, path in targets(README) if "://" not in path]
    if (TOP / "docs").is_dir():  # an sdist has no documentation
        assert [path for path in paths if path and not (TOP / path).exists()] == []
