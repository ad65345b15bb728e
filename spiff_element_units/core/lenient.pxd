"""JSON values as Python's `json` reads them: more leniently than `tokens`.

In addition to RFC 8259, this allows NaN, Infinity, -Infinity, escaped surrogates without a partner,
and numbers that are too large for a double. The interpreter has a setting for how many digits of a
whole number `json` reads. A number that is longer than the lowest possible setting is refused.

As in `tokens`, the text is valid UTF-8 with a NUL behind it, and a function returns the place
behind what it is named after, or NULL if there is none.
"""

from libc.string cimport memcmp

from .layout cimport is_digit
from .tokens cimport MAX_DEPTH, after_decimal, after_plain, hex4, is_escape, is_space

cdef enum:
    LONGEST_NUMBER = 640    # characters, sign and all; `sys.int_info.str_digits_check_threshold`


cdef inline const unsigned char* skip(const unsigned char* at) noexcept nogil:
    while at[0] <= c" " and is_space(at[0]):
        at += 1
    return at


cdef inline const unsigned char* after_string(
    const unsigned char* at, const unsigned char* end
) noexcept nogil:
    if at[0] != c'"':
        return NULL
    at = after_plain(at + 1, end)
    while at[0] == c"\\":
        if at[1] == c"u":
            if hex4(at + 2) < 0:
                return NULL
            at += 6
        elif is_escape(at[1]):
            at += 2
        else:
            return NULL
        at = after_plain(at, end)
    return at + 1 if at[0] == c'"' else NULL


cdef inline const unsigned char* after_number(
    const unsigned char* start, const unsigned char* end
) noexcept nogil:
    cdef const unsigned char* at = start + 1 if start[0] == c"-" else start
    cdef const unsigned char* exponent
    if at[0] == c"I":
        return at + 8 if end - at >= 8 and memcmp(at, b"Infinity", 8) == 0 else NULL
    at = after_decimal(start, &exponent)
    return at if at != NULL and at - start <= LONGEST_NUMBER else NULL


cdef inline const unsigned char* after_scalar(
    const unsigned char* at, const unsigned char* end
) noexcept nogil:
    if at[0] == c'"':
        return after_string(at, end)
    if is_digit(at[0]) or at[0] == c"-" or at[0] == c"I":
        return after_number(at, end)
    if end - at >= 4:
        if memcmp(at, b"null", 4) == 0 or memcmp(at, b"true", 4) == 0:
            return at + 4
        if memcmp(at, b"fals", 4) == 0 and at[4] == c"e":
            return at + 5
        if memcmp(at, b"NaN", 3) == 0:
            return at + 3
    return NULL


cdef inline const unsigned char* after_colon(
    const unsigned char* at, const unsigned char* end
) noexcept nogil:
    """A key and its colon."""
    at = after_string(at, end)
    if at == NULL:
        return NULL
    at = skip(at)
    return skip(at + 1) if at[0] == c":" else NULL


cdef inline const unsigned char* after_container(
    const unsigned char* at, const unsigned char* end, int depth
) noexcept nogil:
    """An object or array, with `depth` of them open around it."""
    cdef unsigned char[MAX_DEPTH] closing
    cdef int top = -1, most = MAX_DEPTH - depth - 1
    while True:
        if at[0] | 0x20 == c"{":        # or a bracket
            if top == most:
                return NULL
            top += 1
            closing[top] = at[0] + 2    # ASCII has what closes them two places further
            at = skip(at + 1)
            if at[0] != closing[top]:
                if closing[top] == c"}":
                    at = after_colon(at, end)
                    if at == NULL:
                        return NULL
                continue
        else:
            at = after_scalar(at, end)
            if at == NULL:
                return NULL
            at = skip(at)
        while at[0] == closing[top]:
            top -= 1
            if top < 0:
                return at + 1
            at = skip(at + 1)
        if at[0] != c",":
            return NULL
        at = skip(at + 1)
        if closing[top] == c"}":
            at = after_colon(at, end)
            if at == NULL:
                return NULL


cdef inline const unsigned char* after_value(
    const unsigned char* at, const unsigned char* end, int depth
) noexcept nogil:
    if at[0] | 0x20 == c"{":
        if at[1] == at[0] + 2:          # many are empty
            return at + 2
        return after_container(at, end, depth)
    return after_scalar(at, end)


# Objects that are read member by member. The result says whether `at` is at a key.


cdef inline bint first_member(const unsigned char** at) noexcept nogil:
    at[0] = skip(at[0] + 1)
    if at[0][0] != c"}":
        return True
    at[0] += 1
    return False


cdef inline bint next_member(const unsigned char** at) noexcept nogil:
    """Go on after a value. `at` becomes NULL if the value or what follows it is wrong."""
    if at[0] == NULL:
        return False
    at[0] = skip(at[0])
    if at[0][0] == c",":
        at[0] = skip(at[0] + 1)
        return True
    at[0] = at[0] + 1 if at[0][0] == c"}" else NULL
    return False
