"""What a class of an API is, as far as the descriptions say."""

from collections.abc import Mapping
from dataclasses import dataclass, field

# Java's names of the types that Python and TypeScript write in the same way.
INTEGERS = ("I", "J", "S", "B")
FLOATS = ("F", "D")
TEXTS = ("Ljava/lang/String;", "C")


@dataclass(frozen=True)
class Type:
    """A type of a field, a parameter or a result.

    ``descriptors`` are its erasure as class files have it. They are several where a description says "a whole
    number", the likeliest first.
    """

    descriptors: tuple[str, ...]
    signature: str
    nullable: bool = False

    @property
    def is_generic(self) -> bool:
        """Whether the signature says more than the erasure."""
        return self.signature not in self.descriptors

    def as_descriptor(self, descriptor: str) -> "Type":
        """The same type, when it is known which of the descriptors it has."""
        signature = self.signature if self.is_generic else descriptor
        return Type((descriptor,), signature, self.nullable)


@dataclass(frozen=True)
class TypeParameter:
    """``T extends Bound``."""

    name: str
    bound: Type

    @property
    def signature(self) -> str:
        """As class files have it."""
        return f"{self.name}:{self.bound.signature}"


@dataclass(frozen=True)
class Field:
    """A field; ``value`` is that of a constant."""

    name: str
    type: Type
    static: bool
    value: int | float | str | bool | None = None
    deprecated: bool = False


@dataclass(frozen=True)
class Method:
    """A method, or a constructor of the name ``<init>``."""

    name: str
    parameters: tuple[Type, ...]
    result: Type
    static: bool = False
    varargs: bool = False
    type_parameters: tuple[TypeParameter, ...] = ()
    named: bool = True
    """Whether the description knows the parameters' names: only a method that has a body has them."""
    abstract: bool = False
    deprecated: bool = False


@dataclass
class Class:
    """A class or an interface; names are as in class files, such as ``android/view/View$OnClickListener``."""

    name: str
    bases: tuple[Type, ...]
    type_parameters: tuple[TypeParameter, ...] = ()
    fields: list[Field] = field(default_factory=list)
    methods: list[Method] = field(default_factory=list)
    interface: bool = False
    abstract: bool = False
    deprecated: bool = False

    @property
    def descriptor(self) -> str:
        """Of a value of this class."""
        return f"L{self.name};"

    @property
    def is_enum(self) -> bool:
        """Whether it extends ``Enum`` itself."""
        return self._extends("Ljava/lang/Enum;")

    @property
    def is_annotation(self) -> bool:
        """Whether it is an annotation's interface."""
        return self._extends("Ljava/lang/annotation/Annotation;")

    def _extends(self, descriptor: str) -> bool:
        return any(descriptor in base.descriptors for base in self.bases)


Classes = Mapping[str, Class]
