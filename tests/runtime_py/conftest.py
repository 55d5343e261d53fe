from functools import cache

import pytest
import torch
import transformers
from tokenizers import Tokenizer

import bertmobile.model
from bertmobile.model import Model
from bertmobile.tokenization import Tokenization

from .helpers import HashEngine, make_manifest, tokenizer_folder, write_bundle
from .torch_engine import TorchEngine, tiny_bert


def tokenization(manifest):
    return Tokenization(Tokenizer.from_file(str(tokenizer_folder() / "tokenizer.json")), manifest)


@pytest.fixture(scope="package", autouse=True)
def one_torch_thread():
    """The networks are so small that a second thread only waits for the first."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def hf_tokenizer():
    return transformers.AutoTokenizer.from_pretrained(tokenizer_folder())


@pytest.fixture(scope="session")
def models(hf_tokenizer):
    """(task, manifest fields) -> our model and the reference pipeline, on one tiny network."""

    def make(task, *, prompts=None, **fields):
        # Kept by its arguments, which must not be a dictionary.
        return made(task, None if prompts is None else tuple(prompts.items()), **fields)

    @cache
    def made(task, prompts, **fields):
        fields |= {} if prompts is None else {"prompts": dict(prompts)}
        manifest = make_manifest(task, **fields)
        network = tiny_bert(manifest)
        model = Model(manifest, tokenization(manifest), TorchEngine(manifest, network))
        if task in ("next-sentence", "question-answering"):  # no such pipeline in this release
            return model, network
        return model, transformers.pipeline(task, model=network, tokenizer=hf_tokenizer, device="cpu")

    return make


@pytest.fixture
def hash_engine(monkeypatch):
    """Opens a HashEngine instead of a bundle's model file; gives the list of engines opened."""
    opened = []

    def open_engine(folder, manifest, **options):
        engine = HashEngine(manifest)
        engine.folder, engine.options = folder, options
        opened.append(engine)
        return engine

    monkeypatch.setattr(bertmobile.model, "open_engine", open_engine)
    return opened


@pytest.fixture
def bundle(tmp_path):
    """Writes a bundle of a task (see make_manifest) and gives its folder."""

    def write(task="fill-mask", **fields):
        manifest = make_manifest(task, **fields)
        return write_bundle(tmp_path / manifest.name, manifest)

    return write
