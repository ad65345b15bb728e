"""Numbers in packs: little-endian loads and stores, checksums, and the hash of ids.

The loads and stores handle single bytes, which is right on every machine. On a little-endian
machine, compilers turn them into one instruction.

Checksums are XXH64 (Y. Collet, "xxHash fast digest algorithm", version 0.2.0). It is so fast that
a get checks everything that it reads. The hash of ids is SipHash-1-3 (J.-P. Aumasson, D. J.
Bernstein, "SipHash: a fast short-input PRF", 2012, with one compression and three finalization
rounds). It has a key, so nobody can choose ids that all go into one bucket of a pack.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.stdint cimport uint32_t, uint64_t

cdef enum:
    FORMAT = 1
    DIGEST = 32
    CHECKSUM = 8
    HEADER = 96           # without the cache key and the checksum
    SLOT = 24
    SLOTS = 16
    BUCKET = SLOTS * SLOT
    ENTRY = 32
    CHUNK_ENTRIES = 16
    CHUNK = CHUNK_ENTRIES * ENTRY
    RECORD = 28           # without its arrays and strings
    LINK_NAMES = 16
    ELEMENT = 16
    PROCESS_IDS = 1       # which ids a directory has
    ELEMENT_IDS = 2
    ASCII = 1             # a flag of a table's entry: the spec is
    LONG_NUMBERS = 2      # another: the spec may have numbers that need more than 64 bits
    BY_EVENTS = 4         # another: events start the process
    LEADS = 8             # another: references lead from it to a process that events start
    SAYS_EVENTS = 16      # another, in every entry: the pack has the two flags before
    SAFE_DIGITS = 18      # a number of so many digits needs at most 64 bits
    NOWHERE = 0xFFFFFFFF  # the target of a reference to an external process
    CALL = 0              # kinds of references
    EMBEDDED = 1
    TRIGGER = 2


cdef inline uint32_t load32(const unsigned char* p) noexcept nogil:
    return (<uint32_t>p[0] | <uint32_t>p[1] << 8 | <uint32_t>p[2] << 16 | <uint32_t>p[3] << 24)


cdef inline uint64_t load64(const unsigned char* p) noexcept nogil:
    return (<uint64_t>p[0] | <uint64_t>p[1] << 8 | <uint64_t>p[2] << 16 | <uint64_t>p[3] << 24
            | <uint64_t>p[4] << 32 | <uint64_t>p[5] << 40 | <uint64_t>p[6] << 48
            | <uint64_t>p[7] << 56)


cdef inline void store32(unsigned char* p, uint32_t value) noexcept nogil:
    p[0] = <unsigned char>(value & 0xFF)
    p[1] = <unsigned char>(value >> 8 & 0xFF)
    p[2] = <unsigned char>(value >> 16 & 0xFF)
    p[3] = <unsigned char>(value >> 24 & 0xFF)


cdef inline void store64(unsigned char* p, uint64_t value) noexcept nogil:
    store32(p, <uint32_t>(value & 0xFFFFFFFFu))
    store32(p + 4, <uint32_t>(value >> 32))


cdef inline const unsigned char* start_of(bytes digest) except NULL:
    """The bytes of a digest. Raises ValueError if it has another length."""
    if PyBytes_GET_SIZE(digest) != DIGEST:
        raise ValueError(f"a digest has {<int>DIGEST} bytes, not {PyBytes_GET_SIZE(digest)}")
    return <const unsigned char*>PyBytes_AS_STRING(digest)


cdef inline uint64_t rotate(uint64_t x, int bits) noexcept nogil:
    return x << bits | x >> (64 - bits)


cdef inline void sip_round(uint64_t* v) noexcept nogil:
    v[0] += v[1]
    v[2] += v[3]
    v[1] = rotate(v[1], 13) ^ v[0]
    v[3] = rotate(v[3], 16) ^ v[2]
    v[0] = rotate(v[0], 32)
    v[2] += v[1]
    v[0] += v[3]
    v[1] = rotate(v[1], 17) ^ v[2]
    v[3] = rotate(v[3], 21) ^ v[0]
    v[2] = rotate(v[2], 32)


cdef inline uint64_t siphash13(
    uint64_t k0, uint64_t k1, const unsigned char* data, size_t length
) noexcept nogil:
    cdef uint64_t[4] v
    cdef uint64_t word
    cdef size_t at = 0, whole = length - length % 8
    v[0] = k0 ^ 0x736F6D6570736575u
    v[1] = k1 ^ 0x646F72616E646F6Du
    v[2] = k0 ^ 0x6C7967656E657261u
    v[3] = k1 ^ 0x7465646279746573u
    while at < whole:
        word = load64(data + at)
        v[3] ^= word
        sip_round(v)
        v[0] ^= word
        at += 8
    word = <uint64_t>(length & 0xFF) << 56
    while at < length:
        word |= <uint64_t>data[at] << (8 * (at - whole))
        at += 1
    v[3] ^= word
    sip_round(v)
    v[0] ^= word
    v[2] ^= 0xFF
    sip_round(v)
    sip_round(v)
    sip_round(v)
    return v[0] ^ v[1] ^ v[2] ^ v[3]


cdef inline uint64_t xxh_round(uint64_t lane, uint64_t word) noexcept nogil:
    return rotate(lane + word * 0xC2B2AE3D27D4EB4Fu, 31) * 0x9E3779B185EBCA87u


cdef inline uint64_t xxh_merge(uint64_t hashed, uint64_t lane) noexcept nogil:
    return (hashed ^ xxh_round(0, lane)) * 0x9E3779B185EBCA87u + 0x85EBCA77C2B2AE63u


cdef inline uint64_t xxh64(uint64_t seed, const unsigned char* data, size_t length) noexcept nogil:
    cdef const unsigned char* end = data + length
    cdef uint64_t hashed, a, b, c, d
    if length < 32:
        hashed = seed + 0x27D4EB2F165667C5u
    else:
        a = seed + 0x60EA27EEADC0B5D6u  # the first prime plus the second
        b = seed + 0xC2B2AE3D27D4EB4Fu
        c = seed
        d = seed - 0x9E3779B185EBCA87u
        while end - data >= 32:
            a = xxh_round(a, load64(data))
            b = xxh_round(b, load64(data + 8))
            c = xxh_round(c, load64(data + 16))
            d = xxh_round(d, load64(data + 24))
            data += 32
        hashed = rotate(a, 1) + rotate(b, 7) + rotate(c, 12) + rotate(d, 18)
        hashed = xxh_merge(xxh_merge(xxh_merge(xxh_merge(hashed, a), b), c), d)
    hashed += length
    while end - data >= 8:
        hashed ^= xxh_round(0, load64(data))
        hashed = rotate(hashed, 27) * 0x9E3779B185EBCA87u + 0x85EBCA77C2B2AE63u
        data += 8
    if end - data >= 4:
        hashed ^= load32(data) * 0x9E3779B185EBCA87u
        hashed = rotate(hashed, 23) * 0xC2B2AE3D27D4EB4Fu + 0x165667B19E3779F9u
        data += 4
    while data < end:
        hashed ^= data[0] * 0x27D4EB2F165667C5u
        hashed = rotate(hashed, 11) * 0x9E3779B185EBCA87u
        data += 1
    hashed = (hashed ^ hashed >> 33) * 0xC2B2AE3D27D4EB4Fu
    hashed = (hashed ^ hashed >> 29) * 0x165667B19E3779F9u
    return hashed ^ hashed >> 32


cdef inline uint64_t checksum(
    uint64_t k0, uint64_t offset, const unsigned char* data, size_t length
) noexcept nogil:
    """The checksum of a part. The key binds it to the pack, and the offset to its place."""
    return xxh64(k0 ^ offset, data, length)


cdef inline bint is_ascii(const unsigned char* data, size_t length) noexcept nogil:
    cdef size_t at
    cdef unsigned char seen = 0
    for at in range(length):
        seen |= data[at]
    return seen < 0x80


cdef inline bint is_digit(unsigned char c) noexcept nogil:
    return c"0" <= c <= c"9"


cdef inline bint has_long_numbers(const unsigned char* data, size_t length) noexcept nogil:
    """Whether there are more than SAFE_DIGITS digits in a row. Looks at every 19th byte first."""
    cdef size_t at = SAFE_DIGITS, first, end
    while at < length:
        if is_digit(data[at]):
            first = end = at
            while end < length and is_digit(data[end]):
                end += 1
            while first > 0 and is_digit(data[first - 1]):
                first -= 1
            if end - first > SAFE_DIGITS:
                return True
        at += SAFE_DIGITS + 1
    return False


cdef inline uint64_t id_hash(
    uint64_t k0, uint64_t k1, uint64_t directory, const unsigned char* data, size_t length
) noexcept nogil:
    return siphash13(k0, k1 ^ (directory << 62), data, length)
