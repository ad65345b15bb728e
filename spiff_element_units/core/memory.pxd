"""Arrays in C memory that grow. The owner of an array frees it."""

from libc.stdint cimport uint32_t, uint64_t
from libc.stdlib cimport realloc


cdef inline void* room(
    void* array, uint64_t count, uint32_t* capacity, size_t size
) noexcept nogil:
    """The array with room for one item more than `count`.

    Returns NULL if there is no memory, and the array stays as it was. An array doubles when it is
    full, so the time to fill it is proportional to its final size.
    """
    cdef uint64_t wanted = 2 * <uint64_t>capacity[0] + 16
    cdef void* grown
    if count < capacity[0]:
        return array
    grown = realloc(array, wanted * size) if wanted <= 0xFFFFFFFFu else NULL
    if grown != NULL:
        capacity[0] = <uint32_t>wanted
    return grown


cdef inline void* more(void* array, uint64_t count, uint32_t* capacity, size_t size) except NULL:
    """`room`, or MemoryError."""
    array = room(array, count, capacity, size)
    if array == NULL:
        raise MemoryError()
    return array
