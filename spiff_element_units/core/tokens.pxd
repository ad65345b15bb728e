"""JSON tokens, read exactly as RFC 8259 defines them and orjson accepts them.

A function that is named after a token takes the place where the token must start, and returns the
place behind it, or NULL if there is none. The text is valid UTF-8 with a NUL behind it, as in every
`str` and `bytes`. No token contains a NUL, so nothing reads beyond it.
"""

from libc.math cimport isfinite
from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memcmp

from .layout cimport is_digit, load64

cdef extern from *:
    """
    #if defined(__GNUC__)
    #define lowest_bit(word) __builtin_ctzll(word)
    #else
    static int lowest_bit(unsigned long long word) {
        int at = 0;
        for (; !(word & 0xFF); word >>= 8) at += 8;
        for (; !(word & 1); word >>= 1) at += 1;
        return at;
    }
    #endif
    """
    int lowest_bit(uint64_t word) noexcept nogil

cdef extern from *:
    """
    /* Which of the STRIDE bytes at a place are a quote, a backslash or a control character. In the
       mask, 2 to the power of MASK_BITS bits stand for each byte. Only the lowest bit that is set
       has a meaning. */
    #if defined(__SSE2__) || defined(_M_X64)
    #include <emmintrin.h>
    #define STRIDE 16
    #define MASK_BITS 0
    static inline unsigned long long specials(const unsigned char* at) {
        __m128i bytes = _mm_loadu_si128((const __m128i*)at);
        __m128i quotes = _mm_cmpeq_epi8(bytes, _mm_set1_epi8('"'));
        __m128i backslashes = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(0x5C));
        __m128i controls = _mm_cmpeq_epi8(_mm_min_epu8(bytes, _mm_set1_epi8(0x1F)), bytes);
        return (unsigned)_mm_movemask_epi8(
            _mm_or_si128(_mm_or_si128(quotes, backslashes), controls));
    }
    #else
    /* "Determine if a word has a zero byte" in S. E. Anderson, "Bit Twiddling Hacks". */
    #define STRIDE 8
    #define MASK_BITS 3
    #define ZERO_BYTES(word) (((word) - 0x0101010101010101u) & ~(word) & 0x8080808080808080u)
    static unsigned long long specials(const unsigned char* at) {
        unsigned long long word = 0;
        for (int i = 7; i >= 0; i--) word = word << 8 | at[i];
        return ZERO_BYTES(word ^ 0x2222222222222222u) | ZERO_BYTES(word ^ 0x5C5C5C5C5C5C5C5Cu)
            | ZERO_BYTES(word & 0xE0E0E0E0E0E0E0E0u);
    }
    #endif
    """
    enum:
        STRIDE
        MASK_BITS
    uint64_t specials(const unsigned char* at) noexcept nogil

cdef extern from "Python.h":
    double PyOS_string_to_double(const char* at, char** end, void* overflow) except? -1.0

cdef enum:
    MAX_DEPTH = 1024      # orjson's limit for a whole text
    SAFE_NUMBER = 200     # characters of a number that is finite if its exponent has two digits


cdef inline bint is_space(unsigned char c) noexcept nogil:
    return c == c" " or c == c"\n" or c == c"\r" or c == c"\t"


cdef inline const unsigned char* after_plain(
    const unsigned char* at, const unsigned char* end
) noexcept nogil:
    """The next quote, backslash or control character. The NUL at `end` counts as one."""
    cdef uint64_t special
    while end - at >= STRIDE:
        special = specials(at)
        if special:
            return at + (lowest_bit(special) >> MASK_BITS)
        at += STRIDE
    while at[0] >= 0x20 and at[0] != c'"' and at[0] != c"\\":
        at += 1
    return at


cdef inline int hex4(const unsigned char* at) noexcept nogil:
    """The value of four hexadecimal digits, or -1."""
    cdef int value = 0, place
    cdef unsigned char c
    for place in range(4):
        c = at[place]
        if is_digit(c):
            value = value << 4 | (c - c"0")
        elif c"a" <= c | 0x20 <= c"f":
            value = value << 4 | ((c | 0x20) - c"a" + 10)
        else:
            return -1
    return value


cdef inline bint is_escape(unsigned char c) noexcept nogil:
    """Whether a backslash and this character are an escape of their own."""
    return (c == c"n" or c == c'"' or c == c"\\" or c == c"t" or c == c"/" or c == c"r"
            or c == c"b" or c == c"f")


cdef inline const unsigned char* after_escape(const unsigned char* at) noexcept nogil:
    """`at` is a backslash. Half of a surrogate pair is not an escape."""
    cdef int unit, low
    if at[1] != c"u":
        return at + 2 if is_escape(at[1]) else NULL
    unit = hex4(at + 2)
    if unit < 0 or 0xDC00 <= unit < 0xE000:
        return NULL
    if not 0xD800 <= unit < 0xDC00:
        return at + 6
    if at[6] != c"\\" or at[7] != c"u":
        return NULL
    low = hex4(at + 8)
    return at + 12 if 0xDC00 <= low < 0xE000 else NULL


cdef inline const unsigned char* after_string(
    const unsigned char* at, const unsigned char* end
) noexcept nogil:
    if at[0] != c'"':
        return NULL
    at = after_plain(at + 1, end)
    while at[0] == c"\\":
        at = after_escape(at)
        if at == NULL:
            return NULL
        at = after_plain(at, end)
    return at + 1 if at[0] == c'"' else NULL


