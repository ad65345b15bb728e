"""The directories of a pack, while they are written. `lookup` reads them."""

from libc.stdint cimport uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memset

from .body cimport Body, put32, seal
from .layout cimport BUCKET, CHECKSUM, SLOT, SLOTS, store32, store64
from .memory cimport more
from .order cimport Numbers, numbers


cdef class Directory:
    """A hash table of ids: buckets of slots, and lists for the ids that several processes have."""

    def __dealloc__(self):
        free(self.entries)
        free(self.owners)
        free(self.slots)

    cdef int expect(self, uint64_t most) except -1:
        """Make room for so many ids."""
        self.slot_count = 64
        while self.slot_count < 2 * most:
            self.slot_count *= 2
        self.slots = <uint32_t*>calloc(self.slot_count, sizeof(uint32_t))
        if self.slots == NULL:
            raise MemoryError()
        return 0

    cdef int add(self, uint64_t hashed, uint32_t index) except -1:
        cdef uint64_t slot = hashed & (self.slot_count - 1)
        cdef Entry* entry
        while self.slots[slot] and self.entries[self.slots[slot] - 1].hashed != hashed:
            slot = (slot + 1) & (self.slot_count - 1)
        self.owners = <Owner*>more(
            self.owners, self.owner_count, &self.owner_room, sizeof(Owner))
        self.owners[self.owner_count] = Owner(index, 0)
        self.owner_count += 1
        if not self.slots[slot]:
            self.entries = <Entry*>more(
                self.entries, self.entry_count, &self.entry_room, sizeof(Entry))
            self.entries[self.entry_count] = Entry(hashed, self.owner_count, 0, 0)
            self.entry_count += 1
            self.slots[slot] = self.entry_count
        entry = &self.entries[self.slots[slot] - 1]
        if entry.last:
            self.owners[entry.last - 1].next = self.owner_count
        entry.last = self.owner_count
        entry.count += 1
        return 0

    cdef void measure(self) noexcept:
        """Find out how much room the buckets and lists need."""
        cdef uint32_t number
        for number in range(self.entry_count):
            if self.entries[number].count > 1:
                self.lists_length += 4 * <uint64_t>self.entries[number].count + CHECKSUM
        self.buckets = <uint64_t>self.entry_count * 3 // (2 * SLOTS) + 1  # two thirds full

    cdef int write(self, Body* body, Body* lists) except -1:
        """Write the buckets to `body` and the lists to `lists`."""
        cdef Numbers used = numbers(self.buckets, 0)
        cdef unsigned char* start = body.at
        cdef unsigned char* slot
        cdef uint64_t bucket, _bucket
        cdef uint32_t number, owner
        cdef Entry* entry
        memset(start, 0, self.buckets * (BUCKET + CHECKSUM))
        for number in range(self.entry_count):
            entry = &self.entries[number]
            bucket = entry.hashed % self.buckets
            while used.at[bucket] == SLOTS:
                bucket = bucket + 1 if bucket + 1 < self.buckets else 0
            slot = start + bucket * (BUCKET + CHECKSUM) + used.at[bucket] * SLOT
            used.at[bucket] += 1
            store64(slot, entry.hashed)
            store32(slot + 16, entry.count)
            if entry.count == 1:
                store32(slot + 20, self.owners[entry.first - 1].index)
                continue
            store64(slot + 8, lists.at - lists.start)
            owner = entry.first
            while owner:
                put32(lists, self.owners[owner - 1].index)
                owner = self.owners[owner - 1].next
            seal(lists)
        for _bucket in range(self.buckets):
            body.at += BUCKET
            seal(body)
        return 0
