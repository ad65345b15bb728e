"""Dicts that cost nothing as long as nobody looks into them."""

from __future__ import annotations

from functools import wraps
from typing import Any, Callable, Optional

_put = dict.__setitem__


class LazyDict(dict[str, Any]):
    """A dict that is made when somebody first looks into it."""

    __slots__ = ("_make",)

    def __init__(self, make: Callable[[], dict[str, Any]]) -> None:
        # Not empty: json writes a dict that is without looking into it.
        _put(self, "", None)
        self._make: Optional[Callable[[], dict[str, Any]]] = make

    @property
    def filled(self) -> bool:
        """Whether somebody has looked into it."""
        return self._make is None

    def fill(self) -> None:
        """Makes it now."""
        make, self._make = self._make, None
        if make is not None:
            dict.clear(self)
            dict.update(self, make())

    def __reduce__(self) -> tuple[Any, ...]:
        return dict, (dict(self),)


def _looked_at(name: str) -> Any:
    method = getattr(dict, name)

    @wraps(method)
    def look(self: LazyDict, *args: Any, **kwargs: Any) -> Any:
        self.fill()
        return method(self, *args, **kwargs)

    return look


for _name in (
    *("__contains__", "__delitem__", "__eq__", "__getitem__", "__ior__", "__iter__", "__len__"),
    *("__ne__", "__or__", "__repr__", "__reversed__", "__ror__", "__setitem__", "clear", "copy"),
    *("get", "items", "keys", "pop", "popitem", "setdefault", "update", "values"),
):
    setattr(LazyDict, _name, _looked_at(_name))
