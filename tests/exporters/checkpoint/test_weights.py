"""The same tensors from every file format, precision and spelling, and no unsafe or damaged file."""

import json
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from bertmobile.errors import CheckpointError
from bertmobile_export.checkpoint.weights import looks_trained, read_weights, weights_sha256
from tests.checkpoints import make_checkpoint
from tests.messages import error_of

NORM = "embeddings.LayerNorm"


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Tensor]:
    """The tensors as transformers saved them, without the buffers of a real file."""
    folder = make_checkpoint(tmp_path_factory.mktemp("source"), "fill-mask")
    return dict(load_file(folder / "model.safetensors"))


@pytest.fixture(scope="module")
def expected(saved: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix("bert."): tensor for name, tensor in saved.items()}


def save_safetensors(folder: Path, tensors: dict[str, Tensor]) -> None:
    save_file(tensors, folder / "model.safetensors")


def save_pickle(folder: Path, tensors: dict[str, Tensor]) -> None:
    torch.save(tensors, folder / "pytorch_model.bin")


def save_old_pickle(folder: Path, tensors: dict[str, Tensor]) -> None:
    torch.save(tensors, folder / "pytorch_model.bin", _use_new_zipfile_serialization=False)


def save_shards(folder: Path, tensors: dict[str, Tensor], stem: str, save: Callable[..., None]) -> None:
    stem, suffix = stem.rsplit(".", 1)
    weight_map = {}
    for number in (1, 2):
        shard = f"{stem}-0000{number}-of-00002.{suffix}"
        part = {
            name: tensor for index, (name, tensor) in enumerate(tensors.items()) if index % 2 == number - 1
        }
        save(part, folder / shard)
        weight_map.update(dict.fromkeys(part, shard))
    document = {"metadata": {}, "weight_map": weight_map}
    (folder / f"{stem}.{suffix}.index.json").write_text(json.dumps(document))


def save_safetensors_shards(folder: Path, tensors: dict[str, Tensor]) -> None:
    save_shards(folder, tensors, "model.safetensors", save_file)


def save_pickle_shards(folder: Path, tensors: dict[str, Tensor]) -> None:
    save_shards(folder, tensors, "pytorch_model.bin", torch.save)


FORMATS = [save_safetensors, save_pickle, save_old_pickle, save_safetensors_shards, save_pickle_shards]


