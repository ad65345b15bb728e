"""Pack -> the digests of its processes, by which versions of a workflow are compared.

The digest of a process is the SHA-256 of its spec, followed by, for each other spec of its start
unit, in the order of their ids as bytes: 4 length of the id, the id (UTF-8), and the SHA-256 of the
spec. Numbers are little-endian. A spec is the caller's own bytes without the whitespace between
tokens, and ends with its last brace, so that no two processes are written in the same way.

If the root's id is also a key of `subprocess_specs`, and the spec there is another one, that spec
belongs to the root too: the engine runs it if something refers to the root.

A pack does not contain digests. A digest is computed when somebody asks for it, and is then kept
with the pack in memory: 32 bytes for each process. Each spec is hashed only once, even if it is
embedded in many processes.
"""

from cpython.buffer cimport PyBUF_READ
from cpython.memoryview cimport PyMemoryView_FromMemory
from libc.stdint cimport uint32_t

from .graph cimport DEFER_CALLS, IndexSet
from .pack cimport Pack
from .records cimport Record

import hashlib


cdef object hash_of_spec(Pack pack, uint32_t index):
    """The SHA-256 object of the spec."""
    cdef Record record = pack.record(index)
    return hashlib.sha256(PyMemoryView_FromMemory(
        <char*>pack.spec(index, record), record.entry.spec_length, PyBUF_READ))


cdef bytes spec_digest(Pack pack, uint32_t index):
    digest = pack.spec_digests.get(index)
    if digest is None:
        digest = pack.spec_digests[index] = hash_of_spec(pack, index).digest()
    return digest


cdef list belonging(Pack pack, uint32_t process):
    """(id, digest of the spec) of each other spec that belongs to a process, in order."""
    cdef IndexSet members = IndexSet(pack.count)
    cdef uint32_t position, index
    cdef list found = []
    cdef Record record
    members.add(process)
    if process == pack.root:
        members.add(pack.inner_index())
    else:
        pack.start(members, process)
    pack.close(members, process, DEFER_CALLS, True)
    for position in range(1, members.size):
        index = members.items[position]
        record = pack.record(index)
        found.append((record.heap[:record.id_length], spec_digest(pack, index)))
    record = pack.record(process)
    same = (record.heap[:record.id_length], spec_digest(pack, process))
    return sorted([one for one in found if one != same])


def belongs(Pack pack not None, str process_id not None):
    """(id, SHA-256 of the spec) of each other spec that the digest of a process covers."""
    return [(pack.text(<bytes>id, len(id)), spec)
            for id, spec in belonging(pack, pack.find(process_id))]


def own_digest(Pack pack not None, str process_id not None):
    """The SHA-256 of the spec of one process, alone."""
    return spec_digest(pack, pack.find(process_id))


def process_digest(Pack pack not None, str process_id not None):
    """The SHA-256 of one process and what belongs to it."""
    cdef uint32_t index = pack.find(process_id)
    cdef list others
    digest = pack.process_digests.get(index)
    if digest is None:
        others = belonging(pack, index)
        if others:
            hashed = hash_of_spec(pack, index)
            for id, spec in others:
                hashed.update(len(id).to_bytes(4, "little") + id + spec)
            digest = hashed.digest()
        else:
            digest = spec_digest(pack, index)
        pack.process_digests[index] = digest
    return digest
