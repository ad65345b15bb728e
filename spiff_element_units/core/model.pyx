"""A workflow as numbers: its processes, their elements, and what they refer to.

A `Model` owns the arrays that `reader` fills and `writer` writes into a pack.
"""

from libc.stdint cimport uint32_t
from libc.stdlib cimport free

from .ids cimport Id, Ids
from .layout cimport NOWHERE, PROCESS_IDS
from .slicer cimport Slices


cdef class Model:

    def __cinit__(self, Slices slices not None, bytes digest not None):
        self.slices = slices
        self.decoded = []
        self.keys = Ids(digest, PROCESS_IDS)

    def __dealloc__(self):
        free(self.processes)
        free(self.elements)
        free(self.targets)
        free(self.links)
        free(self.names)

    cdef uint32_t rank_of(self, Id name) noexcept:
        """The rank of the process of `subprocess_specs` that a reference names, or NOWHERE."""
        cdef uint32_t number = self.keys.find(name)
        return NOWHERE if number == NOWHERE else self.keys.nodes[number].value
