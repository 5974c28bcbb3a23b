#!/usr/bin/env bash
# Compile requirements/*.in into hashed *.txt; versions that are pinned there already stay.
#
#   compile.sh [--upgrade]
set -euo pipefail
cd "$(dirname "$0")"

compile() {
    local name=$1
    shift
    cp --preserve=timestamps "$name.txt" "$before" 2>/dev/null || :
    ../.venv/tools/bin/uv pip compile --quiet --python-version 3.11 --python-platform x86_64-manylinux_2_28 \
        --generate-hashes --no-emit-index-url --no-header "$name.in" --output-file "$name.txt" "$@"
    # A file that is as it was stays as old as it was: make would make the environments anew.
    if cmp --silent "$before" "$name.txt"; then
        touch --reference "$before" "$name.txt"
    fi
}

before=$(mktemp)
trap 'rm -f "$before"' EXIT

compile tools "$@"
compile spark "$@"
compile dev "$@"
compile trainer --override trainer.overrides "$@"
compile trainer-gpu --override trainer-gpu.overrides "$@"
compile horovod --no-deps "$@"
compile nvcc --no-deps "$@"
