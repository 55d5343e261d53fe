"""ONNX Runtime's own format, which builds of it with only some operators can read.

https://onnxruntime.ai/docs/performance/model-optimizations/ort-format-models.html
"""

import logging
from pathlib import Path

import onnxruntime
from onnxruntime.tools.ort_format_model import create_config_from_models

from bertmobile.native_log import quiet_native_logs
from bertmobile_export.targets.onnx.ort_order import sort_kernel_types

REQUIRED_OPERATORS = "required_operators.config"
# Announces the file that it writes, by its whole path.
logging.getLogger("ort_format_model.utils").setLevel(logging.WARNING)
# Rearranges weights for the CPU that converts, not for that of a phone.
_FOR_THIS_CPU = ["NchwcTransformer"]


def convert(onnx: Path, ort: Path) -> None:
    """Convert a model, and write the operators that it needs beside it.

    Args:
        onnx: the model.
        ort: file to write; ``required_operators.config`` is written into its folder.
    """
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.optimized_model_filepath = str(ort)
    options.add_session_config_entry("session.save_model_format", "ORT")
    with quiet_native_logs():
        onnxruntime.InferenceSession(
            str(onnx), options, providers=["CPUExecutionProvider"], disabled_optimizers=_FOR_THIS_CPU
        )
        ort.write_bytes(sort_kernel_types(ort.read_bytes()))
        config = ort.with_name(REQUIRED_OPERATORS)
        create_config_from_models([ort], config, enable_type_reduction=False)
    # Its comments name the file by its whole path.
    lines = config.read_text(encoding="utf-8").splitlines(keepends=True)
    config.write_text("".join(line for line in lines if not line.startswith("#")), encoding="utf-8")
