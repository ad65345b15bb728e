"""C declarations of spec, for the modules above it."""

from libc.stdint cimport uint32_t

from .ids cimport Id, Ids
from .model cimport Model, Process
from .scan cimport Slice
from .slicer cimport Found, ProcessSpec, Slices, TaskSpec

cdef enum:
    UNKNOWN = 0xFFFFFFFF    # NOWHERE: every field of a new id has this value
    NOTHING = 0xFFFFFFFE


cdef struct Named:
    # What is known of an id in the process spec that is being read.
    uint32_t link           # of a task spec: its own reference, a number of the model's links
    uint32_t target         # of a task spec: the rank that it refers to, itself or through others
    uint32_t element        # number of the element, from the process's first on
    uint32_t place          # in the process's strings


cdef class Spec:
    """The process spec that is being read; `turn_to` chooses it."""
    cdef Model model
    cdef Slices slices
    cdef Found* found
    cdef ProcessSpec* spec
    cdef Process* process
    cdef Ids ids            # in the spec: the names of task specs first, each with the number of
    #                         the last task spec of that name
    cdef uint32_t tasks     # so many of the ids are names of task specs
    cdef Named* named       # by number of the id
    cdef uint32_t named_count, named_room
    cdef int turn_to(self, uint32_t rank) except -1
    cdef int name_tasks(self) except -1
    cdef bint is_root(self) noexcept
    cdef unsigned char first(self, Slice value) noexcept
    cdef Id string(self, Slice token) except *
    cdef uint32_t number_of(self, Slice token) except? 0xFFFFFFFFu
    cdef uint32_t number(self, Id id) except? 0xFFFFFFFFu
    cdef TaskSpec* task(self, uint32_t number) noexcept
    cdef object fault(self, str kind, dict values)
    cdef object wrong_field(self, TaskSpec* task, str field, Slice value)
    cdef int require_fields(self) except -1
