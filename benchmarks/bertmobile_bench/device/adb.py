"""The adb client, one device at a time. Everything a shell reads is quoted here or by the caller."""

import re
import shlex
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bertmobile.errors import BertMobileError, MissingToolError, UsageError

# A device that answers at all answers a short command within this, even when it is busy.
SHELL_SECONDS = 60.0
# Slower than any device: 1 MB a second.
PUSH_SECONDS_PER_BYTE = 1e-6
_END = "bertmobile-exit:"
# What each state of a device means, and what its owner can do.
REMEDIES = {
    "unauthorized": "unlock its screen and accept this computer's key",
    "authorizing": "unlock its screen and accept this computer's key",
    "offline": "replug it, or run: adb reconnect offline",
    "no permissions": "let your user open USB devices (udev rules), then run: adb kill-server",
    "recovery": "start Android on it",
    "sideload": "start Android on it",
    "bootloader": "start Android on it",
}


class DeviceError(BertMobileError):
    """A device cannot be used, or was lost."""


@dataclass(frozen=True)
class Listed:
    """A device as ``adb devices`` lists it; ``state`` is ``device`` where it can be used."""

    serial: str
    state: str


@dataclass(frozen=True)
class Server:
    """An adb server: this machine's own one (which also heeds adb's environment variables), or another's."""

    address: str | None = None

    @property
    def command(self) -> list[str]:
        """The client, told which server to use.

        Raises:
            MissingToolError: adb is not installed.
            UsageError: the address is not HOST:PORT.
        """
        found = shutil.which("adb")
        if not found:
            raise MissingToolError("adb", "install Android's platform tools (on Debian: apt-get install adb)")
        if self.address is None:
            return [found]
        host, _, port = self.address.rpartition(":")
        if not host or not port.isdigit():
            raise UsageError(f"{self.address} is not the address of an adb server; give HOST:PORT")
        return [found, "-H", host, "-P", port]

    def devices(self) -> list[Listed]:
        """All devices that the server sees, in its order.

        Raises:
            DeviceError: the server does not answer.
        """
        done = _run([*self.command, "devices"], SHELL_SECONDS)
        if done.returncode:
            raise DeviceError(f"the adb server {self.address or ''} does not answer: {_reason(done)}")
        return parse_devices(done.stdout)


def parse_devices(said: str) -> list[Listed]:
    """The devices in the output of ``adb devices``; a serial may hold spaces."""
    lines = [line.partition("\t") for line in said.splitlines()]
    return [Listed(serial, _state(rest)) for serial, found, rest in lines if found]


def _state(said: str) -> str:
    """Without what some versions of adb say beside it."""
    known = (state for state in REMEDIES if said.startswith(state))
    return next(known, said.strip())


@dataclass(frozen=True)
class Device:
    """A device behind a server."""

    serial: str
    server: Server = Server()
    alias: str | None = None

    @property
    def name(self) -> str:
        """The alias; else the serial, with the server's address where it is another machine's."""
        if self.alias:
            return self.alias
        return f"{self.server.address}/{self.serial}" if self.server.address else self.serial

    @property
    def command(self) -> list[str]:
        """The client, told which device to use."""
        return [*self.server.command, "-s", self.serial]

    def shell(self, script: str, *, seconds: float = SHELL_SECONDS) -> str:
        """Run a script, which is not given any input.

        Returns:
            What it wrote to stdout.

        Raises:
            DeviceError: it failed, took too long, or the device was lost.
        """
        # Old devices do not pass the exit code on, and a lost one ends as if all were well.
        wrapped = f"({script}\n)\nprintf '\\n{_END}%d\\n' $?"
        done = _run([*self.command, "shell", wrapped], seconds)
        said, found, code = done.stdout.replace("\r\n", "\n").rpartition(f"\n{_END}")
        if not found:
            raise DeviceError(f"{self.name} was lost: {_reason(done)}; is it still connected?")
        if int(code):
            raise DeviceError(f"{self.name}: a command ended with {int(code)}: {_last(said, done.stderr)}")
        return said

    def shell_command(self, script: str) -> list[str]:
        """Arguments of a process that runs a script with this side's stdin and stdout."""
        return [*self.command, "shell", script]

    def require_shell_v2(self) -> None:
        """Refuse a device whose shell keeps neither exit codes nor stderr apart.

        Raises:
            DeviceError: it is older than Android 7.
        """
        done = _run([*self.command, "features"], SHELL_SECONDS)
        if done.returncode:
            raise DeviceError(f"{self.name} does not answer: {_reason(done)}")
        if "shell_v2" not in done.stdout.split():
            raise DeviceError(
                f"the adbd of {self.name} has no shell_v2; take a device with Android 7 or newer"
            )

    def push(self, files: Sequence[Path], folder: str) -> None:
        """Copy files into a folder of the device, and compare their SHA-256 there.

        Raises:
            DeviceError: it has no room for them, they arrive damaged, or it was lost.
        """
        from bertmobile.bundle import sha256_file

        size = sum(file.stat().st_size for file in files)
        arguments = [*self.command, "push", *(str(file.absolute()) for file in files), folder + "/"]
        done = _run(arguments, SHELL_SECONDS + size * PUSH_SECONDS_PER_BYTE)
        if done.returncode:
            raise DeviceError(f"{self.name} did not take {files[0].name}: {_reason(done)}")
        names = [f"{folder}/{file.name}" for file in files]
        listing = self.shell("sha256sum " + " ".join(map(shlex.quote, names)))
        # A backslash marks a name that has to be escaped. A device may print lines of its own, too.
        arrived = re.findall(r"^\\?([0-9a-f]{64}) ", listing, re.M)
        for place, file in enumerate(files):
            if arrived[place : place + 1] != [sha256_file(file)]:
                raise DeviceError(f"{file.name} arrived damaged on {self.name}; run the command again")

    def pull(self, path: str, into: Path) -> None:
        """Copy a file from the device.

        Raises:
            DeviceError: there is no such file, or the device was lost.
        """
        done = _run([*self.command, "pull", path, str(into)], 10 * SHELL_SECONDS)
        if done.returncode:
            raise DeviceError(f"{self.name} did not give {path}: {_reason(done)}")


