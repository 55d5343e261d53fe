"""Small ML Programs, saved as packages by coremltools and read back as a bundle's package is."""

import gc
import logging
import tempfile
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bertmobile.engines.mlprogram import Evaluator, Program, read_package

logging.getLogger("coremltools").setLevel(logging.ERROR)
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import coremltools as ct
    from coremltools.converters.mil.mil import Builder as mb
    from coremltools.converters.mil.mil import types

Arrays = Mapping[str, NDArray[Any]]

MIL_TYPES = {
    np.dtype(np.float32): types.fp32,
    np.dtype(np.float16): types.fp16,
    np.dtype(np.int32): types.int32,
}


def save(function: Callable[..., Any], inputs: Arrays, path: Path, target: Any = ct.target.iOS18) -> None:
    """Save the program that ``function`` builds, its arguments being the inputs, without any passes."""
    specs = [mb.TensorSpec(shape=array.shape, dtype=MIL_TYPES[array.dtype]) for array in inputs.values()]
    program = mb.program(input_specs=specs, opset_version=target)(function)
    # Conversion collects garbage, and among all that the libraries made that takes longer than the rest.
    gc.freeze()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = ct.convert(
                program,
                convert_to="mlprogram",
                minimum_deployment_target=target,
                compute_precision=ct.precision.FLOAT32,
                pass_pipeline=ct.PassPipeline.EMPTY,
                skip_model_load=True,
            )
    finally:
        gc.unfreeze()
    model.save(str(path))


def build(function: Callable[..., Any], inputs: Arrays, target: Any = ct.target.iOS18) -> Program:
    """The program that ``function`` builds, as read from its package, whose weights stay mapped."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.mlpackage"
        save(function, inputs, path, target)
        return read_package(path)


def observe(program: Program, inputs: Arrays, *, rounding: bool) -> dict[str, NDArray[Any]]:
    """Every value that the program computes."""
    seen: dict[str, NDArray[Any]] = {}
    Evaluator(program, rounding=rounding).run(
        inputs, observe=lambda name, value: seen.update({name: value.copy()})
    )
    return seen


def check(
    function: Callable[..., Any],
    inputs: Arrays,
    expected: Mapping[str, Any],
    *,
    target: Any = ct.target.iOS18,
    tolerance: float = 2e-6,
) -> None:
    """Build a program of operators named as in ``expected`` and compare their results with it.

    Every operator must read nothing but the program's inputs and constants, so that rounding shows once: the
    rounding evaluator's float16 results are those of the other, cast.

    Args:
        expected: independent results by the operator's name in the program; its type is the name up to "__".
        tolerance: relative to the largest expected value, in float32.
    """
    program = build(function, inputs, target)
    kinds = {output.name: (step.type, output.dtype) for step in program.operations for output in step.outputs}
    plain = observe(program, inputs, rounding=False)
    rounded = observe(program, inputs, rounding=True)
    assert plain.keys() == rounded.keys() == kinds.keys()
    for name, reference in expected.items():
        operator, dtype = kinds[name]
        assert operator == name.split("__")[0]
        wanted = np.asarray(reference)
        assert plain[name].shape == rounded[name].shape == wanted.shape, name
        if plain[name].dtype.kind == "f":
            finite = wanted[np.isfinite(wanted)]
            largest = max(1.0, float(np.abs(finite).max(initial=0)))
            np.testing.assert_allclose(
                plain[name], wanted, rtol=tolerance, atol=tolerance * largest, err_msg=name
            )
        else:
            np.testing.assert_array_equal(plain[name], wanted, err_msg=name)
        if dtype == "fp16":
            with np.errstate(over="ignore"):
                halves = plain[name].astype(np.float16)
            np.testing.assert_array_equal(rounded[name], halves.astype(np.float32), err_msg=name)
        else:
            np.testing.assert_array_equal(rounded[name], plain[name], err_msg=name)
