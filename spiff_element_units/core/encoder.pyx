"""Writes JSON, character by character as `json.dumps` writes it.

`json` itself writes what is not plain: an object that an encoder's `default` converts, a dict with
a key that is no string, or a number of more than 64 bits.
"""

from cpython.mem cimport PyMem_Free, PyMem_Malloc, PyMem_Realloc
from libc.math cimport isfinite
from libc.stdint cimport uint32_t
from libc.string cimport memcpy, memset, strlen

cdef extern from "Python.h":
    int PyUnicode_IS_ASCII(object text)
    void* PyUnicode_DATA(object text)
    int PyUnicode_KIND(object text)
    uint32_t PyUnicode_READ(int kind, void* data, Py_ssize_t at)
    object PyUnicode_New(Py_ssize_t size, Py_UCS4 most)
    long long PyLong_AsLongLongAndOverflow(object number, int* overflow) except? -1
    char* PyOS_double_to_string(double number, char code, int precision, int flags, int* kind) \
        except NULL
    int Py_DTSF_ADD_DOT_0
    int Py_EnterRecursiveCall(const char* where) except *
    void Py_LeaveRecursiveCall()

cdef enum:
    START = 4096

cdef const char* HEX = b"0123456789abcdef"

# For each ASCII character, what comes after the backslash: 0 if there is no backslash, and "u" if
# four hex digits follow.
cdef unsigned char[128] ESCAPES
memset(ESCAPES, 0, 128)
memset(ESCAPES, c"u", 32)
ESCAPES[127] = c"u"
ESCAPES[c'"'] = c'"'
ESCAPES[c"\\"] = c"\\"
ESCAPES[c"\b"] = c"b"
ESCAPES[c"\f"] = c"f"
ESCAPES[c"\n"] = c"n"
ESCAPES[c"\r"] = c"r"
ESCAPES[c"\t"] = c"t"


cdef class Writer:
    """A text that grows. `other` returns the JSON of a value that is not plain."""
    cdef unsigned char* data
    cdef Py_ssize_t length, size
    cdef object other

    def __cinit__(self, other):
        self.other = other
        self.size = START
        self.data = <unsigned char*>PyMem_Malloc(START)
        if self.data == NULL:
            raise MemoryError()

    def __dealloc__(self):
        PyMem_Free(self.data)

    cdef inline int reserve(self, Py_ssize_t more) except -1:
        return self.grow(more) if self.size - self.length < more else 0

    cdef int grow(self, Py_ssize_t more) except -1:
        cdef Py_ssize_t size = 2 * self.size + more
        cdef void* data = PyMem_Realloc(self.data, size)
        if data == NULL:
            raise MemoryError()
        self.data = <unsigned char*>data
        self.size = size
        return 0

    cdef inline int put(self, const void* text, Py_ssize_t length) except -1:
        self.reserve(length)
        memcpy(self.data + self.length, text, length)
        self.length += length
        return 0

    cdef int escaped(self, uint32_t character) except -1:
        """Write a character up to U+FFFF, with a backslash if `json` writes one."""
        cdef int shift
        cdef unsigned char how = ESCAPES[character] if character < 128 else c"u"
        self.reserve(6)
        if how == 0:
            self.data[self.length] = <unsigned char>character
            self.length += 1
            return 0
        self.data[self.length] = c"\\"
        self.data[self.length + 1] = how
        self.length += 2
        if how == c"u":
            for shift in range(12, -1, -4):
                self.data[self.length] = HEX[(character >> shift) & 15]
                self.length += 1
        return 0

    cdef int string(self, str text) except -1:
        cdef Py_ssize_t length = len(text), plain = 0, at
        cdef const unsigned char* ascii
        cdef void* data = PyUnicode_DATA(text)
        cdef int kind = PyUnicode_KIND(text)
        cdef uint32_t character
        self.put(b'"', 1)
        if PyUnicode_IS_ASCII(text):
            ascii = <const unsigned char*>data
            while plain < length and ESCAPES[ascii[plain]] == 0:
                plain += 1
            self.put(ascii, plain)
        for at in range(plain, length):
            character = PyUnicode_READ(kind, data, at)
            if character > 0xFFFF:
                character -= 0x10000
                self.escaped(0xD800 | character >> 10)
                character = 0xDC00 | (character & 0x3FF)
            self.escaped(character)
        return self.put(b'"', 1)

    cdef int integer(self, long long number) except -1:
        cdef unsigned char[24] digits
        cdef int at = 24
        cdef unsigned long long rest = <unsigned long long>number
        if number < 0:
            rest = 0 - rest
        while True:
            at -= 1
            digits[at] = <unsigned char>(c"0" + rest % 10)
            rest //= 10
            if rest == 0:
                break
        if number < 0:
            at -= 1
            digits[at] = c"-"
        return self.put(digits + at, 24 - at)

    cdef int real(self, double number) except -1:
        cdef char* text = PyOS_double_to_string(number, c"r", 0, Py_DTSF_ADD_DOT_0, NULL)
        try:
            return self.put(text, strlen(text))
        finally:
            PyMem_Free(text)

    cdef int members(self, dict value) except -1:
        cdef const char* before = b"{"
        cdef Py_ssize_t width = 1
        for key, member in value.items():
            self.put(before, width)
            self.string(<str>key)
            self.put(b": ", 2)
            self.any(member)
            before, width = b", ", 2
        return self.put(b"}", 1) if width == 2 else self.put(b"{}", 2)

    cdef int items(self, value) except -1:
        cdef const char* before = b"["
        cdef Py_ssize_t width = 1
        for item in value:
            self.put(before, width)
            self.any(item)
            before, width = b", ", 2
        return self.put(b"]", 1) if width == 2 else self.put(b"[]", 2)

    cdef int any(self, value) except -1:
        cdef int overflow = 0
        cdef long long number
        if type(value) is str:
            return self.string(<str>value)
        if value is None:
            return self.put(b"null", 4)
        if value is True:
            return self.put(b"true", 4)
        if value is False:
            return self.put(b"false", 5)
        if type(value) is int:
            number = PyLong_AsLongLongAndOverflow(value, &overflow)
            if not overflow:
                return self.integer(number)
        elif type(value) is float:
            if isfinite(<double>value):
                return self.real(<double>value)
        elif type(value) is list or type(value) is tuple or is_plain_dict(value):
            Py_EnterRecursiveCall(b" while encoding a JSON object")
            try:
                return self.members(value) if type(value) is dict else self.items(value)
            finally:
                Py_LeaveRecursiveCall()
        return self.foreign(value)

    cdef int foreign(self, value) except -1:
        cdef object text = self.other(value)
        if type(text) is not str or not PyUnicode_IS_ASCII(text):
            raise ValueError("json wrote something that is not ASCII")
        return self.put(PyUnicode_DATA(text), len(text))

    cdef str text(self):
        cdef object made = PyUnicode_New(self.length, 127)
        memcpy(PyUnicode_DATA(made), self.data, self.length)
        return made


cdef bint is_plain_dict(value):
    if type(value) is not dict:
        return False
    for key in <dict>value:
        if type(key) is not str:
            return False
    return True


def encode(value, other):
    """The JSON of a value, as `str`.

    `other` is the method `encode` of the `json.JSONEncoder` that writes what is not plain, with the
    options that `json.dumps` has by default. What it raises, this raises. Raises RecursionError for
    a value that contains itself.
    """
    cdef Writer writer = Writer(other)
    writer.any(value)
    return writer.text()
