/* clang-19 -target bpf -mcpu=v3 -O2 -g -fdebug-compilation-dir=. -c basic.c -o basic.o && llvm-strip-19 -g basic.o */
#include "skep.h"

struct {
	__uint(type, 1);
	__uint(max_entries, 16);
	__type(key, __u32);
	__type(value, __u64);
	__uint(map_flags, 1);
} counts SEC(".maps");

struct inner {
	__uint(type, 2);
	__uint(max_entries, 2);
	__uint(key_size, 4);
	__uint(value_size, 8);
} first SEC(".maps"), second SEC(".maps");

struct {
	__uint(type, 12);
	__uint(max_entries, 4);
	__uint(key_size, 4);
	__array(values, struct inner);
} outer SEC(".maps") = { .values = { [1] = &first, [3] = &second } };

int xdp_drop(void *ctx);

struct {
	__uint(type, 3);
	__uint(max_entries, 4);
	__uint(key_size, 4);
	__array(values, int(void *));
} jumps SEC(".maps") = { .values = { [2] = (void *)&xdp_drop } };

struct {
	__uint(type, 27);
	__uint(max_entries, 5000);
	__uint(pinning, 1);
} events SEC(".maps");

const volatile int limit = 7;
int total = 3;
static volatile __u64 seen;
__hidden int secret;
int custom SEC(".data.custom") = 9;

static __noinline int bottom(int x)
{
	seen += x;
	return x + total;
}

__noinline int left(int x)
{
	return bottom(x) * 3;
}

__hidden __noinline int right(int x)
{
	return bottom(x + 1) * 5 + secret;
}

static int each(__u32 i, void *ctx)
{
	return i > limit;
}

SEC("xdp")
int xdp_main(void *ctx)
{
	__u32 key = 1;
	__u64 *n = map_lookup(&counts, &key);

	if (n)
		return right(*n) + left(custom);
	loop(10, each, 0, 0);
	tail_call(ctx, &jumps, 2);
	return map_lookup(&outer, &key) ? 2 : 1;
}

SEC("xdp")
int xdp_drop(void *ctx)
{
	return left(1);
}

SEC("?fentry.s/some_function")
int probe(__u64 *ctx)
{
	return ctx[0] == (__u64)map_lookup(&events, 0);
}

SEC("mystery")
int unknown_section(void *ctx)
{
	return 0;
}

char _license[] SEC("license") = "Dual BSD/GPL";
