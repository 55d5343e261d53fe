"""Gives ``.ort`` files one order.

ONNX Runtime writes the types that its kernels ask for in the order of a hash table, which differs from one
conversion to the next. That table is written anew, sorted, at the end of the file. The format is
onnxruntime/core/flatbuffers/schema/ort.fbs.
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
# The field of InferenceSession's table that holds the types.
_RESOLVER_FIELD = 10
# For each operator, and each name of a type in it: the arguments that have the type, as kind and index.
_Types = list[tuple[bytes, list[tuple[bytes, list[tuple[int, int]]]]]]


def sort_kernel_types(content: bytes) -> bytes:
    """The same model with its kernels' types in alphabetical order."""
    session: Any = InferenceSession.InferenceSession.GetRootAs(content)
    types = _built(_read(session.KernelTypeStrResolver()))
    table = session._tab
    field = table.Pos + table.Offset(_RESOLVER_FIELD)
    # What was written between the model and this table, in front of one and behind the other.
    start, end = _end(table), _start(session.Model()._tab)
    result = bytearray(content)
    result[start:end] = bytes(end - start)
    result += bytes(-len(result) % _ALIGNMENT)
    root = len(result) + flatbuffers.encode.Get(number_types.UOffsetTFlags.packer_type, types, 0)
    flatbuffers.encode.Write(number_types.UOffsetTFlags.packer_type, result, field, root - field)
    return bytes(result + types)


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
