"""Makes one set of measurements of many documents, whatever their order."""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import PurePath
from typing import Any

from bertmobile_bench.report.results import created

# Readings of a device that change while it measures.
READINGS = (
    "governor",
    "frequency_khz",
    "load_average",
    "temperature_celsius",
    "battery_percent",
    "thermal_status",
    "screen_on",
)


@dataclass(frozen=True, eq=False)
class Device:
    """A device.

    Attributes:
        label: its name; with more where that is another's, too, and with "emulated" where it is.
        emulated: whether any document says so.
        facts: of the schema ``results``, from the newest document.
        readings: before and after each document, oldest first; None where they were not to be had.
    """

    label: str
    emulated: bool
    facts: dict[str, Any]
    readings: dict[str, tuple[Any, ...]]


@dataclass(frozen=True, eq=False)
class Bundle:
    """A bundle, or the source model that PyTorch ran.

    Attributes:
        label: its name, with its hash where other bundles have that name.
        facts: of the schema ``results``; None for a source model.
    """

    label: str
    facts: dict[str, Any] | None


@dataclass(frozen=True, eq=False)
class Case:
    """One result: ``result`` is that of the schema ``results``."""

    device: Device
    bundle: Bundle
    result: dict[str, Any]

    @property
    def summary_only(self) -> bool:
        """Whether the runner kept no single latencies, so that a mean is all there is."""
        return self.result["latency"]["p90"] is None

    @property
    def headline(self) -> float:
        """Seconds: nine of ten runs took no longer; or the mean, where that is all there is."""
        latency = self.result["latency"]
        seconds: float = latency["mean"] if self.summary_only else latency["p90"]
        return seconds


@dataclass(frozen=True, eq=False)
class Comparison:
    """A ratio of two bundles on one device, as the schema ``results`` has it, and what ran them."""

    device: Device
    bundle: Bundle
    versus: Bundle
    facts: dict[str, Any]
    setting: str


@dataclass(frozen=True)
class Merged:
    """All that was measured, in an order that does not depend on that of the documents.

    ``replaced`` names what was measured again, and is shown as it was measured last.
    """

    documents: int
    tools: tuple[str, ...]
    first: datetime
    last: datetime
    devices: tuple[Device, ...]
    bundles: tuple[Bundle, ...]
    cases: tuple[Case, ...]
    comparisons: tuple[Comparison, ...]
    replaced: tuple[str, ...]


def merge(documents: Iterable[dict[str, Any]]) -> Merged:
    """Make one of documents of the schema ``results``, of which there is at least one.

    Documents of one device are its measurements; what was measured again replaces what was measured before.
    A document that is given twice counts once.
    """
    # Oldest first, so that what comes later may replace what is there; the text settles ties.
    known = {(created(each), json.dumps(each, sort_keys=True)): each for each in documents}
    ordered = [known[key] for key in sorted(known)]
    devices = _devices(ordered)
    bundles = _bundles(ordered)
    cases: dict[tuple[Any, ...], Case] = {}
    comparisons: dict[tuple[Any, ...], Comparison] = {}
    replaced: list[str] = []
    for document in ordered:
        device = devices[_device_key(document)]
        names = {each["name"]: bundles[each["name"], each["sha256"]] for each in document["bundles"]}
        how: dict[tuple[Any, ...], str] = {}
        for result in document["results"]:
            bundle = names.get(result["bundle"]) or bundles[result["bundle"], None]
            case = Case(device, bundle, result)
            what = ("runner", "engine", "threads", "core_mask", "workload")
            key = (device, bundle, *(result[each] for each in what))
            if key in cases:
                replaced.append(
                    f"{bundle.label} on {device.label}, {setting(case)}, {workload_name(result['workload'])}"
                )
            cases[key] = case
            how[result["bundle"], result["threads"], result["workload"]] = setting(case)
        for each in document["comparisons"]:
            bundle, versus = (
                names.get(each[side]) or bundles[each[side], None] for side in ("bundle", "versus")
            )
            of = how.get((each["bundle"], each["threads"], each["workload"]))
            key = (device, bundle, versus, each["threads"], each["workload"], of)
            comparisons[key] = Comparison(device, bundle, versus, each, of or "")
    return Merged(
        documents=len(ordered),
        tools=tuple(sorted({document["tool"] for document in ordered})),
        first=created(ordered[0]),
        last=created(ordered[-1]),
        devices=tuple(sorted(devices.values(), key=_device_place)),
        bundles=tuple(sorted(bundles.values(), key=lambda bundle: bundle.label)),
        cases=tuple(sorted(cases.values(), key=_case_place)),
        comparisons=tuple(sorted(comparisons.values(), key=_comparison_place)),
        replaced=tuple(dict.fromkeys(replaced)),
    )


