"""The ONNX target."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bertmobile.errors import MissingDependencyError, UsageError
from bertmobile_export.plan import Plan
from bertmobile_export.recipes import WeightFormat
from bertmobile_export.targets.onnx.size import (
    blocks_only,
    check_size,
    is_narrow,
    predict_bytes,
    stored_bytes,
)

if TYPE_CHECKING:
    from bertmobile_export.checkpoint.tokenizer import TokenizerFiles
    from bertmobile_export.network import Network
    from bertmobile_export.network.equalisation import QuantizedActivations
    from bertmobile_export.quantization.grid import Levels
    from bertmobile_export.targets import Inputs

BITS = {
    "tensor": (8, 16, 32),
    "channel": (4, 5, 6, 8, 16, 32),
    "block": (4, 8),
    "scaled-block": (4, 5),
}
SMALLEST_BLOCK = 16
# Whole bytes of each part of a code.
BLOCK_UNIT = 8
# What a budget chooses from.
NARROW = (
    *(WeightFormat(4, "scaled-block", size) for size in (64, 32, 16)),
    WeightFormat(5, "scaled-block", 32),
    WeightFormat(6),
    WeightFormat(8),
)
BLOCKS = (128, 64, 32)
BLOCK_BITS = (4, 8)
# Layers whose input rows are made equally large before one range is measured for all of them. What GELU
# returns differs most from row to row; elsewhere the operators cost more than they gain.
EVEN_ROWS = ("output",)


class OnnxTarget:
    """See :class:`bertmobile_export.targets.Target`."""

    name = "onnx"
    input_dtype = "int64"
    options = ("portable", "ort", "android")
    tools = ("onnx", "onnxruntime")
    whole_blocks = False  # the last block of a row is filled up

    def check(self, plan: Plan) -> None:
        recipe = plan.recipe
        for group, form in recipe.forms.items():
            allowed = BITS.get(form.granularity)
            if allowed is None:
                raise UsageError(
                    f"ONNX has no palettes, which recipe {recipe.name} wants for {group}; "
                    "give the granularity scaled-block, block or channel"
                )
            if form.bits not in allowed:
                raise UsageError(
                    f"ONNX cannot hold {group} at {form.bits} bits with the granularity {form.granularity} "
                    f"(recipe {recipe.name}); give one of {', '.join(map(str, allowed))}"
                )
            if form.granularity == "block":
                self._check_block(plan, group, form)
            elif is_narrow(form):
                self._check_narrow(plan, group, form)
        if plan.portable and recipe.activations == "dynamic":
            raise UsageError(
                f"recipe {recipe.name} measures the ranges of activations while the model runs, and the "
                "accelerators that --portable is for need them beforehand; give --fp16 or "
                "--recipe int8-static, or leave --portable out"
            )
        if plan.portable and len(plan.lengths) > 1:
            raise UsageError(
                f"a portable ONNX file has one length, not {len(plan.lengths)}; give one --seq-len"
            )
        if plan.ort and any(form.bits == 16 for form in recipe.forms.values()):
            raise UsageError(
                f"recipe {recipe.name} stores half-precision weights, which an .ort file would convert at "
                "every run; give float32 or --int8, or leave --ort out"
            )
        check_size(self.predict_bytes(plan))

    def _check_block(self, plan: Plan, group: str, form: WeightFormat) -> None:
        recipe, size = plan.recipe, form.block_size or 0
        if plan.portable or recipe.activations != "dynamic":
            raise UsageError(
                f"recipe {recipe.name} has blocks for {group}, which ONNX Runtime multiplies with "
                "activations that it quantizes itself; set activations to dynamic, and leave --portable out"
            )
        if size < SMALLEST_BLOCK or size & (size - 1):
            raise UsageError(
                f"recipe {recipe.name} has blocks of {size} for {group}; ONNX Runtime takes powers of two "
                f"from {SMALLEST_BLOCK} on"
            )

    def _check_narrow(self, plan: Plan, group: str, form: WeightFormat) -> None:
        what = f"recipe {plan.recipe.name} has {form.bits} bits for {group}"
        if plan.ort:
            raise UsageError(
                f"{what}, which are widened to 8 when a model is loaded, and an .ort file would hold them "
                "widened; give the granularity block, or leave --ort out"
            )
        if plan.portable:
            raise UsageError(
                f"{what}, which the accelerators that --portable is for cannot read; give 8 bits, or leave "
                "--portable out"
            )
        if form.granularity == "scaled-block" and (form.block_size or 0) % BLOCK_UNIT:
            raise UsageError(f"{what} in blocks of {form.block_size}; give a multiple of {BLOCK_UNIT}")

    def model_file(self, plan: Plan) -> str:
        return "model.ort" if plan.ort else "model.onnx"

    def predict_bytes(self, plan: Plan) -> int:
        return predict_bytes(plan)

    def signatures(self, plan: Plan) -> dict[int, str]:
        return dict.fromkeys(plan.lengths, "main")

    def quantized_activations(self, plan: Plan) -> "QuantizedActivations | None":
        from bertmobile_export.network.equalisation import QuantizedActivations

        match plan.recipe.activations:
            case "dynamic":
                if blocks_only(plan):
                    return None  # there is nothing to even out within a block
                return QuantizedActivations("tensor", even_rows=EVEN_ROWS)
            case "static":
                return QuantizedActivations("static", outputs=plan.portable)
        return None

    def levels(self, plan: Plan) -> "Levels":
        # ONNX Runtime's products on x86 without VNNI saturate.
        return "symmetric" if plan.recipe.activations == "float" else "paired"

    def formats(self, plan: Plan, name: str, rows: int, columns: int) -> list[WeightFormat]:
        if not plan.ort:
            return sorted(NARROW, key=lambda form: stored_bytes(form, rows, columns))
        narrow, wide = ([WeightFormat(bits, "block", size) for size in BLOCKS] for bits in BLOCK_BITS)
        narrow.sort(key=lambda form: stored_bytes(form, rows, columns))
        return [*narrow, min(wide, key=lambda form: stored_bytes(form, rows, columns))]

    def inspect(self, plan: Plan, path: Path) -> Mapping[str, Any]:
        if not plan.portable or plan.ort:  # the checker reads .onnx files of fixed shape
            return {}
        from bertmobile_export.targets.onnx.usability import partitions

        return {"partitions": partitions(path)}

    def write(
        self,
        plan: Plan,
        network: "Network",
        calibration: "Sequence[Inputs]",
        path: Path,
        tokenizer: "TokenizerFiles",
    ) -> None:
        try:
            from bertmobile_export.targets.onnx.write import write, write_ort
        except ImportError as failure:
            raise MissingDependencyError(failure.name or "onnx", "export") from failure
        (write_ort if plan.ort else write)(plan, network, calibration, path)


TARGET = OnnxTarget()
