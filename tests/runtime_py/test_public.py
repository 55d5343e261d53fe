import subprocess
import sys

import pytest

import bertmobile

from .helpers import TESTS, make_manifest, write_bundle

RUN_WITHOUT_TORCH = """
import sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"torch", "transformers"}:
            raise AssertionError(f"{name} was imported")

sys.meta_path.insert(0, Blocker())
import bertmobile
import bertmobile.model
from runtime_py.helpers import HashEngine

bertmobile.model.open_engine = lambda folder, manifest, **options: HashEngine(manifest)
with bertmobile.load(sys.argv[1]) as model:
    print(len(model("a [MASK]")))
assert not {"torch", "transformers"} & set(sys.modules)
"""


def python(code, *arguments):
    path = ":".join(sys.path)
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env={"PYTHONPATH": f"{TESTS}:{path}", "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_public_interface_is_exactly_this():
    assert set(bertmobile.__all__) == {
        "BertMobileError",
        "BundleError",
        "CheckpointError",
        "MissingDependencyError",
        "MissingToolError",
        "Model",
        "ParityError",
        "TruncationWarning",
        "UsageError",
        "__version__",
        "load",
    }
    assert all(getattr(bertmobile, name) is not None for name in bertmobile.__all__)
    assert set(bertmobile.__all__) <= set(dir(bertmobile))


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'lode'"):
        bertmobile.lode  # noqa: B018


def test_the_version_is_a_version():
    assert bertmobile.__version__[0].isdigit()


@pytest.mark.parametrize(
    ("module", "unwanted"),
    [
        ("bertmobile", "numpy tokenizers click ai_edge_litert onnxruntime coremltools"),
        ("bertmobile.cli", "numpy tokenizers ai_edge_litert onnxruntime coremltools fastjsonschema"),
        ("bertmobile.model", "ai_edge_litert onnxruntime coremltools torch transformers"),
    ],
)
def test_importing_is_light(module, unwanted):
    done = python(f"import sys, {module}; print(*set(sys.modules) & set({unwanted.split()!r}))")
    assert done.returncode == 0 and done.stdout.strip() == "", done


def test_a_run_imports_neither_torch_nor_transformers(tmp_path):
    folder = write_bundle(tmp_path / "bundle", make_manifest("fill-mask"))
    done = python(RUN_WITHOUT_TORCH, str(folder))
    assert (done.returncode, done.stdout) == (0, "5\n"), done.stderr
