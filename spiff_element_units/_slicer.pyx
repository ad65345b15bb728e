"""Workflow JSON -> where its process specs lie, and the text without whitespace.

`slice_workflow` goes through the text once. It reads the two outer objects (the workflow and its
`subprocess_specs`) to the letter of RFC 8259 and only finds the ends of the values inside; whether
those are JSON is for the JSON parser to say, which the caller runs on each slice. Good outer
objects and good slices make a good whole, and the other way round.

On the way the text is copied without the whitespace between its tokens, and the slices are of that
copy: the caller's own bytes, ready to be checked and stored. Whitespace that keeps two tokens apart
(`[1 2]`) is an error, so that taking it away makes no bad text good.

Nothing here recurses: nesting is counted, and refused where orjson refuses it.
"""

from cpython.buffer cimport PyBuffer_FillInfo
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.string cimport memchr, memcpy

import orjson

from .errors import InvalidWorkflowSpec

cdef extern from "Python.h":
    const char* PyUnicode_AsUTF8AndSize(object text, Py_ssize_t* size) except NULL

cdef enum:
    MAX_DEPTH = 1024  # orjson's limit for a whole text
    TRUNCATED = -1
    TOO_DEEP = -2
    MERGED = -3


cdef class Text:
    """JSON text as a buffer of UTF-8, without a copy where it is `bytes` or ASCII.

    Raises TypeError for anything but `str` and `bytes`, UnicodeEncodeError for a lone surrogate.
    """

    def __cinit__(self, text):
        cdef const char* data
        if isinstance(text, str) and (<str>text).isascii():
            data = PyUnicode_AsUTF8AndSize(text, &self.length)
        else:
            if isinstance(text, str):
                text = (<str>text).encode()
            elif not isinstance(text, bytes):
                raise TypeError(
                    f"workflow_spec_json must be str or bytes, not {type(text).__name__}")
            data = PyBytes_AS_STRING(text)
            self.length = PyBytes_GET_SIZE(text)
        self.owner = text
        self.data = <const unsigned char*>data

    def __getbuffer__(self, Py_buffer* buffer, int flags):
        PyBuffer_FillInfo(buffer, self, <void*>self.data, self.length, 1, flags)


cdef class Member:
    """A `"key": value` of a JSON object.

    `key` is the decoded key. The slices are half-open byte ranges of the compact copy: of the key's
    token (`key_at`, `key_end`) and of the value (`at`, `until`). `members` are the value's own
    where it was read to the letter too.
    """


cdef class Slices:
    """The members of a workflow's outer object and the text without whitespace."""


cdef inline bint is_space(unsigned char c) noexcept nogil:
    return c == b" " or c == b"\n" or c == b"\r" or c == b"\t"


cdef inline bint is_scalar(unsigned char c) noexcept nogil:
    """Part of a number, `true`, `false` or `null`, or of nothing in JSON."""
    return not (c == b"," or c == b":" or c == b'"' or c == b"{" or c == b"}" or c == b"["
                or c == b"]")


cdef struct Cursor:
    const unsigned char* text
    unsigned char* out
    Py_ssize_t pos      # in text
    Py_ssize_t length   # of text
    Py_ssize_t at       # in out; never beyond pos


cdef inline void skip_space(Cursor* c) noexcept nogil:
    while c.pos < c.length and is_space(c.text[c.pos]):
        c.pos += 1


cdef inline Py_ssize_t copy_string(Cursor* c) noexcept nogil:
    """Copy the string that starts at the cursor, quotes included.

    A quote ends it unless an odd number of backslashes stands before."""
    cdef const unsigned char* start = c.text + c.pos
    cdef const unsigned char* end = c.text + c.length
    cdef const unsigned char* quote = start
    cdef const unsigned char* before
    while True:
        quote = <const unsigned char*>memchr(quote + 1, b'"', end - quote - 1)
        if quote == NULL:
            return TRUNCATED
        before = quote - 1
        while before[0] == b"\\":
            before -= 1
        if (quote - before) & 1:
            break
    memcpy(c.out + c.at, start, quote + 1 - start)
    c.at += quote + 1 - start
    c.pos += quote + 1 - start
    return 0


