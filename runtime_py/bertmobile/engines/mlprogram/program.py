"""A program as plain data: operations, and the values of its constants (format: MIL.proto of coremltools)."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bertmobile.engines.mlprogram.constexpr import DECOMPRESSORS
from bertmobile.engines.mlprogram.kernels import round_to_half
from bertmobile.engines.mlprogram.weights import STORAGE, decode, stored_bytes
from bertmobile.errors import BundleError

Array = NDArray[Any]
# Values of no axes are Python's own: as an operand they take the type of the array they meet.
Constant = Array | int | float | bool | str
# (file name, offset, data type, number of values) -> [number] values
ReadBlob = Callable[[str, int, str, int], Array]

# MILSpec.DataType. Types that Core ML does not run, and ours never writes, are left out.
_DTYPES = {
    1: "bool",
    2: "string",
    10: "fp16",
    11: "fp32",
    21: "int8",
    22: "int16",
    23: "int32",
    25: "int4",
    31: "uint8",
    32: "uint16",
    33: "uint32",
    35: "uint4",
    36: "uint2",
    37: "uint1",
    38: "uint6",
    39: "uint3",
}


@dataclass(frozen=True)
class Tensor:
    """A value's name and declared type; a size of None is known only when the program runs.

    ``dtype`` is MIL's name: ``fp16``, ``fp32``, ``int32``, ``bool``, ...
    """

    name: str
    dtype: str
    shape: tuple[int | None, ...]


@dataclass(frozen=True)
class Operation:
    """One step: ``inputs`` holds for each parameter the names of its values, more than one for lists."""

    type: str
    name: str
    inputs: Mapping[str, tuple[str, ...]]
    outputs: tuple[Tensor, ...]


@dataclass(frozen=True)
class Program:
    """The main function of an ML Program.

    Attributes:
        inputs, outputs: what it takes and gives.
        operations: in an order in which they can run; without constants.
        constants: constants by name, compressed ones decompressed. Float arrays are float32, and hold values
            of float16 where the program declares that.
    """

    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    operations: tuple[Operation, ...]
    constants: Mapping[str, Constant]


def build_program(function: Any, read_blob: ReadBlob) -> Program:
    """Read a function of an ML Program.

    Args:
        function: MILSpec.Function.
        read_blob: gives the values of a blob of the weight files.

    Raises:
        BundleError: the function does not hold together, or a blob cannot be read.
    """
    return _Builder(read_blob).build(function)


class _Builder:
    def __init__(self, read_blob: ReadBlob) -> None:
        self._read_blob = read_blob
        self._constants: dict[str, Constant] = {}
        self._types: dict[str, Tensor] = {}
        # Constants that share a blob share the decoded values too.
        self._blobs: dict[tuple[str, int, str, tuple[int, ...]], Array] = {}

    def build(self, function: Any) -> Program:
        if function.opset not in function.block_specializations:
            raise _damaged(f"it has no block for {function.opset or 'any system version'}")
        block = function.block_specializations[function.opset]
        inputs = tuple(_tensor(entry) for entry in function.inputs)
        self._types.update((tensor.name, tensor) for tensor in inputs)
        operations = tuple(self._operations(block))
        for name in block.outputs:
            self._check_defined(name, "the outputs")
        return Program(
            inputs=inputs,
            outputs=tuple(self._types[name] for name in block.outputs),
            operations=operations,
            constants=self._constants,
        )

    def _operations(self, block: Any) -> Iterator[Operation]:
        for entry in block.operations:
            outputs = tuple(_tensor(output) for output in entry.outputs)
            if entry.type == "const":
                name = outputs[0].name
                self._constants[name] = _computable(self._value(entry.attributes["val"]))
            elif entry.type in DECOMPRESSORS:
                self._constants[outputs[0].name] = self._decompress(entry, outputs[0])
            else:
                yield self._operation(entry, outputs)
            self._types.update((tensor.name, tensor) for tensor in outputs)

    def _operation(self, entry: Any, outputs: tuple[Tensor, ...]) -> Operation:
        name = _name(entry, outputs)
        inputs = {}
        for parameter, argument in entry.inputs.items():
            names = []
            for index, binding in enumerate(argument.arguments):
                if binding.WhichOneof("binding") == "name":
                    self._check_defined(binding.name, name)
                    names.append(binding.name)
                else:
                    literal = f"{name}.{parameter}.{index}"
                    self._constants[literal] = _computable(self._value(binding.value))
                    names.append(literal)
            inputs[parameter] = tuple(names)
        return Operation(entry.type, name, inputs, outputs)

    def _decompress(self, entry: Any, output: Tensor) -> Array:
        """The values of a compressed constant; its parameters are attributes up to iOS 17, then inputs."""
        parameters: dict[str, Any] = {
            key: self._value(value) for key, value in entry.attributes.items() if key != "name"
        }
        for parameter, argument in entry.inputs.items():
            (binding,) = argument.arguments
            if binding.WhichOneof("binding") == "name":
                self._check_defined(binding.name, output.name)
                parameters[parameter] = self._constants[binding.name]
            else:
                parameters[parameter] = self._value(binding.value)
        try:
            values = DECOMPRESSORS[entry.type](**parameters)
        except (TypeError, ValueError, IndexError) as failure:
            raise _damaged(f"the constant {output.name} cannot be decompressed ({failure})") from failure
        if values.shape != output.shape:
            raise _damaged(f"the constant {output.name} has shape {values.shape}, not {output.shape}")
        if values.dtype == np.float32 and output.dtype == "fp16":
            values = round_to_half(values)
        return values

    def _value(self, value: Any) -> Array | str:
        """A value as it is stored."""
        if value.type.WhichOneof("type") != "tensorType":
            raise _damaged("it has a constant that is not a tensor")
        dtype, shape = _tensor_type(value.type.tensorType)
        if None in shape:
            raise _damaged("it has a constant of unknown size")
        sizes = tuple(size for size in shape if size is not None)
        count = prod(sizes)
        if value.WhichOneof("value") == "blobFileValue":
            blob = value.blobFileValue
            key = (PurePosixPath(blob.fileName).name, blob.offset, dtype, sizes)
            if key not in self._blobs:
                read = self._read_blob(key[0], blob.offset, dtype, count)
                self._blobs[key] = _float32(read).reshape(sizes)
            return self._blobs[key]
        values = _immediate(value.immediateValue.tensor, dtype, count)
        if isinstance(values, str):
            return values
        return _float32(values).reshape(sizes)

    def _check_defined(self, name: str, user: str) -> None:
        if name not in self._types:
            raise _damaged(f"{user} of the program need the value {name}, which nothing computes")


def _damaged(reason: str) -> BundleError:
    return BundleError(f"the ML Program is damaged: {reason}; export the bundle again")


def _float32(values: Array) -> Array:
    return values.astype(np.float32, copy=False) if values.dtype.kind == "f" else values


def _computable(value: Array | str) -> Constant:
    if isinstance(value, str) or value.ndim:
        return value
    scalar: Constant = value.item()
    return scalar


def _immediate(tensor: Any, dtype: str, count: int) -> Array | str:
    """Values that are part of the program itself."""
    kind = tensor.WhichOneof("value")
    values: Any = getattr(tensor, kind).values if kind else []
    if dtype == "string":
        if kind != "strings" or len(values) != 1:
            raise _damaged("it has a string constant that is not one string")
        return str(values[0])
    if kind == "bytes":
        if len(values) != stored_bytes(dtype, count):
            raise _damaged(f"it has a constant of {len(values)} bytes, not {count} values of {dtype}")
        return decode(np.frombuffer(values, np.uint8), dtype, count)
    if len(values) != count or dtype not in STORAGE:
        raise _damaged(f"it has a constant of {len(values)} values, not {count} of {dtype}")
    return np.array(values, STORAGE[dtype])


def _name(entry: Any, outputs: tuple[Tensor, ...]) -> str:
    """Names are for messages; an operation without one goes by its first output."""
    if "name" in entry.attributes:
        return str(entry.attributes["name"].immediateValue.tensor.strings.values[0])
    return outputs[0].name if outputs else str(entry.type)


def _tensor(entry: Any) -> Tensor:
    if entry.type.WhichOneof("type") != "tensorType":
        raise _damaged(f"the value {entry.name} is not a tensor")
    dtype, shape = _tensor_type(entry.type.tensorType)
    return Tensor(entry.name, dtype, shape)


def _tensor_type(tensor_type: Any) -> tuple[str, tuple[int | None, ...]]:
    if tensor_type.dataType not in _DTYPES:
        raise _damaged(f"it has a value of an unknown data type, number {tensor_type.dataType}")
    shape = tuple(
        int(dimension.constant.size) if dimension.WhichOneof("dimension") == "constant" else None
        for dimension in tensor_type.dimensions
    )
    return _DTYPES[tensor_type.dataType], shape
