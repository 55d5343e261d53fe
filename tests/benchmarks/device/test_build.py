"""The runner's build, and the libraries beside it."""

import json
import zipfile
from pathlib import Path

import pytest

from bertmobile.errors import BertMobileError, MissingToolError, UsageError
from bertmobile_bench.cli import main
from bertmobile_bench.device.build import build, read_versions
from tests.benchmarks.device.adb_server import need
from tests.messages import error_of


def packed(path: Path, *members: str) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for member in members:
            archive.writestr(member, member)
    return path


@pytest.mark.parametrize(
    ("name", "members", "abi", "library", "version"),
    [
        ("litert-2.3.0.aar", ("jni/arm64-v8a/libLiteRt.so", "jni/x86_64/libLiteRt.so"), "x86_64",
         ("libLiteRt.so", "jni/x86_64/libLiteRt.so"), "2.3.0"),
        ("ort-1.28.0-cp311-aarch64.whl", ("onnxruntime/capi/libonnxruntime.so.1.28.0",), "linux-aarch64",
         ("libonnxruntime.so", "onnxruntime/capi/libonnxruntime.so.1.28.0"), "1.28.0"),
    ],
)  # fmt: skip
def test_a_library_is_taken_out_of_its_package(
    tmp_path: Path, name: str, members: tuple[str, ...], abi: str, library: tuple[str, str], version: str
) -> None:
    package = packed(tmp_path / name, "README", *members)
    folder = build(abi, ["true"], [package], tmp_path / "runner")
    assert (folder / library[0]).read_text() == library[1]
    assert list(read_versions(folder).values()) == [version]


def test_what_holds_no_library_of_the_abi_is_refused(tmp_path: Path) -> None:
    other_abi = packed(tmp_path / "litert-2.3.0.aar", "jni/arm64-v8a/libLiteRt.so")
    no_zip, other = tmp_path / "no.aar", tmp_path / "libother.so"
    no_zip.write_text("no archive")
    other.touch()
    for package, says in (
        (other_abi, "for x86_64; take the package of that ABI"),
        (no_zip, "neither an .aar, a .whl nor a .so file"),
        (other, "libother.so is not one of libLiteRt.so, libonnxruntime.so"),
        (tmp_path / "none.whl", "does not exist; give the .aar, .whl or .so"),
    ):
        assert says in error_of(UsageError, build, "x86_64", ["true"], [package], tmp_path / "runner")


def test_a_compiler_that_fails_is_quoted(tmp_path: Path) -> None:
    need("gcc")
    said = error_of(BertMobileError, build, "linux-x86_64", ["gcc", "-Dmain=1+"], [], tmp_path)
    assert "gcc cannot compile the runner" in said


def test_the_command_builds_a_runner_and_says_what_is_in_it(
    libraries: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    need("gcc")
    options = ["--abi", "linux-x86_64", "--cc", "gcc", "--output", str(tmp_path / "a runner")]
    runtimes = [each for library in libraries for each in ("--runtime", str(library))]
    assert main(["build-runner", *options, *runtimes, "--json"]) == 0
    (folder,) = json.loads(capsys.readouterr().out)["folders"]
    names = {path.name for path in Path(folder).iterdir()}
    assert names == {"bertmobile-runner", "libLiteRt.so", "libonnxruntime.so", "versions.json"}


@pytest.mark.parametrize(
    ("options", "code", "says"),
    [
        ([], 4, "sdkmanager"),
        (["--ndk", "/nothing"], 4, "an NDK in /nothing"),
        (["--abi", "abacus"], 2, "known: arm64-v8a"),
        (["--abi", "linux-x86_64", "--cc", "no-such-cc"], 4, "apt-get install gcc-x86-64-linux-gnu"),
    ],
)
def test_without_a_compiler_the_command_says_how_to_get_one(
    options: list[str], code: int, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["build-runner", "--output", str(tmp_path), *options]) == code
    assert says in capsys.readouterr().err and MissingToolError.exit_code == 4
