"""Build and check the APKs without the Android SDK: ``python -m tests.mobile_demo_android.apk``."""

import argparse
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.mobile_demo_android.android import BUILD_TYPES, AndroidBuild, obstacle
from tests.mobile_demo_android.checks import Outcome, check_apk, check_sources
from tests.mobile_demo_android.downloads import reported
from tests.mobile_demo_android.kotlin import Toolchain


def main() -> int:
    """Print what was checked."""
    parser = argparse.ArgumentParser(prog="python -m tests.mobile_demo_android.apk", description=__doc__)
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="keep the APKs here")
    out = parser.parse_args().out
    if reason := obstacle():
        print(f"skipped: {reason}")
        return 0
    return reported(lambda: _check(out))


def _check(out: Path | None) -> int:
    failed = False
    with tempfile.TemporaryDirectory() as created:
        for outcome in _outcomes(Path(created), out):
            print(f"{outcome.check:64}{outcome.said}", flush=True)
            failed |= outcome.failed
    return int(failed)


def _outcomes(folder: Path, out: Path | None) -> Iterator[Outcome]:
    build = AndroidBuild(Toolchain.fetch(), folder)
    yield from check_sources(build)
    for build_type in BUILD_TYPES:
        apk = build.apk(build_type)
        print(f"\n{apk.name}, {apk.stat().st_size / 1e6:.1f} MB")
        yield from check_apk(build, build_type)
        if out:
            out.mkdir(parents=True, exist_ok=True)
            shutil.copy2(apk, out)


if __name__ == "__main__":
    sys.exit(main())
