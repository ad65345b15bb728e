"""A text as a buffer of UTF-8."""

from cpython.buffer cimport PyBUF_FORMAT, PyBUF_ND, PyBUF_STRIDES, PyBUF_WRITABLE
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE

from .fault import Fault

cdef extern from "Python.h":
    const char* PyUnicode_AsUTF8AndSize(object text, Py_ssize_t* size) except NULL


cdef class Text:
    """JSON text as a buffer of UTF-8. `bytes` and ASCII are not copied.

    Raises Fault for a lone surrogate, and TypeError if it is neither `str` nor `bytes`.
    """

    def __cinit__(self, text):
        cdef const char* data
        if isinstance(text, str) and str.isascii(text):
            self.ascii = True
            data = PyUnicode_AsUTF8AndSize(text, &self.length)
        else:
            if isinstance(text, str):
                text = encoded(text)
            elif not isinstance(text, bytes):
                raise TypeError(f"a text is str or bytes, not {type(text).__name__}")
            else:
                self.ascii = bytes.isascii(text)
            data = PyBytes_AS_STRING(text)
            self.length = PyBytes_GET_SIZE(text)
        self.owner = text
        self.data = <const unsigned char*>data

    def __getbuffer__(self, Py_buffer* buffer, int flags):
        # PyBuffer_FillInfo would lose a reference: Cython has put None into `obj` before, and
        # releases it only if `obj` is assigned in Cython.
        if flags & PyBUF_WRITABLE:
            raise BufferError("a text is read-only")
        buffer.obj = self
        buffer.buf = <void*>self.data
        buffer.len = self.length
        buffer.itemsize = 1
        buffer.readonly = 1
        buffer.ndim = 1
        buffer.format = <char*>b"B" if flags & PyBUF_FORMAT else NULL
        buffer.shape = &buffer.len if flags & PyBUF_ND else NULL
        buffer.strides = &buffer.itemsize if flags & PyBUF_STRIDES == PyBUF_STRIDES else NULL
        buffer.suboffsets = NULL
        buffer.internal = NULL


cdef bytes encoded(text):
    try:
        return str.encode(text)
    except UnicodeEncodeError as error:
        raise Fault("surrogate", character=error.start) from error
