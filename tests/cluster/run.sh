#!/usr/bin/env bash
# Start a cluster, run the cluster's tests, and stop the cluster.
#
#   run.sh CLUSTER [TARGET]     CLUSTER is a program with the commands up, env, load and down, e.g.
#                               ../shared/cluster/cluster. TARGET is a target of the Makefile: test-cluster (default), or
#                               test-slow, of which some tests need a cluster.
set -euo pipefail
cluster=$(realpath "$1")
cd "$(dirname "$0")/../.."

trap '"$cluster" down' EXIT
# The second try is for busy machines, where kubelet can exit because containerd is not initialized.
"$cluster" up || "$cluster" up
eval "$("$cluster" env)"
export IMAGE_PIPELINES_TEST_RESTART_API_SERVER="tests/cluster/restart_api_server.sh $cluster"
make "${2:-test-cluster}" LOAD="$cluster load"
