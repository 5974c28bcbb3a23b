#!/usr/bin/env bash
# Build Horovod's wheel against the TensorFlow that the given Python has.
#
#   build_horovod.sh PIP PYTHON WHEEL_FOLDER     (needs g++, cmake < 4, libopenmpi-dev)
#
# PIP is the pip of another environment: it works on PYTHON's.
#
# Horovod 0.28.1 predates TensorFlow 2.21 and Keras 3, and needs four edits. Its optional XLA operators no longer
# compile. Two modules must import the backend of tf-keras instead of Keras 3's. TensorFlow has removed the function
# that returned the CUDA stream: the stream object has a method for it now.
set -euo pipefail

version=0.28.1
pip=$(realpath --no-symlinks "$1")
python=$(realpath --no-symlinks "$2")
folder=$(realpath "$(dirname "$0")/../../requirements")
requirements=$folder/horovod.txt
show=$folder/show_progress.sh
wheels=$(mkdir -p "$3" && cd "$3" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

"$show" 'Horovod sources' 's/^ *(Downloading|Collecting) (\S+).*/\l\1 \2/p' \
    "$pip" --python "$python" download --progress-bar off --no-deps --no-binary=:all: --no-build-isolation \
    --require-hashes --requirement "$requirements" --dest "$work"
tar -xzf "$work/horovod-$version.tar.gz" -C "$work"
cd "$work/horovod-$version"

sed -i '/xla_mpi_ops\.cc/d' horovod/tensorflow/CMakeLists.txt
sed -i 's/^    from keras import backend as K/    from tensorflow.keras import backend as K/' \
    horovod/tensorflow/keras/__init__.py horovod/tensorflow/keras/callbacks.py
for module in __init__ callbacks; do
    grep -q '^    from tensorflow.keras import backend as K' "horovod/tensorflow/keras/$module.py"
done

sed -i -e 's/^GpuStreamHandle AsGpuStreamValue(Stream\* stream);/inline &/' \
    -e '0,/^#endif \/\/ HAVE_GPU/s//namespace stream_executor::gpu {\
inline GpuStreamHandle AsGpuStreamValue(Stream* stream) {\
  return static_cast<GpuStreamHandle>(stream->platform_specific_handle().stream);\
}\
}\
&/' horovod/tensorflow/mpi_ops.cc
grep -q '^  return static_cast<GpuStreamHandle>' horovod/tensorflow/mpi_ops.cc

export HOROVOD_WITH_TENSORFLOW=1 HOROVOD_WITHOUT_PYTORCH=1 HOROVOD_WITHOUT_MXNET=1
export HOROVOD_WITH_GLOO=1 HOROVOD_WITH_MPI=1
# CMake says `[ 41%] Building CXX object horovod/tensorflow/CMakeFiles/tensorflow.dir/mpi_ops.cc.o`.
"$show" 'Horovod' \
    's/^ *-- (Detecting|Found|Looking for|Configuring|Generating) (\S+).*/configuring: \l\1 \2/p
     s/^ *(\[ *[0-9]+%\]) Building \S+ object (.*\/)?(\S+)\.o$/\1 compiling \3/p
     s/^ *(\[ *[0-9]+%\]) Linking \S+ \S+ library (.*\/)?(\S+)$/\1 linking \3/p' \
    "$pip" --python "$python" wheel --verbose --no-deps --no-build-isolation --wheel-dir "$wheels" .
