/* Decodes a remote control that sends a number by the length of a pulse, and reports it as a key. */
#include "skep.h"

static long (*const bpf_rc_keydown)(void *ctx, u32 protocol, u64 scancode, u32 toggle) = (void *)78;

enum { KIND_PULSE = 0x01000000, KIND_MASK = 0xff000000, UNIT = 500 };

u32 keys;

SEC("lirc_mode2")
int pulse_length(u32 *sample)
{
    u32 value = *sample, length = value & ~KIND_MASK;

    if ((value & KIND_MASK) != KIND_PULSE || length < UNIT)
        return 0;
    bpf_rc_keydown(sample, 64, length / UNIT, 0);
    __sync_fetch_and_add(&keys, 1);
    return 0;
}

LICENSE("Dual MIT/GPL");
