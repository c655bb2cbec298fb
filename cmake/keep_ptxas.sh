#!/bin/sh
# keep_ptxas.sh COMPILER ... -o OBJECT ...: compiles, and keeps what the compiler reported in OBJECT.ptxas. A failure's
# report goes to the terminal, a success' ptxas lines do not.
object=''
previous=''
for argument in "$@"; do
  [ "$previous" != -o ] || object=$argument
  previous=$argument
done
"$@" 2>"$object.ptxas"
status=$?
if [ $status -ne 0 ]; then cat "$object.ptxas" >&2; else grep -v '^ptxas info\|bytes stack frame' "$object.ptxas" >&2; fi
exit $status
