#!/usr/bin/env bash
# prove.sh [--torch DIR] [--quick] [--no-gpu]: on a GPU machine, runs everything that could not be run where the bundle
# was made and writes proof/: what is there, the tests (label gpu), training on GPU and CPU, the benchmark, the sanitizer
# where it is installed. It takes at most about 8 minutes: every stage has a limit. DIR is a LibTorch 2.11 (CUDA 13.0) or a
# wheel's torch folder; without it python3 is asked for its torch. --quick leaves out the tests of the CPU and large
# benchmarks. --no-gpu tries the bundle itself on a machine without a GPU: tests of the GPU are then skipped.
set -uo pipefail
torch=''
quick=false
gpu=true
while [ $# -gt 0 ]; do
  case $1 in
    --torch)
      [ $# -ge 2 ] || { echo "prove.sh --torch: needs a folder" >&2 && exit 2; }
      torch=$(realpath "$2") && shift 2
      ;;
    --quick) quick=true && shift ;;
    --no-gpu) gpu=false && shift ;;
    *) echo "prove.sh $1: unknown argument; [--torch DIR] [--quick] [--no-gpu] are known" >&2 && exit 2 ;;
  esac
done
cd "$(dirname "${BASH_SOURCE[0]}")" || exit 1
[ -n "$torch" ] || torch=$(python3 -c 'import importlib.util as u, os; print(os.path.dirname(u.find_spec("torch").origin))' 2>/dev/null)
wanted=libtorch_cuda.so
$gpu || wanted=libtorch_cpu.so
[ -e "$torch/lib/$wanted" ] || {
  echo "prove.sh: no lib/$wanted in '$torch'; give --torch DIR with LibTorch 2.11 (CUDA 13.0)" >&2
  exit 2
}
sha256sum --quiet -c SHA256SUMS || exit 1
# The wheel's CUDA libraries lie next to torch; LibTorch's own zip has them in lib.
libraries=$torch/lib
for folder in "$(dirname "$torch")"/nvidia/*/lib; do [ ! -d "$folder" ] || libraries=$libraries:$folder; done
export LD_LIBRARY_PATH=$libraries${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
# Kernels that are compiled here stay here.
export SHARPSEEK_CACHE=$PWD/kernels

mkdir -p proof
failed=0
fail() {
  failed=$((failed + 1))
  echo "FAILED: $1"
}
# stage NAME SECONDS COMMAND...: a stage that takes longer than that has failed; a machine without a GPU may have few cores.
stage() {
  local name=$1 limit=$2 begin=$SECONDS
  $gpu || limit=$((20 * limit))
  shift 2
  echo "== $name"
  if timeout "$limit" "$@" >"proof/$name.log" 2>&1; then
    tail -n 3 "proof/$name.log"
    echo "   $((SECONDS - begin)) s"
  else
    tail -n 15 "proof/$name.log"
    fail "$name after $((SECONDS - begin)) of at most $limit s (proof/$name.log)"
  fi
}

{
  date -u
  cat COMMIT
  ! command -v nvidia-smi >/dev/null || nvidia-smi
} >proof/machine.txt 2>&1
stage doctor 30 bin/sharpseek doctor
devices=(cpu)
if $gpu; then
  grep -q -- '--device cuda:0' proof/doctor.log || {
    echo "prove.sh: the program sees no GPU: $(grep '^gpu' proof/doctor.log)" >&2
    exit 2
  }
  devices+=(cuda)
  # Tests compile kernels for many networks, one after another; the cores of the machine do it at once, before them.
  echo "== compiling kernels"
  begin=$SECONDS
  for test in $(bin/device_test --gtest_list_tests --gtest_filter='Gpu/Device.*' | sed -n 's/^  \([A-Za-z]*\).*/\1/p'); do
    timeout 90 bin/device_test --gtest_filter="Gpu/Device.$test/*" >/dev/null 2>&1 &
  done
  wait
  echo "   $((SECONDS - begin)) s, $(find kernels -type f | wc -l) kernels"
fi
stage gpu_tests 60 bin/device_test --gtest_filter='Gpu/*'
! $gpu || ! grep -q SKIPPED proof/gpu_tests.log || fail "tests of the GPU were skipped (proof/gpu_tests.log)"
for network in linear-2 mlp-tanh rnn transformer; do
  for device in "${devices[@]}"; do
    rm -rf "proof/$network-$device"
    stage "run-$network-$device" 60 bin/sharpseek run "presets/smoke/$network.ini" --device "$device" \
      --out "proof/$network-$device" --quiet
  done
done
if $gpu; then
  # A Python with JAX on the GPU, where there is one, is the peer.
  if [ -z "${SHARPSEEK_JAX_PYTHON:-}" ] && python3 -c 'import jax' 2>/dev/null; then export SHARPSEEK_JAX_PYTHON=python3; fi
  arguments=(--seconds 0.2 --fewest-replicas 65536 --most-replicas 65536)
  ! $quick || arguments=(--seconds 0.1 --fewest-replicas 65536 --most-replicas 65536 --ensembles-only --lanes-only)
  stage bench 150 benchmarks/gpu/run "${arguments[@]}"
  stage million 30 bin/gpu --seconds 0.2 --fewest-replicas 1048576 --ensembles-only --lanes-only
  cp benchmarks/results/gpu-*.json proof/ 2>/dev/null
  if command -v compute-sanitizer >/dev/null; then
    # Memory errors in every kernel; races in shared memory, where kernels keep weights and what they read most.
    stage memcheck 60 compute-sanitizer --tool memcheck --error-exitcode 9 bin/device_test \
      --gtest_filter='Gpu/Device.EveryOp*:Gpu/Device.Draws*:Gpu/Device.TrainsByEvery*:Gpu/Device.BitsDoNot*:Gpu/Device.MarksADiverged*'
    stage racecheck 60 compute-sanitizer --tool racecheck --error-exitcode 9 bin/device_test \
      --gtest_filter='Gpu/Device.MarksADiverged*'
  else
    echo "compute-sanitizer is not installed: memcheck and racecheck stay unproven" | tee proof/memcheck.log
  fi
fi
if ! $quick; then
  for test in core models engine device sharpness training; do
    stage "${test}_test" 60 "bin/${test}_test" --gtest_filter='-*Slow.*:Gpu/*'
  done
fi
$gpu && echo "$failed stages failed; send back the folder proof/" || echo "$failed stages failed"
[ $failed -eq 0 ]
