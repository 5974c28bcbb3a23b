#!/usr/bin/env bash
# Build container images with docker or buildah, whichever works here.
#
#   images/build.sh [spark | trainer]...     both without an argument
#
# Environment:
#   REGISTRY     goes before the names, as in registry.example.com/team
#   TAG          instead of the version in components/container_images.py, which the committed pipelines name
#   DEVICE       of the trainer: cpu (default) or gpu
#   BASE_IMAGE   instead of debian:bookworm-slim: one with your own certificates and package sources
#   PIP_INDEX_URL, UV_DEFAULT_INDEX, HTTP_PROXY, ...: reach the build, and are not kept in the images
set -euo pipefail
cd "$(dirname "$0")/.."

if docker info >/dev/null 2>&1; then
    build=(env DOCKER_BUILDKIT=1 docker build)
elif command -v buildah >/dev/null; then
    build=(buildah build --layers)
else
    echo "images/build.sh: neither a Docker daemon nor buildah is there. Install one." >&2
    exit 1
fi

version=$(sed -n 's/^VERSION = "\(.*\)"$/\1/p' components/container_images.py)
tag=${TAG:-$version}
revision=$(git rev-parse HEAD 2>/dev/null || echo unknown)
arguments=(--build-arg "VERSION=$tag" --build-arg "REVISION=$revision" --build-arg "DEVICE=${DEVICE:-cpu}")
for variable in BASE_IMAGE PIP_INDEX_URL UV_DEFAULT_INDEX; do
    [[ ! -v $variable ]] || arguments+=(--build-arg "$variable")
done

(($#)) || set -- spark trainer
for image; do
    name=${REGISTRY:+$REGISTRY/}image-pipelines/$image-python:$tag
    "${build[@]}" "${arguments[@]}" --tag "$name" --file "images/$image/Dockerfile" .
    echo "built $name"
done