def setting(case: Case) -> str:
    """What ran a case, and on how much of the processor."""
    return f"{case.result['engine']} ({case.result['runner']}), {threads_of(case)}"


def threads_of(case: Case) -> str:
    """On how much of the processor a case ran."""
    threads = case.result["threads"]
    return f"{'1 thread' if threads == 1 else f'{threads} threads'}{cores_of(case)}"


def cores_of(case: Case) -> str:
    """The cores that a case was held to, to stand behind its threads; nothing where the system chose."""
    mask = case.result["core_mask"]
    return f" on cores {mask}" if mask else ""


def workload_name(workload: str) -> str:
    """A workload in words."""
    return "sentences" if workload == "texts" else f"{workload} tokens"


def workload_place(workload: str) -> float:
    """Where a workload comes among others: by its tokens, and sentences last."""
    return float("inf") if workload == "texts" else int(workload)


def _device_key(document: dict[str, Any]) -> tuple[str | None, ...]:
    """What tells devices apart, what people call them by first."""
    return tuple(document["device"][key] for key in ("name", "serial", "fingerprint", "kind"))


def _devices(documents: Sequence[dict[str, Any]]) -> dict[tuple[str | None, ...], Device]:
    states: dict[tuple[str | None, ...], list[dict[str, Any]]] = {}
    for document in documents:
        states.setdefault(_device_key(document), []).append(document["device"])
    return {
        key: Device(
            label=_device_label(key, list(states), emulated=(emulated := any(s["emulated"] for s in found))),
            emulated=emulated,
            facts=found[-1],
            readings={
                name: tuple(each.get(name) for state in found for each in (state, state["after"]))
                for name in READINGS
            },
        )
        for key, found in states.items()
    }


def _device_label(
    key: tuple[str | None, ...], keys: Sequence[tuple[str | None, ...]], *, emulated: bool
) -> str:
    # No more than it takes to tell it from the others: a serial number is nobody's business.
    needed = next(
        length
        for length in range(1, len(key) + 1)
        if sum(other[:length] == key[:length] for other in keys) == 1
    )
    details = [part for part in key[1:needed] if part] + (["emulated"] if emulated else [])
    name = key[0] or "unnamed"
    return f"{name} ({', '.join(details)})" if details else name


def _bundles(documents: Sequence[dict[str, Any]]) -> dict[tuple[str, str | None], Bundle]:
    """By name and hash; the hash of a source model is None."""
    found: dict[tuple[str, str | None], dict[str, Any] | None] = {}
    for document in documents:
        names = {bundle["name"] for bundle in document["bundles"]}
        found |= {(bundle["name"], bundle["sha256"]): bundle for bundle in document["bundles"]}
        named = [
            *(result["bundle"] for result in document["results"]),
            *(each[side] for each in document["comparisons"] for side in ("bundle", "versus")),
        ]
        found |= {(name, None): None for name in named if name not in names}
    # A source model is known by the path to it, which is nobody's business either.
    short = {key: key[0] if key[1] else PurePath(key[0]).name or key[0] for key in found}
    counts = Counter(short.values())
    return {
        key: Bundle(
            short[key] if counts[short[key]] == 1 else f"{key[0]} ({key[1][:8] if key[1] else 'source'})",
            facts,
        )
        for key, facts in found.items()
    }


def _device_place(device: Device) -> tuple[Any, ...]:
    return device.emulated, device.label


def _case_place(case: Case) -> tuple[Any, ...]:
    result = case.result
    return (
        *_device_place(case.device),
        case.bundle.label,
        *(result[key] for key in ("runner", "engine", "threads")),
        result["core_mask"] or "",
        workload_place(result["workload"]),
    )


def _comparison_place(comparison: Comparison) -> tuple[Any, ...]:
    facts = comparison.facts
    return (
        *_device_place(comparison.device),
        comparison.bundle.label,
        comparison.versus.label,
        comparison.setting,
        workload_place(facts["workload"]),
    )
