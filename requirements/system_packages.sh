#!/usr/bin/env bash
# Install the missing system packages on Debian or Ubuntu. If the user is not root, print the command instead.
#
#   system_packages.sh [test|slow]     With `test`, include the packages of the tests; with `slow`, of all tests.
set -euo pipefail

missing=()
need() {
    local package=$1
    shift
    "$@" >/dev/null 2>&1 || missing+=("$package")
}
is_jdk_17() { [[ $(java -version 2>&1) == *'version "17'* ]] || compgen -G '/usr/lib/jvm/java-17-*/bin/java'; }
has_browser() { command -v chromium || command -v google-chrome; }
need python3.11-venv python3.11 -c 'import ensurepip, venv'
need python3.11-dev python3.11 -c \
    'import pathlib, sysconfig, sys; sys.exit(not pathlib.Path(sysconfig.get_path("include"), "Python.h").exists())'
need openjdk-17-jdk-headless is_jdk_17
need g++ g++ --version
need cmake cmake --version
need libopenmpi-dev mpicxx --version
need openmpi-bin mpirun --version
need npm npm --version
[[ -z ${1:-} ]] || need chromium has_browser
[[ ${1:-} != slow ]] || need postgresql compgen -G '/usr/lib/postgresql/*/bin/postgres'

((${#missing[@]})) || exit 0
install="apt-get install --yes --no-install-recommends ${missing[*]}"
if ((EUID != 0)); then
    echo "Missing system packages: ${missing[*]}. Run: sudo apt-get update && sudo $install" >&2
    exit 1
fi
export DEBIAN_FRONTEND=noninteractive
show=$(dirname "$0")/show_progress.sh
"$show" 'package lists (apt)' 's/^Get:[0-9]+ (\S+).*/\1/p' apt-get update --quiet
# shellcheck disable=SC2086 # the words of the command
"$show" 'packages (apt)' \
    's/^Get:[0-9]+ \S+ \S+ \S+ (\S+).* \[(.*)\]$/downloading \1, \2/p; s/^(Unpacking|Setting up) (\S+).*/\l\1 \2/p' \
    $install --quiet
