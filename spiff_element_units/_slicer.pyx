"""Workflow JSON -> where its process specs lie, and the text without whitespace.

`slice_workflow` goes through the text once. It reads the two outer objects (the workflow and its
`subprocess_specs`) to the letter of RFC 8259 and only finds the ends of the values inside; whether
those are JSON is for the JSON parser to say, which the caller runs on each slice of the *original*
text. Good outer objects and good slices make a good whole, and the other way round.

On the way the text is copied without the whitespace between its tokens. Slices of that copy are
the caller's own bytes, ready to store once the original slice has been found valid.

Nothing here recurses: nesting is counted, and refused where orjson refuses it.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE

import orjson

from .errors import InvalidWorkflowSpec

cdef enum:
    MAX_DEPTH = 1024  # orjson's limit for a whole text
    TRUNCATED = -1
    TOO_DEEP = -2


cdef class Member:
    """A `"key": value` of a JSON object.

    `key` is the decoded key. The slices are half-open byte ranges: of the value in the original
    text (`start`, `end`), of the key's token and of the value in the compact copy (`key_at`,
    `key_end`, `at`, `until`). `members` are the value's own where it was read to the letter too.
    """


cdef class Slices:
    """The members of a workflow's outer object and the text without whitespace."""


cdef inline bint is_space(unsigned char c) noexcept nogil:
    return c == b" " or c == b"\n" or c == b"\r" or c == b"\t"


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
    """Copy the string that starts at the cursor, quotes included."""
    cdef const unsigned char* text = c.text
    cdef unsigned char* out = c.out
    cdef Py_ssize_t pos = c.pos + 1, at = c.at + 1, length = c.length
    cdef unsigned char byte
    out[c.at] = b'"'
    while pos < length:
        byte = text[pos]
        out[at] = byte
        pos += 1
        at += 1
        if byte == b'"':
            c.pos = pos
            c.at = at
            return 0
        if byte == b"\\":
            if pos >= length:
                break
            out[at] = text[pos]
            pos += 1
            at += 1
    return TRUNCATED


cdef Py_ssize_t copy_value(Cursor* c, int depth) noexcept nogil:
    """Copy the value that starts at the cursor; `depth` objects are open around it."""
    cdef int outer = depth
    cdef unsigned char byte
    while c.pos < c.length:
        byte = c.text[c.pos]
        if byte == b'"':
            if copy_string(c) < 0:
                return TRUNCATED
            if depth == outer:
                return 0
            continue
        if byte <= 0x20 and is_space(byte):
            if depth == outer:
                return 0
            c.pos += 1
            continue
        if byte == b"{" or byte == b"[":
            depth += 1
            if depth > MAX_DEPTH:
                return TOO_DEEP
        elif byte == b"}" or byte == b"]":
            if depth == outer:
                return 0
            depth -= 1
            if depth == outer:
                c.out[c.at] = byte
                c.at += 1
                c.pos += 1
                return 0
        elif byte == b"," and depth == outer:
            return 0
        c.out[c.at] = byte
        c.at += 1
        c.pos += 1
    return TRUNCATED


cdef class _Reader:
    """Reads objects to the letter; holds the text and its compact copy while at it."""

    cdef bytes text
    cdef bytes compact
    cdef object view
    cdef Cursor c

    def __cinit__(self, bytes text not None):
        cdef Py_ssize_t length = PyBytes_GET_SIZE(text)
        self.text = text
        self.view = memoryview(text)
        self.compact = PyBytes_FromStringAndSize(NULL, length)
        self.c.text = <const unsigned char*>PyBytes_AS_STRING(text)
        self.c.out = <unsigned char*>PyBytes_AS_STRING(self.compact)
        self.c.length = length

    cdef int fail(self, str expected) except -1:
        """Refuse the text, with the parser's own words where it refuses it too."""
        try:
            orjson.loads(self.text)
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
        cdef Py_ssize_t start
        if not self.peek(b'"'):
            self.fail("a key")
        start = self.c.pos
        member.key_at = self.c.at
        if copy_string(&self.c) < 0:
            self.fail("the end of a key")
        member.key_end = self.c.at
        try:
            member.key = orjson.loads(self.view[start:self.c.pos])
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
            member.start = self.c.pos
            member.at = self.c.at
            if member.key == inner and self.peek(b"{"):
                member.members = self.object(depth + 1, None)
            else:
                with nogil:
                    failed = copy_value(&self.c, depth)
                if failed == TOO_DEEP:
                    self.fail(f"at most {MAX_DEPTH} levels of nesting")
                if failed or member.start == self.c.pos:
                    self.fail("a value")
            member.end = self.c.pos
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
        slices.text = self.view
        slices.compact = self.compact
        return slices


cpdef Slices slice_workflow(bytes text):
    """Slice a workflow's JSON text (UTF-8).

    The values found are not validated yet. Raises InvalidWorkflowSpec where the outer objects
    are not JSON. Time and memory are proportional to the text.
    """
    return _Reader(text).whole()
