"""Off macOS, Core ML says where it runs and what to use instead."""

import dataclasses
import sys
from pathlib import Path

import pytest

from bertmobile import UsageError
from bertmobile.engines import open_engine
from tests.messages import error_of
from tests.runtime_py.helpers import make_manifest


@pytest.mark.skipif(sys.platform == "darwin", reason="Core ML runs here")
def test_off_macos_core_ml_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    manifest = dataclasses.replace(make_manifest("fill-mask", mask_slots=5), target="coreml")
    message = error_of(UsageError, open_engine, tmp_path / "no-such-bundle", manifest, engine="coreml")
    assert "macOS only" in message and "leave --engine out to use mlprogram-evaluator" in message
