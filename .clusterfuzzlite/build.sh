#!/bin/bash -eu
# Builds the targets of fuzz/targets for ClusterFuzzLite.
cd "$SRC/skep"
cargo fuzz build --fuzz-dir fuzz/targets -O
for target in fuzz/targets/*.rs; do
    name=$(basename "$target" .rs)
    cp "fuzz/targets/target/x86_64-unknown-linux-gnu/release/$name" "$OUT/"
done
