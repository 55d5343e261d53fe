"""The examples of docs/devices.md run in their order, on a device that claims to be a phone."""

import zipfile
from pathlib import Path

import pytest

from bertmobile_bench.cli import main
from bertmobile_bench.device.build import ANDROID
from tests.benchmarks.device.conftest import Devices
from tests.benchmarks.device.fake_device import PHONE, SERVICES
from tests.exports import Exports
from tests.test_docs import ROOT, commands

# Stands in for the NDK's compiler: this machine is the phone.
CLANG = """#!/bin/sh
for word; do
  shift
  case "$word" in --target=*) ;; *) set -- "$@" "$word" ;; esac
done
exec gcc "$@"
"""


def test_the_examples_run_in_their_order(
    devices: Devices,
    libraries: list[Path],
    exports: Exports,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    devices(properties=PHONE, services=SERVICES)
    monkeypatch.chdir(tmp_path)
    Path("artifacts").mkdir()
    for target in ("tflite", "onnx"):
        bundle = exports("feature-extraction", "int8", target=target).bundle
        Path(f"artifacts/model-feature-extraction-int8.{target}").symlink_to(bundle)
    compiler = Path("android-ndk/toolchains/llvm/prebuilt/linux-x86_64/bin/clang")
    compiler.parent.mkdir(parents=True)
    compiler.write_text(CLANG)
    compiler.chmod(0o755)
    for name, library in zip(("litert-2.3.0", "onnxruntime-android-1.28.0"), libraries, strict=True):
        with zipfile.ZipFile(f"{name}.aar", "w") as archive:
            for abi in ANDROID:
                archive.write(library, f"jni/{abi}/{library.name.partition('.so')[0]}.so")
    quick = ["--runs", "2", "--seconds", "0", "--no-texts"]
    for command in commands(ROOT / "docs/devices.md"):
        program, name, *arguments = command.argv
        assert program == "bertmobile-bench"
        assert main([name, *arguments, *(quick if name == "adb" else [])]) == 0, capfd.readouterr().err
        assert capfd.readouterr().out.strip()
    assert len(Path("results.jsonl").read_text().splitlines()) == 1
