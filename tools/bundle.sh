#!/usr/bin/env bash
# tools/bundle.sh BUILD ARCHIVE: packs what a GPU machine without network needs into one archive: the program, its
# plug-in, tests, benchmarks and the shared libraries that a bare machine lacks. LibTorch 2.11 (CUDA 13.0) is expected
# there: the archive's prove.sh says how it is found.
set -euo pipefail
build=$1
archive=$2
limit=$((40 << 20))
[ -e "$build/libsharpseek_cuda.so" ] || {
  echo "bundle: $build/libsharpseek_cuda.so is missing: build with nvcc" >&2
  exit 2
}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
top=$work/sharpseek-gpu
mkdir -p "$top"/{bin,lib,benchmarks/ensembles,benchmarks/gpu}

programs=("$build/sharpseek" "$build/libsharpseek_cuda.so" "$build/benchmarks/gpu")
for test in core models engine device sharpness training; do programs+=("$build/tests/${test}_test"); done
for program in "${programs[@]}"; do
  install -m 755 "$program" "$top/bin/"
  strip --strip-unneeded "$top/bin/$(basename "$program")"
done

# What every Linux has (the C and C++ runtime), and what LibTorch brings, stays out.
for program in "$top"/bin/*; do ldd "$program"; done | awk '$2 == "=>" && $3 ~ "^/" {print $1, $3}' | sort -u |
  grep -Ev '^(libc|libm|libdl|libpthread|librt|libutil|libresolv|libanl|libstdc\+\+|libgcc_s|ld-linux.*|libtorch.*|libc10.*|libgomp|libcud.*|libcup.*|libcu[A-Za-z_]*|libnccl|libnv.*|libshm)\.' |
  grep -v '/torch/lib/\|/nvidia/' |
  while read -r name path; do install -m 644 "$path" "$top/lib/$name"; done
# Found from where the archive is unpacked, and nothing of the machine that it was made on.
cat >"$work/rpath.cmake" <<'CMAKE'
file(GLOB programs ${TOP}/bin/*)
foreach(program ${programs})
  set(own "")
  file(READ_ELF ${program} RUNPATH own)
  if(own)  # one that needs nothing but the C and C++ runtime has none
    file(RPATH_SET FILE ${program} NEW_RPATH "$ORIGIN/../lib")
  endif()
endforeach()
CMAKE
cmake -DTOP="$top" -P "$work/rpath.cmake"

cp benchmarks/ensembles/peer_jax.py "$top/benchmarks/ensembles/"
cp benchmarks/gpu/{run,compare.py,requirements.txt} "$top/benchmarks/gpu/"
cp -r experiments/presets "$top/"
cp docs/gpu.md "$top/README.md"
install -m 755 tools/prove.sh "$top/prove.sh"
git rev-parse HEAD >"$top/COMMIT" 2>/dev/null || echo unknown >"$top/COMMIT"
(cd "$top" && find . -type f -exec sha256sum {} +) >"$work/SHA256SUMS"
mv "$work/SHA256SUMS" "$top/"

mkdir -p "$(dirname "$archive")"
tar -C "$work" -cf - sharpseek-gpu | xz -6 -T0 >"$archive.new"
size=$(stat -c %s "$archive.new")
[ "$size" -le $limit ] || {
  rm "$archive.new"
  echo "bundle: $size bytes, more than 40 MiB" >&2
  exit 1
}
mv "$archive.new" "$archive"
echo "$archive: $(awk "BEGIN {printf \"%.1f\", $size / 1048576}") MiB, $(find "$top" -type f | wc -l) files"
