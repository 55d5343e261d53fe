"""Golden answers: what a device checks itself against without PyTorch."""

from typing import Any

import numpy as np

from bertmobile.errors import ParityError
from bertmobile.schemas import validate
from bertmobile_export.parity.compare import Answer
from bertmobile_export.parity.metrics import cosine
from bertmobile_export.parity.report import Report

CASES = 8
# An output may hold 150,000 numbers; a device that gets these many of them right gets the rest right too.
SPREAD = 64
BEST = 5
# Devices use other kernels than the host and round differently, but by less than the recipe itself moves.
SMALLEST_MAX_ABS = 1e-3
COSINE_MARGIN = 1e-3


def golden_document(answers: list[Answer], report: Report) -> dict[str, Any]:
    """A JSON document that fits the schema ``golden``.

    Args:
        answers: built-in texts through both models, at least eight.
        report: the parity report of the same bundle, which gives the tolerance.
    """
    cases = [_case(answer) for answer in answers]
    document = {
        "schema_version": 1,
        "tolerance": {
            name: {
                "max_abs": max(SMALLEST_MAX_ABS, numbers["max_abs"]),
                "cosine": _lowest_cosine(cases, name),
            }
            for name, numbers in report.document["outputs"].items()
        },
        "cases": cases,
    }
    validate(document, "golden", source="golden answers", error=ParityError)
    return document


def _lowest_cosine(cases: list[dict[str, Any]], name: str) -> float:
    outputs = [case["outputs"][name] for case in cases]
    lowest = min(cosine(np.array(o["engine"]), np.array(o["reference"])) for o in outputs)
    return max(-1.0, lowest - COSINE_MARGIN)


def _case(answer: Answer) -> dict[str, Any]:
    return {
        "text": answer.sample.text,
        "pair": answer.sample.pair,
        "bucket": answer.bucket,
        "tokens": len(answer.encoded),
        "inputs": {
            name: (values[0] if name == "mask_positions" else values[0, : len(answer.encoded)]).tolist()
            for name, values in answer.inputs.items()
        },
        "outputs": {name: _output(answer, name) for name in answer.actual},
    }


def _output(answer: Answer, name: str) -> dict[str, Any]:
    """Positions spread over the output, and the best scores of each row."""
    # JSON has no NaN and no Inf; a bundle that answers with them has failed its parity already.
    reference, actual = answer.reference[name], np.nan_to_num(answer.actual[name])
    indices = set(np.linspace(0, reference.size - 1, SPREAD).astype(int).tolist())
    rows = reference.reshape(-1, reference.shape[-1])
    for row in np.linspace(0, len(rows) - 1, BEST).astype(int):
        best = np.argsort(-rows[row], kind="stable")[:BEST]
        indices |= {int(row) * rows.shape[1] + int(i) for i in best}
    ordered = sorted(indices)
    return {
        "indices": ordered,
        "reference": [_rounded(value) for value in reference.ravel()[ordered]],
        "engine": [_rounded(value) for value in actual.ravel()[ordered]],
    }


def _rounded(value: np.float32) -> float:
    """The shortest decimal that reads back as the same float32."""
    return float(str(value))
