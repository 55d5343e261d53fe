"""How the accelerators of phones would split a model, as ONNX Runtime's own checker estimates it."""

from pathlib import Path
from typing import Any

# What of a model an execution provider takes, by the operators that it lists.
_COREML_OPERATORS = "coreml_supported_mlprogram_ops.md"


def partitions(path: Path) -> dict[str, dict[str, int]]:
    """Estimate how many pieces of a model of fixed shape each execution provider would run.

    Args:
        path: an ``.onnx`` file.

    Returns:
        For ``nnapi`` and ``coreml``: ``partitions``, ``nodes`` in them, and ``all_nodes`` of the model.
    """
    from onnxruntime.tools.mobile_helpers import usability_checker as checker

    model: Any = checker.ModelProtoWithShapeInfo(path).model_with_shape_info
    found = {
        "nnapi": checker.check_nnapi_partitions(model, True),
        "coreml": checker.check_coreml_partitions(model, True, _COREML_OPERATORS),
    }
    return {
        name: {
            "partitions": info.num_partitions,
            "nodes": info.num_supported_nodes,
            "all_nodes": info.num_nodes,
        }
        for name, info in found.items()
    }
