"""What nvcc's assembler said of the kernels, and what the program says where there is no GPU. The kernels that are
compiled at run time have their tests in tests/device/step_compiler_test.cpp."""

import importlib.util
import json
import re
import subprocess
from pathlib import Path

import pytest
from program import Run

ARCHITECTURES = ("sm_80", "sm_90")
ROOT = Path(__file__).resolve().parents[2]

specification = importlib.util.spec_from_file_location("registers", ROOT / "tools/registers.py")
registers = importlib.util.module_from_spec(specification)
specification.loader.exec_module(registers)


@pytest.fixture(scope="module")
def report(binary: Path) -> str:
    path = binary.parent / registers.OBJECTS / "general_kernels.cu.o.ptxas"
    if not path.exists():
        pytest.skip("built without nvcc")
    return path.read_text()


def test_every_architecture_and_ptx_is_compiled(binary: Path, report: str) -> None:
    commands = json.loads((binary.parent / "compile_commands.json").read_text())
    [command] = [c["command"] for c in commands if c["file"].endswith("general_kernels.cu")]
    codes = set(re.findall(r"(?:sm|compute)_\d+", " ".join(re.findall(r"code=\[?([\w,]+)", command))))
    assert {"sm_80", "sm_90", "compute_90"} <= codes
    assert {arch for _, arch in registers.resources(report)} == set(ARCHITECTURES)


def test_the_reading_of_reports_sees_spills_and_calls() -> None:
    text = """ptxas info    : Compiling entry function '_Zk' for 'sm_90'
ptxas info    : Function properties for _Zk
    96 bytes stack frame, 4 bytes spill stores, 8 bytes spill loads
ptxas info    : Used 168 registers, used 0 barriers, 96 bytes cumulative stack size, 9728 bytes smem
ptxas info    : Function properties for _Zcalled
    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
"""
    kernel = {"stack": 96, "spill_stores": 4, "spill_loads": 8, "registers": 168, "shared": 9728}
    assert registers.resources(text) == {("_Zk", "sm_90"): kernel}
    assert registers.warps_per_multiprocessor(168, 0) == 12
    assert registers.warps_per_multiprocessor(255, 0) == 8
    assert registers.warps_per_multiprocessor(168, 35840) == 6


def test_the_doctor_names_the_compiler_of_kernels_and_where_they_are_kept(
    sharpseek: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHARPSEEK_CACHE", str(tmp_path))
    found = json.loads(sharpseek("doctor", "--format", "json").stdout)
    assert found["kernel_cache"] == str(tmp_path)
    known = r"NVRTC 13\.\d+, \S*libnvrtc\.so\.13|libnvrtc\.so\.13 is nowhere to be found"
    assert re.fullmatch(known, found["kernel_compiler"])


@pytest.fixture()
def no_gpu(sharpseek: Run) -> None:
    if "none used: " not in sharpseek("doctor").stdout:
        pytest.skip("there is a GPU here")


@pytest.mark.usefixtures("no_gpu")
def test_a_machine_without_a_gpu_is_told_so_in_one_line(sharpseek: Run, config: Path) -> None:
    for command in ("run", "reproduce"):
        for device in ("cuda", "cuda:1"):
            arguments = (str(config),) if command == "run" else ("--preset", "smoke")
            result = sharpseek(command, *arguments, "--device", device, "--out", "out")
            assert result.returncode == 2
            assert result.stderr.count("\n") == 1
            assert f"--device {device}: " in result.stderr
            assert not (config.parent / "out").exists()
    assert "cuda" in sharpseek("list").stdout


@pytest.mark.usefixtures("no_gpu")
def test_tf32_belongs_to_a_gpu(sharpseek: Run, config: Path) -> None:
    result = sharpseek("run", str(config), "--tf32", "--out", "out")
    assert (result.returncode, result.stderr) == (2, "sharpseek: --tf32: needs --device cuda, this is --device auto\n")
    assert not (config.parent / "out").exists()


@pytest.mark.usefixtures("no_gpu")
def test_the_benchmark_needs_a_gpu(binary: Path) -> None:
    if not (binary.parent / "benchmarks/gpu").exists() or binary.parent != ROOT / "build/release":
        pytest.skip("the benchmark is not built")
    before = sorted((ROOT / "benchmarks/results").glob("gpu-*"))
    result = subprocess.run([ROOT / "benchmarks/gpu/run"], capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert result.stderr.count("\n") == 1
    assert "bench gpu: --device cuda: " in result.stderr
    assert sorted((ROOT / "benchmarks/results").glob("gpu-*")) == before
