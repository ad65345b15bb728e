"""Aliases that replace a serializer, its registry and a converter during one call.

An alias belongs to a subclass of its original's class and shares the `__dict__` of its original.
So the application's methods read and set all attributes on the original. An alias overrides only
the few methods in this module. Each of them asks the current `Call` what to do: every save and
every resume is a call. The aliases are made once, and each thread has its own current call.
"""

from __future__ import annotations

import threading
from functools import lru_cache, partial
from types import MethodType
from typing import Any, Callable, Optional

from .encoding import faster


class _Now(threading.local):
    """The call that this thread is in."""

    call: Optional[Call] = None


_NOW = _Now()
_NONE: tuple[Any, dict[str, Any]] = (None, {})


class Aliases:
    """The aliases of one serializer. Safe to use from several threads at once."""

    def __init__(self, serializer: Any) -> None:
        self.original = serializer.registry
        self.given = serializer
        self._encoders: tuple[Any, Any] = (self, None)  # the last class, and the faster one
        self.serializer = _alias(_serializer_class, serializer, self)
        self.registry = _alias(_registry_class, self.original, self)
        self._tables: dict[tuple[str, Any], tuple[Any, dict[str, Any]]] = {}

    def conversions(self, direction: str) -> dict[str, Any]:
        """A table of the registry, with an alias in place of the workflow's converter.

        `direction` is the registry's attribute: "convert_to_dict" or "convert_from_dict".
        """
        table: dict[str, Any] = self.original.__dict__[direction]
        call = _NOW.call
        conversion = None if call is None else table.get(call.typename)
        if call is None or conversion is None:
            return table
        key = direction, call.typename
        was, known = self._tables.get(key, _NONE)
        if was is not conversion or len(known) != len(table):
            known = {**table, call.typename: self._aliased(conversion)}
            self._tables[key] = conversion, known
        return known

    def encoder(self, given: Any) -> Any:
        """The class that writes what an encoder class of the serializer writes, but faster."""
        known, made = self._encoders
        if known is not given:
            made = faster(given)
            self._encoders = given, made
        return made

    def has_converter(self, typename: Any) -> bool:
        """Whether a converter, and not a plain function, restores the workflow of a call."""
        name = "convert_from_dict"
        return self.conversions(name).get(typename) is not self.original.__dict__[name].get(
            typename
        )

    def _aliased(self, conversion: Any) -> Any:
        """The conversion with an alias of its converter, or unchanged if it has no converter."""
        for method in (conversion, *getattr(conversion, "args", ())):
            converter = getattr(method, "__self__", None)
            if getattr(converter, "registry", None) is self.original:
                break
        else:
            return conversion
        alias = _alias(_converter_class, converter, self)
        alias._units_converter = converter
        aliased = MethodType(method.__func__, alias)
        if method is conversion:
            return aliased
        args = [aliased if arg is method else arg for arg in conversion.args]
        return partial(conversion.func, *args, **conversion.keywords)


class Call:
    """One save or resume. Its subclasses say what the aliases do differently."""

    typename: Any = None  # the typename of the workflow, when it is known

    def __init__(self, aliases: Aliases) -> None:
        self.aliases = aliases
        self.original = aliases.original
        self._outer: Optional[Call] = None

    def __enter__(self) -> Any:
        """Return the serializer's alias. It serves this call until the `with` block ends."""
        self._outer, _NOW.call = _NOW.call, self
        return self.aliases.serializer

    def __exit__(self, *error: object) -> None:
        _NOW.call = self._outer

    def to_dict(self, native: Callable[..., Any], obj: Any, kwargs: dict[str, Any]) -> Any:
        """The serializer's `to_dict`."""
        return native(obj, **kwargs)

    def migrate(self, native: Callable[..., Any], run: Any) -> Any:
        """The serializer's `migrate`."""
        return native(run)

    def encoder(self, given: Any) -> Any:
        """The class that `json.dumps` gets in place of the serializer's own."""
        return given

    def convert(self, native: Callable[..., Any], obj: Any, kwargs: dict[str, Any]) -> Any:
        """The registry's `convert`."""
        return self.original.convert(obj, **kwargs)

    def restore(self, native: Callable[..., Any], value: Any, kwargs: dict[str, Any]) -> Any:
        """The registry's `restore`."""
        return self.original.restore(value, **kwargs)

    def mapping_to_dict(self, mapping: Any) -> Any:
        """The result of a converter's `mapping_to_dict`; None to call the converter's own."""
        return None

    def specs_from_dict(self, mapping: Any) -> Any:
        """The specs for a converter's `mapping_from_dict`; None to call the converter's own."""
        return None

    def subprocesses_from_dict(
        self, native: Callable[..., Any], dct: dict[str, Any], workflow: Any, rest: Any
    ) -> Any:
        """A converter's `subprocesses_from_dict`."""
        return native(dct, workflow, *rest)


