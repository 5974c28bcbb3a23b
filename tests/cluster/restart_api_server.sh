#!/usr/bin/env bash
# Kill the API server of the test cluster, and restart it.
#
#   restart_api_server.sh CLUSTER     CLUSTER is ../shared/cluster/cluster
set -euo pipefail

read -r pid _ <"${CLUSTER_HOME:-$HOME/.cache/test-cluster}/run/kube-apiserver.pid"
kill -KILL "$pid"
"$1" up
