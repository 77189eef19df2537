/*
 * What the corpus programs share: section and map notation, helpers by number, contexts that
 * <linux/bpf.h> does not define, packet headers.
 *
 * Nothing here needs a kernel's BTF: such programs load on any kernel that has their helpers.
 * Maps are described to the loader by BTF alone: __uint() puts a number in an array's length,
 * __type() a type behind a pointer, __array() the members of a map of maps or of programs.
 */
#ifndef SKEP_H
#define SKEP_H

#include <linux/bpf.h>
#include <linux/types.h>
#include <stdbool.h>
#include <stddef.h>

typedef __u8 u8;
typedef __u16 u16;
typedef __u32 u32;
typedef __u64 u64;
typedef __s32 s32;
typedef __s64 s64;

#define SEC(name) __attribute__((section(name), used))
#define LICENSE(text) char _license[] SEC("license") = text

#define __uint(name, number) int(*name)[number]
#define __type(name, c_type) typeof(c_type) *name
#define __array(name, c_type) typeof(c_type) *name[]

#define INLINE static inline __attribute__((always_inline))
#define NOINLINE __attribute__((noinline))

/* Makes the compiler forget what it knows about a value, so that the written check stays. */
#define OPAQUE(value) asm volatile("" : "+r"(value))

#define MEMCPY __builtin_memcpy
#define MEMSET __builtin_memset

/* Host and network order; BPF objects here are little-endian. */
#define BE16(x) __builtin_bswap16(x)
#define BE32(x) __builtin_bswap32(x)

/* Maps. */
static void *(*const bpf_map_lookup_elem)(void *map, const void *key) = (void *)1;
static long (*const bpf_map_update_elem)(void *map, const void *key, const void *value,
                                         u64 flags) = (void *)2;
static long (*const bpf_map_delete_elem)(void *map, const void *key) = (void *)3;
static long (*const bpf_map_push_elem)(void *map, const void *value, u64 flags) = (void *)87;
static long (*const bpf_map_pop_elem)(void *map, void *value) = (void *)88;

/* Tracing. */
static u64 (*const bpf_ktime_get_ns)(void) = (void *)5;
static long (*const bpf_trace_printk)(const char *format, u32 format_size, ...) = (void *)6;
static u64 (*const bpf_get_current_pid_tgid)(void) = (void *)14;
static u64 (*const bpf_get_current_uid_gid)(void) = (void *)15;
static long (*const bpf_get_current_comm)(void *buffer, u32 size) = (void *)16;
static long (*const bpf_perf_event_output)(void *ctx, void *map, u64 flags, void *data,
                                           u64 size) = (void *)25;
static long (*const bpf_get_stackid)(void *ctx, void *map, u64 flags) = (void *)27;
static long (*const bpf_probe_read_user)(void *dst, u32 size, const void *user) = (void *)112;
static long (*const bpf_probe_read_kernel)(void *dst, u32 size, const void *kernel) = (void *)113;
static long (*const bpf_probe_read_user_str)(void *dst, u32 size, const void *user) = (void *)114;
static long (*const bpf_copy_from_user)(void *dst, u32 size, const void *user) = (void *)148;

/* Control. */
static long (*const bpf_tail_call)(void *ctx, void *programs, u32 index) = (void *)12;

/* Packets behind an skb. */
static long (*const bpf_skb_store_bytes)(struct __sk_buff *skb, u32 offset, const void *from,
                                         u32 size, u64 flags) = (void *)9;
static long (*const bpf_l3_csum_replace)(struct __sk_buff *skb, u32 offset, u64 from, u64 to,
                                         u64 size) = (void *)10;
static long (*const bpf_l4_csum_replace)(struct __sk_buff *skb, u32 offset, u64 from, u64 to,
                                         u64 flags) = (void *)11;
