; What maps may own: structures that the kernel has a function to free, whatever its series calls it.

.license "GPL"
.struct held { u64 count, struct bpf_crypto_ctx __kptr *context }
.map contexts array key u32 value struct held entries 1

.cases socket_filter

a_number_is_no_context:
    r1 = map_value[contexts]+0 ll
    r2 = 1
    *(u64 *)(r1 + 8) = r2          ; error: store to referenced kptr disallowed
    r0 = 0
    exit

a_number_beside_it_is_one:         ; accepted
    r1 = map_value[contexts]+0 ll
    r2 = 1
    *(u64 *)(r1 + 0) = r2
    r0 = 0
    exit
