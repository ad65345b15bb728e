"""Compiles the .pyx modules to C. Everything else about the package is in pyproject.toml.

`SPIFF_ELEMENT_UNITS_WERROR=1` makes compiler warnings errors, as CI does.
`SPIFF_ELEMENT_UNITS_TRACE=1` has each line of the .pyx files be seen to run, for `make coverage`.
"""

import os
import sys

from Cython.Build import cythonize
from setuptools import Extension, setup

MODULES = ("slicer", "ids", "model", "order", "writer", "graph", "pack", "unit", "state", "cut")

flags = (
    [] if sys.platform == "win32" else ["-O3", "-g0", "-Wall", "-Wextra", "-Wno-unused-parameter"]
)
# Names of what is private to a module are a third of its size.
strip = {"linux": ["-Wl,-s"], "darwin": ["-Wl,-x"]}.get(sys.platform, [])
if "-fsanitize" in os.environ.get("CFLAGS", ""):
    strip = []  # sanitizers name functions
if os.environ.get("SPIFF_ELEMENT_UNITS_WERROR"):
    flags.append("-Werror")

# coverage.py looks for the C source beside the .pyx.
trace = bool(os.environ.get("SPIFF_ELEMENT_UNITS_TRACE"))

setup(
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
    )
)
