"""Runs a program, operation by operation."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bertmobile.engines.mlprogram.kernels import round_to_half
from bertmobile.engines.mlprogram.operators import LIST_PARAMETERS, MOVES, OPERATORS, Operator, parameters_of
from bertmobile.engines.mlprogram.program import Constant, Operation, Program, Tensor
from bertmobile.engines.mlprogram.weights import STORAGE
from bertmobile.errors import BundleError, UsageError

Array = NDArray[Any]
Observer = Callable[[str, Array], None]


@dataclass(frozen=True)
class _Step:
    """An operation with its constants bound."""

    operation: Operation
    operator: Operator
    constants: Mapping[str, Any]
    # parameter -> name of its value; of a list, all its names, those of constants too
    values: Mapping[str, str]
    lists: Mapping[str, tuple[str, ...]]
    dtypes: tuple[np.dtype[Any], ...]
    rounded: tuple[bool, ...]
    # Values that no later step needs.
    last: tuple[str, ...]


class Evaluator:
    """A program that can be run, also from several threads at once.

    Attributes:
        program: what it runs; its operations tell the names that an observer meets.
    """

    def __init__(self, program: Program, *, rounding: bool) -> None:
        """Prepare a program.

        Args:
            program: see :func:`~bertmobile.engines.mlprogram.read_package`.
            rounding: round the results of operators declared float16; else all arithmetic is float32.

        Raises:
            BundleError: operators or parameters that are not known, all of them named.
        """
        self.program = program
        _check_known(program)
        arrays = (value for value in program.constants.values() if isinstance(value, np.ndarray))
        self._constant_owners = frozenset(id(_owner(value)) for value in arrays)
        last = _last_uses(program)
        self._steps = [
            _step(operation, program.constants, rounding, last[index])
            for index, operation in enumerate(program.operations)
        ]

    def run(self, inputs: Mapping[str, Array], observe: Observer | None = None) -> dict[str, Array]:
        """Run the program once.

        Args:
            inputs: the program's inputs by name, of their declared kind (integers, floats) and shape.
            observe: called with the name and value of every result, as soon as it is computed; it must not
                change or keep the value.

        Returns:
            The program's outputs by name, as arrays of the caller's own. Floats are float32.

        Raises:
            UsageError: other inputs than the program takes, or one that points outside of a table.
            BundleError: an operation cannot be computed on its inputs.
        """
        given = self._inputs(inputs)
        values = dict(given)
        with np.errstate(all="ignore"):
            for step in self._steps:
                results = _compute(step, values, self.program.constants)
                for tensor, result in zip(step.operation.outputs, results, strict=True):
                    values[tensor.name] = result
                    if observe is not None:
                        observe(tensor.name, result)
                for name in step.last:
                    values.pop(name, None)
        return self._outputs(values, given)

    def _inputs(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        tensors = {tensor.name: tensor for tensor in self.program.inputs}
        if inputs.keys() != tensors.keys():
            raise UsageError(
                f"the program takes the inputs {', '.join(sorted(tensors))}, not {', '.join(sorted(inputs))}"
            )
        return {name: _input(tensors[name], value) for name, value in inputs.items()}

    def _outputs(self, values: Mapping[str, Any], given: Mapping[str, Array]) -> dict[str, Array]:
        # Results that are views of each other, of an input or of a constant are copied, and no others.
        taken = set(self._constant_owners) | {id(_owner(value)) for value in given.values()}
        outputs = {}
        for tensor in self.program.outputs:
            value = values[tensor.name] if tensor.name in values else self.program.constants[tensor.name]
            array = np.asarray(value, _held(tensor))
            if id(_owner(array)) in taken:
                array = array.copy()
            taken.add(id(_owner(array)))
            outputs[tensor.name] = array
        return outputs


def _check_known(program: Program) -> None:
    unknown = sorted({entry.type for entry in program.operations} - OPERATORS.keys())
    if unknown:
        raise BundleError(
            f"the evaluator does not know the operators {', '.join(unknown)} of this program; "
            "run it with Core ML, or export the bundle again"
        )
    strange = sorted(
        {
            f"{entry.type}({parameter}=)"
            for entry in program.operations
            for parameter in entry.inputs.keys() - parameters_of(OPERATORS[entry.type])
        }
    )
    if strange:
        raise BundleError(
            f"the evaluator does not know the parameters {', '.join(strange)} of this program; "
            "run it with Core ML, or export the bundle again"
        )


def _last_uses(program: Program) -> list[tuple[str, ...]]:
    """For each operation, the values that are not needed after it."""
    seen = {tensor.name for tensor in program.outputs}
    last = []
    for operation in reversed(program.operations):
        used = {name for names in operation.inputs.values() for name in names}
        used |= {tensor.name for tensor in operation.outputs}
        last.append(tuple(sorted(used - seen - program.constants.keys())))
        seen |= used
    return last[::-1]


def _step(
    operation: Operation, constants: Mapping[str, Constant], rounding: bool, last: tuple[str, ...]
) -> _Step:
    lists = {key: names for key, names in operation.inputs.items() if key in LIST_PARAMETERS}
    single = {key: names[0] for key, names in operation.inputs.items() if key not in LIST_PARAMETERS}
    rounds = rounding and operation.type not in MOVES
    return _Step(
        operation=operation,
        operator=OPERATORS[operation.type],
        constants={key: constants[name] for key, name in single.items() if name in constants},
        values={key: name for key, name in single.items() if name not in constants},
        lists=lists,
        dtypes=tuple(_held(tensor) for tensor in operation.outputs),
        rounded=tuple(rounds and tensor.dtype == "fp16" for tensor in operation.outputs),
        last=last,
    )


def _held(tensor: Tensor) -> np.dtype[Any]:
    """The type in which values of a declared type are computed."""
    return np.dtype(np.float32) if tensor.dtype == "fp16" else STORAGE[tensor.dtype]


def _compute(step: _Step, values: Mapping[str, Array], constants: Mapping[str, Constant]) -> list[Array]:
    arguments = dict(step.constants)
    for parameter, name in step.values.items():
        arguments[parameter] = values[name]
    for parameter, names in step.lists.items():
        arguments[parameter] = [values[name] if name in values else constants[name] for name in names]
    operation = step.operation
    try:
        results = step.operator(**arguments)
    except IndexError as failure:
        raise UsageError(
            f"{operation.type} {operation.name} met an index outside of its table ({failure}); "
            "give token ids and positions of this model"
        ) from failure
    except (TypeError, ValueError) as failure:
        reason = " ".join(str(failure).split())
        raise BundleError(
            f"{operation.type} {operation.name} cannot be computed: {reason}; export the bundle again"
        ) from failure
    if not isinstance(results, list | tuple):
        results = (results,)
    return [
        round_to_half(np.asarray(result, dtype)) if rounded else np.asarray(result, dtype)
        for result, dtype, rounded in zip(results, step.dtypes, step.rounded, strict=True)
    ]


def _owner(array: Array) -> Array:
    """The array whose memory ``array`` is a view of, or itself."""
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array


def _input(tensor: Tensor, value: Array) -> Array:
    held = _held(tensor)
    if value.dtype.kind != held.kind:
        raise UsageError(f"{tensor.name} must be {held}, not {value.dtype}")
    fits = len(value.shape) == len(tensor.shape) and all(
        size is None or size == actual for size, actual in zip(tensor.shape, value.shape, strict=True)
    )
    if not fits:
        shape = ", ".join("any" if size is None else str(size) for size in tensor.shape)
        raise UsageError(f"{tensor.name} must have shape ({shape}), not {value.shape}")
    return np.asarray(value, STORAGE[tensor.dtype]).astype(held, copy=False)