def choose(server: Server, serial: str | None) -> Device:
    """The device of that serial, or the only one.

    Raises:
        DeviceError: none, or one that is not ready.
        UsageError: several, and none was named.
    """
    listed = server.devices()
    if serial is None:
        ready = [each for each in listed if each.state == "device"]
        if len(ready) > 1:
            raise UsageError(
                f"adb sees {len(ready)} devices: {', '.join(each.serial for each in ready)}; "
                "name one with --serial, or take --all-devices"
            )
        listed = ready or listed
        if not listed:
            raise DeviceError(
                "adb sees no device; connect one with USB debugging switched on, or start an emulator"
            )
        return checked(listed[0], server)
    for each in listed:
        if each.serial == serial:
            return checked(each, server)
    known = ", ".join(each.serial for each in listed) or "none"
    raise DeviceError(f"adb sees no device {serial}; it sees: {known}")


def choose_all(servers: Sequence[str], serial: str | None, every: bool) -> list[Device]:
    """The devices that a command is told to use.

    Args:
        servers: addresses of adb servers; this machine's own counts where there are none, or ``every``.
        serial: of one device; None for the only one.
        every: all that are ready, of all servers.

    Raises:
        DeviceError: there is none, or the one named is not ready.
        UsageError: several, and none was named.
    """
    if not every:
        if len(servers) > 1:
            raise UsageError("several adb servers need --all-devices")
        return [choose(Server(servers[0]) if servers else Server(), serial)]
    if serial is not None:
        raise UsageError("give --serial or --all-devices, not both")
    found: dict[str, Device] = {}
    for server in (Server(), *map(Server, servers)):
        for listed in server.devices():
            if listed.state == "device":
                device = Device(listed.serial, server)
                # One phone may be there twice, by cable and by network: it would disturb itself.
                found.setdefault(_serial_number(device) or device.name, device)
    if not found:
        raise DeviceError("adb sees no device that is ready; see bertmobile-bench devices")
    return list(found.values())


def _serial_number(device: Device) -> str | None:
    """What Android calls itself, whatever adb does; None where it does not tell."""
    try:
        said = device.shell('echo "serial=$(getprop ro.serialno 2> /dev/null)"')
    except DeviceError:  # measuring it will say why
        return None
    found = re.search(r"^serial=(\S+)$", said, re.M)  # a device may print lines of its own, too
    return found[1] if found else None


def checked(listed: Listed, server: Server) -> Device:
    """A device that is ready.

    Raises:
        DeviceError: says what its owner can do.
    """
    if listed.state != "device":
        remedy = REMEDIES.get(listed.state, "see adb devices")
        raise DeviceError(f"{listed.serial} is {listed.state}: {remedy}")
    return Device(listed.serial, server)


def _run(command: Sequence[str], seconds: float) -> "subprocess.CompletedProcess[str]":
    try:
        return subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=seconds,
        )
    except subprocess.TimeoutExpired as failure:
        raise DeviceError(
            f"adb did not answer within {seconds:.0f} s; is the device still connected?"
        ) from failure


def _reason(done: "subprocess.CompletedProcess[str]") -> str:
    """An error in adb's own words, which a summary may follow."""
    errors = re.findall(r"^(?:adb: )?error: (.+)$", f"{done.stdout}\n{done.stderr}", re.M)
    return str(errors[-1]) if errors else _last(done.stdout, done.stderr).removeprefix("adb: ")


def _last(*texts: str) -> str:
    lines = [line.strip() for text in texts for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "it said nothing"
