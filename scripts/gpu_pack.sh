#!/usr/bin/env bash
# Packs what scripts/gpu_check.sh takes to a machine with a GPU: programs and tests for any x86-64 processor, the
# libraries they need, and a little data; a folder below 60 MiB. CUDA's libraries stay behind: those there are used.
#
# Usage: scripts/gpu_pack.sh [--to DIR] [--build-dir DIR]
#   --to DIR         new or empty (default: runs/gpu-pack in the repository)
#   --build-dir DIR  pack what is built there, whatever processor that is for, and build nothing
set -euo pipefail
source "$(dirname "$0")/lib.sh"

to=runs/gpu-pack
built=""
while [[ $# -gt 0 ]]; do
  case "$1" in
    --to | --build-dir)
      [[ -n "${2:-}" ]] || die "$1 takes a folder"
      if [[ "$1" == --to ]]; then to="$(from_here "$2")"; else built="$(from_here "$2")"; fi
      shift
      ;;
    -h | --help) usage; exit 0 ;;
    *) die "unknown argument $1 (try --help)" ;;
  esac
  shift
done

size_max_mib=60
packed=("${programs[@]}" backend_test rule_cuda_test server_device_update_test gpu_rules gpu_steps print_steps push_pull)

# A small table that can be learned: the class is which of three sums of its columns is the greatest.
write_table() {
  awk 'BEGIN {
    srand(7)
    print "a,b,c,d,e,f,class"
    for (row = 0; row < 3000; ++row) {
      for (i = 1; i <= 6; ++i) x[i] = rand()
      best = 1
      for (i = 2; i <= 3; ++i) if (x[2 * i - 1] + x[2 * i] > x[2 * best - 1] + x[2 * best]) best = i
      printf "%.5f,%.5f,%.5f,%.5f,%.5f,%.5f,class%d\n", x[1], x[2], x[3], x[4], x[5], x[6], best
    }
  }'
}

write_job() {
  cat <<'TOML'
# What scripts/gpu_check.sh trains: two workers on the one GPU.
[model]
name = "mlp"
hidden = [64, 64]

[data]
kind = "csv"
path = "table.csv"
target = "class"
classes = 3
test_fraction = 0.2

[optimizer]
name = "adam"
rate = 0.005

[consistency]
mode = "ssp:3"

[cluster]
servers = 2
workers = 2

[train]
epochs = 10
batch = 32

[worker]
device = "cuda"
threads = 1
TOML
}

# Of everything that is packed, the libraries that the loader finds; not the C library, which belongs to the machine.
libraries_of() {
  ldd "$@" | awk '/=> \// { print $3 }' | sort -u | grep -vE '/(libc|libm|libpthread|libresolv|libdl|librt)\.so'
}

if [[ -e "$to" && -n "$(ls -A "$to")" ]]; then die "$to is not empty"; fi
if [[ -z "$built" ]]; then
  build_preset gpu-pack "${packed[@]}"
  built="$(build_dir gpu-pack)"
fi
stage="$(mktemp -d)"
trap 'rm -rf "$stage"' EXIT
mkdir -p "$to" "$stage/bin" "$stage/lib" "$stage/scripts" "$stage/jobs"
for program in "${packed[@]}"; do
  [[ -x "$built/bin/$program" ]] || die "there is no $built/bin/$program; without --build-dir it is built, with CUDA"
  strip -o "$stage/bin/$program" "$built/bin/$program"
done
libraries_of "$stage"/bin/* | xargs cp -L -t "$stage/lib"
cp -r scripts/rubato scripts/rubato_cli scripts/rubato_lab scripts/rubato_timeline "$stage/scripts"
mkdir -p "$stage/bench" "$stage/tests/parity"
cp bench/gpu_steps.py bench/overlap.py bench/torch_steps.py "$stage/bench"
cp tests/parity/devices_test.py tests/parity/networks.py tests/parity/rubato_runs.py "$stage/tests/parity"
find "$stage/scripts" -name __pycache__ -prune -exec rm -rf {} +
write_table >"$stage/jobs/table.csv"
write_job >"$stage/jobs/gpu_check.toml"
git rev-parse HEAD >"$stage/commit" 2>/dev/null || echo unknown >"$stage/commit"
tar -C "$stage" -czf "$to/rubato.tar.gz" .
cp scripts/gpu_check.sh "$to"

size_kib="$(du -sk "$to" | cut -f1)"
((size_kib < size_max_mib * 1024)) || die "$to has $((size_kib / 1024)) MiB, more than $size_max_mib"
echo "$to: $((size_kib / 1024)) MiB; copy it to a machine with a GPU, and run gpu_check.sh there"
