"""Activation ranges of a package, measured by the evaluator: Core ML predicts on a Mac only."""

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from bertmobile.engines.mlprogram import Evaluator, read_package
from bertmobile_export.checkpoint.tokenizer import TokenizerFiles
from bertmobile_export.network import Network
from bertmobile_export.network.ranges import Range
from bertmobile_export.plan import Plan
from bertmobile_export.recipes import read_recipe
from bertmobile_export.targets import Inputs
from bertmobile_export.targets.coreml import package, program


def input_ranges(
    plan: Plan, ios: int, network: Network, samples: Sequence[Inputs], tokenizer: TokenizerFiles
) -> dict[str, Range]:
    """Write the float32 package, run texts through it, and see what each linear layer reads.

    Args:
        plan: of the package to be quantized.
        ios: oldest system that must run it.
        network: in float32.
        samples: its inputs in the longest bucket, [1, longest] each; run in the shortest that holds the text.
        tokenizer: of the checkpoint.

    Returns:
        Ranges by the names of the program's ``linear`` operations, padding left out.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "float32.mlpackage"
        plain = replace(plan, recipe=read_recipe("float32"))
        package.write(program.build(plain, ios, network, None), plain, ios, tokenizer, path)
        evaluator = Evaluator(read_package(path), rounding=False)
        readers: dict[str, list[str]] = {}
        for operation in evaluator.program.operations:
            if operation.type == "linear":
                readers.setdefault(operation.inputs["x"][0], []).append(operation.name)
        seen = dict.fromkeys(readers, (0.0, 0.0))
        for sample in samples:
            tokens = int(sample["attention_mask"].sum())
            length = next(length for length in plan.lengths if length >= tokens)

            def observe(name: str, values: np.ndarray, tokens: int = tokens, length: int = length) -> None:
                if name in seen:
                    rows = values[:, :tokens] if values.shape[1] == length else values
                    low, high = seen[name]
                    seen[name] = (min(low, float(rows.min())), max(high, float(rows.max())))

            inputs = {
                name: (values if name == "mask_positions" else values[:, :length]).astype(np.int32)
                for name, values in sample.items()
            }
            evaluator.run(inputs, observe=observe)
    return {linear: Range(*seen[name]) for name, linears in readers.items() for linear in linears}
