#!/usr/bin/env bash
# Build the container images with docker, or with buildah if there is no Docker daemon.
#
#   images/build.sh [spark | trainer]...     Without an argument, both are built.
#
# Environment variables:
#   REGISTRY         Prefix of the image names, e.g. registry.example.com/team.
#   TAG              Tag of the images. Default: the version in components/container_images.py, which the committed
#                    pipelines use.
#   DEVICE           Device of the trainer image, cpu or gpu, which is also the suffix of its tag. Default: both.
#   BASE_IMAGE       Base image, e.g. one with your own certificates and package sources. Default: debian:bookworm-slim.
#   HOROVOD_WHEELS   Folder with a Horovod wheel that build_horovod.sh built on Debian 12 for requirements/trainer.txt.
#                    The trainer image for CPUs installs it. Default: compile Horovod in the image build.
#   PIP_INDEX_URL, UV_DEFAULT_INDEX, HTTP_PROXY, ...: used by the build, and not stored in the images.
set -euo pipefail
cd "$(dirname "$0")/.."

if docker info >/dev/null 2>&1; then
    build=(env DOCKER_BUILDKIT=1 docker build)
elif command -v buildah >/dev/null; then
    build=(buildah build)
else
    echo "images/build.sh: found neither a Docker daemon nor buildah. Install one." >&2
    exit 1
fi

version=$(sed -n 's/^VERSION = "\(.*\)"$/\1/p' components/container_images.py)
tag=${TAG:-$version}
revision=$(git rev-parse HEAD 2>/dev/null || echo unknown)
case ${DEVICE:-} in
    '') devices=(cpu gpu) ;;
    cpu | gpu) devices=("$DEVICE") ;;
    *) echo "DEVICE: '$DEVICE' is unknown. Use cpu or gpu, or unset it to build both." >&2 && exit 1 ;;
esac
arguments=(--build-arg "VERSION=$tag" --build-arg "REVISION=$revision")
for variable in BASE_IMAGE PIP_INDEX_URL UV_DEFAULT_INDEX; do
    [[ ! -v $variable ]] || arguments+=(--build-arg "$variable")
done

# make_image IMAGE SUFFIX ARGUMENT...: SUFFIX of the tag, e.g. -cpu
make_image() {
    local name=${REGISTRY:+$REGISTRY/}image-pipelines/$1-python:$tag$2 image base old=()
    local command=("${build[@]}" "${arguments[@]}" "${@:3}" --file "images/$1/Dockerfile")
    if [[ ${build[0]} == buildah ]]; then
        base=localhost/image-pipelines/$1$2-base:$(base_hash "$1")
        mapfile -t old < <(buildah images --quiet "$name" 2>/dev/null)
        # BuildKit caches each step. Buildah would commit gigabytes for several steps, so only one stage is cached here.
        if ! buildah inspect --type image "$base" >/dev/null 2>&1; then
            mapfile -t -O "${#old[@]}" old < <(buildah images --quiet --filter "reference=${base%:*}")
            "${command[@]}" --target base --tag "$base" .
        fi
        command+=(--build-context "base=container-image://$base")
    fi
    "${command[@]}" --tag "$name" .
    # Remove the images that are replaced, or else they fill the disk. Images in use stay.
    for image in "${old[@]}"; do
        buildah rmi "$image" >/dev/null 2>&1 || true
    done
    echo "built $name"
}

# base_hash IMAGE: hash of the Dockerfile of an image and of the files that it names
base_hash() {
    local sources
    mapfile -t sources < <(grep --invert-match '^#' "images/$1/Dockerfile" |
        grep --only-matching --extended-regexp '\b(requirements|images)/[a-z/_-]+\.[a-z]+' | sort -u)
    sha256sum "images/$1/Dockerfile" "${sources[@]}" | { cat && echo "${BASE_IMAGE:-}"; } | sha256sum | cut -c1-16
}

(($#)) || set -- spark trainer
for image; do
    if [[ $image == trainer ]]; then
        for device in "${devices[@]}"; do
            options=(--build-arg "DEVICE=$device")
            if [[ $device == cpu ]] && compgen -G "${HOROVOD_WHEELS:-}/*.whl" >/dev/null; then
                options+=(--build-context "wheels=$HOROVOD_WHEELS")
            fi
            make_image trainer "-$device" "${options[@]}"
        done
    else
        make_image "$image" ""
    fi
done
