"""XNNPACK's weight cache: used when it is whole, rebuilt when it is not, and never for another model."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bertmobile import UsageError, load
from bertmobile.engines.weight_cache import SUFFIX, cache_key
from tests.exports import Exports
from tests.messages import error_of

TEXTS = ["the people of the land", "warm rain in the city " * 8, ""]
WORKER = """
import sys
from bertmobile import load
folder, cache, texts = sys.argv[1], sys.argv[2], sys.argv[3:]
sys.stdin.readline()  # start together
with load(folder, cache_dir=cache) as model:
    print(model.embed(texts).tobytes().hex())
"""

WITHOUT_CACHE = """
import sys, bertmobile
with bertmobile.load(sys.argv[1]) as model:
    print(model.embed(sys.argv[2:]).tobytes().hex())
"""


def embed(folder: Path, cache: Path | None = None) -> bytes:
    with load(folder, cache_dir=cache) as model:
        return model.embed(TEXTS).tobytes()


def snapshot(folder: Path) -> dict[str, tuple[int, int, int]]:
    """Name, inode, size and time of every file."""
    return {
        path.relative_to(folder).as_posix(): (stat.st_ino, stat.st_size, stat.st_mtime_ns)
        for path in folder.rglob("*")
        if path.is_file()
        for stat in [path.stat()]
    }


def only(cache: Path) -> Path:
    (path,) = cache.iterdir()
    assert path.name.endswith(SUFFIX) and path.stat().st_size
    return path


@pytest.fixture(scope="module")
def folder(exports: Exports) -> Path:
    return exports("feature-extraction").bundle


@pytest.fixture(scope="module")
def other(exports: Exports) -> Path:
    """Another model: the same file name, sizes and names of tensors, other weights."""
    return exports("feature-extraction", checkpoint={"trained": False}).bundle


@pytest.fixture(scope="module")
def expected(folder: Path) -> bytes:
    return embed(folder)


@pytest.fixture
def cache(folder: Path, expected: bytes, tmp_path: Path) -> Path:
    """A folder with one finished cache."""
    assert embed(folder, tmp_path / "cache") == expected
    only(tmp_path / "cache")
    return tmp_path / "cache"


def test_the_first_load_writes_one_file_in_the_named_folder_and_nothing_elsewhere(
    folder: Path, expected: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("home", "tmp", "here"):
        (tmp_path / name).mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    monkeypatch.chdir(tmp_path / "here")
    before = snapshot(folder)
    assert embed(folder, tmp_path / "a" / "cache") == expected
    only(tmp_path / "a" / "cache")
    assert len(snapshot(tmp_path)) == 1
    assert snapshot(folder) == before


def test_later_loads_use_the_file_as_it_is(folder: Path, expected: bytes, cache: Path) -> None:
    before = snapshot(cache)
    for _ in range(2):
        assert embed(folder, cache) == expected
    assert snapshot(cache) == before


def test_the_file_is_really_read(folder: Path, expected: bytes, cache: Path) -> None:
    """Without this, none of these tests would notice a cache that is never used: with weights that were
    changed behind the cache's back, and the time stamp kept, the answers change too."""
    path = only(cache)
    stat = path.stat()
    content = bytearray(path.read_bytes())
    middle = range(len(content) // 4, len(content) // 2, 4)
    for index in middle:
        content[index + 3 - index % 4] ^= 0x80  # the sign of a float32
    path.write_bytes(content)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert embed(folder, cache) != expected


@pytest.mark.parametrize("damage", ["half", "one byte less", "one byte more", "garbage", "empty", "deleted"])
def test_a_damaged_cache_is_rebuilt(folder: Path, expected: bytes, cache: Path, damage: str) -> None:
    path = only(cache)
    good, size = path.read_bytes(), path.stat().st_size
    if damage == "half":
        os.truncate(path, size // 2)
    elif damage == "one byte less":
        os.truncate(path, size - 1)
    elif damage == "one byte more":
        path.write_bytes(good + b"\0")
    elif damage == "garbage":
        path.write_bytes(bytes(range(256)) * (size // 256) + bytes(size % 256))
    elif damage == "empty":
        path.write_bytes(b"")
    else:
        path.unlink()
    assert embed(folder, cache) == expected
    after = snapshot(cache)
    assert only(cache).stat().st_size == size
    assert embed(folder, cache) == expected
    assert snapshot(cache) == after


def test_a_build_that_was_interrupted_is_not_taken_for_a_cache(
    folder: Path, expected: bytes, tmp_path: Path
) -> None:
    embed(folder, tmp_path / "other")
    key = only(tmp_path / "other").name.partition("-")[0]
    left = tmp_path / f"{key}.building-1-0"
    left.write_bytes(b"half")
    assert embed(folder, tmp_path) == expected
    assert left.read_bytes() == b"half" or not left.exists()
    (finished,) = tmp_path.glob(f"*{SUFFIX}")
    assert finished.name.startswith(key)


def test_first_users_at_the_same_time_all_get_right_answers(
    folder: Path, expected: bytes, tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, folder, cache, *TEXTS],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]
    for worker in workers:
        assert worker.stdin
        worker.stdin.write("\n")
        worker.stdin.flush()
    answers = [worker.communicate()[0].strip() for worker in workers]
    assert [worker.returncode for worker in workers] == [0] * 4
    assert set(answers) == {expected.hex()}
    # What they left is whole: nothing half built, and later loads change nothing.
    assert 1 <= len(list(cache.iterdir())) <= 4
    assert all(path.name.endswith(SUFFIX) for path in cache.iterdir())
    before = snapshot(cache)
    assert embed(folder, cache) == expected
    assert snapshot(cache) == before


def test_two_models_in_one_folder_do_not_mix(
    folder: Path, other: Path, expected: bytes, tmp_path: Path
) -> None:
    wanted = embed(other)
    assert wanted != expected
    for _ in range(2):
        assert embed(folder, tmp_path) == expected
        assert embed(other, tmp_path) == wanted
    assert len(list(tmp_path.iterdir())) == 2


def test_another_model_under_the_same_path_gets_another_cache(
    folder: Path, other: Path, expected: bytes, tmp_path: Path
) -> None:
    place, cache = tmp_path / "model.tflite", tmp_path / "cache"
    assert folder.name == other.name
    shutil.copytree(folder, place)
    assert embed(place, cache) == expected
    shutil.rmtree(place)
    shutil.copytree(other, place)
    assert embed(place, cache) == embed(other)
    assert len(list(cache.iterdir())) == 2


def test_one_model_in_two_places_shares_a_cache(
    folder: Path, expected: bytes, cache: Path, tmp_path: Path
) -> None:
    before = snapshot(cache)
    assert embed(shutil.copytree(folder, tmp_path / "copy"), cache) == expected
    assert snapshot(cache) == before


def test_the_key_depends_on_the_model_and_on_the_engine() -> None:
    keys = {cache_key("a" * 64, "1"), cache_key("b" * 64, "1"), cache_key("a" * 64, "2")}
    assert len(keys) == 3
    assert cache_key("a" * 64, "1") in keys


def test_without_a_folder_nothing_is_cached(folder: Path, expected: bytes, tmp_path: Path) -> None:
    for name in ("home", "tmp"):
        (tmp_path / name).mkdir()
    before = snapshot(folder)
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_CACHE, folder, *TEXTS],
        env={**os.environ, "HOME": str(tmp_path / "home"), "TMPDIR": str(tmp_path / "tmp")},
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == expected.hex()
    assert snapshot(tmp_path) == {} and snapshot(folder) == before


def test_a_folder_that_cannot_be_made_is_a_usage_error(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    for place in (tmp_path / "file", tmp_path / "file" / "cache"):
        assert str(place) in error_of(UsageError, load, folder, cache_dir=place)


@pytest.mark.skipif(sys.platform != "linux", reason="needs a folder in which not even root may write")
def test_a_folder_that_cannot_be_written_leaves_the_model_without_a_cache(
    folder: Path, expected: bytes
) -> None:
    assert embed(folder, Path("/proc")) == expected


def test_the_command_uses_the_folder(folder: Path, tmp_path: Path) -> None:
    from bertmobile.cli import main

    assert main([str(folder), "--embed", "a word", "--cache-dir", str(tmp_path / "cache")]) == 0
    only(tmp_path / "cache")


def test_a_manifest_with_another_hash_never_reaches_the_cache(
    folder: Path, other: Path, cache: Path, tmp_path: Path
) -> None:
    """The name of a cache comes from the manifest; verification is what makes that name true."""
    copy = shutil.copytree(other, tmp_path / "copy")
    document = json.loads((copy / "manifest.json").read_text())
    document["files"]["model.tflite"] = json.loads((folder / "manifest.json").read_text())["files"][
        "model.tflite"
    ]
    (copy / "manifest.json").write_text(json.dumps(document))
    before = snapshot(cache)
    from bertmobile import BundleError

    assert "model.tflite" in error_of(BundleError, load, copy, cache_dir=cache)
    assert snapshot(cache) == before


def test_what_killed_builders_left_is_removed_and_what_running_ones_write_is_not(
    folder: Path, expected: bytes, tmp_path: Path
) -> None:
    old, new = (tmp_path / f"key.building-{age}" for age in ("old", "new"))
    for path in (old, new):
        path.write_bytes(b"half")
    os.utime(old, (0, 0))
    assert embed(folder, tmp_path) == expected
    assert new.exists() and not old.exists()


def test_a_nearly_full_disk_means_no_cache_and_a_warning(
    folder: Path, expected: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=1000))
    with pytest.warns(UserWarning, match="nearly full"):
        assert embed(folder, tmp_path) == expected
    assert list(tmp_path.iterdir()) == []
