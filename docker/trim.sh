#!/bin/sh
# Takes out of an environment what no step can come to use, compiles the rest, and deals it out into layers.
# tests/containers runs every component on what is left.
#
#   trim.sh ENVIRONMENT LAYERS     # LAYERS/tensorflow, LAYERS/cuda where there is CUDA, LAYERS/others
set -eu
environment=$1
layers=$2
site=$environment/lib/python3.11/site-packages
cd "$site"

# Headers, sources and static libraries, for building against.
rm -rf tensorflow/include tensorflow/xla_aot_runtime_src pyarrow/include pyarrow/src numpy/_core/include
find . -type f \( -name '*.a' -o -name '*.h' -o -name '*.hpp' -o -name '*.c' -o -name '*.cc' -o -name '*.cpp' \
  -o -name '*.pxd' -o -name '*.pxi' -o -name '*.pyx' -o -name '*.pyi' -o -name '*.f90' \) -delete
rm -rf nvidia/*/include

# CUDA: the library under a compiler, a second build of another, and a solver over several GPUs, all of which no
# library here names.
rm -rf nvidia/cuda_nvcc/nvvm/lib64 nvidia/cuda_nvrtc/lib/*.alt.* nvidia/cusolver/lib/libcusolverMg.*

# The packages' own tests.
find . -type d -name tests -prune -exec rm -rf {} +
rm -f pyarrow/_pyarrow_cpp_tests.*

# Arrow's libraries are there under up to three names; the loader asks for one. Flight is a network protocol.
rm -f pyarrow/libarrow_python*.so pyarrow/libarrow_python*.so.*.*
rm -f pyarrow/libarrow_flight.* pyarrow/libarrow_python_flight.* pyarrow/_flight.* pyarrow/flight.py

# Descriptions of AWS' other 400 services: what signs requests in and reads S3 stays.
find botocore/data -mindepth 1 -maxdepth 1 -type d ! -name s3 ! -name sts ! -name 'sso*' ! -name signin \
  -exec rm -rf {} +

# LiteRT and ONNX: the data of the packages' own tests, accelerators of phones and browsers, tools that compile for
# them, and a second copy of the ONNX runtime, for programs in other languages.
rm -rf onnx/backend/test ai_edge_litert/libLiteRt*.so ai_edge_litert/aot ai_edge_litert/tools ai_edge_litert/vendors
rm -rf onnxruntime/capi/libonnxruntime.so.* onnxruntime/transformers onnxruntime/quantization onnxruntime/tools

# Commands that the packages bring, and their manuals.
find "$environment/bin" -mindepth 1 ! -name 'python*' -exec rm -rf {} +
rm -rf "$environment/share" "$environment/include"

# Symbols that only a debugger reads; those the loader needs are kept apart from them.
for package in tensorflow pyarrow onnx onnxruntime ai_edge_litert; do
  [ ! -d $package ] || find $package -name '*.so*' -type f -exec strip --strip-unneeded {} +
done

# Every module is compiled, once, and never looked at again to see whether its source has changed.
find . -type d -name __pycache__ -prune -exec rm -rf {} +
python3 -m compileall -q -j 0 --invalidation-mode unchecked-hash .

for layer in tensorflow nvidia; do
  if [ -d $layer ]; then
    target=$layers/$([ $layer = nvidia ] && echo cuda || echo $layer)$site
    mkdir -p "$target"
    mv $layer "$target/"
  fi
done
mkdir -p "$layers/others$(dirname "$environment")"
mv "$environment" "$layers/others$environment"
