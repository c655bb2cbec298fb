"""The bundle for GPU machines, as far as a machine without a GPU goes: packed, unpacked elsewhere, its tests run."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def unpacked(binary: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not (binary.parent / "libsharpseek_cuda.so").exists():
        pytest.skip("built without nvcc")
    folder = tmp_path_factory.mktemp("bundle")
    archive = folder / "sharpseek-gpu.tar.xz"
    subprocess.run([ROOT / "tools/bundle.sh", binary.parent, archive], cwd=ROOT, check=True)
    assert archive.stat().st_size <= 40 << 20
    subprocess.run(["tar", "-C", folder, "-xf", archive], check=True)
    return folder / "sharpseek-gpu"


@pytest.mark.slow
def test_programs_look_for_libraries_in_the_bundle_only(unpacked: Path) -> None:
    for program in (unpacked / "bin").iterdir():
        dynamic = subprocess.run(["readelf", "-d", program], capture_output=True, text=True, check=True).stdout
        found = re.findall(r"R(?:UN)?PATH.*\[(.*)\]", dynamic)
        ours = re.search(r"NEEDED.*(?:hdf5|boost|torch)", dynamic) is not None
        assert found == ["$ORIGIN/../lib"] or (not ours and not found), program.name
    assert list((unpacked / "lib").glob("libhdf5*")) and list((unpacked / "lib").glob("libboost_program_options*"))


@pytest.mark.slow
def test_what_needs_no_gpu_passes_where_it_is_unpacked(unpacked: Path, binary: Path) -> None:
    cache = (binary.parent / "CMakeCache.txt").read_text()
    torch = re.search(r"SHARPSEEK_TORCH_DIR:\w+=(.+)", cache)
    folder = torch[1] if torch else next(ROOT.glob(".venv/lib/python3*/site-packages/torch"))
    command = [unpacked / "prove.sh", "--no-gpu", "--torch", folder]
    result = subprocess.run(command, cwd=unpacked.parent, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stdout.endswith("0 stages failed\n")
    tests = (unpacked / "proof/gpu_tests.log").read_text()
    assert "[  FAILED  ]" not in tests
    assert "[  SKIPPED ]" in tests or "[  PASSED  ]" in tests
    assert "[  PASSED  ]" in (unpacked / "proof/device_test.log").read_text()
    assert (unpacked / "proof/linear-2-cpu/run.h5").exists()