cdef Py_ssize_t copy_container(Cursor* cursor, int depth) noexcept nogil:
    """Copy the object or array that starts at the cursor; `depth` of them are open around it."""
    cdef Cursor c = cursor[0]  # a copy, which the stores to `out` can't be thought to change
    cdef int outer = depth
    cdef unsigned char byte
    while c.pos < c.length:
        byte = c.text[c.pos]
        if byte == b'"':
            if copy_string(&c) < 0:
                return TRUNCATED
        elif byte <= 0x20 and is_space(byte):
            skip_space(&c)
            if is_scalar(c.out[c.at - 1]) and c.pos < c.length and is_scalar(c.text[c.pos]):
                return MERGED
        else:
            c.out[c.at] = byte
            c.at += 1
            c.pos += 1
            if byte | 0x20 == b"{":  # or a bracket
                depth += 1
                if depth > MAX_DEPTH:
                    return TOO_DEEP
            elif byte | 0x20 == b"}":
                depth -= 1
                if depth == outer:
                    cursor[0] = c
                    return 0
    return TRUNCATED


cdef Py_ssize_t copy_value(Cursor* c, int depth) noexcept nogil:
    """Copy the value that starts at the cursor."""
    if c.pos < c.length:
        if c.text[c.pos] == b'"':
            return copy_string(c)
        if c.text[c.pos] | 0x20 == b"{":
            return copy_container(c, depth)
    while c.pos < c.length and is_scalar(c.text[c.pos]) and not is_space(c.text[c.pos]):
        c.out[c.at] = c.text[c.pos]
        c.at += 1
        c.pos += 1
    return 0


cdef class _Reader:
    """Reads objects to the letter; holds the text and its compact copy while at it."""

    cdef Text text
    cdef bytes compact
    cdef object view        # of the compact copy
    cdef Cursor c

    def __cinit__(self, Text text not None):
        self.text = text
        self.compact = PyBytes_FromStringAndSize(NULL, text.length)
        self.view = memoryview(self.compact)
        self.c.text = text.data
        self.c.out = <unsigned char*>PyBytes_AS_STRING(self.compact)
        self.c.length = text.length

    cdef int fail(self, str expected) except -1:
        """Refuse the text, with the parser's own words where it refuses it too."""
        try:
            orjson.loads(memoryview(self.text))
        except orjson.JSONDecodeError as error:
            raise InvalidWorkflowSpec(f"the workflow is not JSON: {error}") from error
        raise InvalidWorkflowSpec(f"expected {expected} at byte {self.c.pos} of the workflow JSON")

    cdef int take(self, unsigned char byte, str expected) except -1:
        skip_space(&self.c)
        if self.c.pos >= self.c.length or self.c.text[self.c.pos] != byte:
            self.fail(expected)
        self.c.out[self.c.at] = byte
        self.c.pos += 1
        self.c.at += 1
        return 0

    cdef bint peek(self, unsigned char byte) noexcept:
        skip_space(&self.c)
        return self.c.pos < self.c.length and self.c.text[self.c.pos] == byte

    cdef Member key(self):
        cdef Member member = Member.__new__(Member)
        if not self.peek(b'"'):
            self.fail("a key")
        member.key_at = self.c.at
        if copy_string(&self.c) < 0:
            self.fail("the end of a key")
        member.key_end = self.c.at
        try:
            member.key = orjson.loads(self.view[member.key_at:member.key_end])
        except orjson.JSONDecodeError:
            self.fail("a valid key")
        self.take(b":", "':'")
        return member

    cdef list object(self, int depth, str inner):
        """The members of the object at the cursor; the value of the key `inner` is read to the
        letter too where it is an object."""
        cdef list members = []
        cdef Member member
        cdef Py_ssize_t failed
        self.take(b"{", "an object")
        if self.peek(b"}"):
            self.take(b"}", "'}'")
            return members
        while True:
            member = self.key()
            skip_space(&self.c)
            member.at = self.c.at
            if member.key == inner and self.peek(b"{"):
                member.members = self.object(depth + 1, None)
            else:
                with nogil:
                    failed = copy_value(&self.c, depth)
                if failed == TOO_DEEP:
                    self.fail(f"at most {MAX_DEPTH} levels of nesting")
                if failed or member.at == self.c.at:
                    self.fail("a value")
            member.until = self.c.at
            members.append(member)
            if self.peek(b"}"):
                self.take(b"}", "'}'")
                return members
            self.take(b",", "',' or '}'")

    cdef Slices whole(self):
        cdef Slices slices = Slices.__new__(Slices)
        skip_space(&self.c)
        slices.members = self.object(1, "subprocess_specs")
        skip_space(&self.c)
        if self.c.pos != self.c.length:
            self.fail("the end")
        slices.text = self.text
        slices.compact = self.view
        return slices


cpdef Slices slice_workflow(Text text):
    """Slice a workflow's JSON text.

    The values found are not validated yet. Raises InvalidWorkflowSpec where the outer objects
    are not JSON. Time and memory are proportional to the text.
    """
    return _Reader(text).whole()
