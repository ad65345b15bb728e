"""Numbers in packs: little-endian loads and stores, and the keyed hash.

The loads and stores put bytes together one by one, which compilers turn into one instruction where
the machine is little-endian and which is right where it is not.

The hash is SipHash-1-3 (J.-P. Aumasson, D. J. Bernstein: "SipHash: a fast short-input PRF", 2012,
with one compression and three finalization rounds). It is keyed, so nobody can choose ids that
crowd one bucket of a pack.
"""

from libc.stdint cimport uint32_t, uint64_t

cdef enum:
    FORMAT = 1
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
    PROCESS_IDS = 1       # what a directory's hash is of
    ELEMENT_IDS = 2


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


cdef inline uint64_t checksum(
    uint64_t k0, uint64_t k1, uint64_t offset, const unsigned char* data, size_t length
) noexcept nogil:
    """Of a part: bound to the pack by its key and to its place by the offset."""
    return siphash13(k0, k1 ^ offset, data, length)


cdef inline uint64_t id_hash(
    uint64_t k0, uint64_t k1, uint64_t directory, const unsigned char* data, size_t length
) noexcept nogil:
    return siphash13(k0, k1 ^ (directory << 62), data, length)
