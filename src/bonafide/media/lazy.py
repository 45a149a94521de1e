"""Fields that are computed at first use, under a lock of their own."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from typing import Any, Generic, Self, TypeVar, overload

T = TypeVar("T")


class lazy(Generic[T]):  # noqa: N801, used as a decorator like `property`
    """Like `functools.cached_property`, safe between threads.

    Each field of each object has its own lock: threads that ask for different fields do not wait
    for each other, and no field is computed twice. An exception is raised at every access.
    """

    def __init__(self, compute: Callable[[Any], T]) -> None:
        self._compute = compute
        self.__doc__ = compute.__doc__

    def __set_name__(self, _owner: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, instance: None, owner: type) -> Self: ...

    @overload
    def __get__(self, instance: object, owner: type | None = None) -> T: ...

    def __get__(self, instance: object | None, owner: type | None = None) -> Any:
        if instance is None:
            return self
        # Only reached while the object's dictionary does not hold the value.
        fields = vars(instance)
        lock = fields.setdefault(f"_{self._name}_lock", threading.RLock())  # atomic in a dict
        with lock:
            return self._value(instance, fields)

    def _value(self, instance: object, fields: dict[str, Any]) -> T:
        if self._name not in fields:
            fields[self._name] = self._compute(instance)
        value: T = fields[self._name]
        return value


class lent(lazy[T]):  # noqa: N801, used as a decorator like `property`
    """Like `lazy`, for a large value that is quick to compute again.

    It lives as long as somebody uses it: those who read the field at the same time share one
    value, and nothing is kept between them.
    """

    def _value(self, instance: object, fields: dict[str, Any]) -> T:
        held = fields.get(f"_{self._name}_held")
        value: T | None = held() if held is not None else None
        if value is None:
            value = self._compute(instance)
            fields[f"_{self._name}_held"] = weakref.ref(value)
        return value