static long (*const bpf_skb_vlan_push)(struct __sk_buff *skb, u16 proto, u16 tag) = (void *)18;
static long (*const bpf_skb_vlan_pop)(struct __sk_buff *skb) = (void *)19;
static long (*const bpf_redirect)(u32 ifindex, u64 flags) = (void *)23;
static long (*const bpf_skb_load_bytes)(const void *skb, u32 offset, void *to,
                                        u32 size) = (void *)26;
static s64 (*const bpf_csum_diff)(u32 *from, u32 from_size, u32 *to, u32 to_size,
                                  u32 seed) = (void *)28;
static long (*const bpf_skb_change_tail)(struct __sk_buff *skb, u32 size, u64 flags) = (void *)38;
static long (*const bpf_skb_pull_data)(struct __sk_buff *skb, u32 size) = (void *)39;

/* Packets before they have an skb. */
static long (*const bpf_xdp_adjust_head)(struct xdp_md *ctx, int delta) = (void *)44;
static long (*const bpf_redirect_map)(void *map, u64 key, u64 flags) = (void *)51;
static long (*const bpf_xdp_adjust_meta)(struct xdp_md *ctx, int delta) = (void *)54;
static long (*const bpf_xdp_adjust_tail)(struct xdp_md *ctx, int delta) = (void *)65;

/* Ring buffers. */
static long (*const bpf_ringbuf_output)(void *ring, void *data, u64 size, u64 flags) = (void *)130;
static void *(*const bpf_ringbuf_reserve)(void *ring, u64 size, u64 flags) = (void *)131;
static void (*const bpf_ringbuf_submit)(void *record, u64 flags) = (void *)132;
static void (*const bpf_ringbuf_discard)(void *record, u64 flags) = (void *)133;

/* What a program on a system call's entry tracepoint sees. */
struct sys_enter {
    u64 common; /* type, flags, preemption count, process: not for programs */
    s64 number;
    u64 args[6];
};

/* What a program on a system call's exit tracepoint sees. */
struct sys_exit {
    u64 common;
    s64 number;
    s64 result;
};

/* What a program on sched/sched_switch sees. */
struct sched_switch {
    u64 common;
    char prev_comm[16];
    s32 prev_pid;
    s32 prev_prio;
    s64 prev_state;
    char next_comm[16];
    s32 next_pid;
    s32 next_prio;
};

/* Registers of x86-64 as a probe sees them, in the order of the kernel's pt_regs. */
struct probe_regs {
    u64 r15, r14, r13, r12, bp, bx, r11, r10, r9, r8, ax, cx, dx, si, di;
    u64 orig_ax, ip, cs, flags, sp, ss;
};

#define TASK_COMM_LEN 16

/* Packet headers; fields are in network order. */
struct eth {
    u8 dst[6];
    u8 src[6];
    u16 type;
};

struct vlan {
    u16 tag;
    u16 type;
};

struct ipv4 {
    u8 version_ihl;
    u8 tos;
    u16 length;
    u16 id;
    u16 fragment;
    u8 ttl;
    u8 protocol;
    u16 checksum;
    u32 src;
    u32 dst;
};

struct ipv6 {
    u32 version_class_flow;
    u16 length;
    u8 next;
    u8 hops;
    u8 src[16];
    u8 dst[16];
};

struct ports {
    u16 src;
    u16 dst;
};

struct udp {
    u16 src;
    u16 dst;
    u16 length;
    u16 checksum;
};

struct icmp {
    u8 type;
    u8 code;
    u16 checksum;
    u32 rest;
};

enum {
    ETH_IPV4 = 0x0800,
    ETH_ARP = 0x0806,
    ETH_VLAN = 0x8100,
    ETH_IPV6 = 0x86dd,
    PROTO_ICMP = 1,
    PROTO_IPIP = 4,
    PROTO_TCP = 6,
    PROTO_UDP = 17,
    TC_OK = 0,
    TC_SHOT = 2,
};

/* A 32-bit sum of 16-bit words, folded and complemented: the checksum of RFC 1071. */
INLINE u16 fold_checksum(u64 sum)
{
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    return (u16)~sum;
}

#endif
