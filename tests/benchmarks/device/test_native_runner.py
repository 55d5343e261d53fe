"""The runner in C, started here as a device starts it."""

import subprocess
from pathlib import Path

import numpy as np
import pytest

from bertmobile.engines import open_engine
from bertmobile.manifest import Manifest, read_manifest
from bertmobile_bench.device.build import ENGINES, PROGRAM
from bertmobile_bench.device.cases import Sample, read_cases, write_cases
from bertmobile_bench.device.golden import golden_inputs, read_golden
from bertmobile_bench.device.runners import Installed, workload_inputs
from tests.benchmarks.device.conftest import ABI

TARGETS = ("tflite", "onnx")


def command(builds: Path, bundle: Path, manifest: Manifest, *cases: Path) -> list[str]:
    engine, folder = ENGINES[manifest.target], builds / ABI
    files = [f"{path.stem}={path}" for path in cases]
    return [
        str(folder / PROGRAM), engine.name, str(folder / engine.library), str(bundle / manifest.model_file),
        "1", *files,
    ]  # fmt: skip


def run(arguments: list[str], asked: str = "") -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        arguments, input=asked, capture_output=True, text=True, errors="replace", timeout=60
    )


@pytest.mark.parametrize("target", TARGETS)
def test_its_answers_are_those_of_the_python_runtime_bit_for_bit(
    builds: Path, bundles: dict[str, Path], target: str, tmp_path: Path
) -> None:
    bundle = bundles[target]
    manifest = read_manifest(bundle)
    workloads = {
        name: workload_inputs(Installed(bundle, "", manifest), name) for name in ("32", "64", "texts")
    }
    workloads["golden"] = golden_inputs(read_golden(bundle), manifest)
    files = {name: tmp_path / f"{name}.cases" for name in workloads}
    for name, samples in workloads.items():
        write_cases(files[name], samples)
    asked = "".join(f"answers {name}\n" for name in workloads)
    done = run(command(builds, bundle, manifest, *files.values()), asked)
    assert done.returncode == 0 and "error" not in done.stderr
    engine = open_engine(bundle, manifest)
    try:
        for name, samples in workloads.items():
            answers = read_cases(tmp_path / f"{name}.cases.answers")
            for sample, answer in zip(samples, answers, strict=True):
                expected = engine.run(sample.tensors)
                assert set(answer.tensors) == set(expected) and answer.signature == sample.signature
                for output, values in expected.items():
                    assert values.dtype == answer.tensors[output].dtype
                    np.testing.assert_array_equal(answer.tensors[output], values)
    finally:
        engine.close()


def small(folder: Path, manifest: Manifest) -> Path:
    """A file with one short sample, which the model takes."""
    path = folder / "32.cases"
    write_cases(path, workload_inputs(Installed(folder, "", manifest), "32"))
    return path


@pytest.mark.parametrize("target", TARGETS)
def test_a_damaged_file_is_refused_with_one_line_and_never_crashes(
    builds: Path, bundles: dict[str, Path], target: str, tmp_path: Path
) -> None:
    manifest = read_manifest(bundles[target])
    path = small(tmp_path, manifest)
    whole, (sample,) = path.read_bytes(), read_cases(path)
    name, values = next(iter(sample.tensors.items()))
    head = whole.index(name.encode()) + len(name) + 4 * 2 + 8 * (values.ndim + 1)
    # ONNX Runtime has no signatures, so it does not miss one.
    unread = range(12, 12 + len(sample.signature)) if target == "onnx" else ()
    damaged = {
        f"cut at {at}": whole[:at] for at in (0, 3, 4, 8, 12, *range(head - 40, head, 8), len(whole) - 1)
    }
    damaged |= {
        f"another byte at {at}": whole[:at] + bytes([whole[at] ^ 0x80]) + whole[at + 1 :]
        for at in range(head)
        if at not in unread
    }
    arguments = command(builds, bundles[target], manifest, tmp_path / "damaged")
    for what, content in damaged.items():
        (tmp_path / "damaged").write_bytes(content)
        done = run(arguments)
        assert done.returncode == 1, f"{what}: {done}"
        # TensorFlow Lite has something to say as well.
        said = [line for line in done.stderr.splitlines() if not line.startswith("INFO: ")]
        assert len(said) == 1 and said[0].startswith("error: "), f"{what}: {done}"


@pytest.mark.parametrize(
    ("asked", "says"),
    [("32\n", "not WORKLOAD COUNT"), ("33 1\n", "no workload is called 33"), ("answers x\n", "called x")],
)
def test_what_it_does_not_know_ends_it_with_one_line(
    builds: Path, bundles: dict[str, Path], asked: str, says: str, tmp_path: Path
) -> None:
    manifest = read_manifest(bundles["onnx"])
    done = run(command(builds, bundles["onnx"], manifest, small(tmp_path, manifest)), asked)
    assert done.returncode == 1 and says in done.stderr and done.stderr.count("\n") == 1


@pytest.mark.parametrize("target", TARGETS)
def test_a_damaged_model_is_an_error_in_the_engines_words(
    builds: Path, bundles: dict[str, Path], target: str, tmp_path: Path
) -> None:
    manifest = read_manifest(bundles[target])
    cases = small(tmp_path, manifest)
    (tmp_path / manifest.model_file).write_bytes(b"no model at all")
    done = run(command(builds, tmp_path, manifest, cases))
    assert done.returncode == 1 and "error: " in done.stderr
    arguments = command(builds, bundles[target], manifest, cases)
    for place, value, says in (
        (1, "abacus", "no engine is called abacus"),
        (2, "./none.so", "none.so"),
        (4, "0", "0 is not a number of threads"),
        (5, "32", "32 is not WORKLOAD=FILE"),
    ):
        done = run([*arguments[:place], value, *arguments[place + 1 :]])
        assert done.returncode == 1 and says in done.stderr


def test_a_sample_of_another_model_is_an_error(
    builds: Path, bundles: dict[str, Path], tmp_path: Path
) -> None:
    for target in TARGETS:
        manifest = read_manifest(bundles[target])
        (sample,) = workload_inputs(Installed(tmp_path, "", manifest), "32")
        for wrong in (
            Sample("unknown", {"other": np.zeros((1, 32), np.int32)}),
            Sample(sample.signature, {**sample.tensors, "input_ids": np.zeros((1, 7), np.float32)}),
            Sample(sample.signature, {}),
        ):
            write_cases(tmp_path / "wrong", [wrong])
            done = run(command(builds, bundles[target], manifest, tmp_path / "wrong"))
            assert done.returncode == 1 and "error: " in done.stderr, f"{target}, {wrong}: {done}"
