"""The machine, the versions and the date that a result belongs to."""

import datetime
import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path

import jax

PACKAGES = ("funcnn", "jax", "jaxlib", "numpy", "optax", "flax", "equinox", "dm-haiku", "torch")


def describe() -> dict:
    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "commit": commit(),
        "cpu": cpu(),
        "cores": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "system": platform.platform(),
        "devices": [f"{device.platform}: {device.device_kind}" for device in jax.devices()],
        "python": platform.python_version(),
        "versions": versions(),
    }


def cpu() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def versions() -> dict[str, str]:
    """Of those packages that are installed."""
    installed = {}
    for package in PACKAGES:
        try:
            installed[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return installed


def commit() -> str | None:
    """The commit of the checkout this file lies in, "-dirty" when it has changes."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        found = subprocess.run(
            command, cwd=Path(__file__).parent, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return found.stdout.strip()


def in_words(description: dict) -> str:
    packages = ", ".join(f"{name} {version}" for name, version in description["versions"].items())
    text = (
        f"{description['date']}, {description['cores']} cores of {description['cpu']}, "
        f"devices {', '.join(description['devices'])}, Python {description['python']}\n{packages}"
    )
    load = description["load"]
    if load is not None and load > description["cores"] / 2:
        text += (
            f"\nBUSY: a load of {load:.1f} before the start; take times only when nothing else runs"
        )
    return text
