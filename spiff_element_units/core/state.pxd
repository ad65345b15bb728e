"""C declarations of state, for the modules above it."""

from libc.stdint cimport uint32_t

from .text cimport Text

cdef enum:
    UUID = 36               # characters of an id


cdef struct Task:
    # Places in the text.
    uint32_t id_at          # the first character of its id
    uint32_t name_at        # the string that names its element
    uint32_t time_at        # the number of its last change; 0: there is none
    bint childless          # its "children" are an empty array


cdef struct Process:
    # The root, or a subprocess. Places are in the text.
    uint32_t id_at
    uint32_t at             # the value
    uint32_t length
    uint32_t typename_at    # a string; 0: there is none
    uint32_t first          # of its tasks
    uint32_t count
    uint32_t task           # the parent task; NOWHERE: there is none
    uint32_t parent         # the process that has it; NOWHERE: there is none
    uint32_t first_kid      # of the subprocesses at its tasks, in `kids`
    uint32_t kid_count
    uint32_t states         # of its tasks
    bint reached            # from the root
    bint settled
    bint drifts             # a task without children has a subprocess, here or below


cdef struct Found:
    Process* processes      # the root, then the subprocesses
    uint32_t process_count
    uint32_t process_room
    Task* tasks             # those of a process follow one another
    uint32_t task_count
    uint32_t task_room
    uint32_t opening        # behind the bracket of "subprocesses"
    uint32_t closing        # its closing bracket


cdef class State:
    cdef Text source
    cdef const unsigned char* data
    cdef Found found
    cdef uint32_t* slots    # a table of tasks by id: their numbers plus 1
    cdef uint32_t mask
    cdef uint32_t* kids     # the subprocesses at the tasks of each process, in their order
    cdef uint32_t* reached  # the subprocesses that are, each followed by those below it
    cdef uint32_t reached_count
    cdef uint32_t task_of(self, const unsigned char* id) noexcept nogil
    cdef uint32_t process_of(self, uint32_t task) noexcept nogil
    cdef bint read(self, bint writes_completed) except -1
    cdef int number_tasks(self) except -1
    cdef int connect(self) except -1
    cdef void find_kids(self, uint32_t* at_task) noexcept nogil
    cdef void walk(self) noexcept nogil
