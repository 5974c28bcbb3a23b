#!/usr/bin/env bash
# Take out of an environment what no process of it reads: headers, tests, libclang, symbols for debuggers.
#
#   shrink.sh ENVIRONMENT
set -euo pipefail
cd "$1"/lib/python3.11/site-packages

rm -rf tensorflow/include clang pyarrow/include
# numpy.testing, which others import, takes some of numpy's tests.
find . -type d -name tests -not -path './numpy/*' -prune -exec rm -rf {} +
strip --strip-unneeded tensorflow/libtensorflow_{cc,framework}.so.2
