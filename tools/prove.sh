#!/usr/bin/env bash
# prove.sh [--torch DIR] [--quick]: on a GPU machine, runs everything that could not be run where the bundle was made and
# writes proof/: what is there, the tests (label gpu), the sanitizer where it is installed, training on GPU and CPU, and
# the benchmark. DIR is a LibTorch 2.11 (CUDA 13.0) or a wheel's torch folder; without it python3 is asked for its torch.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")" || exit 1
torch=''
quick=false
while [ $# -gt 0 ]; do
  case $1 in
    --torch) torch=${2:-} && shift 2 ;;
    --quick) quick=true && shift ;;
    *) echo "prove.sh $1: unknown argument" >&2 && exit 2 ;;
  esac
done
[ -n "$torch" ] || torch=$(python3 -c 'import torch, os; print(os.path.dirname(torch.__file__))' 2>/dev/null)
[ -e "$torch/lib/libtorch_cuda.so" ] || {
  echo "prove.sh: no LibTorch with CUDA in '$torch'; give --torch DIR" >&2
  exit 2
}
sha256sum --quiet -c SHA256SUMS || exit 1
# The wheel's CUDA libraries lie beside torch; LibTorch's own zip has them in lib.
libraries=$PWD/lib:$torch/lib
for folder in "$(dirname "$torch")"/nvidia/*/lib; do [ ! -d "$folder" ] || libraries=$libraries:$folder; done
export LD_LIBRARY_PATH=$libraries${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}

mkdir -p proof
failed=0
stage() {
  local name=$1
  shift
  echo "== $name"
  if "$@" >"proof/$name.log" 2>&1; then tail -n 3 "proof/$name.log"; else
    failed=$((failed + 1))
    tail -n 15 "proof/$name.log"
    echo "FAILED: $name (proof/$name.log)"
  fi
}

{
  date -u
  cat COMMIT
  nvidia-smi
} >proof/machine.txt 2>&1
stage doctor bin/sharpseek doctor
grep -q -- '--device cuda:0' proof/doctor.log || {
  echo "prove.sh: the program sees no GPU: $(grep gpu proof/doctor.log)" >&2
  exit 2
}
for test in core models engine device sharpness training; do
  stage "${test}_test" "bin/${test}_test" --gtest_filter='-*Slow.*:Gpu/*'
done
stage gpu_tests bin/device_test --gtest_filter='Gpu/*'
! grep -q SKIPPED proof/gpu_tests.log || {
  echo "FAILED: tests of the GPU were skipped"
  failed=$((failed + 1))
}
if command -v compute-sanitizer >/dev/null; then
  some='Gpu/Device.EveryOp*:Gpu/Device.BitsDoNot*:Gpu/Device.Draws*'
  for tool in memcheck racecheck; do
    stage "$tool" compute-sanitizer --tool $tool --error-exitcode 9 bin/device_test --gtest_filter="$some"
  done
else
  echo "compute-sanitizer is not installed: memcheck and racecheck stay unproven" | tee proof/memcheck.log
fi
for network in linear-2 mlp-tanh rnn transformer; do
  for device in cpu cuda; do
    rm -rf "proof/$network-$device"
    stage "run-$network-$device" bin/sharpseek run "presets/smoke/$network.ini" --device $device \
      --out "proof/$network-$device" --quiet
  done
done
if ! $quick; then stage bench benchmarks/gpu/run && cp benchmarks/results/gpu-*.json proof/; fi
echo "$failed stages failed; send back the folder proof/"
[ $failed -eq 0 ]
