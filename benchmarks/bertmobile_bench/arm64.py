"""Our runner for Linux on arm64, and how many instructions it takes on an emulated processor."""

import subprocess
import sys
from collections.abc import Sequence
from importlib import metadata, resources
from pathlib import Path

from bertmobile.errors import BertMobileError
from bertmobile_bench.device.build import PROGRAM, build, linux_compiler
from bertmobile_bench.device.cases import Sample, write_cases

ABI = "linux-aarch64"
EMULATOR = "qemu-aarch64"
# Where Debian's cross compiler has glibc and libstdc++.
LIBRARIES = Path("/usr/aarch64-linux-gnu/lib")
# With and without dot products of 8-bit integers; ONNX Runtime reads of both in /proc/cpuinfo.
PROCESSORS = {
    "cortex-a76": ("0xd0b", "fp asimd fphp asimdhp asimddp"),
    "cortex-a53": ("0xd03", "fp asimd"),
}
_CPUINFO = "processor\t: 0\nFeatures\t: {}\nCPU implementer\t: 0x41\nCPU architecture: 8\nCPU part\t: {}\n"


def runner(folder: Path) -> Path:
    """Build the runner, with ONNX Runtime in the version installed here, which pip downloads.

    Args:
        folder: for the package, and the folder that is returned.

    Raises:
        MissingToolError: there is no cross compiler.
    """
    compiler = linux_compiler(ABI, None)
    wanted = f"onnxruntime=={metadata.version('onnxruntime')}"
    platforms = [f"--platform=manylinux_2_{minor}_aarch64" for minor in (17, 27, 28)]
    options = ("--quiet", "--no-deps", "--only-binary=:all:", *platforms, "--dest", str(folder))
    subprocess.run([sys.executable, "-m", "pip", "download", *options, wanted], check=True)
    return build(ABI, compiler, list(folder.glob("onnxruntime-*.whl")), folder)


def instructions(runner: Path, model: Path, samples: Sequence[Sample], cpu: str, folder: Path) -> float:
    """How many instructions one run of a model takes, the mean of the samples.

    Args:
        runner: see :func:`runner`.
        model: an ``.onnx`` or ``.ort`` file.
        samples: its inputs.
        cpu: one of ``PROCESSORS``.
        folder: for files of this call.

    Raises:
        BertMobileError: the emulated process fails.
    """
    part, features = PROCESSORS[cpu]
    root = folder / cpu
    (root / "proc").mkdir(parents=True, exist_ok=True)
    (root / "proc/cpuinfo").write_text(_CPUINFO.format(features, part), encoding="utf-8")
    (root / "lib").unlink(missing_ok=True)
    (root / "lib").symlink_to(LIBRARIES)
    counter, cases = folder / "instructions.so", folder / "inputs.cases"
    with resources.as_file(resources.files(__package__).joinpath("instructions.c")) as source:
        subprocess.run(["gcc", "-shared", "-fPIC", "-O2", str(source), "-o", str(counter)], check=True)
    write_cases(cases, samples)
    command = [
        EMULATOR, "-cpu", cpu, "-plugin", str(counter), "-L", str(root),
        str(runner / PROGRAM), "onnxruntime", str(runner / "libonnxruntime.so"), str(model), "1",
        f"x={cases}",
    ]  # fmt: skip
    few, many = (_counted(command, f"x {runs}\n") for runs in (len(samples), 3 * len(samples)))
    return (many - few) / (2 * len(samples))


def _counted(command: Sequence[str], asked: str) -> int:
    done = subprocess.run(command, input=asked, capture_output=True, text=True, check=False)
    lines = done.stderr.splitlines()
    if done.returncode or not lines:
        raise BertMobileError(f"{command[0]} cannot run the model: {done.stderr.strip()[-500:]}")
    return int(lines[-1])
