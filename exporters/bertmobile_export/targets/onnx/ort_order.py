"""Gives ``.ort`` files one order.

ONNX Runtime writes the types that its kernels ask for in the order of a hash table, which differs from one
conversion to the next, and with it the padding around it. That table is written anew, sorted, at the end of
the file. The format is onnxruntime/core/flatbuffers/schema/ort.fbs.
"""

from importlib import import_module
from typing import Any

import flatbuffers
import onnxruntime.tools.ort_format_model  # puts the modules for the format on the path  # noqa: F401
from flatbuffers import number_types

(
    ArgTypeAndIndex,
    InferenceSession,
    KernelTypeStrArgsEntry,
    KernelTypeStrResolver,
    OpIdKernelTypeStrArgsEntry,
) = (
    import_module(f"ort_flatbuffers_py.fbs.{name}")
    for name in (
        "ArgTypeAndIndex",
        "InferenceSession",
        "KernelTypeStrArgsEntry",
        "KernelTypeStrResolver",
        "OpIdKernelTypeStrArgsEntry",
    )
)

_ALIGNMENT = 16
_PREFIX = 8  # where the first table is, and the format's identifier
# Fields of InferenceSession's table: what is written before the types, and the types.
_VERSION, _MODEL, _TYPES = 4, 6, 10
# For each operator, and each name of a type in it: the arguments that have the type, as kind and index.
_Types = list[tuple[bytes, list[tuple[bytes, list[tuple[int, int]]]]]]


def sort_kernel_types(content: bytes) -> bytes:
    """The same model with its kernels' types in alphabetical order."""
    session: Any = InferenceSession.InferenceSession.GetRootAs(content)
    table = session._tab
    # A buffer is written from its end: first the model, then the types, then this table, and in front of it
    # what aligns them. Offsets are relative, so the parts can be moved.
    model_start = _start(session.Model()._tab)
    head, model = content[_start(table) : _end(table)], content[model_start:]
    types = _built(_read(session.KernelTypeStrResolver()))
    moved_table = _PREFIX + table.Pos - _start(table)
    moved_model = _PREFIX + len(head)
    moved_model += -(moved_model + len(model)) % _ALIGNMENT
    result = bytearray(content[:_PREFIX] + head).ljust(moved_model, b"\0") + model + types
    _point(result, 0, moved_table)
    for field in (_VERSION, _MODEL):
        place = table.Pos + table.Offset(field)
        target = place + table.Get(number_types.UOffsetTFlags, place)
        _point(result, moved_table + table.Offset(field), target - model_start + moved_model)
    start = moved_model + len(model)
    root = flatbuffers.encode.Get(number_types.UOffsetTFlags.packer_type, types, 0)
    _point(result, moved_table + table.Offset(_TYPES), start + root)
    return bytes(result)


def _point(content: bytearray, place: int, target: int) -> None:
    """Make the offset at ``place`` lead to ``target``."""
    flatbuffers.encode.Write(number_types.UOffsetTFlags.packer_type, content, place, target - place)


def _description(table: Any) -> int:
    """Where a table's own description (vtable) is."""
    return int(table.Pos - table.Get(number_types.SOffsetTFlags, table.Pos))


def _start(table: Any) -> int:
    return min(int(table.Pos), _description(table))


def _end(table: Any) -> int:
    size = table.Get(number_types.VOffsetTFlags, _description(table) + 2)
    return int(table.Pos + size)


def _read(resolver: Any) -> _Types:
    operators = map(resolver.OpKernelTypeStrArgs, range(resolver.OpKernelTypeStrArgsLength()))
    return sorted((operator.OpId(), sorted(_read_names(operator))) for operator in operators)


def _read_names(operator: Any) -> list[tuple[bytes, list[tuple[int, int]]]]:
    names = map(operator.KernelTypeStrArgs, range(operator.KernelTypeStrArgsLength()))
    return [
        (
            name.KernelTypeStr(),
            [(each.ArgType(), each.Index()) for each in map(name.Args, range(name.ArgsLength()))],
        )
        for name in names
    ]


def _built(types: _Types) -> bytes:
    builder = flatbuffers.Builder()
    operators = []
    for operator, names in types:
        entries = []
        for name, arguments in names:
            indices = []
            for kind, index in arguments:
                ArgTypeAndIndex.Start(builder)
                ArgTypeAndIndex.AddArgType(builder, kind)
                ArgTypeAndIndex.AddIndex(builder, index)
                indices.append(ArgTypeAndIndex.End(builder))
            spelt, vector = builder.CreateSharedString(name), _vector(builder, indices)
            KernelTypeStrArgsEntry.Start(builder)
            KernelTypeStrArgsEntry.AddKernelTypeStr(builder, spelt)
            KernelTypeStrArgsEntry.AddArgs(builder, vector)
            entries.append(KernelTypeStrArgsEntry.End(builder))
        spelt, vector = builder.CreateSharedString(operator), _vector(builder, entries)
        OpIdKernelTypeStrArgsEntry.Start(builder)
        OpIdKernelTypeStrArgsEntry.AddOpId(builder, spelt)
        OpIdKernelTypeStrArgsEntry.AddKernelTypeStrArgs(builder, vector)
        operators.append(OpIdKernelTypeStrArgsEntry.End(builder))
    vector = _vector(builder, operators)
    KernelTypeStrResolver.Start(builder)
    KernelTypeStrResolver.AddOpKernelTypeStrArgs(builder, vector)
    builder.Finish(KernelTypeStrResolver.End(builder))
    return bytes(builder.Output())


def _vector(builder: Any, offsets: list[int]) -> int:
    builder.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        builder.PrependUOffsetTRelative(offset)
    return int(builder.EndVector())
