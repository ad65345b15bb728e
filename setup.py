"""Compiles the .pyx modules to C. Everything else about the package is in pyproject.toml.

`SPIFF_ELEMENT_UNITS_WERROR=1` makes compiler warnings errors, as CI does.
"""

import os
import sys

from Cython.Build import cythonize
from setuptools import Extension, setup

MODULES = ("_slicer", "_model", "_graph", "_writer", "_pack", "_unit")

flags = (
    [] if sys.platform == "win32" else ["-O3", "-g0", "-Wall", "-Wextra", "-Wno-unused-parameter"]
)
# Names of what is private to a module are a third of its size.
strip = {"linux": ["-Wl,-s"], "darwin": ["-Wl,-x"]}.get(sys.platform, [])
if os.environ.get("SPIFF_ELEMENT_UNITS_WERROR"):
    flags.append("-Werror")

setup(
    ext_modules=cythonize(
        [
            Extension(
                f"spiff_element_units.{name}",
                [f"spiff_element_units/{name}.pyx"],
                extra_compile_args=flags,
                extra_link_args=strip,
            )
            for name in MODULES
        ],
        build_dir="build",
        compiler_directives={
            "language_level": 3,
            "boundscheck": False,
            "wraparound": False,
            "auto_pickle": False,
            "freethreading_compatible": True,
        },
    )
)
