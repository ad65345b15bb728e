"""Compiles the .pyx modules to C. Everything else about the package is in pyproject.toml.

`SPIFF_ELEMENT_UNITS_WERROR=1` makes compiler warnings errors, as CI does.
`SPIFF_ELEMENT_UNITS_TRACE=1` traces each line of the .pyx files, for `make coverage`.
`SPIFF_ELEMENT_UNITS_URL` is the address of the repository, such as https://github.com/owner/name.
With it, the metadata and the relative links of the README point to the repository.
"""

import os
import re
import sys
from typing import Any

from Cython.Build import cythonize
from setuptools import Distribution, Extension, setup

MODULES = (
    "text", "slicer", "ids", "model", "spec", "references", "reader", "order", "directory",
    "writer", "parts", "records", "lookup", "graph", "pack", "verify", "unit", "digest",
    "members", "state", "cut", "run", "encoder",
)  # fmt: skip

flags = [] if sys.platform == "win32" else ["-O3", "-g0", "-Wall", "-Wextra"]
if flags:
    # Cython's code leaves out the fields of types that only newer Pythons have.
    flags += ["-Wno-unused-parameter", "-Wno-missing-field-initializers"]
# Private names would be a third of the size of a module.
strip = {"linux": ["-Wl,-s"], "darwin": ["-Wl,-x"]}.get(sys.platform, [])
if "-fsanitize" in os.environ.get("CFLAGS", ""):
    strip = []  # sanitizers name functions
if os.environ.get("SPIFF_ELEMENT_UNITS_WERROR"):
    flags.append("-Werror")

url = os.environ.get("SPIFF_ELEMENT_UNITS_URL", "").rstrip("/")


def link_to(repository: str, metadata: Any) -> None:
    """Link the metadata and the README to the files at the tag of this version."""
    files = f"{repository}/blob/v{metadata.version}"
    metadata.project_urls = {
        "Source": repository,
        "Documentation": f"{files}/docs/index.md",
        "Changelog": f"{files}/CHANGELOG.md",
        "Issues": f"{repository}/issues",
    }
    # A link that begins with neither a scheme nor # is a path. Pictures need the raw file.
    metadata.long_description = re.sub(
        r"(!?)(\[[^]]*\]\()(?![a-z]+:|#)",
        lambda found: f"{found[0]}{files.replace('/blob/', '/raw/') if found[1] else files}/",
        metadata.long_description,
    )


class Linked(Distribution):
    """Sets the URLs, because pyproject.toml can only contain fixed ones."""

    def parse_config_files(self, *args: Any, **kwargs: Any) -> None:
        super().parse_config_files(*args, **kwargs)
        if url:
            link_to(url, self.metadata)


# coverage.py looks for the C source beside the .pyx file.
trace = bool(os.environ.get("SPIFF_ELEMENT_UNITS_TRACE"))

setup(
    distclass=Linked,
    ext_modules=cythonize(
        [
            Extension(
                f"spiff_element_units.core.{name}",
                [f"spiff_element_units/core/{name}.pyx"],
                extra_compile_args=flags,
                extra_link_args=strip,
                define_macros=[("CYTHON_TRACE_NOGIL", "1")] if trace else [],
            )
            for name in MODULES
        ],
        build_dir=None if trace else "build",
        compiler_directives={
            "language_level": 3,
            "boundscheck": False,
            "wraparound": False,
            "auto_pickle": False,
            "freethreading_compatible": True,
            "linetrace": trace,
        },
    ),
)
