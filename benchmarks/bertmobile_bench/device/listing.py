"""What adb sees, and what each device lacks for a good measurement."""

from collections.abc import Iterator, Sequence
from typing import Any

from bertmobile_bench.device import readings
from bertmobile_bench.device.adb import REMEDIES, Device, DeviceError, Listed, Server
from bertmobile_bench.device.trust import doubts


def list_devices(servers: Sequence[str]) -> Iterator[dict[str, Any]]:
    """A row for each device of this machine's server and of others.

    Returns:
        ``serial``, ``state`` (adb's), ``name``, ``cpu``, ``os``, ``abi`` and ``emulated``, None where not
        known, and ``missing``: in words.

    Raises:
        DeviceError: a server does not answer.
        MissingToolError: adb is not installed.
    """
    for server in (Server(), *map(Server, servers)):
        for listed in server.devices():
            yield _row(listed, Device(listed.serial, server))


def _row(listed: Listed, device: Device) -> dict[str, Any]:
    row = {"serial": device.name, "state": listed.state}
    unknown = dict.fromkeys(("name", "cpu", "os", "abi", "emulated"))
    if listed.state != "device":
        return {**row, **unknown, "missing": [REMEDIES.get(listed.state, "see adb devices")]}
    try:
        device.require_shell_v2()
        said = readings.ask(device)
    except DeviceError as failure:
        return {**row, **unknown, "missing": [str(failure)]}
    found = readings.describe(device, said)
    changing = readings.changing(said)
    state = {**found, **changing, "after": changing}
    missing = list(doubts(state))
    if found["emulated"]:
        missing.append("a real processor: times of an emulated device say nothing of a phone")
    return {
        **row,
        "name": found["name"],
        "cpu": found["cpu"],
        "os": f"{found['os']} {found['os_version']}",
        "abi": readings.abi(said),
        "emulated": found["emulated"],
        "missing": missing,
    }
