"""A folder on a device that is gone when its run is, however that ends."""

import secrets
import shlex
import subprocess

from bertmobile_bench.device.adb import SHELL_SECONDS, Device, DeviceError
from bertmobile_bench.processes import Closing, killed_after

# Of the device's shell, beside what every one has.
_TOOLS = ("sha256sum", "taskset", "timeout")
_PREFIX = "/data/local/tmp/bertmobile-"
# A shell on the device waits for the end of its stdin: of a run that ended, was killed or was cut off. adbd
# hangs up on a command whose client is gone; this one is still needed then.
_KEEP = """
trap '' HUP
mkdir -p {folder} && echo $$ > {folder}/keeper && echo ready && cat > /dev/null
[ -f {folder}/at-close ] && sh {folder}/at-close > /dev/null 2>&1
rm -rf {folder}
"""
# Folders that no shell keeps: a device lost power. One that is just being made has no keeper yet.
_SWEEP = """
for folder in {prefix}*; do
  [ -f "$folder/keeper" ] || continue
  grep -q -a -F "$folder" "/proc/$(cat "$folder/keeper")/cmdline" 2>/dev/null && continue
  for exe in /proc/[0-9]*/exe; do
    pid="${{exe%/exe}}"
    case "$(readlink "$exe" 2>/dev/null)" in "$folder"/*) kill -9 "${{pid#/proc/}}";; esac
  done
  rm -rf "$folder"
done
"""


class RunFolder(Closing):
    """A new folder below ``/data/local/tmp``; it and what runs in it end with the context.

    Args:
        device: where.

    Attributes:
        path: on the device; of letters, digits, ``-`` and ``/`` only.

    Raises:
        DeviceError: the device is too old, was lost, or lets nothing be written.
    """

    def __init__(self, device: Device) -> None:
        device.require_shell_v2()  # an older one does not pass the end of stdin on
        self._device = device
        self.path = _PREFIX + secrets.token_hex(8)
        _require_tools(device)
        device.shell(_SWEEP.format(prefix=_PREFIX))
        script = _KEEP.format(folder=shlex.quote(self.path))
        self._keeper = subprocess.Popen(
            device.shell_command(script),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
        )
        assert self._keeper.stdout is not None and self._keeper.stderr is not None
        with killed_after(self._keeper, SHELL_SECONDS):
            # A device may print lines of its own before.
            ready = "ready" in map(str.strip, self._keeper.stdout)
        if not ready:
            reason = self._keeper.stderr.read().strip() or "it said nothing"
            self._keeper.wait()
            raise DeviceError(f"{device.serial} does not let {self.path} be made: {reason}")

    def at_close(self, command: str) -> None:
        """Have the device's shell run a command before the folder is removed, however the run ends."""
        self._device.shell(f"printf '%s\\n' {shlex.quote(command)} >> {self.path}/at-close")

    def close(self) -> None:
        """Remove the folder, if the device can still be reached."""
        try:
            self._keeper.communicate(timeout=30)
        except subprocess.TimeoutExpired:
            self._keeper.kill()
            self._keeper.communicate()


def _require_tools(device: Device) -> None:
    script = "for tool in {}; do command -v $tool > /dev/null || echo $tool; done"
    said = device.shell(script.format(" ".join(_TOOLS))).split()
    if missing := [tool for tool in _TOOLS if tool in said]:
        raise DeviceError(f"{device.name} has no {', '.join(missing)}; take a device whose shell has them")
