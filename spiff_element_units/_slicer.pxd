"""C declarations of _slicer, for the modules above it."""


cdef class Text:
    cdef object owner
    cdef const unsigned char* data
    cdef Py_ssize_t length


cdef class Member:
    cdef readonly str key
    cdef readonly list members
    cdef readonly Py_ssize_t key_at, key_end, at, until


cdef class Slices:
    cdef readonly list members
    cdef readonly Text text
    cdef readonly object compact    # memoryview as long as the text, filled to the last `until`


cpdef Slices slice_workflow(Text text)
