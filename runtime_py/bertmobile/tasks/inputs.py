"""What one input of a task is made of, and how a caller may write it."""

from collections.abc import Mapping
from dataclasses import dataclass

from bertmobile.errors import UsageError


@dataclass(frozen=True)
class Fields:
    """Names of a task's texts: ``first``, and ``second`` where there may be, or must be, another one."""

    first: str = "text"
    second: str | None = None
    second_required: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        return (self.first,) if self.second is None else (self.first, self.second)

    def read(self, item: object) -> tuple[str, str | None]:
        """The texts of one input: a string, a pair as a tuple, or a dictionary of the fields.

        Raises:
            UsageError: anything else; the message says what the task takes.
        """
        match item:
            case str():
                texts: tuple[object, object] = (item, None)
            case (first, second) if isinstance(item, tuple):
                texts = (first, second)
            case [[first, second]] if isinstance(item, list):  # the pipeline's older way to write a pair
                texts = (first, second)
            case Mapping():
                unknown = [str(key) for key in item if key not in self.names]
                if unknown:
                    raise self._refused(f"the field {', '.join(unknown)}")
                texts = (item.get(self.first), item.get(self.second))
            case _:
                raise self._refused(type(item).__name__)
        first, second = texts
        if second is not None and self.second is None:
            raise self._refused("a pair")
        if not isinstance(first, str):
            raise self._refused(f"{self.first} of type {type(first).__name__}")
        if second is None and not self.second_required:
            return first, None
        if not isinstance(second, str):
            raise self._refused(
                "a single text" if second is None else f"{self.second} of type {type(second).__name__}"
            )
        return first, second

    def _refused(self, what: str) -> UsageError:
        pair = f"a pair ({self.first}, {self.second})"
        if self.second is None:
            takes = f"a string ({self.first})"
        elif self.second_required:
            takes = pair
        else:
            takes = f"a string ({self.first}) or {pair}"
        return UsageError(f"the task takes {takes}, or a list of such, not {what}")


def always(name: str, value: object) -> None:
    """An option for what is done in any case.

    Raises:
        UsageError: a value other than True.
    """
    if value is not True:
        raise UsageError(f"{name} can only be True, not {value!r}; leave it out")


def at_least_one(name: str, value: object) -> int:
    """An option that counts something.

    Raises:
        UsageError: not an integer of 1 or more.
    """
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise UsageError(f"{name} must be an integer of 1 or more, not {value!r}")
    return value
