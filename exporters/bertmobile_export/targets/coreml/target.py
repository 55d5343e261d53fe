"""The Core ML target."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bertmobile.errors import MissingDependencyError, UsageError
from bertmobile_export.plan import ENUMERATED_LENGTHS_IOS, NEWEST_IOS, Plan

if TYPE_CHECKING:
    from bertmobile_export.checkpoint.tokenizer import TokenizerFiles
    from bertmobile_export.network import Network
    from bertmobile_export.network.equalisation import QuantizedActivations
    from bertmobile_export.targets import Inputs

# The versions that packages are written for, and the first that quantizes activations.
IOS_VERSIONS = (16, 17, NEWEST_IOS)
STATIC_ACTIVATIONS_IOS = 17
BITS = (8, 16, 32)


class CoremlTarget:
    """See :class:`bertmobile_export.targets.Target`."""

    name = "coreml"
    input_dtype = "int32"
    options = ("ios",)
    tools = ("coremltools",)

    def check(self, plan: Plan) -> None:
        recipe, ios = plan.recipe, plan.ios or NEWEST_IOS
        if ios not in IOS_VERSIONS:
            known = ", ".join(map(str, IOS_VERSIONS))
            raise UsageError(f"no Core ML packages for iOS {ios}; give --ios one of {known}")
        for group, form in recipe.weights.items():
            if form.bits not in BITS:
                raise UsageError(
                    f"Core ML here: 8, 16 or 32 bits, but recipe {recipe.name} has {form.bits} for {group}; "
                    "choose another recipe"
                )
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
        if plan.recipe.needs_calibration:
            ranges = calibrate.input_ranges(plan, ios, network, calibration, tokenizer)
        package.write(program.build(plan, ios, network, ranges), plan, ios, tokenizer, path)


TARGET = CoremlTarget()
