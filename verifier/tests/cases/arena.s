; Arenas: what atomic operations on them the machine can do.

.license "GPL"
.map ar arena key 0 value 0 entries 4 flags mmapable

.cases syscall flags sleepable maps ar

an_ordered_load_of_eight_bytes:    ; accepted
    r1 = ar ll
    r1 = 4096
    r1 = addr_space_cast(r1, 0, 1)
    r0 = load_acquire((u64 *)(r1 + 0))
    r0 = 0
    exit

an_ordered_load_of_a_byte:         ; accepted
    r1 = ar ll
    r1 = 4096
    r1 = addr_space_cast(r1, 0, 1)
    r0 = load_acquire((u8 *)(r1 + 0))
    r0 = 0
    exit

an_ordered_store:                  ; accepted
    r1 = ar ll
    r1 = 4096
    r1 = addr_space_cast(r1, 0, 1)
    r0 = 1
    store_release((u32 *)(r1 + 0), r0)
    r0 = 0
    exit

a_fetching_and:
    r1 = ar ll
    r1 = 4096
    r1 = addr_space_cast(r1, 0, 1)
    r0 = 1
    r0 = atomic_fetch_and((u64 *)(r1 + 0), r0)   ; error: BPF_ATOMIC stores into R1 arena is not allowed
    r0 = 0
    exit

a_fetching_or_of_four_bytes:
    r1 = ar ll
    r1 = 4096
    r1 = addr_space_cast(r1, 0, 1)
    r0 = 1
    w0 = atomic_fetch_or((u32 *)(r1 + 0), w0)    ; error: BPF_ATOMIC stores into R1 arena is not allowed
    r0 = 0
    exit

a_fetching_xor:
    r1 = ar ll
    r1 = 4096
    r1 = addr_space_cast(r1, 0, 1)
    r0 = 1
    r0 = atomic_fetch_xor((u64 *)(r1 + 0), r0)   ; error: BPF_ATOMIC stores into R1 arena is not allowed
    r0 = 0
    exit

an_and_that_fetches_nothing:       ; accepted
    r1 = ar ll
    r1 = 4096
    r1 = addr_space_cast(r1, 0, 1)
    r0 = 1
    lock *(u64 *)(r1 + 0) &= r0
    r0 = 0
    exit

a_fetching_add:                    ; accepted
    r1 = ar ll
    r1 = 4096
    r1 = addr_space_cast(r1, 0, 1)
    r0 = 1
    r0 = atomic_fetch_add((u64 *)(r1 + 0), r0)
    r0 = 0
    exit

an_exchange:                       ; accepted
    r1 = ar ll
    r1 = 4096
    r1 = addr_space_cast(r1, 0, 1)
    r0 = 1
    r0 = xchg_64(r1 + 0, r0)
    r0 = 0
    exit
