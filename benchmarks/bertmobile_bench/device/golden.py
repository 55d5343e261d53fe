"""A bundle's golden answers, compared with what a device answers (docs/bundle.md)."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bertmobile.errors import BertMobileError, BundleError
from bertmobile.manifest import Manifest
from bertmobile_bench.device.cases import Sample


def read_golden(folder: Path) -> dict[str, Any]:
    """The document ``golden.json`` of a bundle.

    Raises:
        BundleError: it has none.
    """
    path = folder / "golden.json"
    if not path.is_file():
        raise BundleError(f"{folder.name} has no golden.json to check a device with; export the bundle again")
    document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return document


def golden_inputs(golden: dict[str, Any], manifest: Manifest) -> list[Sample]:
    """The inputs of each case; padded to its bucket, unless the model takes any length."""
    pads = {"input_ids": manifest.tokenizer.special_tokens["pad"].id}
    samples = []
    for case in golden["cases"]:
        tensors = {}
        for spec in manifest.inputs:
            values = case["inputs"][spec.name]
            size = len(values) if manifest.dynamic else spec.shape[1]
            length = size if isinstance(size, int) else int(case["bucket"])
            row = np.full((1, length), pads.get(spec.name, 0), spec.dtype)
            row[0, : len(values)] = values
            tensors[spec.name] = row
        samples.append(Sample(manifest.signatures[case["bucket"]], tensors))
    return samples


def compare(golden: dict[str, Any], answers: Sequence[Sample]) -> dict[str, Any]:
    """Whether a device's answers are within the bundle's tolerance.

    Returns:
        As the schema ``results`` has it: ``cases``, ``failed`` (in words) and ``max_abs``.

    Raises:
        BertMobileError: there are more or fewer answers than cases.
    """
    if len(answers) != len(golden["cases"]):
        raise BertMobileError(
            f"the device answered {len(answers)} of {len(golden['cases'])} golden cases; run again"
        )
    failed, largest = [], 0.0
    for number, (case, answer) in enumerate(zip(golden["cases"], answers, strict=True), 1):
        for name, expected in case["outputs"].items():
            limit, what = golden["tolerance"][name], f"{name} of case {number}"
            answered = answer.tensors.get(name, np.empty(0)).ravel()
            if answered.size <= max(expected["indices"]):
                failed.append(f"{what} has {answered.size} values, too few")
                continue
            values = answered[expected["indices"]].astype(np.float64)
            reference, engine = (np.asarray(expected[key], np.float64) for key in ("reference", "engine"))
            difference = float(np.abs(values - engine).max())
            norms = float(np.linalg.norm(values) * np.linalg.norm(reference))
            cosine = float(values @ reference) / norms if norms else float(not values.any())
            most, least = limit["max_abs"], limit["cosine"]
            if not np.isfinite(values).all():
                failed.append(f"{what} holds NaN or infinity")
            elif difference > most:
                failed.append(f"{what} is off by {difference:.4g}, more than {most:.4g}")
            elif cosine < least:
                failed.append(f"{what} has cosine {cosine:.5f}, less than {least:.5f}")
            if np.isfinite(difference):
                largest = max(largest, difference)
    return {"cases": len(answers), "failed": failed, "max_abs": largest}
