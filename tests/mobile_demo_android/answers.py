"""Generated texts through Hugging Face's tokenizers and through Kotlin's."""

import json
import struct
import subprocess
from array import array
from collections.abc import Iterable, Iterator
from itertools import islice
from random import Random

from tests.mobile_demo_android.kotlin import Workshop
from tests.mobile_demo_android.modules import CORE
from tests.vectors import strings
from tests.vectors.tokenizers import RULES, tokenizers
from tests.vectors.unicode_tables import all_characters
from tests.vectors.write import VECTORS

_CHUNK = 2_000
_CHARACTERS = 64
_INT = struct.Struct(">i")


def every_code_point() -> Iterator[tuple[str, str]]:
    """(rules, text) with each code point in a word, by each set of rules that changes something about it."""
    characters = all_characters()
    for begin in range(0, len(characters), _CHARACTERS):
        text = " ".join(f"a{character}e" for character in characters[begin : begin + _CHARACTERS])
        yield from ((name, text) for name in RULES if name != "renamed")


def generated(seed: int) -> Iterator[tuple[str, str]]:
    """(rules, text) of generated texts, without end."""
    random = Random(seed)
    while True:
        yield random.choice(list(RULES)), strings.wild(random)


def differences(workshop: Workshop, cases: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """Those of (rules, text) whose ids, offsets or words differ."""
    vocabulary = (VECTORS / "vocab.txt").read_bytes().decode().removesuffix("\n").split("\n")
    references = {name: tokenizer for name, (_, tokenizer) in tokenizers(vocabulary).items()}
    remaining = iter(cases)
    process = subprocess.Popen(
        workshop.command(CORE, "org.bertmobile.core.AnswersKt"), stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with process:
        assert process.stdin and process.stdout
        while chunk := list(islice(remaining, _CHUNK)):
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
