"""A network as a MIL program."""

from collections.abc import Mapping

import coremltools as ct
from coremltools.converters.mil.mil import Builder as mb
from coremltools.converters.mil.mil import Function, Program, get_new_symbol, types

from bertmobile_export.network import Network
from bertmobile_export.network.ranges import Range
from bertmobile_export.plan import Plan
from bertmobile_export.targets.coreml.operators import MilOperators
from bertmobile_export.targets.description import describe

OPSETS = {16: ct.target.iOS16, 17: ct.target.iOS17, 18: ct.target.iOS18}


def build(plan: Plan, ios: int, network: Network, ranges: Mapping[str, Range] | None) -> Program:
    """Write ``network`` as the one function of a program.

    Args:
        plan: recipe and lengths.
        ios: oldest system that must run it.
        network: in float32; its weights are referred to where the recipe keeps them.
        ranges: see :class:`~bertmobile_export.targets.coreml.operators.MilOperators`.

    Returns:
        A program with int32 inputs and float32 outputs of the plan's names. With several lengths that
        dimension is symbolic.
    """
    # The builder numbers constants by a count of its own, which a conversion that failed leaves behind.
    mb.name_count.clear()
    length = plan.lengths[0] if len(plan.lengths) == 1 else get_new_symbol()
    placeholders = {
        spec.name: mb.placeholder(
            shape=[length if size == "length" else size for size in spec.shape], dtype=types.int32
        )
        for spec in plan.inputs("int32")
    }
    with Function(placeholders, opset_version=OPSETS[ios]) as function:
        outputs = describe(network, MilOperators(function.inputs, plan, network.codes, ios, ranges))
        for name, value in outputs.items():
            if value.dtype == types.fp32:
                value.name = name
            else:
                outputs[name] = mb.cast(x=value, dtype="fp32", name=name)
        function.set_outputs(list(outputs.values()))
    program = Program()
    program.add_function("main", function)
    return program
