"""Write classes as class files: what they declare, and bodies that throw.

The format is chapter 4 of the Java Virtual Machine Specification.
"""

import re
import struct
from collections.abc import Iterable, Sequence

from tests.mobile_demo_android.sdk.model import Class, Field, Method, Type

_PUBLIC, _STATIC, _FINAL, _SUPER, _VARARGS = 0x1, 0x8, 0x10, 0x20, 0x80
_INTERFACE, _ABSTRACT, _ANNOTATION, _ENUM = 0x200, 0x400, 0x2000, 0x4000
_JAVA_8 = 52
_NULLABLE = "Landroid/annotation/Nullable;"
_THROWS = b"\x01\xbf"  # aconst_null, athrow
_OBJECT = "java/lang/Object"
_NESTED = re.compile(r"(?:android|dalvik|java|javax|org)/[\w/]+\$[\w$]+")


def write(
    described: Class, superclass: Type | None, interfaces: Sequence[Type], inside: Iterable[str]
) -> bytes:
    """The class file; every type has one descriptor by now, and ``inside`` names the class's own classes."""
    pool = _Pool()
    access = _PUBLIC
    access |= _INTERFACE | _ABSTRACT if described.interface else _SUPER
    access |= _ANNOTATION * described.is_annotation
    access |= _ABSTRACT * described.abstract | (_ENUM | _FINAL) * described.is_enum
    body = struct.pack(
        ">3H", access, pool.type(described.name), pool.type(_internal(superclass) if superclass else _OBJECT)
    )
    body += _table(struct.pack(">H", pool.type(_internal(each))) for each in interfaces)
    body += _table(_field(pool, described, each) for each in described.fields)
    body += _table(_method(pool, described, each) for each in described.methods)
    parts = [*described.type_parameters, *([superclass] if superclass else []), *interfaces]
    attributes = []
    if described.type_parameters or any(base.is_generic for base in parts if isinstance(base, Type)):
        generics = "".join(each.signature for each in described.type_parameters)
        bases = "".join(each.signature for each in [superclass or _TYPE_OBJECT, *interfaces])
        attributes.append(
            _attribute(pool, "Signature", pool.index(f"<{generics}>{bases}" if generics else bases))
        )
    if described.deprecated:
        attributes.append(_attribute(pool, "Deprecated", b""))
    if nested := sorted({*pool.nested(), *inside}):
        attributes.append(_attribute(pool, "InnerClasses", _table(_inner(pool, name) for name in nested)))
    return struct.pack(">IHH", 0xCAFEBABE, 0, _JAVA_8) + pool.written() + body + _table(attributes)


_TYPE_OBJECT = Type((f"L{_OBJECT};",), f"L{_OBJECT};")


class _Pool:
    """The constants of one class file."""

    def __init__(self) -> None:
        self._entries: dict[bytes, int] = {}
        self._size = 1

    def text(self, text: str) -> int:
        written = text.encode()
        return self._add(b"\x01" + struct.pack(">H", len(written)) + written)

    def index(self, text: str) -> bytes:
        return struct.pack(">H", self.text(text))

    def type(self, name: str) -> int:
        return self._add(b"\x07" + self.index(name))

    def constant(self, descriptor: str, value: int | float | str | bool) -> int:
        if isinstance(value, str):
            return self._add(b"\x08" + self.index(value))
        if descriptor == "J":
            return self._add(b"\x05" + struct.pack(">q", value), wide=True)
        if descriptor == "F":
            return self._add(b"\x04" + struct.pack(">f", value))
        if descriptor == "D":
            return self._add(b"\x06" + struct.pack(">d", value), wide=True)
        return self._add(b"\x03" + struct.pack(">I", int(value) & 0xFFFFFFFF))

    def nested(self) -> set[str]:
        """The classes inside others that anything here names, with those around them."""
        found: set[str] = set()
        for entry in self._entries:
            if entry[0] == 1:
                for name in _NESTED.findall(entry[3:].decode()):
                    parts = name.split("$")
                    found.update("$".join(parts[:end]) for end in range(2, len(parts) + 1))
        return found

    def written(self) -> bytes:
        return struct.pack(">H", self._size) + b"".join(self._entries)

    def _add(self, entry: bytes, wide: bool = False) -> int:
        if entry not in self._entries:
            self._entries[entry] = self._size
            self._size += 1 + wide
        return self._entries[entry]


def _field(pool: _Pool, described: Class, declared: Field) -> bytes:
    access = _PUBLIC | (_STATIC | _FINAL) * declared.static
    descriptor = declared.type.descriptors[0]
    attributes = []
    if described.is_enum and descriptor == described.descriptor:
        access |= _ENUM
    if declared.value is not None:
        value = struct.pack(">H", pool.constant(descriptor, declared.value))
        attributes.append(_attribute(pool, "ConstantValue", value))
    if declared.type.is_generic:
        attributes.append(_attribute(pool, "Signature", pool.index(declared.type.signature)))
    if declared.deprecated:
        attributes.append(_attribute(pool, "Deprecated", b""))
    return struct.pack(">3H", access, pool.text(declared.name), pool.text(descriptor)) + _table(attributes)


def _method(pool: _Pool, described: Class, declared: Method) -> bytes:
    access = _PUBLIC | _STATIC * declared.static | _VARARGS * declared.varargs | _ABSTRACT * declared.abstract
    types = [*declared.parameters, declared.result]
    attributes = []
    if not declared.abstract:
        locals_ = 1 + 2 * len(types)
        code = struct.pack(">HHI", 1, locals_, len(_THROWS)) + _THROWS + struct.pack(">HH", 0, 0)
        attributes.append(_attribute(pool, "Code", code))
    if declared.type_parameters or any(each.is_generic for each in types):
        generics = "".join(each.signature for each in declared.type_parameters)
        parameters = "".join(each.signature for each in declared.parameters)
        signature = f"{f'<{generics}>' if generics else ''}({parameters}){declared.result.signature}"
        attributes.append(_attribute(pool, "Signature", pool.index(signature)))
    if declared.deprecated:
        attributes.append(_attribute(pool, "Deprecated", b""))
    if declared.result.nullable:
        annotation = struct.pack(">H", 1) + pool.index(_NULLABLE) + struct.pack(">H", 0)
        attributes.append(_attribute(pool, "RuntimeInvisibleAnnotations", annotation))
    descriptor = (
        f"({''.join(each.descriptors[0] for each in declared.parameters)}){declared.result.descriptors[0]}"
    )
    return struct.pack(">3H", access, pool.text(declared.name), pool.text(descriptor)) + _table(attributes)


def _inner(pool: _Pool, name: str) -> bytes:
    outer, _, simple = name.rpartition("$")
    # Whether it is a static class is not described; most are.
    return struct.pack(">4H", pool.type(name), pool.type(outer), pool.text(simple), _PUBLIC | _STATIC)


def _attribute(pool: _Pool, name: str, value: bytes) -> bytes:
    return struct.pack(">HI", pool.text(name), len(value)) + value


def _table(rows: Iterable[bytes]) -> bytes:
    rows = list(rows)
    return struct.pack(">H", len(rows)) + b"".join(rows)


def _internal(base: Type) -> str:
    return base.descriptors[0][1:-1]
