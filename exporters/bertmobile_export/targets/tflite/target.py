"""The TFLite target."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bertmobile.errors import MissingDependencyError, UsageError
from bertmobile_export.plan import Plan
from bertmobile_export.recipes import Recipe, WeightFormat
from bertmobile_export.sizes import matrices, matrix_bytes
from bertmobile_export.targets.tflite import mediapipe_limits

if TYPE_CHECKING:
    from bertmobile_export.checkpoint.tokenizer import TokenizerFiles
    from bertmobile_export.network import Network
    from bertmobile_export.network.equalisation import QuantizedActivations
    from bertmobile_export.quantization.grid import Levels
    from bertmobile_export.targets import Inputs


# The widths that litert-quantizer and LiteRT's kernels have, by what the activations are; and for lookups.
BITS = {"float": (4, 8, 16, 32), "dynamic": (2, 4, 8, 16, 32), "static": (4, 8)}
LOOKUP_BITS = (4, 8, 16, 32)
# Columns that may share a scale, at 4 bits and with dynamic activations.
BLOCKS = (32, 64, 128, 256)


class TfliteTarget:
    """See :class:`bertmobile_export.targets.Target`."""

    name = "tflite"
    input_dtype = "int32"
    options = ("mediapipe", "android")
    tools = ("litert-torch", "litert-converter", "litert-quantizer", "ai-edge-litert")
    whole_blocks = True

    def check(self, plan: Plan) -> None:
        recipe = plan.recipe
        for group, form in recipe.forms.items():
            allowed = [
                bits for bits in BITS[recipe.activations] if group != "embeddings" or bits in LOOKUP_BITS
            ]
            if form.bits not in allowed:
                raise UsageError(
                    f"TFLite cannot hold {group} at {form.bits} bits with {recipe.activations} activations "
                    f"(recipe {recipe.name}); give one of {', '.join(map(str, allowed))}"
                )
        for name, _, columns in matrices(plan):
            _check_sharing(recipe, name, columns)
        if plan.mediapipe:
            mediapipe_limits.check_plan(plan)

    def model_file(self, plan: Plan) -> str:
        return "model.tflite"

    def predict_bytes(self, plan: Plan) -> int:
        from bertmobile_export.targets.tflite.size import predict_bytes

        return predict_bytes(plan)

    def signatures(self, plan: Plan) -> dict[int, str]:
        from bertmobile_export.targets.tflite.buckets import signature_name

        return {length: signature_name(length) for length in plan.lengths}

    def quantized_activations(self, plan: Plan) -> "QuantizedActivations | None":
        from bertmobile_export.network.equalisation import QuantizedActivations

        match plan.recipe.activations:
            case "dynamic":
                form = plan.recipe.weights["encoder"]
                return QuantizedActivations("row", narrow=form if form.bits < 8 else None)
            case "static":
                return QuantizedActivations("static", outputs=True)
        return None

    def levels(self, plan: Plan) -> "Levels":
        return "symmetric"

    def formats(self, plan: Plan, name: str, rows: int, columns: int) -> list[WeightFormat]:
        from bertmobile_export.targets.tflite.size import SCALE_BYTES

        blocks = [WeightFormat(4, "block", size) for size in BLOCKS if columns % size == 0]
        narrow = [WeightFormat(4), *blocks]
        narrow.sort(key=lambda form: matrix_bytes(form, rows, columns, SCALE_BYTES))
        return [*narrow, WeightFormat(8)]

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
            from bertmobile_export.targets.tflite import (
                buckets,
                convert,
                flatbuffer,
                mediapipe,
                pack,
                quantize,
            )
        except ImportError as failure:
            raise MissingDependencyError(failure.name or "litert-torch", "export") from failure
        if plan.mediapipe:
            mediapipe_limits.check_tokenizer(tokenizer.spec)
        traced = buckets.trace_length(plan.lengths, _dimensions(plan))

        def write_buckets(model: flatbuffer.Model) -> None:
            buckets.specialise(model, traced, plan.lengths)
            if plan.mediapipe:
                mediapipe.adapt(model, plan)
            flatbuffer.write(model, path)

        # Not as many as the traced length: no constant may have that size.
        longest = max(plan.lengths)
        convert.leave_out_positions(network, longest if traced < longest else traced + 1)
        content = convert.convert(network, traced, plan.mask_slots, pooling_mask=plan.pooling_mask)
        ranges = None
        if plan.recipe.needs_ranges:
            from bertmobile_export.targets.tflite.calibrate import activation_ranges

            write_buckets(flatbuffer.read(content))  # the float32 model, replaced below
            ranges = activation_ranges(
                flatbuffer.read(content), path, plan.lengths, calibration, quantize.STATIC_OPERATORS
            )
        model = flatbuffer.read(
            quantize.quantize(content, plan.recipe, tied_decoder=plan.tied_decoder, ranges=ranges)
        )
        if plan.recipe.activations == "dynamic":
            pack.pack(model, network)
        else:
            pack.check(model, network)
        write_buckets(model)
        if plan.mediapipe:
            mediapipe.pack_files(path, plan, tokenizer.vocab_txt)


def _check_sharing(recipe: Recipe, name: str, columns: int) -> None:
    """Refuse scales that no kernel of LiteRT reads.

    Raises:
        UsageError: names the matrix and what can be had.
    """
    form = recipe.form(name)
    if form.granularity not in ("tensor", "channel", "block"):
        raise UsageError(
            f"TFLite does not have the granularity {form.granularity}, which recipe {recipe.name} wants for "
            f"{name}; give block or channel"
        )
    if form.granularity != "block":
        return
    fitting = [size for size in BLOCKS if columns % size == 0]
    if form.bits != 4 or recipe.activations != "dynamic" or form.block_size not in fitting:
        raise UsageError(
            f"recipe {recipe.name} wants blocks of {form.block_size} at {form.bits} bits for {name}; TFLite "
            f"has blocks of {', '.join(map(str, fitting)) or 'no size'} for its {columns} columns, at 4 bits "
            "and with dynamic activations; give one of these, or the granularity channel"
        )


def _dimensions(plan: Plan) -> set[int]:
    """Every dimension of the graph other than the length; the longest is that of the position table."""
    config = plan.config
    return {
        1,
        max(plan.lengths),
        config.vocab_size,
        config.hidden_size,
        config.intermediate_size,
        config.num_attention_heads,
        config.hidden_size // config.num_attention_heads,
        config.max_position_embeddings,
        config.type_vocab_size,
        config.num_labels,
        plan.mask_slots or 1,
        *config.embedding.sizes(config.hidden_size),
        config.embedding.size(config.hidden_size),
    }


TARGET = TfliteTarget()
