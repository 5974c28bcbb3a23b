#!/usr/bin/env bash
# Build the images of the compiled pipelines, and load them into the nodes of the cluster in KUBECONFIG.
#
#   load_images.sh COMMAND...     COMMAND loads an archive, e.g. `kind load image-archive`.
#
# A ConfigMap records each loaded image with a hash of its sources, so a second run with the same sources does nothing.
set -euo pipefail
cd "$(dirname "$0")/../.."

# The test cluster's nodes declare GPUs but have none.
export DEVICE=cpu
version=$(sed -n 's/^VERSION = "\(.*\)"$/\1/p' components/container_images.py)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
read_record() { kubectl --namespace kube-system get configmap "image-pipelines-$1" --output jsonpath='{.data.hash}' 2>/dev/null; }
write_record() {
    kubectl create configmap "image-pipelines-$1" --from-literal "hash=$2" --dry-run=client --output yaml |
        kubectl --namespace kube-system apply --filename - >/dev/null
}

for image in spark trainer; do
    sources=(.dockerignore components images/*.sh "images/$image" requirements/*.txt)
    [[ $image != spark ]] || sources+=(pipelines)
    hash=$(find "${sources[@]}" -type f ! -name '*.pyc' ! -name README.md -print0 | sort -z | xargs -0 sha256sum |
        { cat && echo "${BASE_IMAGE:-}"; } | sha256sum | cut -c1-16)
    [[ $(read_record "$image" || true) != "$hash" ]] || continue
    name=image-pipelines/$image-python:$version
    [[ $image != trainer ]] || name+=-$DEVICE
    echo "Building $name (some minutes the first time)"
    start=$SECONDS
    images/build.sh "$image" >"$work/log" 2>&1 || { tail -n 40 "$work/log" >&2 && exit 1; }
    echo "built in $((SECONDS - start)) s" && start=$SECONDS
    if docker info >/dev/null 2>&1; then
        docker save --output "$work/archive.tar" "$name"
    else
        # Without a registry in the name, Kubernetes uses docker.io, and buildah uses localhost.
        buildah push --quiet "$name" "docker-archive:$work/archive.tar:docker.io/$name"
    fi
    "$@" "$work/archive.tar"
    echo "loaded in $((SECONDS - start)) s"
    rm "$work/archive.tar"
    write_record "$image" "$hash"
done
