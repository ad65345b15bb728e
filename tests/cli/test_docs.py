"""What the page and the pictures of the command show is what it prints."""

from __future__ import annotations

from pathlib import Path

import models
import pytest
import transcripts
from command import TOP

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
