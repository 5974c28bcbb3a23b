#!/usr/bin/env bash
# Build Argo's workflow-controller and argoexec from their Go module, and load argoexec's image into the cluster that
# KUBECONFIG names.
#
#   argo.sh VERSION FOLDER COMMAND...
#
# FOLDER keeps the programs and the definitions of their resources. COMMAND takes an image archive, as in:
# argo.sh 4.0.5 ~/.cache/argo kind load image-archive
set -euo pipefail
version=$1 folder=$2
shift 2

mkdir -p "$folder"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
if [[ ! -x $folder/argoexec ]]; then
    module=$(cd "$work" && go mod download -json "github.com/argoproj/argo-workflows/v4@v$version" | sed -n 's/.*"Dir": "\(.*\)".*/\1/p')
    cp -r --no-preserve=mode "$module" "$work/argo"
    # A link in their repository, and links are not in a module.
    cp "$work/argo/workflow/executor/osspecific/signal_"{darwin,linux}.go
    rm -rf "$folder/resources"
    cp -r "$work/argo/manifests/base/crds/minimal" "$folder/resources"
    (
        cd "$work/argo"
        for program in workflow-controller argoexec; do
            CGO_ENABLED=0 go build -trimpath -ldflags "-s -w" -o "$folder/$program.part" "./cmd/$program"
            mv "$folder/$program.part" "$folder/$program"
        done
    )
fi

image=localhost/argoexec:$version
mkdir "$work/image"
cp "$folder/argoexec" "$work/image"
printf 'FROM debian:bookworm-slim\nCOPY argoexec /usr/local/bin/\nENTRYPOINT ["argoexec"]\n' >"$work/image/Dockerfile"
if docker info >/dev/null 2>&1; then
    docker build --quiet --tag "$image" "$work/image"
    docker save --output "$work/archive.tar" "$image"
else
    buildah build --quiet --tag "$image" "$work/image"
    buildah push --quiet "$image" "docker-archive:$work/archive.tar:$image"
fi
"$@" "$work/archive.tar"
