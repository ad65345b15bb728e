"""C declarations of model, for the modules above it."""

from libc.stdint cimport uint32_t, uint64_t

from .ids cimport Id, Ids
from .scan cimport Slice
from .slicer cimport Slices

cdef struct Element:
    Id id
    uint64_t hashed
    uint32_t targets    # how many; they follow those of the elements before it


cdef struct Link:
    # As in a pack. `name` and `element` are places in the process's strings.
    uint32_t kind
    uint32_t target     # rank or NOWHERE
    uint32_t name, name_length
    uint32_t element, element_length


cdef struct Process:
    # `first_x` and `x` are a range of the model's array `x`.
    Id id
    uint64_t hashed     # as an element id
    bint is_element     # whether an element of the process has its id
    bint by_events      # whether it has a start event that waits for something
    Slice key           # JSON token of the id
    Slice spec
    uint32_t source     # its number among the process specs that the slicer found
    uint32_t first_element, elements
    uint32_t first_target, targets
    uint32_t first_link, links
    uint32_t first_name, names
    uint64_t strings    # bytes: of the id, the key, the elements and the names


cdef class Model:
    """Processes by rank: the root first, then in the caller's order."""
    cdef Slices slices
    cdef list decoded       # keeps the ids alive that have escapes in the text
    cdef bint has_triggers  # whether any task spec has `trigger_specs`
    cdef Ids keys           # of subprocess_specs; the value is a rank, or NOWHERE for null
    cdef Process* processes
    cdef uint32_t count, process_room
    cdef Element* elements
    cdef uint32_t element_count, element_room
    cdef uint32_t* targets              # ranks
    cdef uint32_t target_count, target_room
    cdef Link* links
    cdef uint32_t link_count, link_room
    cdef Id* names                      # names of processes that are not names of elements
    cdef uint32_t name_count, name_room
    cdef uint32_t rank_of(self, Id name) noexcept
