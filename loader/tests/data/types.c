/* clang-19 -target bpf -mcpu=v3 -O2 -g -fdebug-compilation-dir=. -c types.c -o types.o && llvm-strip-19 -g types.o */
struct alone {
	int here;
} alone;
