"""C declarations of slicer, for the modules above it."""

from libc.stdint cimport uint32_t

from .scan cimport Slice
from .text cimport Text


cdef struct Member:
    Slice key
    Slice value


cdef struct TaskSpec:
    # The members of a task spec that are needed. There are none if it is not an object.
    Slice key
    uint32_t first      # the value's first byte
    Slice name
    Slice bpmn_id
    Slice typename
    Slice spec
    Slice task_spec
    Slice trigger_specs
    Slice event_definition


cdef struct ProcessSpec:
    # The members of a process spec that are needed, and its range of task specs.
    Slice key
    Slice value
    Slice name
    Slice typename
    Slice task_specs
    uint32_t first_task
    uint32_t task_count


cdef struct Found:
    # Members with a repeated key are all kept. `root` and `subprocess_specs` are the last ones.
    ProcessSpec* processes
    uint32_t process_count
    uint32_t process_room
    TaskSpec* tasks
    uint32_t task_count
    uint32_t task_room
    Member* others          # top-level members other than the specs
    uint32_t other_count
    uint32_t other_room
    uint32_t root           # its number among the processes, plus 1; 0: there is none
    uint32_t first          # the subprocess specs: the first of them among the processes
    uint32_t count          # and how many
    Slice subprocess_specs


cdef class Slices:
    cdef Text text
    cdef bytes compact
    cdef const unsigned char* data
    cdef Found found
    cdef bytes bytes_of(self, Slice slice)
    cdef str string(self, Slice token)
    cdef void forget_tasks(self) noexcept


cpdef Slices slice_workflow(Text text)
