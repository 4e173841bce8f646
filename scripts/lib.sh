# Shared by the shell scripts of this folder. Usage: source "$(dirname "$0")/lib.sh"
#
# After it, the working directory is the repository's root; what people type is from_here.

here="$PWD"
self="$(cd "$(dirname "$0")" && pwd)/$(basename "$0")" # before the folder changes
root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
cd "$root"

say() { printf '\n== %s\n' "$*"; }

# The path that a person means who stands where the script was called.
from_here() { if [[ "$1" == /* ]]; then printf '%s\n' "$1"; else printf '%s\n' "$here/$1"; fi; }

die() {
  printf '%s: error: %s\n' "$(basename "$0")" "$*" >&2
  exit 2
}

# Prints the comment at the head of the calling script, which is its manual.
usage() { sed -n '2,/^[^#]/ { /^#/ s/^# \{0,1\}//p }' "$self"; }

# The folder that a preset of CMakePresets.json builds in.
build_dir() { if [[ "$1" == release ]]; then echo build; else echo "build-$1"; fi; }

# What jobs need: no test and no bench.
programs=(rubato-scheduler rubato-server rubato-worker rubato-sim rubato-weights)

# In a pipe a build says this often how far it has come.
progress_every_s=20

# build_preset PRESET [TARGET...]: configures and builds on every core.
build_preset() {
  local preset="$1" started=$SECONDS
  shift
  [[ -x "$(command -v cmake)" && -x "$(command -v ninja)" ]] || die "no cmake or no ninja: run scripts/setup.sh first"
  say "building ($preset) in $(build_dir "$preset")/"
  local log
  log="$(mktemp)"
  cmake --preset "$preset" >"$log" 2>&1 || { cat "$log" >&2 && die "cmake could not configure, see above"; }
  grep -E 'Warning|^-- Rubato:' "$log" || true
  rm -f "$log"
  local build=(ninja -C "$(build_dir "$preset")" -j "$(nproc)" "$@")
  if [[ -t 1 ]]; then
    "${build[@]}"
  else
    NINJA_STATUS='build: %f of %t ' "${build[@]}" | now_and_then
  fi
  echo "built in $((SECONDS - started)) s"
}

# Of what ninja says, some of the lines that tell how far it is, and all that tell something else: errors, warnings.
now_and_then() {
  local line next=$((SECONDS + progress_every_s))
  while IFS= read -r line; do
    if [[ "$line" =~ ^(build:\ [0-9]+\ of\ [0-9]+)\  ]]; then
      ((SECONDS >= next)) || continue
      echo "${BASH_REMATCH[1]}"
      next=$((SECONDS + progress_every_s))
    elif [[ ! "$line" =~ ^ninja:\ (Entering\ directory|no\ work\ to\ do) ]]; then
      printf '%s\n' "$line"
    fi
  done
}