def assert_same(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        assert found[name].dtype is torch.float32
        assert torch.equal(found[name], tensor), name


@pytest.mark.parametrize("save", FORMATS)
def test_every_format_gives_the_same_tensors_and_hash(
    save: Callable[..., None], saved: dict[str, Tensor], expected: dict[str, Tensor], tmp_path: Path
) -> None:
    save(tmp_path, saved)
    found = read_weights(tmp_path)
    assert_same(found, expected)
    assert weights_sha256(found) == weights_sha256(expected)


def test_files_that_transformers_shards_itself(tmp_path: Path, expected: dict[str, Tensor]) -> None:
    from transformers import BertForMaskedLM

    whole = make_checkpoint(tmp_path / "whole", "fill-mask")
    BertForMaskedLM.from_pretrained(whole).save_pretrained(tmp_path / "shards", max_shard_size="40KB")
    assert len(list((tmp_path / "shards").glob("model-*.safetensors"))) > 2
    assert_same(read_weights(tmp_path / "shards"), expected)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("save", [save_safetensors, save_pickle])
def test_other_precisions_become_float32(
    dtype: torch.dtype,
    save: Callable[..., None],
    saved: dict[str, Tensor],
    expected: dict[str, Tensor],
    tmp_path: Path,
) -> None:
    save(tmp_path, {name: tensor.to(dtype) for name, tensor in saved.items()})
    assert_same(read_weights(tmp_path), {name: tensor.to(dtype).float() for name, tensor in expected.items()})


def test_float32_weights_are_not_copied(saved: dict[str, Tensor], tmp_path: Path) -> None:
    """A changed byte of the file shows in the tensor: it is mapped."""
    for save, name in ((save_safetensors, "model.safetensors"), (save_pickle, "pytorch_model.bin")):
        folder = tmp_path / name
        folder.mkdir()
        save(folder, {"bert.marker.weight": torch.full((64,), 1.5)})
        found = read_weights(folder)["marker.weight"]
        path = folder / name
        content = path.read_bytes()
        place = content.index(torch.tensor([1.5, 1.5, 1.5]).numpy().tobytes())
        with path.open("r+b") as file:
            file.seek(place)
            file.write(torch.tensor([2.5]).numpy().tobytes())
        assert 2.5 in found


def test_an_optional_prefix_and_the_older_names_of_layer_norm(
    saved: dict[str, Tensor], expected: dict[str, Tensor], tmp_path: Path
) -> None:
    older = {
        name.removeprefix("bert.")
        .replace("LayerNorm.weight", "LayerNorm.gamma")
        .replace("LayerNorm.bias", "LayerNorm.beta"): tensor
        for name, tensor in saved.items()
    }
    assert f"{NORM}.gamma" in older
    save_pickle(tmp_path, older)
    assert_same(read_weights(tmp_path), expected)


def test_the_vocabulary_bias_has_two_names(saved: dict[str, Tensor], tmp_path: Path) -> None:
    theirs, ours = "cls.predictions.decoder.bias", "cls.predictions.bias"
    other = dict(saved)
    other[theirs] = other.pop(ours) + 1
    save_safetensors(tmp_path, other)
    assert torch.equal(read_weights(tmp_path)[ours], saved[ours] + 1)
    # transformers adds the decoder's where a file has both.
    save_safetensors(tmp_path, {**other, ours: saved[ours]})
    assert torch.equal(read_weights(tmp_path)[ours], saved[ours] + 1)


def test_buffers_are_left_out(saved: dict[str, Tensor], expected: dict[str, Tensor], tmp_path: Path) -> None:
    buffers = {"bert.embeddings.position_ids": torch.arange(128)[None], "step": torch.tensor(7)}
    save_pickle(tmp_path, {**saved, **buffers})
    assert_same(read_weights(tmp_path), expected)


def test_safetensors_come_before_a_pickle(saved: dict[str, Tensor], tmp_path: Path) -> None:
    save_safetensors(tmp_path, saved)
    (tmp_path / "pytorch_model.bin").write_bytes(b"not read")
    assert read_weights(tmp_path)


def test_an_unreadable_file(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").mkdir()
    assert "model.safetensors cannot be read (Is a directory)" in error_of(
        CheckpointError, read_weights, tmp_path
    )


def test_no_weights(tmp_path: Path) -> None:
    message = error_of(CheckpointError, read_weights, tmp_path)
    assert "has no weights: neither model.safetensors nor pytorch_model.bin" in message
    assert "save_pretrained" in message


@pytest.mark.parametrize(
    ("name", "framework", "flag"),
    [
        ("tf_model.h5", "TensorFlow", "from_tf=True"),
        ("bert_model.ckpt.index", "TensorFlow", "from_tf=True"),
        ("flax_model.msgpack", "Flax", "from_flax=True"),
    ],
)
def test_weights_of_another_framework(name: str, framework: str, flag: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"weights")
    message = error_of(CheckpointError, read_weights, tmp_path)
    assert f"holds only {framework} weights ({name})" in message
    assert flag in message


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda content: content[:-1000], id="short"),
        pytest.param(lambda content: content[:200], id="cut in the header"),
        pytest.param(lambda content: content[:4], id="cut in the length"),
        pytest.param(lambda content: b"", id="empty"),
        pytest.param(lambda content: b"\xff" * 8 + content[8:], id="header too large"),
        pytest.param(lambda content: content[:8] + b"x" + content[9:], id="invalid JSON"),
        pytest.param(lambda content: b"<html>Too many requests</html>" * 9, id="an error page"),
    ],
)
def test_damaged_safetensors(
    damage: Callable[[bytes], bytes], saved: dict[str, Tensor], tmp_path: Path
) -> None:
    save_safetensors(tmp_path, saved)
    path = tmp_path / "model.safetensors"
    path.write_bytes(damage(path.read_bytes()))
    message = error_of(CheckpointError, read_weights, tmp_path)
    assert "model.safetensors is truncated or corrupt" in message
    assert "download or copy the file again" in message


@pytest.mark.parametrize("save", [save_pickle, save_old_pickle])
@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda content: content[:-1000], id="short"),
        pytest.param(lambda content: content[:300], id="shorter"),
        pytest.param(lambda content: b"", id="empty"),
        pytest.param(lambda content: b"\x80\x02" + content[200:], id="another start"),
        pytest.param(lambda content: b"<html>Too many requests</html>", id="an error page"),
    ],
)
def test_a_damaged_pickle(
    damage: Callable[[bytes], bytes], save: Callable[..., None], saved: dict[str, Tensor], tmp_path: Path
) -> None:
    save(tmp_path, saved)
    path = tmp_path / "pytorch_model.bin"
    path.write_bytes(damage(path.read_bytes()))
    message = error_of(CheckpointError, read_weights, tmp_path)
    assert "pytorch_model.bin is truncated or corrupt" in message
    assert "download or copy the file again" in message


class Attack:
    def __init__(self, proof: Path) -> None:
        self.proof = proof

    def __reduce__(self) -> tuple[Callable[..., None], tuple[Path]]:
        return Path.touch, (self.proof,)


@pytest.mark.parametrize("plain", [True, False], ids=["a plain pickle", "inside torch.save"])
def test_a_pickle_that_runs_code_is_refused(plain: bool, tmp_path: Path) -> None:
    path, proof = tmp_path / "pytorch_model.bin", tmp_path / "proof"
    if plain:
        path.write_bytes(pickle.dumps(Attack(proof), protocol=2))
    else:
        torch.save({"weight": Attack(proof)}, path)
    message = error_of(CheckpointError, read_weights, tmp_path)
    assert "runs code when it is loaded, which is refused" in message
    assert "save the weights as safetensors" in message
    assert not proof.exists()


