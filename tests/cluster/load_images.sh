#!/usr/bin/env bash
# Build the images that the compiled pipelines name, and load them into the nodes of the cluster that KUBECONFIG names.
#
#   load_images.sh COMMAND...     COMMAND takes an archive, as in: load_images.sh kind load image-archive
#
# What a cluster has loaded is noted in it, by a hash of what the image is made of: a second run from the same sources
# does nothing.
set -euo pipefail
cd "$(dirname "$0")/../.."

version=$(sed -n 's/^VERSION = "\(.*\)"$/\1/p' components/container_images.py)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
noted() { kubectl --namespace kube-system get configmap "image-pipelines-$1" --output jsonpath='{.data.hash}' 2>/dev/null; }
note() {
    kubectl create configmap "image-pipelines-$1" --from-literal "hash=$2" --dry-run=client --output yaml |
        kubectl --namespace kube-system apply --filename - >/dev/null
}

for image in spark trainer; do
    sources=(.dockerignore components images/*.sh "images/$image" requirements/*.txt)
    [[ $image != spark ]] || sources+=(pipelines)
    hash=$(find "${sources[@]}" -type f ! -name '*.pyc' ! -name README.md -print0 | sort -z | xargs -0 sha256sum |
        { cat && echo "${BASE_IMAGE:-} ${DEVICE:-}"; } | sha256sum | cut -c1-16)
    [[ $(noted "$image" || true) != "$hash" ]] || continue
    name=image-pipelines/$image-python:$version
    echo "Building $name (some minutes the first time)"
    images/build.sh "$image" >"$work/log" 2>&1 || { tail -n 40 "$work/log" >&2 && exit 1; }
    if docker info >/dev/null 2>&1; then
        docker save --output "$work/archive.tar" "$name"
    else
        # Kubernetes takes a name without a registry for one of docker.io, buildah for one of localhost.
        buildah push --quiet "$name" "docker-archive:$work/archive.tar:docker.io/$name"
    fi
    "$@" "$work/archive.tar"
    rm "$work/archive.tar"
    note "$image" "$hash"
done
