#!/usr/bin/env bash
# Installs what is missing, builds, and runs every test: what has to pass before a commit is pushed.
#
# Usage: scripts/test.sh [--fast] [--sanitize asan|tsan] [-- CTEST_ARGUMENT...]
#   --fast      without the tests labelled `slow`: for between two edits
#   --sanitize  under the address and undefined-behaviour sanitizers, or the thread sanitizer;
#               tests that run no C++ (labels `structure` and `scripts`) are left out
#   --          what follows goes to ctest, for instance: scripts/test.sh -- -R layers
set -euo pipefail
source "$(dirname "$0")/lib.sh"
source scripts/test_output.sh

preset=release
excluded=()
while [[ $# -gt 0 ]]; do
  case "$1" in
    --fast) excluded+=(slow) ;;
    --sanitize)
      preset="${2:-}"
      [[ "$preset" == asan || "$preset" == tsan ]] || die "--sanitize takes asan or tsan"
      excluded+=(structure scripts)
      shift
      ;;
    --) shift && break ;;
    -h | --help) usage; exit 0 ;;
    *) die "unknown argument $1 (try --help)" ;;
  esac
  shift
done

run_tests() {
  # One more than there are processors: tests of real jobs wait much of their time.
  local arguments=(--test-dir "$root/$(build_dir "$preset")" -j "$(($(nproc) + 1))" --output-on-failure --no-tests=error)
  if [[ ${#excluded[@]} -gt 0 ]]; then
    arguments+=(--label-exclude "^($(IFS='|' && echo "${excluded[*]}"))\$")
  fi
  rm -f "$kept/LastTestsDisabled.log" # of another time: ctest writes it only where something is skipped
  (cd "$here" && ctest "${arguments[@]}" "$@") | show_tests # a file that it is to write is from there
}

scripts/setup.sh --test
build_preset "$preset"
say "testing${excluded[*]:+ (without ${excluded[*]})}"
started=$SECONDS
kept="$(build_dir "$preset")/Testing/Temporary" # where ctest writes the whole of it
run_tests "$@" || {
  skipped_tests "$kept"
  echo "tests failed after $((SECONDS - started)) s; see above, or $kept/LastTest.log" >&2
  exit 1
}
skipped_tests "$kept"
echo "all tests passed in $((SECONDS - started)) s"