def test_a_pickle_of_a_newer_protocol_runs_no_code(tmp_path: Path) -> None:
    (tmp_path / "pytorch_model.bin").write_bytes(pickle.dumps(Attack(tmp_path / "proof"), protocol=4))
    assert "truncated or corrupt (Unsupported operand" in error_of(CheckpointError, read_weights, tmp_path)
    assert not (tmp_path / "proof").exists()


def test_a_pickled_model_is_refused(tmp_path: Path) -> None:
    torch.save(torch.nn.Linear(2, 2), tmp_path / "pytorch_model.bin")
    assert "runs code when it is loaded" in error_of(CheckpointError, read_weights, tmp_path)


@pytest.mark.parametrize("content", [[torch.zeros(2)], {"model": {"weight": torch.zeros(2)}}, 3])
def test_a_pickle_of_something_else(content: object, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "pytorch_model.bin")
    message = error_of(CheckpointError, read_weights, tmp_path)
    assert "is not a dictionary of tensors" in message
    assert "save_pretrained" in message


@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin"])
def test_a_git_lfs_pointer(name: str, tmp_path: Path) -> None:
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"
    (tmp_path / name).write_text(pointer)
    message = error_of(CheckpointError, read_weights, tmp_path)
    assert f"{name} is a Git LFS pointer" in message
    assert "git lfs pull" in message


@pytest.mark.parametrize("save", [save_safetensors_shards, save_pickle_shards])
def test_a_missing_shard(save: Callable[..., None], saved: dict[str, Tensor], tmp_path: Path) -> None:
    save(tmp_path, saved)
    shard = next(tmp_path.glob("*-00002-of-00002.*"))
    shard.unlink()
    message = error_of(CheckpointError, read_weights, tmp_path)
    assert f"{shard.name} is missing, a shard that" in message
    assert "download or copy it too" in message


@pytest.mark.parametrize(
    ("index", "expected"),
    [
        ("{", "is not valid JSON"),
        ("{}", "has no weight_map"),
        ('{"weight_map": {"a": 1}}', "has no weight_map"),
        ('{"weight_map": {"a": "../secret.safetensors"}}', "which is not beside it"),
        ('{"weight_map": {"a": "other.bin"}}', "a file of another format"),
    ],
)
def test_a_damaged_index(index: str, expected: str, tmp_path: Path) -> None:
    (tmp_path / "other.bin").touch()
    (tmp_path / "model.safetensors.index.json").write_text(index)
    assert expected in error_of(CheckpointError, read_weights, tmp_path)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_values_that_are_not_finite(
    value: float, dtype: torch.dtype, saved: dict[str, Tensor], tmp_path: Path
) -> None:
    name = "bert.encoder.layer.1.output.dense.weight"
    broken = saved[name].to(dtype).clone()
    broken[3, 4] = value
    save_safetensors(tmp_path, {**saved, name: broken})
    message = error_of(CheckpointError, read_weights, tmp_path)
    assert f"{name} has NaN or infinite values" in message
    assert "use an earlier checkpoint" in message


@pytest.mark.parametrize("dtype", [torch.int8, torch.uint8, torch.float8_e4m3fn])
def test_quantized_weights(dtype: torch.dtype, saved: dict[str, Tensor], tmp_path: Path) -> None:
    name = "bert.encoder.layer.0.output.dense.weight"
    save_safetensors(tmp_path, {**saved, name: torch.zeros(32, 64).to(dtype)})
    message = error_of(CheckpointError, read_weights, tmp_path)
    assert f"{name} is {dtype}, a quantized" in message
    assert "start from its floating-point original" in message


def test_the_hash_depends_on_names_shapes_and_values(expected: dict[str, Tensor]) -> None:
    original = weights_sha256(expected)
    assert len(original) == 64
    assert weights_sha256(dict(reversed(expected.items()))) == original
    name = f"{NORM}.bias"
    tensor = expected[name]
    changed = [
        {**expected, name: tensor + 1},
        {**expected, name: tensor.reshape(2, -1)},
        {("other" if key == name else key): value for key, value in expected.items()},
        {key: value for key, value in expected.items() if key != name},
    ]
    assert len({original, *map(weights_sha256, changed)}) == 5


def test_a_tied_tensor_is_hashed_once(expected: dict[str, Tensor]) -> None:
    table = expected["embeddings.word_embeddings.weight"]
    assert weights_sha256({**expected, "zzz": table}) == weights_sha256(expected)


@pytest.mark.parametrize("task", ["fill-mask", "feature-extraction", "text-classification"])
def test_an_initialisation_does_not_look_trained(task: str, tmp_path: Path) -> None:
    assert not looks_trained(read_weights(make_checkpoint(tmp_path / "fresh", task, trained=False)))
    assert looks_trained(read_weights(make_checkpoint(tmp_path / "trained", task)))


@pytest.mark.parametrize("name", [f"{NORM}.weight", "encoder.layer.0.output.dense.bias"])
def test_one_update_looks_trained(name: str, tmp_path: Path) -> None:
    weights = read_weights(make_checkpoint(tmp_path, "fill-mask", trained=False))
    weights[name] = weights[name] + 1e-6
    assert looks_trained(weights)
