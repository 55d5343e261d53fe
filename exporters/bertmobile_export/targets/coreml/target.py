"""The Core ML target."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bertmobile.errors import MissingDependencyError, UsageError
from bertmobile_export.plan import ENUMERATED_LENGTHS_IOS, NEWEST_IOS, Plan
from bertmobile_export.recipes import WeightFormat
from bertmobile_export.sizes import POSITION_TABLE, matrices

if TYPE_CHECKING:
    from bertmobile_export.checkpoint.tokenizer import TokenizerFiles
    from bertmobile_export.network import Network
    from bertmobile_export.network.equalisation import QuantizedActivations
    from bertmobile_export.quantization.grid import Levels
    from bertmobile_export.targets import Inputs

# The versions that packages are written for, and the first that quantizes activations.
IOS_VERSIONS = (16, 17, NEWEST_IOS)
STATIC_ACTIVATIONS_IOS = 17
# The first version that holds a format, by what shares a scale and the bits.
FIRST_IOS = {
    **{("float", bits): 16 for bits in (16, 32)},
    **{(granularity, 8): 16 for granularity in ("tensor", "channel")},
    **{("palette", bits): 16 for bits in (1, 2, 4, 6, 8)},
    ("palette", 3): 18,
    ("channel", 4): 18,
    **{("block", bits): 18 for bits in (4, 8)},
    **{("scaled-palette", bits): 18 for bits in (1, 2, 3, 4, 6, 8)},
}
SEVERAL_PALETTES_IOS = 18
# What a budget chooses from.
PALETTE_BITS = (2, 3, 4, 6)
BLOCKS = (128, 64, 32)
SMALL_TABLE_ROWS = 4


class CoremlTarget:
    """See :class:`bertmobile_export.targets.Target`."""

    name = "coreml"
    input_dtype = "int32"
    options = ("ios",)
    tools = ("coremltools",)
    whole_blocks = True

    def check(self, plan: Plan) -> None:
        recipe, ios = plan.recipe, plan.ios or NEWEST_IOS
        if ios not in IOS_VERSIONS:
            known = ", ".join(map(str, IOS_VERSIONS))
            raise UsageError(f"no Core ML packages for iOS {ios}; give --ios one of {known}")
        for name, rows, columns in matrices(plan):
            _check_form(plan, ios, name, rows, columns)
        if recipe.activations == "static" and ios < STATIC_ACTIVATIONS_IOS:
            raise UsageError(
                f"recipe {recipe.name} has static activations, which Core ML has from iOS "
                f"{STATIC_ACTIVATIONS_IOS} on; give --ios {STATIC_ACTIVATIONS_IOS}, "
                "or a recipe without them"
            )
        if len(plan.lengths) > 1 and ios < ENUMERATED_LENGTHS_IOS:
            raise UsageError(
                f"{len(plan.lengths)} lengths in one package need iOS {ENUMERATED_LENGTHS_IOS}: before it, "
                "Core ML takes one input of several shapes; "
                f"give --ios {ENUMERATED_LENGTHS_IOS}, or one --seq-len"
            )

    def model_file(self, plan: Plan) -> str:
        return "model.mlpackage"

    def predict_bytes(self, plan: Plan) -> int:
        from bertmobile_export.targets.coreml.size import predict_bytes

        return predict_bytes(plan)

    def signatures(self, plan: Plan) -> dict[int, str]:
        return dict.fromkeys(plan.lengths, "main")

    def quantized_activations(self, plan: Plan) -> "QuantizedActivations | None":
        from bertmobile_export.network.equalisation import QuantizedActivations

        return QuantizedActivations("static") if plan.recipe.activations == "static" else None

    def levels(self, plan: Plan) -> "Levels":
        return "symmetric" if plan.recipe.activations == "static" else "affine"

    def formats(self, plan: Plan, name: str, rows: int, columns: int) -> list[WeightFormat]:
        ios = plan.ios or NEWEST_IOS
        scaled = ios >= FIRST_IOS["scaled-palette", PALETTE_BITS[0]]
        palettes = [
            WeightFormat(bits, "scaled-palette") if scaled else WeightFormat(bits, "palette", rows)
            for bits in PALETTE_BITS
            if scaled or ios >= FIRST_IOS["palette", bits]
        ]
        blocks = [
            WeightFormat(4, "block", size)
            for size in BLOCKS
            if ios >= FIRST_IOS["block", 4] and columns % size == 0
        ]
        # Of a table of few rows each is read with every text, and half precision costs nothing.
        small = [WeightFormat(16)] if rows <= SMALL_TABLE_ROWS else []
        return [*palettes, *blocks, WeightFormat(8), *small]

    def inspect(self, plan: Plan, path: Path) -> Mapping[str, Any]:
        return {}

    def write(
        self,
        plan: Plan,
        network: "Network",
        calibration: "Sequence[Inputs]",
        path: Path,
        tokenizer: "TokenizerFiles",
    ) -> None:
        try:
            from bertmobile_export.targets.coreml import calibrate, package, program
        except ImportError as failure:
            raise MissingDependencyError(failure.name or "coremltools", "coreml") from failure
        ios = plan.ios or NEWEST_IOS
        ranges = None
        if plan.recipe.needs_ranges:
            ranges = calibrate.input_ranges(plan, ios, network, calibration, tokenizer)
        package.write(program.build(plan, ios, network, ranges), plan, ios, tokenizer, path)


def _check_form(plan: Plan, ios: int, name: str, rows: int, columns: int) -> None:
    """Refuse a format that no iOS, or not this one, can hold.

    Raises:
        UsageError: names the lowest version that can, where there is one.
    """
    recipe, form = plan.recipe, plan.recipe.form(name)
    what = f"recipe {recipe.name} wants {form.label} bits ({form.granularity}) for {name}"
    first = FIRST_IOS.get((form.granularity if form.quantized else "float", form.bits))
    if first is None:
        raise UsageError(
            f"{what}, which Core ML has in no version; give 8, 16 or 32 bits, or the granularity palette or "
            "block"
        )
    size = form.block_size or 1
    if form.granularity == "palette" and size < rows:
        # Before, one palette is for the whole matrix.
        first = max(first, SEVERAL_PALETTES_IOS)
    if ios < first:
        raise UsageError(
            f"{what}, which Core ML has from iOS {first} on; give --ios {first}, or another recipe"
        )
    if form.granularity == "block" and columns % size:
        raise UsageError(
            f"{what}, but its {columns} columns are no multiple of {size}; give another block_size"
        )
    if form.granularity == "palette" and (rows % size or (name == POSITION_TABLE and size < rows)):
        raise UsageError(
            f"{what}, but {size} of its {rows} rows cannot share a palette; "
            "give a divisor of the rows (position embeddings: all of them)"
        )


TARGET = CoremlTarget()
