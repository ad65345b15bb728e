"""Ids as UTF-8, and a hash table of them.

Nobody can predict the hash (`layout.id_hash`), so the time to look up an id does not depend on what
the other ids are.
"""

from libc.stdint cimport uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcmp

from .layout cimport NOWHERE, id_hash, load64, start_of
from .memory cimport more


cdef class Ids:

    def __cinit__(self, bytes digest not None, uint64_t kind):
        self.k0 = load64(start_of(digest))
        self.k1 = load64(start_of(digest) + 8)
        self.kind = kind
        self.grow()

    def __dealloc__(self):
        free(self.nodes)
        free(self.slots)

    cdef uint32_t find(self, Id id) noexcept:
        """The number of an id, or NOWHERE."""
        cdef uint64_t hashed = id_hash(self.k0, self.k1, self.kind, id.data, id.length)
        cdef uint32_t number = self.slots[slot_of(self, id, hashed)]
        return number - 1 if number else NOWHERE

    cdef uint32_t add(self, Id id) except? 0xFFFFFFFFu:
        """The number of an id. A new id gets the next number."""
        cdef uint64_t hashed = id_hash(self.k0, self.k1, self.kind, id.data, id.length)
        cdef uint32_t slot = slot_of(self, id, hashed)
        cdef Node* node
        if self.slots[slot]:
            return self.slots[slot] - 1
        if 2 * <uint64_t>self.count >= self.slot_count:
            self.grow()
            slot = slot_of(self, id, hashed)
        self.nodes = <Node*>more(self.nodes, self.count, &self.capacity, sizeof(Node))
        node = &self.nodes[self.count]
        node.id = id
        node.hashed = hashed
        node.slot = slot
        node.value = NOWHERE
        self.count += 1
        self.slots[slot] = self.count
        return self.count - 1

    cdef int grow(self) except -1:
        """Double the number of slots."""
        cdef uint32_t number, mask
        cdef uint32_t* slots
        cdef Node* node
        cdef uint32_t wanted = 2 * self.slot_count if self.slot_count else 64
        if self.slot_count >= 0x80000000u:
            raise MemoryError()
        slots = <uint32_t*>calloc(wanted, sizeof(uint32_t))
        if slots == NULL:
            raise MemoryError()
        free(self.slots)
        self.slots = slots
        self.slot_count = wanted
        mask = wanted - 1
        for number in range(self.count):
            node = &self.nodes[number]
            node.slot = <uint32_t>node.hashed & mask
            while slots[node.slot]:
                node.slot = (node.slot + 1) & mask
            slots[node.slot] = number + 1
        return 0

    cdef void clear(self) noexcept:
        """Forget all ids, in time proportional to their number."""
        cdef uint32_t number
        for number in range(self.count):
            self.slots[self.nodes[number].slot] = 0
        self.count = 0


cdef inline uint32_t slot_of(Ids ids, Id id, uint64_t hashed) noexcept:
    """The slot of an id, or the empty one for it."""
    cdef uint32_t mask = ids.slot_count - 1
    cdef uint32_t slot = <uint32_t>hashed & mask
    while ids.slots[slot] and not (ids.nodes[ids.slots[slot] - 1].hashed == hashed
                                   and same(ids.nodes[ids.slots[slot] - 1].id, id)):
        slot = (slot + 1) & mask
    return slot


cdef inline bint same(Id a, Id b) noexcept:
    return a.length == b.length and memcmp(a.data, b.data, a.length) == 0
