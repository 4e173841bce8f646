#!/usr/bin/env bash
# Configures and builds Rubato with a preset of CMakePresets.json.
#
# Usage: scripts/build.sh [PRESET] [TARGET...]
#   PRESET  release (the default, in build/), asan, tsan, cuda or cpu-only (in build-PRESET/)
#   TARGET  only these, for instance rubato-worker
set -euo pipefail
source "$(dirname "$0")/lib.sh"

case "${1:-}" in
  -h | --help) usage; exit 0 ;;
esac
preset="${1:-release}"
[[ $# -gt 0 ]] && shift
build_preset "$preset" "$@"
