#!/usr/bin/env bash
# Installs, from Debian's packages, what Rubato needs and this machine lacks; says what it installed.
#
# Usage: scripts/setup.sh [--test]
#   --test    also what the tests need beyond building: clang-format, clang-tidy, Chromium, Python's venv, and PyTorch,
#             which tests/parity compares with
#
# Run it as root, or as a user who may sudo. Where nothing is missing it changes nothing.
set -euo pipefail
source "$(dirname "$0")/lib.sh"

packages=(
  g++ cmake ninja-build ccache git pkg-config python3 iproute2
  libzmq3-dev cppzmq-dev libboost-dev libdnnl-dev
  libtomlplusplus-dev libcli11-dev libspdlog-dev libfmt-dev nlohmann-json3-dev
  libxxhash-dev libssl-dev zlib1g-dev libjpeg62-turbo-dev libpng-dev
  libgtest-dev libgmock-dev libbenchmark-dev
  dataset-fashion-mnist
)
for argument in "$@"; do
  case "$argument" in
    --test)
      packages+=(clang-format clang-tidy chromium fonts-dejavu-core python3-venv)
      packages+=(python3-pil) # tests/parity compares images with it
      packages+=(python3-torch libopenblas0-openmp) # without a fast BLAS it takes hours
      ;;
    -h | --help) usage; exit 0 ;;
    *) die "unknown argument $argument (try --help)" ;;
  esac
done

is_installed() { [[ "$(dpkg-query -W -f='${db:Status-Abbrev}' "$1" 2>/dev/null)" == ii* ]]; }

command -v apt-get >/dev/null || die "this is no Debian system (no apt-get); Rubato needs: ${packages[*]}"

missing=()
for package in "${packages[@]}"; do
  is_installed "$package" || missing+=("$package")
done
if [[ ${#missing[@]} -eq 0 ]]; then
  echo "setup: nothing to do, all ${#packages[@]} packages are installed"
  exit 0
fi

as_root=()
if [[ "$(id -u)" -ne 0 ]]; then
  command -v sudo >/dev/null || die "not root and no sudo; as root, run: apt-get install --no-install-recommends ${missing[*]}"
  as_root=(sudo)
fi

log="$(mktemp)"
trap 'rm -f "$log"' EXIT
apt() { "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q "$@" >>"$log" 2>&1; }
install_missing() { apt install -y --no-install-recommends "${missing[@]}"; }

echo "setup: installing ${missing[*]}"
# The lists of packages are fetched only if the install fails without: absent, or too old.
install_missing || { apt update && install_missing; } || {
  tail -n 20 "$log" >&2
  die "apt-get could not install ${missing[*]}"
}
echo "setup: installed ${#missing[@]} packages: ${missing[*]}"
