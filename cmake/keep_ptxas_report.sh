#!/usr/bin/env bash
# Runs nvcc, and keeps what ptxas says of each kernel's registers and stack beside the object, as OBJECT.ptxas
# (tests/kernels/registers_test.py reads it); the rest of what is said goes on to whoever builds.
#
# Usage: cmake/keep_ptxas_report.sh COMPILER [ARGUMENT ...] -o OBJECT [ARGUMENT ...]
set -euo pipefail

object=
before=
for word in "$@"; do
  if [ "$before" = -o ]; then object=$word; fi
  before=$word
done
rm -f "$object.ptxas"

status=0
"$@" 2> "$object.said" || status=$?
told='^ptxas info|bytes stack frame, '
grep -Ev "$told" "$object.said" >&2 || true
if [ "$status" -eq 0 ]; then grep -E "$told" "$object.said" > "$object.ptxas" || true; fi
rm -f "$object.said"
exit "$status"
