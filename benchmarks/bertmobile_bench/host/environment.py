"""What is known of this machine; a reading that is not to be had is None, never a guess."""

import os
import platform
from pathlib import Path
from typing import Any

_CPU = Path("/sys/devices/system/cpu/cpu0/cpufreq")


def read_environment() -> dict[str, Any]:
    """As the schema ``results`` describes a device."""
    import psutil

    return {
        "kind": "host",
        "serial": None,
        "name": platform.node() or None,
        "fingerprint": None,
        "os": platform.system().lower(),
        "os_version": platform.release(),
        "machine": platform.machine(),
        "cpu": _cpu_model(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_bytes": psutil.virtual_memory().total,
        "emulated": False,
        "fixed_performance": None,
        **readings(),
    }


def readings() -> dict[str, Any]:
    """What changes while measurements run."""
    import psutil

    battery = psutil.sensors_battery() if hasattr(psutil, "sensors_battery") else None
    temperatures = psutil.sensors_temperatures() if hasattr(psutil, "sensors_temperatures") else {}
    highest = [sensor.current for sensors in temperatures.values() for sensor in sensors]
    return {
        "governor": _line(_CPU / "scaling_governor"),
        "frequency_khz": _number(_line(_CPU / "scaling_cur_freq")),
        "load_average": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "temperature_celsius": max(highest, default=None),
        "battery_percent": battery.percent if battery else None,
        "thermal_status": None,
        "screen_on": None,
    }


def _cpu_model() -> str | None:
    text = _text(Path("/proc/cpuinfo")) or ""
    models = [line.partition(":")[2].strip() for line in text.splitlines() if line.startswith("model name")]
    return models[0] if models else platform.processor() or None


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return None


def _line(path: Path) -> str | None:
    text = _text(path)
    return text.strip() if text else None


def _number(text: str | None) -> int | None:
    return int(text) if text and text.isdigit() else None
