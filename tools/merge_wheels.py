"""One wheel of several: merge_wheels.py OUT.whl ONE.whl ... Each was built for another minor version of torch.

They hold the same package but for sharpseek/native/torch_*, which the merged one has all of. Raises ValueError where
two disagree about another file.
"""

from __future__ import annotations

import base64
import hashlib
import sys
import zipfile
from pathlib import Path

NATIVE = "sharpseek/native/torch_"


def merge(out: Path, wheels: list[Path]) -> list[str]:
    """Writes the merged wheel; the torch versions in it."""
    files: dict[str, tuple[zipfile.ZipInfo, bytes]] = {}
    record = ""
    for wheel in wheels:
        with zipfile.ZipFile(wheel) as archive:
            for entry in archive.infolist():
                if entry.filename.endswith(".dist-info/RECORD"):
                    record = entry.filename
                    continue
                content = archive.read(entry)
                known = files.setdefault(entry.filename, (entry, content))
                if known[1] != content:
                    raise ValueError(f"{wheel.name}: {entry.filename} differs from that of an earlier wheel")
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        lines = []
        for name, (entry, content) in files.items():
            archive.writestr(entry, content, zipfile.ZIP_DEFLATED)
            digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
            lines.append(f"{name},sha256={digest},{len(content)}")
        archive.writestr(record, "\n".join([*lines, f"{record},,"]) + "\n")
    return sorted({name.removeprefix(NATIVE).split("/")[0] for name in files if name.startswith(NATIVE)})


if __name__ == "__main__":
    print("torch", ", ".join(merge(Path(sys.argv[1]), [Path(name) for name in sys.argv[2:]])).replace("_", "."))
