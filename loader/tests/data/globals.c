/* clang-19 -target bpf -mcpu=v3 -O2 -g -fdebug-compilation-dir=. -c globals.c -o globals.o && llvm-strip-19 -g globals.o */
#include "skep.h"

enum mode { SLOW = 1, FAST = 5 };

struct config {
	enum mode mode;
	struct {
		__u16 port;
		unsigned char urgent : 1;
		unsigned char weight : 4;
	};
	char name[8];
	__u64 limits[3];
};

const volatile int limit = 7;
const volatile struct config config = { .mode = SLOW };
static volatile signed char offset = -1;
_Bool enabled;
float ratio = 1.5;
int table[4] SEC(".data.table") = { 1, 2, 3, 4 };

SEC("xdp")
int globals(void *ctx)
{
	return limit + config.mode + config.limits[1] + config.port + offset + enabled + table[2] +
	       config.weight + config.name[0];
}

char _license[] SEC("license") = "GPL";
