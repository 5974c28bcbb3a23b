#!/usr/bin/env bash
# Remove the files of a Python environment that no process reads: headers, tests, libclang and debug symbols.
#
#   shrink.sh ENVIRONMENT
set -euo pipefail
cd "$1"/lib/python3.11/site-packages

rm -rf tensorflow/include clang pyarrow/include
# Other packages import numpy.testing, which imports some of numpy's tests.
find . -type d -name tests -not -path './numpy/*' -prune -exec rm -rf {} +
strip --strip-unneeded tensorflow/libtensorflow_{cc,framework}.so.2
