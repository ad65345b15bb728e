"""JSON text of an object -> the text of each of its members, by which versions are compared.

Only the keys are decoded. If a key is repeated, the last member counts, in the place of the first,
as in a `dict`.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.string cimport memset

from .scan cimport Key, Scan, Slice, after_key, after_value, first_member, next_member

import orjson


def members(bytes text not None):
    """Each key of an object and the text of its value; None if the text is not an object.

    The text has no whitespace between its tokens. Raises ValueError if it is not JSON.
    """
    cdef Py_ssize_t length = PyBytes_GET_SIZE(text)
    cdef const unsigned char* at = <const unsigned char*>PyBytes_AS_STRING(text)
    cdef bytes copy
    cdef Scan scan
    cdef Key key
    cdef Slice value
    cdef dict found = {}
    cdef bint more
    if not length or at[0] != c"{" or length > 0xFFFFFFFFu:
        return None
    # `scan` needs a place for its copy without whitespace. It is as long as the text.
    copy = PyBytes_FromStringAndSize(NULL, length)
    memset(&scan, 0, sizeof(scan))
    scan.run = at
    scan.end = at + length
    scan.start = scan.out = <unsigned char*>PyBytes_AS_STRING(copy)
    more = first_member(&scan, &at)
    while more:
        at = after_key(&scan, at, &key)
        if at == NULL:
            break
        at = after_value(&scan, at, 1, &value)
        if at == NULL or scan.out != scan.start:
            at = NULL
            break
        name = orjson.loads(text[key.slice.at:key.slice.at + key.slice.length])
        found[name] = text[value.at:value.at + value.length]
        more = next_member(&scan, &at)
    if at != scan.end or scan.out != scan.start:
        raise ValueError("not JSON without whitespace")
    return found
