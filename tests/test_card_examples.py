"""The examples of the model card of boltuix/bert-mobile, through our commands.

The encoder is the packaged MiniLM's; its vocabulary head is random, because no trained one comes as a
package. So the words themselves mean nothing here: what is held is that they are transformers' words.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from transformers import BertForMaskedLM, BertTokenizer, pipeline

from bertmobile_export.export import Request, Result, export
from bertmobile_export.recipes import read_recipe
from tests.runtime_py.helpers import tokenizer_folder

pytestmark = pytest.mark.slow

RUN = str(Path(sys.executable).with_name("bertmobile-run"))
MASKED = ("Hello I'm a [MASK] model.", "The man worked as a [MASK].", "The woman worked as a [MASK].")
EMBEDDED = "Replace me by any text you'd like."


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("card") / "minilm-mlm"
    torch.manual_seed(7)
    BertForMaskedLM.from_pretrained(tokenizer_folder()).save_pretrained(folder)
    BertTokenizer.from_pretrained(tokenizer_folder()).save_pretrained(folder)
    return folder


def exported(checkpoint: Path, task: str, output: Path) -> Result:
    recipe = read_recipe("float32")
    return export(Request(str(checkpoint), "tflite", recipe, task=task, lengths=(32,), output=output))


def answer(*arguments: str) -> object:
    run = subprocess.run([RUN, *arguments, "--json"], capture_output=True, text=True, check=True)
    assert run.stderr == ""
    return json.loads(run.stdout)


def test_fill_mask_gives_the_words_and_scores_of_the_transformers_pipeline(
    checkpoint: Path, tmp_path: Path
) -> None:
    result = exported(checkpoint, "fill-mask", tmp_path)
    assert result.parity["verdict"] == "passed"
    document = answer(str(result.bundle), *MASKED)
    unmasker = pipeline("fill-mask", model=str(checkpoint))
    for row, text in zip(document["results"], MASKED, strict=True):
        expected = unmasker(text)
        assert [guess["token_str"] for guess in row["output"]] == [guess["token_str"] for guess in expected]
        for mine, theirs in zip(row["output"], expected, strict=True):
            assert mine["sequence"] == theirs["sequence"]
            assert mine["score"] == pytest.approx(theirs["score"], rel=1e-3)


def test_feature_extraction_gives_the_pytorch_token_states_without_loading_pytorch(
    checkpoint: Path, tmp_path: Path
) -> None:
    result = exported(checkpoint, "feature-extraction", tmp_path)
    program = f"""
import sys, bertmobile
with bertmobile.load({str(result.bundle)!r}) as model:
    states = model({EMBEDDED!r})
assert not {{"torch", "transformers"}} & set(sys.modules), "loaded"
print(states)
"""
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    tokenizer = BertTokenizer.from_pretrained(checkpoint)
    model = BertForMaskedLM.from_pretrained(checkpoint).bert.eval()
    with torch.inference_mode():
        expected = model(**tokenizer(EMBEDDED, return_tensors="pt")).last_hidden_state
    torch.testing.assert_close(torch.tensor(json.loads(run.stdout)), expected, atol=1e-4, rtol=0)
