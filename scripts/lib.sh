# Shared by the shell scripts of this folder. Usage: source "$(dirname "$0")/lib.sh"
#
# After it, the working directory is the repository's root.

root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
cd "$root"

say() { printf '\n== %s\n' "$*"; }

die() {
  printf '%s: error: %s\n' "$(basename "$0")" "$*" >&2
  exit 2
}

# Prints the comment at the head of the calling script, which is its manual.
usage() { sed -n '2,/^[^#]/ { /^#/ s/^# \{0,1\}//p }' "$0"; }

# The folder that a preset of CMakePresets.json builds in.
build_dir() { if [[ "$1" == release ]]; then echo build; else echo "build-$1"; fi; }

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
  local quiet=(--quiet)
  [[ -t 1 ]] && quiet=()
  ninja -C "$(build_dir "$preset")" -j "$(nproc)" "${quiet[@]}" "$@"
  echo "built in $((SECONDS - started)) s"
}
