"""The CPU that engines ran on: kernels, and so the last bits of an answer, depend on its instruction sets."""

import platform
import re
from pathlib import Path

# Those that LiteRT, ONNX Runtime and XNNPACK choose kernels by.
_RELEVANT = (
    "sse4_1", "avx", "avx2", "fma", "f16c", "avx512f", "avx512bw", "avx512_vnni", "avx_vnni", "avx512_fp16",
    "amx_int8", "asimd", "asimdhp", "asimddp", "i8mm", "sve", "sme",
)  # fmt: skip


def machine() -> str:
    """Such as ``x86_64``."""
    return platform.machine()


def instruction_sets() -> list[str]:
    """The instruction sets that choose kernels, as Linux names them; empty where it cannot be known."""
    try:
        cpuinfo = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return []
    match = re.search(r"^(?:flags|Features)\s*:\s*(.*)$", cpuinfo, re.MULTILINE)
    present = set(match.group(1).split()) if match else set()
    return [name for name in _RELEVANT if name in present]
