"""C declarations of reader, for the modules above it."""

from .model cimport Model
from .slicer cimport Slices

cdef Model read_model(Slices slices, bytes digest)
