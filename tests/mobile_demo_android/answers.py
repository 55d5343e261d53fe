"""Generated texts through Hugging Face's tokenizers and through Kotlin's."""

import json
import struct
import subprocess
from array import array
from collections.abc import Iterator
from itertools import islice
from random import Random

from tests.mobile_demo_android.kotlin import Core
from tests.vectors import strings
from tests.vectors.tokenizers import tokenizers
from tests.vectors.write import VECTORS

_CHUNK = 2_000
_INT = struct.Struct(">i")


def differences(core: Core, seed: int, count: int) -> Iterator[tuple[str, str]]:
    """(rules, text) of generated texts whose ids, offsets or words differ."""
    vocabulary = (VECTORS / "vocab.txt").read_bytes().decode().removesuffix("\n").split("\n")
    references = {name: tokenizer for name, (_, tokenizer) in tokenizers(vocabulary).items()}
    cases = _cases(Random(seed), list(references))
    process = subprocess.Popen(
        core.command("org.bertmobile.core.AnswersKt"), stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with process:
        assert process.stdin and process.stdout
        for begin in range(0, count, _CHUNK):
            chunk = list(islice(cases, min(_CHUNK, count - begin)))
            lines = [json.dumps({"rules": name, "text": text}) for name, text in chunk]
            process.stdin.write("\n".join([str(len(lines)), *lines, ""]).encode())
            process.stdin.flush()
            for name, text in chunk:
                expected = references[name].encode(text, add_special_tokens=False)
                starts, ends = zip(*expected.offsets, strict=True) if expected.offsets else ((), ())
                (size,) = _INT.unpack(process.stdout.read(_INT.size))
                found = array("i", process.stdout.read(4 * _INT.size * size))
                found.byteswap()  # Java writes the largest byte first
                if found.tolist() != [*expected.ids, *starts, *ends, *expected.word_ids]:
                    yield name, text
        process.stdin.close()


def _cases(random: Random, names: list[str]) -> Iterator[tuple[str, str]]:
    while True:
        yield random.choice(names), strings.wild(random)
