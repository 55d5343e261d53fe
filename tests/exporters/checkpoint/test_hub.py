"""Fetching from the hub: the right files, the right commit, and one clear line when it fails."""

import json
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.hub_server import Hub, serve_hub

MODEL = "someone/tiny-bert"

# A process of its own, because the hub client reads its environment once.
SCRIPT = """
import json, sys
from bertmobile.errors import BertMobileError
from bertmobile_export.checkpoint import locate
def answer(model, **arguments):
    try:
        location = locate(model, **arguments)
    except BertMobileError as error:
        return {"error": type(error).__name__, "message": str(error)}
    found = sorted(path.relative_to(location.folder).as_posix() for path in location.folder.rglob("*"))
    return {"model": location.model, "revision": location.revision, "files": found}
print(json.dumps([answer(**call) for call in json.loads(sys.argv[1])]))
"""

# Nothing here reads them, so they need not be real.
FILES = {
    "config.json": b"config",
    "vocab.txt": b"vocabulary",
    "tokenizer_config.json": b"settings",
    "model.safetensors": b"weights",
}
WITHOUT_WEIGHTS = {name: content for name, content in FILES.items() if name != "model.safetensors"}


Answer = dict[str, Any]


@dataclass
class Client:
    """Calls ``locate`` in a new process with its own cache."""

    hub: Hub
    home: Path

    def calls(self, *calls: dict[str, Any], env: dict[str, str] | None = None) -> list[Answer]:
        finished = subprocess.run(
            [sys.executable, "-c", SCRIPT, json.dumps(calls)],
            env=self.hub.environment(self.home, PYTHONPATH=":".join(sys.path), **(env or {})),
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        answers: list[Answer] = json.loads(finished.stdout)
        return answers

    def locate(self, model: str = MODEL, *, env: dict[str, str] | None = None, **arguments: Any) -> Answer:
        return self.calls({"model": model, **arguments}, env=env)[0]

    def error(self, model: str = MODEL, *, env: dict[str, str] | None = None, **arguments: Any) -> str:
        return message_of(self.locate(model, env=env, **arguments))


def message_of(answer: Answer) -> str:
    assert answer.get("error") == "CheckpointError", answer
    message: str = answer["message"]
    assert "\n" not in message
    return message


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Client]:
    with serve_hub() as hub:
        yield Client(hub, tmp_path / "home")


def test_fetches_only_what_is_needed(client: Client) -> None:
    unneeded = (
        "README.md",
        "pytorch_model.bin",
        "tf_model.h5",
        "flax_model.msgpack",
        "onnx/model.onnx",
        "model.fp16.safetensors",
        "training_args.bin",
    )
    needed = {
        "special_tokens_map.json": b"2",
        "tokenizer.json": b"3",
    }
    commit = client.hub.add(MODEL, {**FILES, **needed, **dict.fromkeys(unneeded, b"unneeded")})
    answer = client.locate()
    wanted = {*FILES, *needed}
    assert client.hub.fetched() == wanted
    assert answer == {"model": MODEL, "revision": commit, "files": sorted(wanted)}


def modules(*places: str) -> bytes:
    """A ``modules.json`` with a Transformer and what else the folders' names say."""
    kinds = ["Transformer", *(place.partition("_")[2] for place in places[1:])]
    entries = [
        {"path": place, "type": f"sentence_transformers.models.{kind}"}
        for place, kind in zip(places, kinds, strict=True)
    ]
    return json.dumps(entries).encode()


def test_fetches_every_module_of_sentence_transformers(client: Client) -> None:
    needed = {
        "modules.json": modules("", "1_Pooling", "2_Dense", "3_Normalize"),
        "config_sentence_transformers.json": b"1",
        "sentence_bert_config.json": b"2",
        "1_Pooling/config.json": b"3",
        "2_Dense/config.json": b"4",
        "2_Dense/model.safetensors": b"5",
    }
    unneeded = dict.fromkeys(("2_Dense/pytorch_model.bin", "onnx/config.json", "onnx/model.onnx"), b"no")
    client.hub.add(MODEL, {**FILES, **needed, **unneeded})
    assert "message" not in client.locate()
    assert client.hub.fetched() == {*FILES, *needed}


def test_fetches_an_encoder_from_its_own_folder(client: Client) -> None:
    inner = {f"0_Transformer/{name}": content for name, content in FILES.items()}
    inner |= {"0_Transformer/sentence_roberta_config.json": b"1"}
    outer = {"modules.json": modules("0_Transformer", "1_Pooling"), "1_Pooling/config.json": b"2"}
    client.hub.add(MODEL, {**inner, **outer, "pytorch_model.bin": b"unneeded"})
    first = client.locate()
    assert client.hub.fetched() == {*inner, *outer}
    shutil.rmtree(next(client.home.glob("hub/*/trees")))
    assert client.locate(env={"HF_HUB_OFFLINE": "1"}) == first


def test_modules_that_lead_out_of_the_model_are_refused(client: Client) -> None:
    client.hub.add(MODEL, {**FILES, "modules.json": modules("", "../1_Pooling")})
    assert "names '../1_Pooling', which leaves the folder" in client.error()


def test_sends_no_telemetry(client: Client) -> None:
    client.hub.add(MODEL, FILES)
    client.locate()
    assert client.hub.user_agents
    assert not [agent for agent in client.hub.user_agents if "torch" in agent or "agent/" in agent]
    assert not [request for request in client.hub.requests if "telemetry" in request]


