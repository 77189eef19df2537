/* clang-19 -target bpf -mcpu=v3 -O2 -g -fdebug-compilation-dir=. -c kernel.c -o kernel.o && llvm-strip-19 -g kernel.o */
#include "skep.h"

struct parent {
	int pid;
} __core;

struct task___mine {
	int pid;
	struct parent *parent;
	__u64 missing;
} __core;

enum state___old { STATE_A = 1, STATE_B = 2 };

extern int CONFIG_HZ __kconfig;
extern _Bool CONFIG_SMP __kconfig __weak;
extern __u32 LINUX_KERNEL_VERSION __kconfig;
extern void kernel_func(struct task___mine *t, __u32) __ksym;
extern void absent_func(void) __ksym __weak;
extern const int kernel_var __ksym;
extern const void kernel_symbol __ksym __weak;

SEC("tp_btf/sched_switch")
int relocated(struct task___mine *t)
{
	if (__builtin_preserve_field_info(t->missing, 2))
		return t->missing;
	return t->pid + t->parent->pid + __builtin_preserve_enum_value(*(enum state___old *)STATE_B, 1);
}

SEC("syscall")
int externs(struct task___mine *t)
{
	kernel_func(t, 1);
	if (absent_func)
		absent_func();
	return CONFIG_HZ + CONFIG_SMP + LINUX_KERNEL_VERSION + *&kernel_var + (long)&kernel_symbol;
}

char _license[] SEC("license") = "GPL";