def _alias(make_class: Callable[[type], type], original: Any, aliases: Aliases) -> Any:
    alias: Any = object.__new__(make_class(type(original)))
    object.__setattr__(alias, "__dict__", original.__dict__)
    alias._units_aliases = aliases
    return alias


def _call(alias: Any) -> Call:
    """The current call. Outside of any call, one that does everything as the original."""
    return _NOW.call or Call(alias._units_aliases)


def _encoder(name: str) -> property:
    def given(alias: Any) -> Any:
        return _call(alias).encoder(getattr(alias._units_aliases.given, name))

    def put(alias: Any, encoder: Any) -> None:
        setattr(alias._units_aliases.given, name, encoder)

    return property(given, put)


@lru_cache(maxsize=256)
def _serializer_class(base: Any) -> type:
    class Alias(base):  # type: ignore[misc]
        __slots__ = ("_units_aliases",)

        @property
        def registry(self) -> Any:
            return self._units_aliases.registry

        json_encoder_cls = _encoder("json_encoder_cls")
        _encoder_cls = _encoder("_encoder_cls")  # since SpiffWorkflow 3.2

        def to_dict(self, obj: Any, **kwargs: Any) -> Any:
            return _call(self).to_dict(super().to_dict, obj, kwargs)

        def migrate(self, dct: Any) -> Any:
            return _call(self).migrate(super().migrate, dct)

    return _named_as(base, Alias)


@lru_cache(maxsize=256)
def _registry_class(base: Any) -> type:
    class Alias(base):  # type: ignore[misc]
        __slots__ = ("_units_aliases",)

        @property
        def convert_to_dict(self) -> Any:
            return self._units_aliases.conversions("convert_to_dict")

        @property
        def convert_from_dict(self) -> Any:
            return self._units_aliases.conversions("convert_from_dict")

        def convert(self, obj: Any, **kwargs: Any) -> Any:
            return _call(self).convert(super().convert, obj, kwargs)

        def restore(self, value: Any, **kwargs: Any) -> Any:
            return _call(self).restore(super().restore, value, kwargs)

    return _named_as(base, Alias)


@lru_cache(maxsize=256)
def _converter_class(base: Any) -> type:
    class Alias(base):  # type: ignore[misc]
        __slots__ = ("_units_aliases", "_units_converter")

        @property
        def registry(self) -> Any:
            return self._units_aliases.registry

        def mapping_to_dict(self, mapping: Any, **kwargs: Any) -> Any:
            made = _call(self).mapping_to_dict(mapping)
            if made is not None:
                return made
            return self._units_converter.mapping_to_dict(mapping, **kwargs)

        def mapping_from_dict(self, mapping: Any, *args: Any, **kwargs: Any) -> Any:
            specs = _call(self).specs_from_dict(mapping)
            if specs is not None:
                return specs
            return self._units_converter.mapping_from_dict(mapping, *args, **kwargs)

        def subprocesses_from_dict(self, dct: Any, workflow: Any, *rest: Any) -> Any:
            native = super().subprocesses_from_dict
            return _call(self).subprocesses_from_dict(native, dct, workflow, rest)

    return _named_as(base, Alias)


def _named_as(base: type, alias: type) -> type:
    alias.__name__, alias.__qualname__ = base.__name__, base.__qualname__
    alias.__module__ = base.__module__
    return alias
