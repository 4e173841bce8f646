#!/usr/bin/env bash
# Formats every C++ and CUDA source of the repository as .clang-format says.
#
# Usage: scripts/format.sh [--check]
#   --check  changes nothing; names what is not formatted and fails
set -euo pipefail
source "$(dirname "$0")/lib.sh"

mode=(-i)
case "${1:-}" in
  "") ;;
  --check) mode=(--dry-run --Werror) ;;
  -h | --help) usage; exit 0 ;;
  *) die "unknown argument $1 (try --help)" ;;
esac
command -v clang-format >/dev/null || die "no clang-format: run scripts/setup.sh --test"

find . \( -path './build*' -o -path ./.git -o -path ./runs \) -prune -o \
  -type f \( -name '*.h' -o -name '*.cc' -o -name '*.cu' -o -name '*.cuh' \) -print0 |
  xargs -0 --no-run-if-empty clang-format "${mode[@]}"
