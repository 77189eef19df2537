; Every atomic operation, on the stack: the old value comes back where one is fetched.
.license "Dual MIT/GPL"

.prog all_atomics socket_filter
    r1 = *(u32 *)(r1 + 0)
    *(u64 *)(r10 - 8) = r1
    r2 = 5
    lock *(u64 *)(r10 - 8) += r2
    lock *(u64 *)(r10 - 8) |= r2
    lock *(u64 *)(r10 - 8) &= r1
    lock *(u64 *)(r10 - 8) ^= r2
    r3 = 7
    r3 = atomic_fetch_add((u64 *)(r10 - 8), r3)
    r4 = 3
    r4 = atomic_fetch_or((u64 *)(r10 - 8), r4)
    r5 = 255
    r5 = atomic_fetch_and((u64 *)(r10 - 8), r5)
    r6 = 1
    r6 = atomic_fetch_xor((u64 *)(r10 - 8), r6)
    r7 = 9
    r7 = xchg_64(r10 - 8, r7)
    r0 = 9
    r8 = 11
    r0 = cmpxchg_64(r10 - 8, r0, r8)
    w9 = 2
    w9 = atomic_fetch_add((u32 *)(r10 - 8), w9)
    w2 = 13
    w2 = xchg32_32(r10 - 8, w2)
    w0 = w2
    w3 = 17
    w0 = cmpxchg32_32(r10 - 8, w0, w3)
    r0 = *(u64 *)(r10 - 8)
    r0 += r3
    r0 ^= r4
    r0 += r5
    r0 ^= r6
    r0 += r7
    r0 ^= r9
    r0 += r2
    exit

; Mistake: four bytes that do not lie on a multiple of four.
.prog misaligned_atomic socket_filter
    r0 = 0
    *(u64 *)(r10 - 8) = r0
    w1 = 1
    lock *(u32 *)(r10 - 6) += w1
    exit
