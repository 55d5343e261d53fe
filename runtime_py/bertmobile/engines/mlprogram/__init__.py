"""The ML Program evaluator: runs a Core ML ``.mlpackage`` with numpy, on any platform and without torch.

It computes what the operators of the program mean, as the documentation of the Model Intermediate Language
(MIL) says. It is not Core ML itself: Core ML's kernels, the order and precision in which they accumulate, the
operators they fuse and the device that each runs on differ, so its answers differ in the last digits.

Two modes: ``mlprogram-evaluator`` rounds the result of every operator that the program declares as float16,
as a device would that keeps float16 between operators; ``mlprogram-evaluator-fp32`` does all arithmetic in
float32, on the weights that the package stores. For a program declared in float32 both are the same.

Matrix products use the threads of numpy's BLAS, which is configured by its environment variables before numpy
is imported (``OPENBLAS_NUM_THREADS``); all else uses one.
"""

from bertmobile.engines.mlprogram.engine import MlProgramEngine, open_engine, open_float32_engine
from bertmobile.engines.mlprogram.evaluator import Evaluator
from bertmobile.engines.mlprogram.package import read_package
from bertmobile.engines.mlprogram.program import Operation, Program, Tensor

__all__ = [
    "Evaluator",
    "MlProgramEngine",
    "Operation",
    "Program",
    "Tensor",
    "open_engine",
    "open_float32_engine",
    "read_package",
]
