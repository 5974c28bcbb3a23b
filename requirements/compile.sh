#!/usr/bin/env bash
# Compile requirements/*.in into *.txt with hashes. Versions that a *.txt file already pins stay the same.
#
#   compile.sh [--upgrade]     With --upgrade, all versions become the newest.
set -euo pipefail
cd "$(dirname "$0")"

compile() {
    local name=$1
    shift
    cp --preserve=timestamps "$name.txt" "$before" 2>/dev/null || :
    ../.venv/tools/bin/uv pip compile --quiet --python-version 3.11 --python-platform x86_64-manylinux_2_28 \
        --generate-hashes --no-emit-index-url --no-header "$name.in" --output-file "$name.txt" "$@"
    # An unchanged file keeps its modification time. Otherwise make would rebuild the environments.
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
compile daft "$@"
