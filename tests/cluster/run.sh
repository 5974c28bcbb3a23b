#!/usr/bin/env bash
# Start a cluster, run the cluster's tests in it, and stop it.
#
#   run.sh CLUSTER     CLUSTER is a program that knows up, env, load and down, as ../shared/cluster/cluster does
set -euo pipefail
cluster=$(realpath "$1")
cd "$(dirname "$0")/../.."

trap '"$cluster" down' EXIT
# A kubelet that asks containerd before it is initialised ends, and with it the start: seen on a busy machine.
"$cluster" up || "$cluster" up
eval "$("$cluster" env)"
export IMAGE_PIPELINES_TEST_RESTART_API_SERVER="tests/cluster/restart_api_server.sh $cluster"
make test-cluster LOAD="$cluster load"
