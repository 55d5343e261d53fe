"""Which kind of x86 processor tests run on, and how they run on the other kind."""

import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bertmobile_export.parity.cpu import instruction_sets
from tests.benchmarks.device.adb_server import need, need_linux

EMULATOR = "qemu-x86_64"
# AVX2 and FMA, no AVX-512, no VNNI.
OLDER = "Haswell-v4"
Inputs = Mapping[str, NDArray[np.int64]]
Answers = dict[str, NDArray[np.float32]]
_RUN = """
import json, sys
import numpy as np
import onnxruntime
for model, inputs, answers in json.load(open(sys.argv[1])):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    found = session.run(names, dict(np.load(inputs)))
    np.savez(answers, **dict(zip(names, found, strict=True)))
"""


def kind() -> str:
    """The kind of this processor, for whoever reads a run."""
    found = instruction_sets()
    if platform.machine() != "x86_64":
        return platform.machine()
    if {"avx512_vnni", "avx_vnni"} & {*found}:
        return "x86_64 with VNNI"
    return "x86_64 with AVX2, without VNNI" if "avx2" in found else "x86_64 without AVX2"


def emulates() -> bool:
    """Whether tests can also run on an older x86 processor than this one."""
    return sys.platform == "linux" and platform.machine() == "x86_64" and bool(shutil.which(EMULATOR))


def on_older_processor(models: Sequence[Path], inputs: Inputs, folder: Path) -> list[Answers]:
    """What ONNX Runtime answers on an emulated x86 processor without VNNI, in one thread.

    Skips the test where there is no emulator, and fails it on the machines that check all changes.

    Args:
        models: files to run.
        inputs: of all of them.
        folder: for what is passed to the emulated process, and what it returns.
    """
    need_linux("x86_64")
    need(EMULATOR)
    np.savez(folder / "inputs.npz", **inputs)
    answers = [folder / f"answers-{index}.npz" for index in range(len(models))]
    jobs = [
        [str(model), str(folder / "inputs.npz"), str(path)]
        for model, path in zip(models, answers, strict=True)
    ]
    (folder / "jobs.json").write_text(json.dumps(jobs), encoding="utf-8")
    subprocess.run(
        [EMULATOR, "-cpu", OLDER, sys.executable, "-c", _RUN, str(folder / "jobs.json")],
        check=True,
        capture_output=True,
        # Else NumPy's OpenBLAS chooses by the processor outside.
        env={**os.environ, "OPENBLAS_CORETYPE": "Haswell", "OPENBLAS_NUM_THREADS": "1"},
    )
    return [dict(np.load(path)) for path in answers]
