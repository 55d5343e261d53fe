"""What a device's readings say against its results."""

from collections.abc import Iterator, Mapping
from typing import Any

# Android's thermal status from which on clocks are lower than they could be: 1, "light".
THROTTLED = 1
LOW_BATTERY_PERCENT = 20
# Other work on a device without Android, in cores. Android's own load is above 1 when nothing is going on.
BUSY = 0.5


def doubts(device: Mapping[str, Any]) -> Iterator[str]:
    """In words, of a device as the schema ``results`` describes it."""
    if throttled(device["after"]):
        yield f"throttled: thermal status {device['after']['thermal_status']}"
    battery = device["battery_percent"]
    if battery is not None and battery < LOW_BATTERY_PERCENT:
        yield f"the battery was at {battery} %: the system may save power"
    if device["screen_on"] is False:
        yield "the screen was off: the system may save power"
    load = device["load_average"]
    if device["os"] != "android" and load is not None and load > BUSY:
        yield f"other work: a load of {load:.1f}"


def throttled(state: Mapping[str, Any]) -> bool:
    """Whether readings say that clocks are lower than they could be."""
    status = state["thermal_status"]
    return status is not None and status >= THROTTLED
