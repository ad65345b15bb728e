"""C declarations of state, for the modules above it."""

from libc.stdint cimport uint32_t

from .tasks cimport Found
from .text cimport Text


cdef class State:
    cdef Text source
    cdef const unsigned char* data
    cdef Found found
    cdef uint32_t* slots    # a table of tasks by id: their numbers plus 1
    cdef uint32_t mask
    cdef uint32_t* kids     # the subprocesses at the tasks of each process, in task order
    cdef uint32_t* reached  # the reached subprocesses, each followed by those below it
    cdef uint32_t reached_count
    cdef uint32_t task_of(self, const unsigned char* id) noexcept nogil
    cdef uint32_t process_of(self, uint32_t task) noexcept nogil
    cdef bint read(self, bint writes_completed) except -1
    cdef int number_tasks(self) except -1
    cdef int connect(self) except -1
    cdef void find_kids(self, uint32_t* at_task) noexcept nogil
    cdef void walk(self) noexcept nogil
