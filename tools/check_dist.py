"""Check that an sdist and wheels contain what they should and nothing else: `check_dist.py FILE..`.

An sdist contains the package's sources, its tests and the files that they read, and nothing
generated. A wheel contains compiled modules, their stubs and `py.typed`, but no tests and no
sources of the compiled modules. A compiled module for Linux is stripped and small. If
SPIFF_ELEMENT_UNITS_URL is set, the metadata of both links to that repository, and the README has no
relative link.
"""

from __future__ import annotations

import os
import re
import sys
import tarfile
import zipfile
from io import BytesIO
from pathlib import Path

from elftools.elf.elffile import ELFFile

PACKAGE = "spiff_element_units"
LARGEST = 300_000  # bytes of a compiled module

SDIST = re.compile(
    rf"(PKG-INFO|setup\.(py|cfg)|pyproject\.toml|MANIFEST\.in|LICENSE|(README|CHANGELOG|SECURITY)\.md|Makefile"
    rf"|{PACKAGE}\.egg-info/[^/]+"
    rf"|{PACKAGE}/((\w+/)?\w+\.py|core/\w+\.(pyx|pxd|pyi)|py\.typed|cli/page/[\w.-]+)"
    rf"|examples/(\w+/)?(\w+\.(py|bpmn|bpmn20\.xml|yaml)|Dockerfile)"
    rf"|tests/(\w+/)?\w+\.(py|bpmn|dmn)|tests/fuzz/(json\.dict|corpus/\w+/[\w.-]+))"
)


TOP = Path(__file__).parent.parent


def named(*suffixes: str) -> set[str]:
    """The files of the package in the tree."""
    paths = (TOP / PACKAGE).rglob("*.*")
    return {path.relative_to(TOP).as_posix() for path in paths if path.suffix in suffixes}


def installed() -> set[str]:
    """The files of the package in a wheel, without the compiled modules."""
    page = {path.relative_to(TOP).as_posix() for path in (TOP / PACKAGE / "cli/page").iterdir()}
    return page | named(".py", ".pyi", ".typed")


def check_links(name: str, metadata: str) -> None:
    urls = re.findall(r"^Project-URL: \w+, (.+)$", metadata, re.MULTILINE)
    relative = re.findall(r"\]\((?![a-z]+:|#)[^)]+\)", metadata)
    url = os.environ.get("SPIFF_ELEMENT_UNITS_URL", "").rstrip("/")
    if url:
        assert url in urls, f"{name} does not link to {url}"
        assert not relative, f"{name} has relative links: {relative}"
    else:
        assert not urls, f"{name} links to {urls}, and SPIFF_ELEMENT_UNITS_URL is not set"


def check_sdist(path: Path) -> None:
    with tarfile.open(path) as archive:
        names = [member.name.partition("/")[2] for member in archive if member.isfile()]
        metadata = archive.extractfile(f"{path.name[: -len('.tar.gz')]}/PKG-INFO")
        assert metadata is not None, f"{path.name} lacks PKG-INFO"
        check_links(path.name, metadata.read().decode())
    for name in names:
        assert SDIST.fullmatch(name), f"{path.name} holds {name}"
    wanted = named(".pyx", ".pxd") | installed() | {"LICENSE", "README.md", "setup.py"}
    assert not wanted - set(names), f"{path.name} lacks {wanted - set(names)}"
    assert sum(re.match(r"tests/(\w+/)?test_", name) is not None for name in names) > 20, (
        f"{path.name} lacks tests"
    )


def check_extension(wheel: str, name: str, content: bytes) -> None:
    """Check a compiled module, and print its size."""
    print(f"{wheel}: {name} {len(content):,} bytes")
    assert len(content) < LARGEST, f"{name} has {len(content):,} bytes"
    if content.startswith(b"\x7fELF"):
        sections = {section.name for section in ELFFile(BytesIO(content)).iter_sections()}
        left = {section for section in sections if section.startswith((".symtab", ".debug"))}
        assert not left, f"{name} is not stripped: it has {', '.join(sorted(left))}"


def check_wheel(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        held = {name: archive.read(name) for name in archive.namelist() if name[-1] != "/"}
    info = re.compile(
        rf"{PACKAGE}-[^/]+\.dist-info/"
        r"(METADATA|WHEEL|RECORD|top_level\.txt|entry_points\.txt|licenses/(.+/)?LICENSES?(\.txt)?)"
    )
    left = {name for name in held if not info.fullmatch(name)}
    version = path.name.split("-")[1]
    said = (TOP / PACKAGE / "_version.py").read_text("utf-8")
    assert f'__version__ = "{version}"' in said, f"{path.name} is of another version than the tree"
    assert len(held) - len(left) == 7, f"{path.name} lacks something of its .dist-info"
    check_links(path.name, held[f"{PACKAGE}-{version}.dist-info/METADATA"].decode())
    compiled = {name for name in left if name.endswith((".so", ".pyd"))}
    modules = {name.partition(".")[0] for name in compiled}
    assert modules == {name.partition(".")[0] for name in named(".pyx")}, sorted(compiled)
    assert modules == {name.partition(".")[0] for name in left if name.endswith(".pyi")}
    wanted = installed()
    assert left - compiled == wanted, f"{path.name}: {sorted((left - compiled) ^ wanted)}"
    for name in sorted(compiled):
        check_extension(path.name, name, held[name])
    if "linux" in path.name:
        assert "manylinux" in path.name or "musllinux" in path.name, f"{path.name} is not repaired"


def main(paths: list[str]) -> None:
    assert paths, __doc__
    for path in map(Path, paths):
        check_wheel(path) if path.suffix == ".whl" else check_sdist(path)
        print(f"{path.name} holds what it should")


if __name__ == "__main__":
    main(sys.argv[1:])
