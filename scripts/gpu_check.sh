#!/usr/bin/env bash
# Checks Rubato on the GPU of this machine, with what scripts/gpu_pack.sh packed, and writes one report. Needs no network,
# no compiler; of CUDA the driver, cuBLAS 13 and cuDNN 9, for instance those that came with a PyTorch.
#
# Usage: gpu_check.sh [--pack DIR] [--report FILE]
#   --pack DIR     the packed folder (default: where this script is)
#   --report FILE  default: gpu_report.txt in the working directory
#
# Its parts, in order, each with a limit of time, 8 minutes in all: contract (operations), rules (updates), servers (shards
# that update there), quickstart (a job), bench (updates beside a copy); with a PyTorch there parity (networks beside it)
# and steps (their speed); overlap (pushing and pulling behind compute); sanitize, where there is a compute-sanitizer.
# Exit codes: 0 what ran has passed, 1 something failed, 2 usage, 7 no GPU here
set -euo pipefail

fail() {
  printf 'gpu_check.sh: error: %s\n' "$2" >&2
  exit "$1"
}

pack="$(cd "$(dirname "$0")" && pwd)"
report="$PWD/gpu_report.txt"
while [[ $# -gt 0 ]]; do
  case "$1" in
    --pack | --report)
      [[ -n "${2:-}" ]] || fail 2 "$1 takes a name"
      if [[ "$1" == --pack ]]; then pack="$2"; else report="$(realpath -m "$2")"; fi
      shift
      ;;
    -h | --help) sed -n '2,/^[^#]/ { /^#/ s/^# \{0,1\}//p }' "$0" && exit 0 ;;
    *) fail 2 "unknown argument $1 (try --help)" ;;
  esac
  shift
done

# How long a part may take: eight minutes in all.
contract_s=90 rules_s=30 servers_s=20 quickstart_s=60 bench_s=30 parity_s=60 steps_s=120 overlap_s=30 sanitize_s=40

card="$(nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader 2>/dev/null | head -n 1)" || card=""
[[ -n "$card" ]] || fail 7 "no GPU found: nvidia-smi names none here; run this where it does"
[[ -f "$pack/rubato.tar.gz" ]] || fail 2 "there is no $pack/rubato.tar.gz: pack it with scripts/gpu_pack.sh"

work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
tar -C "$work" -xzf "$pack/rubato.tar.gz"
logs="$work/logs"
mkdir -p "$logs"
failures=0

# Where a PyTorch's wheels have CUDA's libraries, and where a toolkit has them.
cuda_folders() {
  python3 - <<'PYTHON' 2>/dev/null || true
import glob, site, sysconfig
places = {sysconfig.get_paths()["purelib"], site.getusersitepackages(), *site.getsitepackages()}
for place in sorted(places):
    for folder in sorted(glob.glob(place + "/nvidia/*/lib")):
        print(folder)
PYTHON
  ls -d /usr/local/cuda/lib64 /usr/local/cuda/targets/*/lib 2>/dev/null || true
}
LD_LIBRARY_PATH="$work/lib:$(cuda_folders | paste -sd:)${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
export LD_LIBRARY_PATH

write() { printf '%s\n' "$*" | tee -a "$report"; }

library() {
  local found
  found="$(IFS=: && for folder in $LD_LIBRARY_PATH; do ls "$folder/$1" 2>/dev/null; done | head -n 1)" || true
  write "  $1: ${found:-not found by its folder; the loader may know one}"
}

# A part that has run: its words, and of a failure the end of its log.
passed() { write "$1: passed, $2"; }
failed() {
  failures=$((failures + 1))
  write "$1: FAILED, $2"
  tail -n 20 "$3" | sed 's/^/    /' | tee -a "$report"
}

# part_of_tests NAME LIMIT_S PROGRAM [ARGUMENT...]: tests of GoogleTest, of which at least one has to run.
part_of_tests() {
  local name="$1" limit_s="$2" log="$logs/$1" code=0 count skipped
  shift 2
  timeout "$limit_s" "$@" >"$log" 2>&1 || code=$?
  count="$(sed -n 's/^\[  PASSED  \] \([0-9]*\) test.*/\1/p' "$log" | tail -n 1)"
  skipped="$(sed -n 's/^\[  SKIPPED \] \([0-9]*\) test.*/\1/p' "$log" | tail -n 1)"
  if ((code == 124)); then
    failed "$name" "not done within $limit_s s" "$log"
  elif ((code != 0 || ${count:-0} == 0)); then
    failed "$name" "exit code $code, ${count:-0} tests passed, ${skipped:-0} skipped" "$log"
  else
    passed "$name" "$count tests, ${skipped:-0} skipped"
  fi
}