def test_fetches_a_pickle_only_without_safetensors(client: Client) -> None:
    client.hub.add(MODEL, {**WITHOUT_WEIGHTS, "pytorch_model.bin": b"weights", "tf_model.h5": b"unneeded"})
    client.locate()
    assert client.hub.fetched() == {*WITHOUT_WEIGHTS, "pytorch_model.bin"}


def test_fetches_every_shard(client: Client) -> None:
    shards = {
        "model.safetensors.index.json": b"{}",
        "model-00001-of-00002.safetensors": b"1",
        "model-00002-of-00002.safetensors": b"2",
    }
    client.hub.add(MODEL, {**WITHOUT_WEIGHTS, **shards, "pytorch_model.bin": b"unneeded"})
    client.locate()
    assert client.hub.fetched() == {*WITHOUT_WEIGHTS, *shards}


def test_a_dry_run_fetches_the_configuration_alone(client: Client) -> None:
    client.hub.add(MODEL, FILES)
    answer = client.locate(weights=False)
    assert client.hub.fetched() == {"config.json", "tokenizer_config.json"}
    assert answer["files"] == ["config.json", "tokenizer_config.json"]


def test_uses_its_cache_offline(client: Client) -> None:
    client.hub.add(MODEL, FILES)
    first = client.locate()
    client.hub.requests.clear()
    assert client.locate(env={"HF_HUB_OFFLINE": "1"}) == first
    assert client.hub.requests == []


@pytest.mark.parametrize("complete", [True, False])
def test_uses_a_cache_without_file_lists_offline(complete: bool, client: Client) -> None:
    """Clients before huggingface_hub 2 left no list of the repository's files."""
    client.hub.add(MODEL, FILES)
    first = client.locate(weights=complete)
    shutil.rmtree(next(client.home.glob("hub/*/trees")))
    if complete:
        assert client.locate(env={"HF_HUB_OFFLINE": "1"}) == first
    else:
        assert "not complete in the cache" in client.error(env={"HF_HUB_OFFLINE": "1"})


def test_uses_its_cache_when_the_hub_is_down(client: Client) -> None:
    client.hub.add(MODEL, FILES)
    first = client.locate()
    assert client.locate(env={"HF_ENDPOINT": closed_port()}) == first


def test_fetches_nothing_twice(client: Client) -> None:
    client.hub.add(MODEL, FILES)
    first, second = client.calls({"model": MODEL}, {"model": MODEL})
    assert first == second
    downloads = [request for request in client.hub.requests if request.startswith(f"GET /{MODEL}/resolve/")]
    assert len(downloads) == len(FILES)


def test_a_revision_is_a_branch_a_tag_or_a_commit(client: Client) -> None:
    client.hub.add(MODEL, FILES)
    older = client.hub.add(MODEL, {**FILES, "vocab.txt": b"older"}, revision="v1")
    tag, commit, branch = client.calls(
        {"model": MODEL, "revision": "v1"}, {"model": MODEL, "revision": older}, {"model": MODEL}
    )
    assert tag["revision"] == commit["revision"] == older
    assert branch["revision"] != older


def test_an_unknown_model(client: Client) -> None:
    message = client.error("someone/nothing")
    assert "someone/nothing is neither a folder here nor a public model" in message
    assert "check the spelling" in message


def test_an_unknown_revision(client: Client) -> None:
    client.hub.add(MODEL, FILES)
    message = client.error(revision="v9")
    assert "has no revision v9" in message
    assert "--revision" in message


def test_a_gated_model(client: Client) -> None:
    client.hub.add(MODEL, FILES, gated=True)
    message = client.error()
    assert "is gated; accept its terms" in message
    assert "HF_TOKEN" in message


def test_neither_a_folder_nor_an_id(client: Client) -> None:
    models = ("./missing", "a/b/c", "no such model", "/missing/folder", "")
    for answer in client.calls(*({"model": model} for model in models)):
        assert "neither a folder nor a hub id" in message_of(answer)
    assert client.hub.requests == []


def test_offline_without_a_cache(client: Client) -> None:
    client.hub.add(MODEL, FILES)
    message = client.error(env={"HF_HUB_OFFLINE": "1"})
    assert "not complete in the cache and HF_HUB_OFFLINE is set" in message
    assert "--model FOLDER" in message
    assert client.hub.requests == []


def test_offline_with_half_a_cache(client: Client) -> None:
    client.hub.add(MODEL, FILES)
    client.locate(weights=False)
    assert "not complete in the cache" in client.error(env={"HF_HUB_OFFLINE": "1"})


def test_an_unreachable_hub(client: Client) -> None:
    message = client.error(env={"HF_ENDPOINT": closed_port()})
    assert f"cannot fetch {MODEL}" in message
    assert "HF_ENDPOINT" in message
    assert "--model FOLDER" in message


def test_a_broken_hub(client: Client) -> None:
    client.hub.broken = True
    assert f"cannot fetch {MODEL}" in client.error()


def test_a_model_without_usable_weights(client: Client) -> None:
    client.hub.add(MODEL, {**WITHOUT_WEIGHTS, "tf_model.h5": b"weights"})
    message = client.error()
    assert "holds only TensorFlow weights (tf_model.h5)" in message
    assert "tf_model.h5" not in client.hub.fetched()


def closed_port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}"
