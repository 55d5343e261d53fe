"""Writes a network as an ONNX file."""

from collections.abc import Iterable
from pathlib import Path

from bertmobile_export.network import Network
from bertmobile_export.network.ranges import linear_ranges
from bertmobile_export.plan import Plan
from bertmobile_export.targets import Inputs
from bertmobile_export.targets.description import describe
from bertmobile_export.targets.onnx import ort_format
from bertmobile_export.targets.onnx.graph import Graph
from bertmobile_export.targets.onnx.operators import OnnxOperators
from bertmobile_export.targets.onnx.portable_form import PortableOperators
from bertmobile_export.targets.onnx.runtime_form import RuntimeOperators


def write(plan: Plan, network: Network, calibration: Iterable[Inputs], path: Path) -> None:
    """Write ``network`` to ``path``; see :meth:`bertmobile_export.targets.Target.write`."""
    graph = Graph()
    ranges = linear_ranges(network, calibration) if plan.recipe.needs_ranges else None
    form: type[OnnxOperators] = PortableOperators if plan.portable else RuntimeOperators
    ops = form(graph, plan, network.codes, ranges)
    shapes = {spec.name: spec.shape for spec in plan.outputs}
    for name, value in describe(network, ops).items():
        ops.finish(name, value, shapes.get(name, ("batch", "rows", plan.config.hidden_size)))
    graph.write(path, metadata={"task": plan.task, "recipe": plan.recipe.name})


def write_ort(plan: Plan, network: Network, calibration: Iterable[Inputs], path: Path) -> None:
    """Write ``network`` in ONNX Runtime's own format, and ``required_operators.config`` beside it."""
    onnx = path.with_suffix(".onnx")
    write(plan, network, calibration, onnx)
    ort_format.convert(onnx, path)
    onnx.unlink()
