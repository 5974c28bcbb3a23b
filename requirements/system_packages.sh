#!/usr/bin/env bash
# Install what Debian and Ubuntu machines may lack, or say how, for who is not root.
#
#   system_packages.sh [test]     with what only the tests need
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
[[ ${1:-} != test ]] || need chromium has_browser

((${#missing[@]})) || exit 0
install="apt-get install --yes --no-install-recommends ${missing[*]}"
if ((EUID != 0)); then
    echo "Some packages of the system are missing. Run: sudo apt-get update && sudo $install" >&2
    exit 1
fi
echo "Installing with apt: ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
apt-get update --quiet --quiet
$install --quiet --quiet >/dev/null
