#!/bin/sh
# Rebuilds objects/*.o from programs/*.c and programs/*.bpf.s. Optional: the objects are kept with them.
#
# Needs clang-19 and llvm-strip-19 (other versions make other code, hence other verdicts: CLANG and
# LLVM_STRIP name them), and the kernel's user headers (linux-libc-dev); SKEP names a built skep, which
# cargo builds otherwise. The same tools give the same bytes every time and everywhere: paths are
# relative, DWARF is stripped, BTF and line info stay.
set -eu
cd "$(dirname "$0")"
clang=${CLANG:-clang-19}
strip=${LLVM_STRIP:-llvm-strip-19}
skep=${SKEP:-cargo run --quiet --release --package skep-cli --}
for tool in "$clang" "$strip"; do
    command -v "$tool" >/dev/null || { echo "build.sh: needs $tool" >&2; exit 2; }
done
# <linux/types.h> wants the machine's asm/ headers, which Debian keeps in a folder per machine.
multiarch=/usr/include/$(uname -m)-linux-gnu
mkdir -p objects/unjudged
for source in programs/*.c; do
    name=$(basename "$source" .c)
    object=objects/$name.o
    # Objects with programs that the recording kernel refuses before it looks stay where they are.
    [[ -e objects/unjudged/$name.o ]] && object=objects/unjudged/$name.o
    "$clang" -target bpf -mcpu=v3 -O2 -g -std=gnu11 -Wall -Werror -Wno-missing-declarations \
        -fdebug-prefix-map="$PWD=" -idirafter "$multiarch" -c "$source" -o "$object"
    "$strip" -g "$object"
done
# `skep asm` gives the assembly programs BTF and source lines as well.
for source in programs/*.bpf.s; do
    $skep asm "$source" -o "objects/$(basename "$source" .bpf.s).o"
done
