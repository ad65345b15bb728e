"""C declarations of pack, for the modules above it."""

from libc.stdint cimport uint32_t

from .graph cimport Graph


cdef class Pack(Graph):
    cdef dict roster_keys   # what `subprocess_ids` gives, once it was asked for
    cdef dict spec_digests, process_digests  # index -> what `digest` has told

    cdef str id_of(self, uint32_t index)
    cdef dict read_roster(self)
    cdef uint32_t inner_index(self) except? 0xFFFFFFFEu
