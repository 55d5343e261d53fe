"""``bertmobile-export``: what it prints, and how it ends."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bertmobile.bundle import verify_bundle
from bertmobile.manifest import read_manifest
from bertmobile.schemas import validate
from bertmobile_export.cli.export import main
from bertmobile_export.targets.tflite import TARGET
from bertmobile_export.threads import one_thread_each
from tests.conftest import Exported
from tests.exports import BIN, COARSE, Exports
from tests.hub_server import serve_hub

COMMANDS = ("export", "parity")
WITHOUT = """
import sys
for package in sys.argv.pop(1).split():
    sys.modules[package] = None
from bertmobile_export.cli.{command} import main
sys.exit(main(sys.argv[1:]))
"""
LOADED = """
import sys
from bertmobile_export.cli.{command} import main
code = main(sys.argv[1:])
print(code, *sorted({{name.partition(".")[0] for name in sys.modules}}), file=sys.stderr)
"""
# The model file is copied, so that the process need not convert; the rest of the road is as always.
WITH_READY_MODEL = """
import shutil, sys
from bertmobile_export.cli.export import main
from bertmobile_export.targets.tflite import TARGET
ready = sys.argv.pop(1)
type(TARGET).write = lambda self, plan, network, samples, path, tokenizer: shutil.copy(ready, path)
sys.exit(main(sys.argv[1:]))
"""


def python(script: str, *arguments: str | Path, **options: Any) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", script, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        **options,
    )


@pytest.fixture
def model_file(exports: Exports, monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], None]:
    """Puts a model file in place of the conversion."""

    def use(made: Path) -> None:
        monkeypatch.setattr(
            TARGET,
            "write",
            lambda plan, network, samples, path, tokenizer: shutil.copy(made, path),
            raising=False,
        )

    use(exports("feature-extraction").bundle / "model.tflite")
    return use


def arguments(exports: Exports, task: str, output: Path, *more: str) -> list[str]:
    return ["--target", "tflite", "--model", str(exports.checkpoint(task)), "--output", str(output), *more]


@pytest.mark.parametrize("command", COMMANDS)
def test_help_shows_the_examples_and_the_exit_codes(command: str) -> None:
    done = subprocess.run(
        [BIN / f"bertmobile-{command}", "--help"], capture_output=True, text=True, check=True
    )
    assert done.stderr == "" and "Traceback" not in done.stdout
    lines = done.stdout.splitlines()
    assert "Examples:" in "".join(lines)
    assert sum(line.strip().startswith(f"bertmobile-{command} ") for line in lines) >= 3
    assert "Exit codes: 0" in done.stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_help_and_wrong_usage_load_none_of_the_heavy_packages(command: str) -> None:
    for given in (["--help"], ["--nonsense"]):
        code, *packages = python(LOADED.format(command=command), *given).stderr.splitlines()[-1].split()
        assert code == ("0" if given == ["--help"] else "2")
        assert "click" in packages
        heavy = {
            "torch",
            "numpy",
            "transformers",
            "litert_torch",
            "ai_edge_litert",
            "tokenizers",
            "rich",
            "jax",
        }
        assert not heavy & set(packages)


def test_a_dry_run_predicts_every_recipe_and_loads_no_torch(exports: Exports, tmp_path: Path) -> None:
    given = arguments(exports, "fill-mask", tmp_path / "out", "--dry-run", "--json")
    done = python(LOADED.format(command="export"), *given, cwd=tmp_path)
    code, *packages = done.stderr.splitlines()[-1].split()
    assert code == "0" and len(done.stderr.splitlines()) == 1
    assert not {"torch", "transformers", "litert_torch", "ai_edge_litert", "safetensors"} & set(packages)
    document = json.loads(done.stdout)
    assert document["dry_run"] is True and document["task"] == "fill-mask" and document["lengths"] == [32, 64]
    assert document["recipes"].keys() >= {"float32", "float16", "int8", "int8-static"}
    assert document["recipes"]["int8"] < document["recipes"]["float16"] < document["recipes"]["float32"]
    assert list(tmp_path.iterdir()) == []


def test_a_dry_run_of_one_recipe_needs_only_the_config(
    exports: Exports, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(exports.checkpoint("fill-mask") / "config.json", tmp_path / "config.json")
    assert main(["--target", "tflite", "--model", str(tmp_path), "--int8", "--dry-run"]) == 0
    out, err = capsys.readouterr()
    assert err == "" and "int8" in out and " MB" in out and "float32" not in out


def test_json_is_one_object_on_stdout_and_nothing_else_anywhere(export_json: Exported) -> None:
    done = export_json.process.done
    assert done.returncode == 0 and done.stderr == ""
    assert done.stdout.count("\n") == 1
    document = json.loads(done.stdout)
    assert document["bundle"] == str(export_json.bundle)
    assert (document["target"], document["task"], document["recipe"]) == ("onnx", "fill-mask", "int8")
    assert document["bytes"] == (export_json.bundle / "model.onnx").stat().st_size
    assert document["source_bytes"] > document["bytes"] and document["seconds"] > 0
    assert document["parity"] == json.loads((export_json.bundle / "parity.json").read_text())
    assert document["parity"]["verdict"] == "passed"
    manifest = read_manifest(export_json.bundle)
    verify_bundle(export_json.bundle, manifest, allow_unverified=False)


@pytest.mark.slow
def test_without_json_a_person_reads_sizes_and_the_verdict_and_no_log(export_table: Exported) -> None:
    done = export_table.process.done
    assert done.returncode == 0 and done.stderr == ""
    flat = "".join(done.stdout.split())
    assert str(export_table.bundle) in flat or export_table.bundle.name in flat
    assert "Paritypassed:" in flat and "float32PyTorch" in flat and "logits" in flat
    assert not any(word in done.stdout for word in ("INFO", "WARNING", "Warning", "I0000", "it/s"))


def test_below_the_threshold_it_exits_3_and_json_still_tells_everything(
    exports: Exports, tmp_path: Path, capsys: pytest.CaptureFixture[str], model_file: Callable[[Path], None]
) -> None:
    model_file(exports("feature-extraction", checkpoint={"trained": False}).bundle / "model.tflite")
    given = arguments(exports, "feature-extraction", tmp_path, "--json")
    capsys.readouterr()  # of making the checkpoints
    with one_thread_each():
        code = main(given)
    out, err = capsys.readouterr()
    assert code == 3
    document = json.loads(out)
    validate(document["parity"], "parity", source="stdout", error=AssertionError)  # type: ignore[arg-type]
    assert document["parity"]["verdict"] == "failed" and document["bundle"].endswith(".tflite.failed")
    assert Path(document["bundle"]).is_dir()
    assert err.startswith("error: ") and err.count("\n") == 1
    assert "max_abs" in err and "(text " in err and document["bundle"] in err
    assert [path.name for path in tmp_path.iterdir()] == [Path(document["bundle"]).name]


def test_an_existing_bundle_exits_2_and_overwrite_replaces_it(
    exports: Exports, tmp_path: Path, capsys: pytest.CaptureFixture[str], model_file: Callable[[Path], None]
) -> None:
    bundle = tmp_path / exports("feature-extraction").bundle.name
    bundle.mkdir()
    (bundle / "mine.txt").write_text("keep")
    given = arguments(exports, "feature-extraction", tmp_path)
    assert main(given) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert [path.name for path in bundle.iterdir()] == ["mine.txt"]
    with one_thread_each():
        assert main([*given, "--overwrite"]) == 0
    verify_bundle(bundle, read_manifest(bundle), allow_unverified=False)


@pytest.mark.parametrize(
    ("code", "given", "message"),
    [
        (2, ["--target", "onyx"], "tflite"),
        (2, ["--recipe", "int7"], "int8-static"),
        (2, ["--seq-len", "32,many"], "32,many"),
        (2, ["--seq-len", ""], "--seq-len"),
        (2, ["--seq-len", "0"], "positive"),
        (2, ["--seq-len", "3"], "at least"),
        (2, ["--seq-len", "32,65"], "64 positions"),
        (2, ["--task", "translation"], "fill-mask"),
        (2, ["--revision", "main"], "folder"),
        (2, ["--nonsense"], "--nonsense"),
        (2, ["--recipe", "int8-static", "--calibration", "no/such/file.txt"], "no/such/file.txt"),
        (2, ["--calibration", "texts.txt"], "leave --calibration out"),
        (2, ["--target", "coreml", "--ios", "15"], "16, 17, 18"),
        (2, ["--target", "coreml", "--ios", "new"], "--ios"),
        (2, ["--target", "tflite", "--ios", "17"], "leave it out"),
        (2, ["--target", "coreml", "--ios", "16", "--recipe", "int8-static"], "--ios 17"),
        (2, ["--target", "coreml", "--ios", "17", "--seq-len", "32,64"], "--ios 18"),
        (2, ["--target", "coreml", "--int8", "--calibration", "texts.txt"], "leave --calibration out"),
        (2, ["--target", "coreml", "--seq-len", "65"], "64 positions"),
        (2, ["--target", "onnx", "--seq-len", "65"], "64 positions"),
        (2, ["--target", "onnx", "--portable", "--int8"], "int8-static"),
        (2, ["--target", "onnx", "--portable", "--seq-len", "32,64"], "one --seq-len"),
        (2, ["--target", "onnx", "--ort", "--fp16"], "leave --ort out"),
        (2, ["--target", "onnx", "--int8", "--calibration", "no/such/file.txt"], "no/such/file.txt"),
        (2, ["--target", "all", "--ios", "19"], "16, 17, 18"),
        (2, ["--target", "all", "--seq-len", "65"], "64 positions"),
        (1, ["--task", "token-classification"], "head"),
        (1, ["--model", "."], "config.json"),
        (1, ["--model", "./no/such/folder"], "./no/such/folder"),
    ],
)
def test_an_error_is_one_line_with_the_remedy_and_the_exit_code_of_its_class(
    exports: Exports, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str],
    code: int, given: list[str], message: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    with one_thread_each():
        assert main(arguments(exports, "fill-mask", tmp_path / "out", *given)) == code
    out, err = capfd.readouterr()
    assert out == ""
    assert err.startswith("error: ") and err.count("\n") == 1 and message in err
    # At most the folder for bundles is there.
    assert [path for path in tmp_path.rglob("*") if path.name != "out"] == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{broken", "not valid JSON"),
        ("[]", "recipe.json"),
        (json.dumps({**COARSE, "weights": {}}), "weights"),
        (json.dumps({**COARSE, "activations": "sometimes"}), "activations"),
        (json.dumps({**COARSE, "name": "../up"}), "name"),
    ],
)
def test_a_recipe_file_that_is_none_exits_2(
    exports: Exports, tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str, message: str
) -> None:
    (tmp_path / "recipe.json").write_text(content)
    given = ["--recipe", str(tmp_path / "recipe.json"), "--dry-run"]
    assert main(arguments(exports, "fill-mask", tmp_path / "out", *given)) == 2
    err = capsys.readouterr().err
    assert err.startswith("error: ") and err.count("\n") == 1 and message in err


@pytest.mark.parametrize("target", ["onnx", "coreml", "all"])
def test_a_recipe_that_a_target_cannot_hold_exits_2_and_says_what_it_can(
    exports: Exports, tmp_path: Path, capsys: pytest.CaptureFixture[str], target: str
) -> None:
    given = ["--target", target, "--recipe", str(exports.recipe_file(COARSE))]
    assert main(arguments(exports, "fill-mask", tmp_path / "out", *given)) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("error: ") and err.count("\n") == 1
    assert "coarse" in err and "8, 16" in err
    assert not (tmp_path / "out").exists()


def test_no_target_exits_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--model", "anything"]) == 2
    assert "--target" in capsys.readouterr().err


def test_verbose_adds_the_traceback(
    exports: Exports, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments(exports, "fill-mask", tmp_path, "--task", "nonsense", "--verbose")) == 2
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("Traceback") and lines[-1].startswith("error: unknown task")


@pytest.mark.parametrize(
    ("command", "target", "package", "extra"),
    [
        pytest.param("export", "tflite", "litert_torch", "export", marks=pytest.mark.slow),
        ("export", "tflite", "torch", "export"),
        ("export", "tflite", "rich", "export"),
        pytest.param("export", "onnx", "onnx", "export", marks=pytest.mark.slow),
        pytest.param("export", "onnx", "onnxruntime", "export", marks=pytest.mark.slow),
        ("export", "coreml", "coremltools", "coreml"),
        pytest.param("export", "all", "coremltools", "coreml", marks=pytest.mark.slow),
        ("parity", "tflite", "torch", "export"),
    ],
)
def test_a_missing_package_exits_4_with_the_pip_command(
    exports: Exports, tmp_path: Path, command: str, target: str, package: str, extra: str
) -> None:
    if command == "export":
        given = arguments(exports, "feature-extraction", tmp_path / "out", "--target", target)
    else:
        bundle = exports("feature-extraction", target=target).bundle
        given = [str(bundle), "--reference", str(exports.checkpoint("feature-extraction"))]
    done = python(WITHOUT.format(command=command), package, *given)
    assert done.returncode == 4, done.stderr
    assert done.stdout == ""
    assert done.stderr.startswith(f"error: {package} is not installed") and done.stderr.count("\n") == 1
    assert f"pip install 'bertmobile[{extra}]'" in done.stderr
    assert not (tmp_path / "out").exists() or list((tmp_path / "out").iterdir()) == []


@pytest.mark.slow
def test_a_model_of_the_hub_is_exported_with_its_id_and_commit(exports: Exports, tmp_path: Path) -> None:
    source = exports.checkpoint("feature-extraction")
    ready = exports("feature-extraction").bundle / "model.tflite"
    with serve_hub() as hub:
        commit = hub.add("someone/tiny-bert", {path.name: path.read_bytes() for path in source.iterdir()})
        done = python(
            WITH_READY_MODEL,
            ready,
            *["--model", "someone/tiny-bert", "--target", "tflite", "--output", tmp_path / "out", "--json"],
            env=hub.environment(tmp_path / "home"),
        )
        fetched = hub.fetched()
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    bundle = Path(json.loads(done.stdout)["bundle"])
    assert bundle.name == "tiny-bert-feature-extraction-float32.tflite"
    manifest = read_manifest(bundle)
    verify_bundle(bundle, manifest, allow_unverified=False)
    assert manifest.source.model == "someone/tiny-bert" and manifest.source.revision == commit
    assert {"config.json", "vocab.txt", "model.safetensors"} <= fetched
    for path in bundle.iterdir():
        assert str(tmp_path).encode() not in path.read_bytes(), path.name
