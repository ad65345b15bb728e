"""C declarations of _slicer, for the modules above it."""


cdef class Member:
    cdef readonly str key
    cdef readonly list members
    cdef readonly Py_ssize_t start, end, key_at, key_end, at, until


cdef class Slices:
    cdef readonly list members
    cdef readonly object text      # memoryview of the original
    cdef readonly bytes compact    # as long as the original, filled up to what was copied


cpdef Slices slice_workflow(bytes text)
