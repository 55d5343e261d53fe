"""Documents after the schema ``results``: what was measured, of which bundles, on which device."""

import json
import zlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bertmobile.bundle import sha256_file
from bertmobile.errors import UsageError
from bertmobile.manifest import MANIFEST, Manifest
from bertmobile_bench import schemas


def document(
    device: Mapping[str, Any],
    bundles: Mapping[str, tuple[Path, Manifest]],
    results: Sequence[Mapping[str, Any]],
    comparisons: Sequence[Mapping[str, Any]],
    *,
    runs: int,
    seconds: float,
    versus: str | None = None,
) -> dict[str, Any]:
    """Join the parts, now.

    Args:
        device: what was measured on, with its readings before and after.
        bundles: folders and manifests by name.
        results, comparisons: as the schema has them.
        runs, seconds: that each case was to have, at least.
        versus: the bundle that others were compared with.
    """
    found = {
        "schema_version": 1,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "tool": version("bertmobile"),
        "settings": {"runs": runs, "seconds": seconds, "versus": versus},
        "device": dict(device),
        "bundles": [_bundle(name, *each) for name, each in bundles.items()],
        "results": list(results),
        "comparisons": list(comparisons),
    }
    schemas.validate(found, "results")
    return found


def merged(documents: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The documents of each device as one, with the readings before the first and after the last."""
    found: dict[tuple[Any, ...], dict[str, Any]] = {}
    for each in documents:
        device = each["device"]
        key = tuple(device[name] for name in ("kind", "serial", "name", "fingerprint"))
        if key not in found:
            found[key] = {**each, "bundles": list(each["bundles"]), "results": [], "comparisons": []}
        whole = found[key]
        whole["device"] = {**whole["device"], "after": device["after"]}
        whole["bundles"] += [bundle for bundle in each["bundles"] if bundle not in whole["bundles"]]
        for part in ("results", "comparisons"):
            whole[part] = [*whole[part], *each[part]]
    return list(found.values())


def by_name(bundles: Sequence[Path]) -> dict[str, Path]:
    """Folders by name; one that is given twice counts once.

    Raises:
        UsageError: two folders of one name.
    """
    found: dict[str, Path] = {}
    for folder in bundles:
        name = folder.resolve().name
        if name in found and found[name].resolve() != folder.resolve():
            raise UsageError(
                f"two bundles are called {name}; rename one folder, so that results tell them apart"
            )
        found[name] = folder
    return found


def _bundle(name: str, folder: Path, manifest: Manifest) -> dict[str, Any]:
    return {
        "name": name,
        "sha256": sha256_file(folder / MANIFEST),
        "target": manifest.target,
        "task": manifest.task,
        "recipe": manifest.recipe["name"],
        "verdict": manifest.verdict,
        "cosine": _cosine(folder),
        "model_bytes": manifest.model_bytes,
        "bytes": sum(entry.bytes for entry in manifest.files.values()),
        "compressed_bytes": sum(_compressed(folder / listed) for listed in manifest.files),
    }


def _cosine(folder: Path) -> float | None:
    """Mean cosine of the first output, which a report may not have: texts without meaningful vectors."""
    report = folder / "parity.json"
    if not report.is_file():
        return None
    outputs: dict[str, dict[str, Any]] = json.loads(report.read_text(encoding="utf-8"))["outputs"]
    cosine = next(iter(outputs.values()))["cosine_mean"]
    return None if cosine is None else float(cosine)


def _compressed(path: Path) -> int:
    """Bytes of a file after deflate, as archives of apps use it."""
    compressor, size = zlib.compressobj(6), 0
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            size += len(compressor.compress(piece))
    return size + len(compressor.flush())
