"""C declarations of order, for the modules above it."""

from libc.stdint cimport uint32_t

from .model cimport Model


cdef class Numbers:
    cdef uint32_t* at

cdef Numbers numbers(size_t count, uint32_t value)


cdef class Targets:
    cdef Numbers first
    cdef Numbers ranks


cdef class Order:
    cdef Numbers ranks      # by index
    cdef Numbers runs       # by index
    cdef Numbers indexes    # by rank
    cdef Numbers stack      # ranks whose subtrees are not complete
    cdef Numbers next       # by rank: the next child to place
    cdef Targets children
    cdef uint32_t placed
    cdef void place(self, uint32_t rank) noexcept
    cdef void place_subtree(self, uint32_t rank) noexcept


cdef class Callers:
    cdef Numbers first
    cdef Numbers indexes
    cdef uint32_t count(self, uint32_t rank) noexcept

cdef Numbers leading(Model model, Order order, Callers callers)
