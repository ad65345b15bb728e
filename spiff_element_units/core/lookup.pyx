"""Ids -> processes and elements of a pack. The directories of the pack say where they are."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memcmp

from .layout cimport (
    BUCKET, CHECKSUM, ELEMENT, ELEMENT_IDS, NOWHERE, PROCESS_IDS, SLOT, SLOTS, id_hash, load32,
    load64,
)
from .records cimport Record, Records

from .fault import Fault


cdef class Lookup(Records):

    cdef const unsigned char* element(self, Record record, bytes name) except? NULL:
        """The element with this id in a record, or NULL."""
        cdef const unsigned char* at = record.elements
        cdef const unsigned char* id
        cdef uint32_t _position, length, wanted
        if PyBytes_GET_SIZE(name) > 0xFFFFFFFF:
            return NULL
        wanted = <uint32_t>PyBytes_GET_SIZE(name)
        for _position in range(record.element_count):
            if load32(at + 4) == wanted:
                id = self.string(record, at, &length)
                if memcmp(id, PyBytes_AS_STRING(name), length) == 0:
                    return at
            at += ELEMENT
        return NULL

    cdef list candidates(self, uint64_t directory, bytes name, uint32_t most):
        """The indexes of the processes that may have an id; None if there are more than `most`.

        The directory has only the hash of the id, so a process may have another id.
        """
        cdef uint64_t hashed = id_hash(
            self.k0, self.k1, directory,
            <const unsigned char*>PyBytes_AS_STRING(name), PyBytes_GET_SIZE(name))
        cdef uint64_t start = self.process_directory
        cdef uint32_t buckets = self.process_buckets, bucket, _tried, _slot, count
        cdef const unsigned char* at
        if directory == ELEMENT_IDS:
            start = self.element_directory
            buckets = self.element_buckets
        bucket = <uint32_t>(hashed % buckets)
        for _tried in range(buckets):
            at = self.part(start + <uint64_t>bucket * (BUCKET + CHECKSUM), BUCKET)
            for _slot in range(<uint32_t>SLOTS):
                count = load32(at + 16)
                if not count:
                    return []
                if load64(at) == hashed:
                    if count == 1:
                        return [load32(at + 20)]
                    return None if count > most else self.indexes(load64(at + 8), count)
                at += SLOT
            bucket = bucket + 1 if bucket + 1 < buckets else 0
        return []

    cdef list indexes(self, uint64_t offset, uint32_t count):
        cdef const unsigned char* at = self.part(offset, 4 * <uint64_t>count)
        cdef uint32_t position
        return [load32(at + 4 * position) for position in range(count)]

    cdef uint32_t find(self, str process_id) except? 0xFFFFFFFFu:
        """The index of a process."""
        cdef uint32_t index = self.look_up(process_id)
        if index == NOWHERE:
            raise Fault("no process", pack=self.where, process=process_id)
        return index

    cdef uint32_t look_up(self, str process_id) except? 0xFFFFFFFEu:
        """The index of a process, or NOWHERE."""
        cdef Record record
        cdef bytes name = process_id.encode("utf-8", "surrogatepass")
        for index in self.candidates(PROCESS_IDS, name, NOWHERE):
            record = self.record(index)
            if record.is_id(name):
                return index
        return NOWHERE

    cdef bint owns(self, uint32_t index, bytes element) except -1:
        """Whether a process has or is the element."""
        cdef Record record = self.record(index)
        return record.is_id(element) or self.element(record, element) != NULL
