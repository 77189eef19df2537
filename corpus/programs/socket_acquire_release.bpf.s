; Publishes a length and then a flag, each store after the one before it: release and acquire order
; memory without the cost of a read-modify-write.
.license "Dual MIT/GPL"
.map shared array key u32 value char[16] entries 1

.prog publish socket_filter
    r6 = *(u32 *)(r1 + 0)       ; length
    *(u32 *)(r10 - 4) = 0
    r2 = r10
    r2 += -4
    r1 = map[shared] ll
    call map_lookup_elem
    if r0 == 0 goto out
    r7 = load_acquire((u64 *)(r0 + 8))
    if r7 != 0 goto out         ; not yet consumed
    *(u64 *)(r0 + 0) = r6
    r1 = 1
    store_release((u64 *)(r0 + 8), r1)
    r8 = load_acquire((u8 *)(r0 + 8))
    *(u32 *)(r10 - 4) = r8
    w0 = load_acquire((u32 *)(r10 - 4))
    exit
out:
    r0 = 0
    exit

; Mistake: publishes in the context, where plain stores may go but no ordered ones.
.prog publish_in_context socket_filter
    r0 = 1
    store_release((u32 *)(r1 + 48), r0) ; cb[0]
    exit
