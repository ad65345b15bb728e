"""C declarations of state, for the modules above it."""

from libc.stdint cimport uint32_t

from .slicer cimport Text


cdef struct Task:
    uint32_t id_at          # its id's first character
    uint32_t name_at        # the string that names its element
    uint32_t time_at        # the number of its last change; 0: there is none


cdef struct Process:
    # The root, or a subprocess. Places are in the text.
    uint32_t id_at
    uint32_t at             # the value
    uint32_t length
    uint32_t spec_at        # the strings of its members
    uint32_t typename_at
    uint32_t first          # of its tasks
    uint32_t count
    uint32_t parent         # the process with its parent task
    uint32_t task           # that task
    uint32_t first_kid      # of the subprocesses at its tasks
    uint32_t kid_count
    uint32_t states         # of its tasks
    bint reached            # from the root
    bint settled


cdef struct Found:
    Process* processes      # the root first
    uint32_t process_count
    uint32_t process_room
    Task* tasks
    uint32_t task_count
    uint32_t task_room
    uint32_t opening        # behind the bracket of "subprocesses"
    uint32_t closing        # its closing bracket


cdef struct Chunk:
    const unsigned char* data
    size_t length


cdef class Chunks:
    cdef Chunk* chunks
    cdef size_t count, size
    cdef bint ascii
    cdef void add(self, const unsigned char* data, size_t length) noexcept
    cdef str joined(self)


cdef class Cut:
    cdef Text source
    cdef const unsigned char* data
    cdef bint of_piece
    cdef Found found
    cdef uint32_t* slots    # task numbers plus 1, by the hash of the id
    cdef uint32_t mask
    cdef uint32_t* kids     # the subprocesses at each process's tasks
    cdef uint32_t kid_count
    cdef uint32_t* reached  # subprocesses, each before those below it
    cdef uint32_t reached_count
    cdef uint32_t task_of(self, const unsigned char* id) noexcept nogil
    cdef bint number_tasks(self) except -1
    cdef int connect(self) except -1
    cdef void walk(self) noexcept
    cdef Process* process(self, Py_ssize_t number) except NULL
    cdef Process* subprocess(self, Py_ssize_t number) except NULL
    cdef Process* left(self, Py_ssize_t number) except NULL
    cdef uint32_t process_of(self, uint32_t task) noexcept
    cdef uint32_t find_task(self, str id)
    cdef str slice(self, uint32_t at, size_t length)
    cdef str string(self, uint32_t at)
    cdef bint is_named(self, Process* one, str name, bytes encoded, dict known) except -1
    cdef double last_change(self, Process* one) except? -1.0
    cdef void add_member(self, Chunks chunks, uint32_t number) noexcept
