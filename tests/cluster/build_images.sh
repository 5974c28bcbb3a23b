#!/usr/bin/env bash
# Build the cluster's programs and the images of the cluster tests, so that run.sh finds them.
#
#   build_images.sh CLUSTER     CLUSTER is the program that run.sh takes.
set -euo pipefail
cluster=$(realpath "$1")
cd "$(dirname "$0")/../.."

trap '"$cluster" down' EXIT
"$cluster" up || "$cluster" up
eval "$("$cluster" env)"
# A cluster that runs takes time from the tests beside this build.
"$cluster" down
make images DEVICE=cpu
