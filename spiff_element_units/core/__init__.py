"""The compiled modules: workflow JSON -> pack, and pack -> units.

They take and return plain types. They know nothing of files or of SpiffWorkflow.
"""

import sys
from importlib.util import find_spec
from pathlib import Path

if find_spec(f"{__name__}.pack") is None:
    raise ImportError(
        "the compiled modules of spiff-element-units for Python "
        f"{sys.version_info[0]}.{sys.version_info[1]} are not in {Path(__file__).parent}; "
        "if that is a checkout, run pip install -e . in it, or start Python in another folder "
        "to import an installed spiff-element-units"
    )
