"""C declarations of references, for the modules above it."""

from libc.stdint cimport uint32_t

from .ids cimport Id
from .slicer cimport TaskSpec
from .spec cimport Spec


cdef class References(Spec):
    cdef uint32_t* numbers
    cdef uint32_t numbers_room
    cdef int read_links(self) except -1
    cdef bint read_task(self, uint32_t number) except -1
    cdef bint waits(self, TaskSpec* start_event) except -1
    cdef uint32_t start_task(self) except? 0xFFFFFFFFu
    cdef int trigger_by_events(self, uint32_t task) except -1
    cdef int read_triggers(self, TaskSpec* task, uint32_t number) except -1
    cdef int add_link(self, uint32_t kind, Id name, uint32_t task) except -1
    cdef int follow(self, uint32_t number) except -1
