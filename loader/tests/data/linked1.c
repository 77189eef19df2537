/* clang-19 -target bpf -mcpu=v3 -O2 -g -fdebug-compilation-dir=. -c linked1.c -o linked1.o && llvm-strip-19 -g linked1.o */
#include "skep.h"

struct shared {
	int id;
	struct shared *next;
	__u64 count;
};

struct {
	__uint(type, 1);
	__uint(max_entries, 16);
	__type(key, __u32);
	__type(value, struct shared);
} one SEC(".maps");

extern struct {
	__uint(type, 2);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, struct shared);
} two SEC(".maps");

int first_data = 1;
extern int second_data;
static int counter;
extern int CONFIG_HZ __kconfig __weak;

/* The strong one is in the other file. */
__weak __noinline int pick(int x)
{
	return x + 100;
}

extern int second(int x);

static __noinline int local(int x)
{
	counter += x;
	return counter + first_data;
}

__noinline int first(int x)
{
	return local(x) + second_data;
}

struct seen {
	int here;
} __core;

SEC("xdp")
int main_one(void *ctx)
{
	__u32 key = CONFIG_HZ;
	struct shared *s = map_lookup(&two, &key);

	if (s)
		return pick(s->id) + ((struct seen *)s)->here;
	return second(local(2)) + first(1);
}

char _license[] SEC("license") = "GPL";
