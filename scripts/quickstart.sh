#!/usr/bin/env bash
# From a fresh clone to a trained network: installs, builds, and trains a small convolutional network
# on Fashion-MNIST with two servers and two workers that may be three steps apart.
#
# Usage: scripts/quickstart.sh [--set key=value ...]   (goes to scripts/rubato train)
set -euo pipefail
source "$(dirname "$0")/lib.sh"

case "${1:-}" in
  -h | --help) usage; exit 0 ;;
esac

say "1 of 3: packages"
scripts/setup.sh

say "2 of 3: build the programs (some minutes the first time; scripts/build.sh builds tests and benches as well)"
build_preset release "${programs[@]}"

cd "$here" # paths in what people set are from there
at=""
[[ "$here" -ef "$root" ]] || at="$root/"
say "3 of 3: train jobs/fashion_cnn.toml, 5 epochs (about half a minute on two cores that are otherwise idle)"
cat <<TEXT
Two servers hold the weights, two workers compute gradients; a worker may be up to three steps ahead
of the slowest one (ssp:3). Watch from another terminal with: ${at}scripts/rubato status --watch
TEXT
run_dir="${at}runs/quickstart-$(date +%Y%m%d-%H%M%S)"
"${at}scripts/rubato" train "${at}jobs/fashion_cnn.toml" --servers 2 --workers 2 --mode ssp:3 --set train.epochs=5 \
  --run-dir "$run_dir" "$@"

say "what next"
cat <<TEXT
  $run_dir/evaluation.txt   the table above; metrics.jsonl beside it has every figure, a JSON object a line
  ${at}scripts/rubato train ${at}jobs/fashion_mlp.toml --mode bsp   another network, in lockstep
  ${at}scripts/rubato train --help   what else there is to turn
  ${at}docs/architecture.md   how it works; README.md has the map of the tree
TEXT
