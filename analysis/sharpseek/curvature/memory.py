"""How much memory there is."""

from __future__ import annotations

import re
from pathlib import Path

import torch

_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12, "ki": 2**10, "mi": 2**20, "gi": 2**30, "ti": 2**40}


def bytes_of(size: int | str) -> int:
    """A number of bytes, or text such as "2GB" or "512 MiB". Raises ValueError."""
    if isinstance(size, int) and size > 0:
        return size
    found = re.fullmatch(r"\s*(\d+(?:\.\d*)?)\s*([kmgt]i?|)b?\s*", str(size).lower())
    if not found or float(found[1]) <= 0:
        raise ValueError(f"memory = {size!r}: must be a number of bytes, or as in 2GB or 512 MiB")
    return int(float(found[1]) * _UNITS[found[2]])


def free_bytes(device: torch.device) -> int:
    """What is free on a device."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    text = Path("/proc/meminfo").read_text(encoding="utf-8") if Path("/proc/meminfo").exists() else ""
    found = re.search(r"MemAvailable:\s*(\d+) kB", text)
    return int(found[1]) * 1024 if found else 4 * 2**30
