import hashlib
import json

import pytest

from bertmobile.bundle import sha256_file, verify_bundle
from bertmobile.errors import BundleError
from bertmobile.manifest import read_manifest


def verify(folder, **options):
    verify_bundle(folder, read_manifest(folder), **{"allow_unverified": False, **options})


def edit(folder, change):
    path = folder / "manifest.json"
    document = json.loads(path.read_text(encoding="utf-8"))
    change(document)
    path.write_text(json.dumps(document), encoding="utf-8")


def test_an_untouched_bundle_passes(bundle):
    verify(bundle())


def test_sha256_is_that_of_the_whole_file(tmp_path):
    content = bytes(range(256)) * 5000
    (tmp_path / "file").write_bytes(content)
    assert sha256_file(tmp_path / "file") == hashlib.sha256(content).hexdigest()


def test_a_changed_byte_is_found(bundle):
    folder = bundle()
    (folder / "model.tflite").write_bytes(b"Placeholder")
    with pytest.raises(BundleError, match=r"model\.tflite was changed"):
        verify(folder)


def test_a_shortened_file_is_found(bundle):
    folder = bundle()
    (folder / "vocab.txt").write_bytes(b"[PAD]")
    with pytest.raises(BundleError, match=r"vocab\.txt has 5 bytes"):
        verify(folder)


def test_a_missing_file_is_found(bundle):
    folder = bundle()
    (folder / "vocab.txt").unlink()
    with pytest.raises(BundleError, match=r"vocab\.txt is missing"):
        verify(folder)


@pytest.mark.parametrize("name", ["extra.txt", "deep/extra.txt"])
def test_an_extra_file_is_found(bundle, name):
    folder = bundle()
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text("surprise")
    with pytest.raises(BundleError, match=f"{name} is not listed"):
        verify(folder)


def test_an_extra_link_to_a_folder_is_found(bundle, tmp_path):
    folder = bundle()
    (tmp_path / "elsewhere").mkdir()
    (folder / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(BundleError, match="link is not listed"):
        verify(folder)


@pytest.mark.parametrize(
    "name", ["../outside", "a/../../outside", "/etc/hostname", "./vocab.txt", "a//b", "", "a\0b", "\ud800"]
)
def test_a_listed_path_that_leaves_the_folder_is_refused(bundle, tmp_path, name):
    folder = bundle()
    (tmp_path / "outside").write_bytes(b"placeholder")
    edit(folder, lambda document: document["files"].update({name: document["files"]["model.tflite"]}))
    with pytest.raises(BundleError, match="leaves the bundle"):
        verify(folder)


def test_a_listed_link_to_a_file_outside_is_refused(bundle, tmp_path):
    folder = bundle()
    (folder / "model.tflite").rename(tmp_path / "outside")
    (folder / "model.tflite").symlink_to(tmp_path / "outside")
    with pytest.raises(BundleError, match=r"'model\.tflite', which leaves the bundle"):
        verify(folder)


@pytest.mark.parametrize("target", ["model.tflite", "gone"])
def test_a_link_that_leads_nowhere_is_refused(bundle, target):
    folder = bundle()
    (folder / "model.tflite").unlink()
    (folder / "model.tflite").symlink_to(target)
    with pytest.raises(BundleError, match=r"model\.tflite cannot be read"):
        verify(folder)


def test_a_manifest_that_does_not_list_its_model_is_refused(bundle):
    folder = bundle()
    (folder / "model.tflite").unlink()
    edit(folder, lambda document: document["files"].pop("model.tflite"))
    with pytest.raises(BundleError, match=r"model\.tflite is missing from manifest\.json"):
        verify(folder)


def test_a_model_that_is_a_folder_is_found_by_its_files(bundle):
    folder = bundle()
    (folder / "package").mkdir()
    (folder / "model.tflite").rename(folder / "package" / "model.mil")

    def move(document):
        document["files"]["package/model.mil"] = document["files"].pop("model.tflite")
        document["model_file"] = "package"

    edit(folder, move)
    verify(folder)


def test_a_manifest_that_breaks_the_schema_is_refused(bundle):
    folder = bundle()
    edit(folder, lambda document: document.pop("lengths"))
    with pytest.raises(BundleError, match="lengths"):
        verify(folder)


@pytest.mark.parametrize("verdict", ["pending", "failed"])
def test_an_unverified_bundle_is_refused_with_the_remedy_unless_allowed(bundle, verdict):
    folder = bundle(verdict=verdict)
    with pytest.raises(BundleError, match=f"verdict {verdict}.*allow_unverified=True"):
        verify(folder)
    verify(folder, allow_unverified=True)


def test_allowing_an_unverified_bundle_does_not_allow_a_damaged_one(bundle):
    folder = bundle(verdict="pending")
    (folder / "model.tflite").write_bytes(b"Placeholder")
    with pytest.raises(BundleError, match="was changed"):
        verify(folder, allow_unverified=True)
