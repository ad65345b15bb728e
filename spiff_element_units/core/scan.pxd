"""JSON values, read while their text is copied without the whitespace between its tokens.

As in `tokens`, a function takes the place where a value or a key must start, and returns the place
behind it, or NULL if there is none. Slices are places in the copy. Tokens are checked before the
whitespace between them is left out, so a bad text does not become a good one.

Nothing here recurses. Nesting is counted, and what orjson refuses is refused.
"""

from libc.stdint cimport uint32_t
from libc.string cimport memcpy

from .tokens cimport MAX_DEPTH, after_escape, after_plain, after_scalar, is_space


cdef struct Slice:
    # A piece of the copy, in bytes. The first byte of a value tells its type.
    uint32_t at
    uint32_t length     # 0: there is no such member


cdef struct Key:
    Slice slice                 # with its quotes
    const unsigned char* text   # without the quotes, in the text that is read
    bint escaped


cdef struct Scan:
    const unsigned char* end    # of the text
    const unsigned char* run    # the start of what is not copied yet
    unsigned char* start        # of the copy
    unsigned char* out          # where the run goes


cdef inline const unsigned char* skip(Scan* s, const unsigned char* at) noexcept nogil:
    """Leave whitespace out of the copy. Returns the place behind it."""
    cdef const unsigned char* next = at
    cdef Py_ssize_t length = at - s.run
    if at[0] > c" ":
        return at
    while is_space(next[0]):
        next += 1
    if next == at:
        return at
    if length <= 32 and s.end - s.run >= 32:
        memcpy(s.out, s.run, 32)  # a fixed length is an instruction or two
    else:
        memcpy(s.out, s.run, length)
    s.out += length
    s.run = next
    return next


cdef inline uint32_t place(Scan* s, const unsigned char* at) noexcept nogil:
    """The place of a byte of the text in the copy."""
    return <uint32_t>((s.out - s.start) + (at - s.run))


cdef inline const unsigned char* after_container(
    Scan* s, const unsigned char* at, int depth
) noexcept nogil:
    """An object or array, with `depth` of them open around it."""
    cdef unsigned char[MAX_DEPTH] closing
    cdef Key key
    cdef int top = -1, most = MAX_DEPTH - depth - 1
    while True:
        if at[0] | 0x20 == c"{":        # or a bracket
            if top == most:
                return NULL
            top += 1
            closing[top] = at[0] + 2    # ASCII has what closes them two places further
            at = skip(s, at + 1)
            if at[0] != closing[top]:
                if closing[top] == c"}":
                    at = after_key(s, at, &key)
                    if at == NULL:
                        return NULL
                continue
        else:
            at = after_scalar(at, s.end)
            if at == NULL:
                return NULL
            at = skip(s, at)
        while at[0] == closing[top]:
            top -= 1
            if top < 0:
                return at + 1
            at = skip(s, at + 1)
        if at[0] != c",":
            return NULL
        at = skip(s, at + 1)
        if closing[top] == c"}":
            at = after_key(s, at, &key)
            if at == NULL:
                return NULL


cdef inline const unsigned char* after_value(
    Scan* s, const unsigned char* at, int depth, Slice* value
) noexcept nogil:
    value.at = place(s, at)
    at = after_container(s, at, depth) if at[0] | 0x20 == c"{" else after_scalar(at, s.end)
    if at != NULL:
        value.length = place(s, at) - value.at
    return at


# Objects that are read member by member. The result says whether `at` is at a key.


cdef inline bint first_member(Scan* s, const unsigned char** at) noexcept nogil:
    at[0] = skip(s, at[0] + 1)
    if at[0][0] != c"}":
        return True
    at[0] += 1
    return False


cdef inline bint next_member(Scan* s, const unsigned char** at) noexcept nogil:
    """Go on after a value. `at` becomes NULL if the value or what follows it is wrong."""
    if at[0] == NULL:
        return False
    at[0] = skip(s, at[0])
    if at[0][0] == c",":
        at[0] = skip(s, at[0] + 1)
        return True
    at[0] = at[0] + 1 if at[0][0] == c"}" else NULL
    return False


cdef inline const unsigned char* after_key(
    Scan* s, const unsigned char* at, Key* key
) noexcept nogil:
    """A key and its colon."""
    cdef const unsigned char* start = at + 1
    if at[0] != c'"':
        return NULL
    key.slice.at = place(s, at)
    at = after_plain(start, s.end)
    key.escaped = at[0] == c"\\"
    while at[0] == c"\\":
        at = after_escape(at)
        if at == NULL:
            return NULL
        at = after_plain(at, s.end)
    if at[0] != c'"':
        return NULL
    key.text = start
    key.slice.length = <uint32_t>(at - start + 2)
    at = skip(s, at + 1)
    return skip(s, at + 1) if at[0] == c":" else NULL
