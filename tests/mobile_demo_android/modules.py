"""The modules of the Gradle project, as far as compiling needs to know them."""

from dataclasses import dataclass
from pathlib import Path

from tests.vectors.write import ROOT

PROJECT = ROOT / "mobile_demo_android"
STUBS = ROOT / "tests/mobile_demo_android/stubs"
LITERT_MANIFEST = STUBS / "litert/AndroidManifest.xml"


@dataclass(frozen=True)
class Module:
    """A module: its sources, and what it uses.

    ``libraries`` are names such as ``android``, for jars that are made or fetched.
    A module ``inside`` another sees what is internal there, as the source set of a build type does.
    """

    name: str
    sources: tuple[Path, ...]
    resources: tuple[Path, ...] = ()
    tests: tuple[Path, ...] = ()
    uses: tuple["Module", ...] = ()
    libraries: tuple[str, ...] = ()
    inside: "Module | None" = None


def _kotlin(name: str, *source_sets: str) -> tuple[Path, ...]:
    return tuple(PROJECT / name / "src" / source_set / "kotlin" for source_set in source_sets)


CORE = Module(
    "core",
    _kotlin("core", "main"),
    resources=(PROJECT / "core/src/main/resources",),
    tests=_kotlin("core", "test"),
)
LITERT_STUBS = Module("litert-stubs", (STUBS / "litert",))
ENGINE_LITERT = Module("engine-litert", _kotlin("engine-litert", "main"), uses=(CORE, LITERT_STUBS))
ENGINE_ORT = Module("engine-ort", _kotlin("engine-ort", "main"), uses=(CORE,), libraries=("onnxruntime",))
_ENGINES = (ENGINE_LITERT, ENGINE_ORT)
# Both engines on a JVM, with real libraries: tests only, which also use what the tests of :core have.
ENGINES_ON_JVM = Module(
    "engines-on-jvm",
    (),
    tests=(
        ROOT / "tests/mobile_demo_android/engine_tests",
        *(
            PROJECT / "core/src/test/kotlin/org/bertmobile/core" / name
            for name in ("Vectors.kt", "tasks/AnswerDocuments.kt")
        ),
    ),
    uses=_ENGINES,
    libraries=("jna",),
)
# What of the app's benchmark build has nothing of Android's: its logic, and the jobs of bertmobile-bench.
APP_LOGIC = Module(
    "app-logic",
    tuple(
        path
        for folder in _kotlin("app", "main", "benchmark")
        for path in sorted(folder.rglob("*.kt"))
        if "import android." not in path.read_text("utf-8")
    ),
    uses=_ENGINES,
)
APP_ON_JVM = Module(
    "app-on-jvm",
    (),
    tests=(
        *_kotlin("app", "test", "testBenchmark"),
        ROOT / "tests/mobile_demo_android/app_tests",
        *(
            ROOT / "tests/mobile_demo_android/engine_tests" / name
            for name in ("Engines.kt", "NativeLibrary.kt")
        ),
    ),
    uses=(APP_LOGIC,),
    libraries=("jna",),
)
APP = Module(
    "app",
    _kotlin("app", "main"),
    uses=(CORE, *_ENGINES),
    libraries=("android", "resources"),
)
APP_BENCHMARK = Module(
    "app-benchmark",
    _kotlin("app", "benchmark"),
    uses=(APP,),
    libraries=("resources-benchmark",),
    inside=APP,
)
