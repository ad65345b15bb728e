"""`python -m spiff_element_units` is the `spiff-element-units` command."""

import sys

from .cli import main

if __name__ == "__main__":
    sys.exit(main())
