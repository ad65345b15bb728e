"""Compiles the .pyx modules to C. Everything else about the package is in pyproject.toml.

`SPIFF_ELEMENT_UNITS_WERROR=1` makes compiler warnings errors, as CI does.
`SPIFF_ELEMENT_UNITS_TRACE=1` has each line of the .pyx files be seen to run, for `make coverage`.
`SPIFF_ELEMENT_UNITS_URL` is where the repository is, as in https://github.com/owner/name. With it,
the metadata links to the repository, and so do the links of the README that are relative here.
"""

import os
import re
import sys
from typing import Any

from Cython.Build import cythonize
from setuptools import Distribution, Extension, setup

MODULES = (
    "text", "slicer", "ids", "model", "order", "writer",
    "parts", "records", "lookup", "graph", "pack", "verify", "unit", "digest", "state", "cut",
)  # fmt: skip

flags = [] if sys.platform == "win32" else ["-O3", "-g0", "-Wall", "-Wextra"]
if flags:
    # Cython's code leaves out the fields of types that only newer Pythons have.
    flags += ["-Wno-unused-parameter", "-Wno-missing-field-initializers"]
# Names of what is private to a module are a third of its size.
strip = {"linux": ["-Wl,-s"], "darwin": ["-Wl,-x"]}.get(sys.platform, [])
if "-fsanitize" in os.environ.get("CFLAGS", ""):
    strip = []  # sanitizers name functions
if os.environ.get("SPIFF_ELEMENT_UNITS_WERROR"):
    flags.append("-Werror")

url = os.environ.get("SPIFF_ELEMENT_UNITS_URL", "").rstrip("/")


def link_to(repository: str, metadata: Any) -> None:
    """Link the metadata to the files of the repository that this version has its tag at."""
    files = f"{repository}/blob/v{metadata.version}"
    metadata.project_urls = {
        "Source": repository,
        "Documentation": f"{files}/docs/index.md",
        "Changelog": f"{files}/CHANGELOG.md",
        "Issues": f"{repository}/issues",
    }
    # What begins with neither a scheme nor # is a path; a picture is wanted as it is in its file.
    metadata.long_description = re.sub(
        r"(!?)(\[[^]]*\]\()(?![a-z]+:|#)",
        lambda found: f"{found[0]}{files.replace('/blob/', '/raw/') if found[1] else files}/",
        metadata.long_description,
    )


class Linked(Distribution):
    """pyproject.toml can only tell a URL that is always the same."""

    def parse_config_files(self, *args: Any, **kwargs: Any) -> None:
        super().parse_config_files(*args, **kwargs)
        if url:
            link_to(url, self.metadata)


# coverage.py looks for the C source beside the .pyx.
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
