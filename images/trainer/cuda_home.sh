#!/usr/bin/env bash
# Arrange NVIDIA's Python packages like a CUDA toolkit, so that CMake and Horovod find it.
#
#   cuda_home.sh SITE_PACKAGES COMPILER FOLDER
#
# SITE_PACKAGES contains the packages of tensorflow[and-cuda], COMPILER those of requirements/nvcc.txt.
set -euo pipefail
libraries=$1/nvidia
compiler=$2/nvidia
mkdir -p "$3"/{include,lib64}
cd "$3"

cp -r "$compiler"/cu13/{bin,nvvm} .
chmod -R a+x bin nvvm/bin
cp -r "$libraries"/{cuda_runtime,nccl}/include/. "$compiler"/cuda_cccl/include/. include/
cp -r "$compiler"/cu13/include/{crt,fatbinary_section.h} include/
ln -s "$libraries"/{cuda_runtime,nccl}/lib/* lib64/
ln -s libcudart.so.12 lib64/libcudart.so
ln -s libnccl.so.2 lib64/libnccl.so
