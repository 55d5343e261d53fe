"""``bertmobile-export --android`` puts bundles that passed where an app finds them, and nothing else."""

import json
import shutil
import tomllib
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import pytest

from bertmobile.bundle import verify_bundle
from bertmobile.errors import UsageError
from bertmobile.manifest import read_manifest
from bertmobile_export.android import ENGINES, Assets
from bertmobile_export.cli.export import main
from bertmobile_export.targets.tflite import TARGET
from bertmobile_export.threads import one_thread_each
from tests.exports import Exports

ROOT = Path(__file__).parents[2]
APP = 'plugins { id("com.android.application") }\n'
AI_PACK = 'plugins { id("com.android.ai-pack") }\naiPack { packName = "pack" }\n'


def module(folder: Path, build: str = APP, name: str = "build.gradle.kts") -> Path:
    folder.mkdir(parents=True)
    (folder / name).write_text(build)
    return folder


def test_an_app_that_delivers_a_pack_is_no_pack(tmp_path: Path) -> None:
    app = module(tmp_path / "app", APP + 'android { assetPacks += ":model_pack" }')
    assert Assets.find(app).ai_pack is None


@pytest.mark.parametrize("name", ["build.gradle.kts", "build.gradle"])
def test_a_modules_assets_are_its_main_ones(tmp_path: Path, name: str) -> None:
    app = module(tmp_path / "app", name=name)
    assert Assets.find(app) == Assets(app / "src/main/assets")


@pytest.mark.parametrize("build", [AI_PACK, "plugins { alias(libs.plugins.android.ai.pack) }"])
def test_an_ai_pack_is_known_by_its_plugin_and_named_to_the_app(
    exports: Exports, tmp_path: Path, build: str
) -> None:
    pack = module(tmp_path / "model_pack", build)
    found = Assets.find(pack)
    assert found == Assets(pack / "src/main/assets", "model_pack")
    made = exports("fill-mask").bundle
    placed = found.place(made, read_manifest(made), found.place_of(made.name, overwrite=False))
    assert placed.gradle[-1] == 'android { assetPacks += ":model_pack" }'


def test_an_assets_folder_is_taken_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "assets").mkdir()
    assert Assets.find(tmp_path / "assets") == Assets(tmp_path / "assets")


def test_what_is_no_module_is_refused_with_what_to_name(tmp_path: Path) -> None:
    for wrong in (tmp_path, tmp_path / "missing", tmp_path / "missing/assets"):
        with pytest.raises(UsageError, match="name an app's module, an AI pack, or an assets folder"):
            Assets.find(wrong)
    root = module(tmp_path / "project")
    (root / "settings.gradle.kts").touch()
    with pytest.raises(
        UsageError, match=r"whole Gradle project; name one of its modules, such as .*project/app"
    ):
        Assets.find(root)


def test_names_that_the_packager_leaves_out_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="leaves out assets whose name begins with '_'"):
        Assets(tmp_path).place_of("_mine-fill-mask-int8.tflite", overwrite=False)


def test_the_demo_has_the_engines_that_bundles_are_checked_with() -> None:
    catalog = tomllib.loads((ROOT / "mobile_demo_android/gradle/libs.versions.toml").read_text())
    named = {library["module"]: library["version"]["ref"] for library in catalog["libraries"].values()}
    for library, package in ENGINES.values():
        assert catalog["versions"][named[library]] == version(package)


@pytest.mark.parametrize("target", ENGINES)
def test_the_copy_is_the_bundle_and_gradle_is_told_its_engine(
    exports: Exports, tmp_path: Path, target: str
) -> None:
    made = exports("fill-mask", target=target).bundle
    manifest = read_manifest(made)
    assets = Assets.find(module(tmp_path / "app"))
    placed = assets.place(made, manifest, assets.place_of(made.name, overwrite=False))
    assert placed.path == tmp_path / "app/src/main/assets/bundles" / made.name
    verify_bundle(placed.path, manifest, allow_unverified=False)
    library, package = ENGINES[target]
    assert placed.gradle == (
        f'android {{ androidResources {{ noCompress += "{target}" }} }}',
        'android { defaultConfig { ndk { abiFilters += listOf("arm64-v8a", "x86_64") } } }',
        f'dependencies {{ implementation("{library}:{manifest.tools[package]}") }}',
    )
    assert [path.name for path in placed.path.parent.iterdir()] == [made.name]