cdef inline const unsigned char* after_digits(const unsigned char* at) noexcept nogil:
    if not is_digit(at[0]):
        return NULL
    while is_digit(at[0]):
        at += 1
    return at


cdef inline bint is_finite(const unsigned char* number) noexcept with gil:
    """Whether a double can hold a number."""
    cdef char* end
    return isfinite(PyOS_string_to_double(<const char*>number, &end, NULL))


cdef inline const unsigned char* after_decimal(
    const unsigned char* start, const unsigned char** exponent
) noexcept nogil:
    """A number of any size. `exponent` becomes the place of the digits of its exponent, or NULL."""
    cdef const unsigned char* at = start + 1 if start[0] == c"-" else start
    exponent[0] = NULL
    at = at + 1 if at[0] == c"0" else after_digits(at)
    if at != NULL and at[0] == c".":
        at = after_digits(at + 1)
    if at != NULL and at[0] | 0x20 == c"e":
        exponent[0] = at + 2 if at[1] == c"+" or at[1] == c"-" else at + 1
        at = after_digits(exponent[0])
    return at


cdef inline const unsigned char* after_number(const unsigned char* start) noexcept nogil:
    cdef const unsigned char* exponent
    cdef const unsigned char* at = after_decimal(start, &exponent)
    if at == NULL:
        return NULL
    if (at - start > SAFE_NUMBER or exponent != NULL and at - exponent > 2) and (
            not is_finite(start)):
        return NULL
    return at


cdef inline const unsigned char* after_scalar(
    const unsigned char* at, const unsigned char* end
) noexcept nogil:
    """A string, a number, `true`, `false` or `null`."""
    if at[0] == c'"':
        return after_string(at, end)
    if end - at >= 4:
        if memcmp(at, b"null", 4) == 0 or memcmp(at, b"true", 4) == 0:
            return at + 4
        if memcmp(at, b"fals", 4) == 0 and at[4] == c"e":
            return at + 5
    return after_number(at)


cdef inline uint32_t unescape(
    const unsigned char* at, uint32_t length, unsigned char* out
) noexcept nogil:
    """Decode the inside of a good string. Returns the new length, which is not greater."""
    cdef const unsigned char* end = at + length
    cdef unsigned char* start = out
    cdef uint32_t code
    while at < end:
        if at[0] != c"\\":
            out[0] = at[0]
            at += 1
            out += 1
            continue
        if at[1] != c"u":
            out[0] = unescaped(at[1])
            at += 2
            out += 1
            continue
        code = hex4(at + 2)
        at += 6
        if 0xD800 <= code < 0xDC00:
            code = 0x10000 + ((code - 0xD800) << 10) + (<uint32_t>hex4(at + 2) - 0xDC00)
            at += 6
        out = put_utf8(out, code)
    return <uint32_t>(out - start)


cdef inline unsigned char unescaped(unsigned char c) noexcept nogil:
    if c == c"n":
        return c"\n"
    if c == c"t":
        return c"\t"
    if c == c"r":
        return c"\r"
    if c == c"b":
        return c"\b"
    if c == c"f":
        return c"\f"
    return c


cdef inline unsigned char* put_utf8(unsigned char* out, uint32_t code) noexcept nogil:
    """Write a code point as UTF-8. Returns the place behind it."""
    if code < 0x80:
        out[0] = <unsigned char>code
        return out + 1
    if code < 0x800:
        out[0] = <unsigned char>(0xC0 | code >> 6)
    elif code < 0x10000:
        out[0] = <unsigned char>(0xE0 | code >> 12)
        out[1] = <unsigned char>(0x80 | code >> 6 & 0x3F)
        out += 1
    else:
        out[0] = <unsigned char>(0xF0 | code >> 18)
        out[1] = <unsigned char>(0x80 | code >> 12 & 0x3F)
        out[2] = <unsigned char>(0x80 | code >> 6 & 0x3F)
        out += 2
    out[1] = <unsigned char>(0x80 | code & 0x3F)
    return out + 2


cdef inline bint is_utf8(const unsigned char* at, const unsigned char* end) noexcept nogil:
    """Whether the bytes are UTF-8, no surrogates among them (RFC 3629, section 4)."""
    cdef unsigned char lead, low, high
    cdef int more
    while at < end:
        while end - at >= 8 and not load64(at) & 0x8080808080808080u:
            at += 8
        if at == end:
            break
        lead = at[0]
        at += 1
        if lead < 0x80:
            continue
        low, high = 0x80, 0xBF  # the range of the second byte
        if 0xC2 <= lead <= 0xDF:
            more = 1
        elif 0xE0 <= lead <= 0xEF:
            more = 2
            low = 0xA0 if lead == 0xE0 else 0x80
            high = 0x9F if lead == 0xED else 0xBF
        elif 0xF0 <= lead <= 0xF4:
            more = 3
            low = 0x90 if lead == 0xF0 else 0x80
            high = 0x8F if lead == 0xF4 else 0xBF
        else:
            return False
        if end - at < more or not low <= at[0] <= high:
            return False
        at += 1
        while more > 1:
            if at[0] & 0xC0 != 0x80:
                return False
            at += 1
            more -= 1
    return True
