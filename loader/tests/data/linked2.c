/* clang-19 -target bpf -mcpu=v3 -O2 -g -fdebug-compilation-dir=. -c linked2.c -o linked2.o && llvm-strip-19 -g linked2.o */
#include "skep.h"

struct shared {
	int id;
	struct shared *next;
	__u64 count;
};

struct {
	__uint(type, 2);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, struct shared);
} two SEC(".maps");

extern struct {
	__uint(type, 1);
	__uint(max_entries, 16);
	__type(key, __u32);
	__type(value, struct shared);
} one SEC(".maps");

extern int first_data;
int second_data = 2;
static volatile char padding = 3;
static int counter;
extern int CONFIG_HZ __kconfig __weak;

extern int first(int x);

static __noinline int local(int x)
{
	counter -= x;
	return counter + second_data + padding;
}

__noinline int pick(int x)
{
	return x - 100;
}

__noinline int second(int x)
{
	return local(x) * first_data + CONFIG_HZ;
}

SEC("xdp")
int main_two(void *ctx)
{
	__u32 key = 1;
	struct shared *s = map_lookup(&one, &key);

	if (s)
		return s->count + pick(3);
	return first(2) + local(3);
}

SEC("tc")
int other_two(void *ctx)
{
	return second(4);
}

char _license[] SEC("license") = "GPL";
