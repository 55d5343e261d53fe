"""What an image is made of, without making one."""

import io
import tarfile
from pathlib import Path

import pytest

from bertmobile.errors import BertMobileError
from bertmobile_bench.emulator import cpio, image


def tar(files: dict[str, bytes]) -> tarfile.TarFile:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as writer:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(data), 0o755
            writer.addfile(member, io.BytesIO(data))
        hard = tarfile.TarInfo("./usr/hard")
        hard.type, hard.linkname = tarfile.LNKTYPE, next(iter(files))
        writer.addfile(hard)
    archive.seek(0)
    return tarfile.open(fileobj=archive)


def test_every_folder_comes_before_what_is_in_it() -> None:
    entries = image.with_folders([cpio.file("a/b/c", b""), cpio.folder("a", 0o700), cpio.link("b", "a")])
    assert [entry.path for entry in entries] == ["a", "a/b", "a/b/c", "b"]
    assert entries[0] == cpio.folder("a", 0o700)


def test_of_two_files_at_a_path_the_last_one_counts() -> None:
    assert image.with_folders([cpio.file("a", b"1"), cpio.file("a", b"2")]) == [cpio.file("a", b"2")]


def test_what_a_recipe_leaves_out_is_not_in_the_image() -> None:
    content = tar({"./bin/sh": b"shell", "./usr/share/doc/sh": b"manual", "./usr/shared": b"kept"})
    found = list(image._read_files(content, ("usr/share/",)))
    assert found == [
        cpio.file("bin/sh", b"shell", 0o755),
        cpio.file("usr/shared", b"kept", 0o755),
        cpio.file("usr/hard", b"shell", 0o644),
    ]


def test_modules_are_numbered_in_the_order_of_the_recipe() -> None:
    content = tar({"./boot/vmlinuz-6": b"kernel", "./lib/modules/6/b.ko": b"b", "./lib/modules/6/a.ko": b"a"})
    kernel, modules = image._read_kernel(content, ("b", "a"))
    assert kernel == b"kernel"
    assert [(entry.path, entry.data) for entry in modules] == [
        ("lib/modules/00-b.ko", b"b"),
        ("lib/modules/01-a.ko", b"a"),
    ]


def test_a_kernel_without_a_module_is_refused_by_its_name() -> None:
    content = tar({"./boot/vmlinuz-6": b"kernel"})
    with pytest.raises(BertMobileError, match="virtio_net"):
        image._read_kernel(content, ("virtio_net",))


def test_an_empty_cache_has_no_image(tmp_path: Path) -> None:
    assert image.cached(tmp_path) is None


def test_an_image_of_other_sources_is_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image._folder(tmp_path).mkdir(parents=True)
    assert image.cached(tmp_path) is not None
    monkeypatch.setattr(image, "_SOURCES", ("device.toml",))
    assert image.cached(tmp_path) is None


def test_programs_of_the_device_can_be_run_and_the_console_is_a_device() -> None:
    own = {entry.path: entry for entry in image._own_files()}
    assert own["etc/rc"].mode & 0o111 and own["dev/console"].device == (5, 1)