def test_a_copy_that_breaks_off_leaves_what_was_there(
    exports: Exports, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = exports("fill-mask").bundle
    assets = Assets(tmp_path / "assets")
    path = assets.place_of(made.name, overwrite=False)
    path.mkdir(parents=True)
    (path / "old").touch()
    with pytest.raises(UsageError, match="exists and is left as it is; add --overwrite"):
        assets.place_of(made.name, overwrite=False)

    def full(source: Path, folder: Path, **options: bool) -> None:
        (folder / "half").touch()
        raise OSError("No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "copytree", full)
        with pytest.raises(OSError, match="No space left"):
            assets.place(made, read_manifest(made), assets.place_of(made.name, overwrite=True))
    assert [p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*") if p.is_file()] == [
        f"assets/bundles/{made.name}/old"
    ]
    assets.place(made, read_manifest(made), path)
    verify_bundle(path, read_manifest(made), allow_unverified=False)


@pytest.fixture
def converts_to(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], None]:
    """Puts a model file in place of the conversion."""

    def use(ready: Path) -> None:
        monkeypatch.setattr(
            TARGET,
            "write",
            lambda plan, network, samples, path, tokenizer: shutil.copy(ready, path),
            raising=False,
        )

    return use


def arguments(exports: Exports, tmp_path: Path, *more: str) -> list[str]:
    model = exports.checkpoint("feature-extraction")
    android = ["--android", str(tmp_path / "app"), "--output", str(tmp_path / "out")]
    return ["--target", "tflite", "--model", str(model), *android, *more]


def test_the_command_places_a_bundle_and_says_what_gradle_needs(
    exports: Exports,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    converts_to: Callable[[Path], None],
) -> None:
    converts_to(exports("feature-extraction").bundle / "model.tflite")
    module(tmp_path / "app")
    capsys.readouterr()  # of making the checkpoint
    with one_thread_each():
        assert main(arguments(exports, tmp_path)) == 0
        (made,) = (tmp_path / "out").iterdir()
        placed = tmp_path / "app/src/main/assets/bundles" / made.name
        assert read_manifest(placed) == read_manifest(made)
        out = capsys.readouterr().out
        assert f"Copied to {placed}." in out
        assert '\n  dependencies { implementation("com.google.ai.edge.litert:litert:' in out
        assert main(arguments(exports, tmp_path)) == 2
        assert "add --overwrite to replace it" in capsys.readouterr().err
        assert main(arguments(exports, tmp_path, "--overwrite", "--json")) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["android"]["bundle"] == str(placed) and len(document["android"]["gradle"]) == 3


def test_the_command_refuses_before_it_converts(
    exports: Exports,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    converts_to: Callable[[Path], None],
) -> None:
    converts_to(tmp_path / "never")
    given = arguments(exports, tmp_path)
    capsys.readouterr()
    assert main(given) == 2
    assert "is neither a Gradle module" in capsys.readouterr().err
    assert main([*given, "--target", "coreml"]) == 2
    assert "--android means nothing for --target coreml" in capsys.readouterr().err
    taken = module(tmp_path / "app") / "src/main/assets/bundles"
    (taken / exports("feature-extraction").bundle.name).mkdir(parents=True)
    assert main(given) == 2
    assert "app/src/main/assets/bundles" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_copy_that_cannot_be_made_loses_no_bundle(
    exports: Exports,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    converts_to: Callable[[Path], None],
) -> None:
    converts_to(exports("feature-extraction").bundle / "model.tflite")
    (module(tmp_path / "app") / "src").write_text("a file where a folder should be")
    given = arguments(exports, tmp_path)
    capsys.readouterr()
    with one_thread_each():
        assert main(given) == 1
    (made,) = (tmp_path / "out").iterdir()
    verify_bundle(made, read_manifest(made), allow_unverified=False)
    assert f"{made} is finished, but cannot be copied" in capsys.readouterr().err


def test_a_bundle_that_fails_its_parity_stays_out_of_the_app(
    exports: Exports, tmp_path: Path, converts_to: Callable[[Path], None]
) -> None:
    converts_to(exports("feature-extraction", checkpoint={"trained": False}).bundle / "model.tflite")
    app = module(tmp_path / "app")
    with one_thread_each():
        assert main(arguments(exports, tmp_path)) == 3
    assert [path.name for path in app.iterdir()] == ["build.gradle.kts"]
