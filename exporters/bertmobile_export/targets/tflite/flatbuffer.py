"""Reading and writing TFLite flatbuffers (schema.fbs, version 3) without a second copy of the weights."""

import hashlib
import re
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.tools import flatbuffer_utils
from numpy.typing import NDArray

# The runtime maps the file; weights aligned to a cache line can be used where they lie.
ALIGNMENT = 64
# Anything smaller stays inside the flatbuffer: shape operands must be readable while the graph is built.
INLINE_BYTES = 1024

# The converter names tensors after Python modules; the class path tells nobody anything and, repeated for
# every tensor of every length, fills a quarter of a megabyte.
_CLASS_PATH = re.compile(r"(?:\w+\.)+(?=\w)")

# The schema is generated without types.
Model: TypeAlias = Any

_OPERATORS: dict[int, str] = {
    code: name for name, code in vars(schema.BuiltinOperator).items() if isinstance(code, int)
}


def read(content: bytes | bytearray | memoryview) -> Model:
    """Parse a model; buffers are views into ``content``."""
    return flatbuffer_utils.read_model_from_bytearray(content)


def operator_name(model: Model, operator: schema.OperatorT) -> str:
    """The builtin operator's name in the schema, such as ``FULLY_CONNECTED``."""
    return _OPERATORS[model.operatorCodes[operator.opcodeIndex].builtinCode]


def operator_code(model: Model, builtin: int) -> int:
    """The index of a builtin operator among the model's codes; added, in version 1, where it is missing."""
    for index, code in enumerate(model.operatorCodes):
        if code.builtinCode == builtin:
            return index
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = builtin
    model.operatorCodes.append(code)
    return len(model.operatorCodes) - 1


def add_buffer(model: Model, data: NDArray[np.uint8]) -> int:
    """Append a buffer; returns its index."""
    buffer = schema.BufferT()
    buffer.data = data
    model.buffers.append(buffer)
    return len(model.buffers) - 1


def constant(model: Model, tensor: schema.TensorT) -> NDArray[np.uint8] | None:
    """The raw bytes of a constant tensor, or None when it is computed at run time."""
    data = model.buffers[tensor.buffer].data
    return None if data is None or len(data) == 0 else _raw(data)


def _raw(data: bytes | memoryview | NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A buffer's content, which the parser gives as an array, or as bytes when it lay outside."""
    return data if isinstance(data, np.ndarray) else np.frombuffer(data, dtype=np.uint8)


class _PackedOnce:
    """Gives every table that refers to the same quantization parameters the same stored copy.

    Each signature repeats its weights' scales and zero points: 12 bytes a channel, 0.8 MB for each
    signature of an 8-layer, 512-wide BERT with a tied decoder.
    """

    def __init__(self, table: schema.QuantizationParametersT) -> None:
        self._table = table
        self._offset: int | None = None

    def Pack(self, builder: Any) -> int:
        if self._offset is None:
            self._offset = self._table.Pack(builder)
        return self._offset


def _fingerprint(table: schema.QuantizationParametersT) -> tuple[object, ...]:
    def digest(values: object) -> bytes | None:
        return None if values is None else np.asarray(values).tobytes()

    return (
        digest(table.scale),
        digest(table.zeroPoint),
        table.quantizedDimension,
        table.detailsType,
        None if table.details is None else repr(sorted(vars(table.details).items())),
    )


def _share_quantization(model: Model) -> None:
    shared: dict[tuple[object, ...], _PackedOnce] = {}
    for subgraph in model.subgraphs:
        for tensor in subgraph.tensors:
            table = tensor.quantization
            if table is None:
                continue
            # Observed ranges are of use to the quantizer only.
            table.min = table.max = None
            used = (table.scale is not None and len(table.scale)) or table.details is not None
            tensor.quantization = shared.setdefault(_fingerprint(table), _PackedOnce(table)) if used else None


def _share_buffers(model: Model) -> None:
    """Point tensors with equal constants to one buffer and drop the buffers that nothing uses.

    Buffer 0 stays empty, as the schema demands; metadata keep theirs.
    """
    kept = [model.buffers[0]]
    by_content: dict[tuple[int, bytes], int] = {}
    renumbered: dict[int, int] = {0: 0}

    def keep(index: int) -> int:
        if index not in renumbered:
            data = model.buffers[index].data
            if data is None or len(data) == 0:
                renumbered[index] = 0
            else:
                raw = _raw(data)
                key = (raw.size, hashlib.sha256(raw.data).digest())
                if key not in by_content:
                    by_content[key] = len(kept)
                    kept.append(model.buffers[index])
                renumbered[index] = by_content[key]
        return renumbered[index]

    for subgraph in model.subgraphs:
        for tensor in subgraph.tensors:
            tensor.buffer = keep(tensor.buffer)
    for entry in model.metadata or []:
        entry.buffer = keep(entry.buffer)
    model.buffers = kept


def _shorten_names(model: Model) -> None:
    for subgraph in model.subgraphs:
        for tensor in subgraph.tensors:
            if tensor.name:
                tensor.name = _CLASS_PATH.sub("", tensor.name.decode()).encode()


def write(model: Model, path: Path) -> None:
    """Write a model, deterministically: equal constants once, large ones streamed behind the flatbuffer.

    Metadata stay inside it, where readers look for them.

    ``model`` is used up: its buffers and quantization tables are not fit for use afterwards.

    The schema lets a buffer live outside the flatbuffer at a given offset of the file; the runtime maps it
    from there. Packing the weights into the flatbuffer would hold them in memory twice more.
    """
    _share_buffers(model)
    _share_quantization(model)
    _shorten_names(model)
    inside = {entry.buffer for entry in model.metadata or []}
    outside: dict[int, NDArray[np.uint8]] = {}
    for index, buffer in enumerate(model.buffers):
        if index not in inside and buffer.data is not None and len(buffer.data) > INLINE_BYTES:
            outside[index] = _raw(buffer.data)
            # Not the default value, so that the builder reserves the two fields.
            buffer.data, buffer.offset, buffer.size = None, 1, 1
    head = flatbuffer_utils.convert_object_to_bytearray(model)
    packed = schema.Model.GetRootAs(head)
    offset = len(head)
    placed: list[tuple[int, NDArray[np.uint8]]] = []
    for index, data in outside.items():
        offset += -offset % ALIGNMENT
        flatbuffer_utils.update_packed_buffer(packed.Buffers(index), offset=offset, size=data.size)
        placed.append((offset, data))
        offset += data.size
    with path.open("wb") as file:
        file.write(head)
        for start, data in placed:
            file.write(b"\0" * (start - file.tell()))
            file.write(data.data)