# Whether jobs can be started; if not, the part of this name says so.
has_launcher() {
  python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && return
  write "$1: not run: scripts/rubato needs Python 3.11 or newer"
  return 1
}

quickstart() {
  local log="$logs/quickstart" code=0 accuracy
  has_launcher quickstart || return 0
  timeout "$quickstart_s" python3 "$work/scripts/rubato" train "$work/jobs/gpu_check.toml" --build-dir "$work" \
    --run-dir "$work/run" --no-progress >"$log" 2>&1 || code=$?
  accuracy="$(sed -n 's/^finished.* test accuracy \([0-9]*\).*/\1/p' "$log")"
  if ((code == 0 && ${accuracy:-0} >= 90)); then # on the CPU it comes to 96 to 98
    passed quickstart "two workers on the GPU: $(grep '^finished' "$log" | head -n 1)"
  else
    failed quickstart "exit code $code, a test accuracy of ${accuracy:-no} percent where 90 is expected" "$log"
  fi
}

bench() {
  local log="$logs/bench" code=0
  timeout "$bench_s" "$work/bin/gpu_rules" >"$log" 2>&1 || code=$?
  ((code == 0)) || { failed bench "exit code $code" "$log" && return; }
  passed bench "update rules beside a copy within the GPU's memory (0.90 is wanted)"
  sed 's/^/    /' "$log" | tee -a "$report"
}

# Whether there is one that uses this GPU; if not, the part of this name says so.
has_torch() {
  python3 -c 'import torch, sys; sys.exit(not torch.cuda.is_available())' 2>/dev/null && return
  write "$1: not run: this python3 has no PyTorch that uses a GPU"
  return 1
}

steps() {
  local log="$logs/steps" code=0
  has_torch steps || return 0
  timeout "$steps_s" python3 "$work/bench/gpu_steps.py" --bin "$work/bin" --rounds 2 --seconds 0.5 >"$log" 2>&1 || code=$?
  if ((code == 0)); then
    passed steps "forward and backward beside PyTorch (0.95 is wanted)"
    sed 's/^/    /' "$log" | tee -a "$report"
  else
    failed steps "exit code $code" "$log"
  fi
}

parity() {
  local log="$logs/parity" code=0
  has_torch parity || return 0
  timeout "$parity_s" python3 "$work/tests/parity/devices_test.py" --device cuda --bin "$work/bin" >"$log" 2>&1 || code=$?
  case "$code" in
    0)
      passed parity "scores, gradients and losses: at most 3 times as far from PyTorch's float64 as its float32"
      sed 's/^/    /' "$log" | tee -a "$report"
      ;;
    77) write "parity: not run: $(tail -n 1 "$log")" ;;
    124) failed parity "not done within $parity_s s" "$log" ;;
    *) failed parity "exit code $code" "$log" ;;
  esac
}

overlap() {
  local log="$logs/overlap" code=0
  has_launcher overlap || return 0
  timeout "$overlap_s" python3 "$work/bench/overlap.py" --device cuda --bin "$work/bin" --rounds 2 --steps 20 >"$log" 2>&1 || code=$?
  if ((code == 0)); then
    passed overlap "pushing and pulling behind compute (0.90 is wanted)"
    sed 's/^/    /' "$log" | tee -a "$report"
  else
    failed overlap "exit code $code" "$log"
  fi
}

sanitize() {
  if command -v compute-sanitizer >/dev/null; then
    part_of_tests sanitize "$sanitize_s" compute-sanitizer --error-exitcode 9 "$work/bin/backend_test" \
      --gtest_filter='*BackendSequence*cuda0*'
  else
    write "sanitize: not run: there is no compute-sanitizer here"
  fi
}

: >"$report"
write "Rubato $(cat "$work/commit") on $card, $(date -u '+%Y-%m-%d %H:%M') UTC"
for name in libcublasLt.so.13 libcudnn.so.9; do library "$name"; done
part_of_tests contract "$contract_s" "$work/bin/backend_test" --gtest_filter='*cuda0*'
part_of_tests rules "$rules_s" "$work/bin/rule_cuda_test" --gtest_filter='*CudaRule*:CudaPart*:CudaSum*:CudaRounding*'
part_of_tests servers "$servers_s" "$work/bin/server_device_update_test"
quickstart
bench
parity
steps
overlap
sanitize
if ((failures > 0)); then
  write "$failures failed; this report: $report"
  exit 1
fi
write "what ran has passed; this report: $report"
