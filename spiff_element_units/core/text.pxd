"""C declarations of text, for the modules above it."""


cdef class Text:
    cdef object owner
    cdef const unsigned char* data
    cdef Py_ssize_t length
    cdef bint ascii
