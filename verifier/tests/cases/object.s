; Objects that programs allocate, and the lists and trees that they are put into. Names behind `type:`
; stand for that structure's id in the program's own types.

.license "GPL"
.struct bpf_spin_lock { u32 val }
.struct bpf_list_head { u64 opaque[2] } align 8
.struct bpf_list_node { u64 opaque[3] } align 8
.struct bpf_rb_root { u64 opaque[2] } align 8
.struct bpf_rb_node { u64 opaque[4] } align 8
.struct bpf_refcount { u32 opaque }
.struct item { u64 number, struct bpf_list_node link }
.struct leaf { u64 number, struct bpf_rb_node link }
.struct shared { u64 number, struct bpf_rb_node link, struct bpf_refcount count }
.struct plain { u64 number, u64 more }
.struct list { struct bpf_spin_lock lock, struct bpf_list_head head __contains(item, link) }
.struct tree { struct bpf_spin_lock lock, struct bpf_rb_root root __contains(leaf, link) }
.struct grove { struct bpf_spin_lock lock, struct bpf_rb_root root __contains(shared, link) }
.map items array key u32 value struct list entries 1
.map leaves array key u32 value struct tree entries 1
.map shareds array key u32 value struct grove entries 1
.map plains array key u32 value struct plain entries 1
.func u64 less(u64 one, u64 other)
    r3 = *(u64 *)(r1 - 8)
    r4 = *(u64 *)(r2 - 8)
    r0 = 0
    if r3 >= r4 goto +1
    r0 = 1
    exit
.func u64 less_and_unlocks(u64 one, u64 other)
    r1 = map_value[leaves] ll
    call spin_unlock
    r0 = 0
    exit

.cases sched_cls

an_object_is_made_and_freed:       ; accepted
    r1 = {type:plain}
    r2 = 0
    call kfunc bpf_obj_new_impl
    if r0 == 0 goto out
    r6 = r0
    r1 = r6
    r2 = 0
    call kfunc bpf_obj_drop_impl
out:
    r0 = 0
    exit

an_object_is_made_and_forgotten:
    r1 = {type:plain}
    r2 = 0
    call kfunc bpf_obj_new_impl
    if r0 == 0 goto out
    r6 = r0
out:
    r0 = 0
    exit                           ; error: BPF_EXIT instruction in main prog would lead to reference leak

an_object_is_freed_unchecked:
    r1 = {type:plain}
    r2 = 0
    call kfunc bpf_obj_new_impl
    r1 = r0
    r2 = 0
    call kfunc bpf_obj_drop_impl   ; error: Possibly NULL pointer passed to trusted arg0
    r0 = 0
    exit

an_object_is_freed_twice:
    r1 = {type:plain}
    r2 = 0
    call kfunc bpf_obj_new_impl
    if r0 == 0 goto out
    r6 = r0
    r1 = r6
    r2 = 0
    call kfunc bpf_obj_drop_impl
    r1 = r6
    r2 = 0
    call kfunc bpf_obj_drop_impl   ; error: R1 must be referenced or trusted
out:
    r0 = 0
    exit

an_object_is_written_and_read:     ; accepted
    r1 = {type:plain}
    r2 = 0
    call kfunc bpf_obj_new_impl
    if r0 == 0 goto out
    r6 = r0
    *(u64 *)(r6 + 8) = 5
    r7 = *(u32 *)(r6 + 12)
    r1 = r6
    r2 = 0
    call kfunc bpf_obj_drop_impl
out:
    r0 = 0
    exit

an_object_is_written_behind_its_end:
    r1 = {type:plain}
    r2 = 0
    call kfunc bpf_obj_new_impl
    if r0 == 0 goto out
    r6 = r0
    *(u64 *)(r6 + 16) = 5          ; error: access beyond struct plain at off 16 size 8
    r1 = r6
    r2 = 0
    call kfunc bpf_obj_drop_impl
out:
    r0 = 0
    exit

an_object_is_written_after_it_was_freed:
    r1 = {type:plain}
    r2 = 0
    call kfunc bpf_obj_new_impl
    if r0 == 0 goto out
    r6 = r0
    r1 = r6
    r2 = 0
    call kfunc bpf_obj_drop_impl
    *(u64 *)(r6 + 8) = 5           ; error: R6 invalid mem access 'scalar'
out:
    r0 = 0
    exit

the_node_of_an_object_is_written:
    r1 = {type:item}
    r2 = 0
    call kfunc bpf_obj_new_impl
    if r0 == 0 goto out
    r6 = r0
    *(u64 *)(r6 + 8) = 5           ; error: direct access to bpf_list_node is disallowed
    r1 = r6
    r2 = 0
    call kfunc bpf_obj_drop_impl
out:
    r0 = 0
    exit

an_object_of_no_type:
    r1 = 2000000
    r2 = 0
    call kfunc bpf_obj_new_impl    ; error: bpf_obj_new/bpf_percpu_obj_new type ID argument must be of a struct
    r0 = 0
    exit

an_object_of_a_type_that_varies:
    r1 = *(u32 *)(r1 + 0)
    r2 = 0
    call kfunc bpf_obj_new_impl    ; error: R1 must be a known constant
    r0 = 0
    exit

an_object_of_each_cpu:             ; accepted
    r1 = {type:plain}
    r2 = 0
    call kfunc bpf_percpu_obj_new_impl
    if r0 == 0 goto out
    r1 = r0
    r2 = 0
    call kfunc bpf_percpu_obj_drop_impl
out:
    r0 = 0
    exit

an_object_of_each_cpu_is_freed_as_another:
    r1 = {type:plain}
    r2 = 0
    call kfunc bpf_percpu_obj_new_impl
    if r0 == 0 goto out
    r1 = r0
    r2 = 0
    call kfunc bpf_obj_drop_impl   ; error: arg#0 expected for bpf_percpu_obj_drop_impl()
out:
    r0 = 0
    exit

an_object_of_each_cpu_with_a_node:
    r1 = {type:item}
    r2 = 0
    call kfunc bpf_percpu_obj_new_impl  ; error: bpf_percpu_obj_new type ID argument must not contain special fields
out:
    r0 = 0
    exit

an_object_of_each_cpu_is_read:
    r1 = {type:plain}
    r2 = 0
    call kfunc bpf_percpu_obj_new_impl
    if r0 == 0 goto out
    r6 = r0
    r7 = *(u64 *)(r6 + 0)          ; error: R6 is ptr_plain access percpu memory: off=0
    r1 = r6
    r2 = 0
    call kfunc bpf_percpu_obj_drop_impl
out:
    r0 = 0
    exit

an_item_is_put_into_a_list:        ; accepted
    r1 = {type:item}
    r2 = 0
    call kfunc bpf_obj_new_impl
    if r0 == 0 goto out
    r6 = r0
    r1 = map_value[items] ll
    call spin_lock
    r1 = map_value[items]+8 ll
    r2 = r6
    r2 += 8
    r3 = 0
    r4 = 0
    call kfunc bpf_list_push_front_impl
    r1 = map_value[items] ll
    call spin_unlock
out:
    r0 = 0
    exit

an_item_is_put_into_a_list_without_lock:
    r1 = {type:item}
    r2 = 0
    call kfunc bpf_obj_new_impl
    if r0 == 0 goto out
    r6 = r0
    r1 = map_value[items]+8 ll
    r2 = r6
    r2 += 8
    r3 = 0
    r4 = 0
    call kfunc bpf_list_push_front_impl  ; error: bpf_spin_lock at off=0 must be held for bpf_list_head
out:
    r0 = 0
    exit

an_item_is_put_into_a_list_under_another_lock:
    r1 = {type:item}
    r2 = 0
    call kfunc bpf_obj_new_impl
    if r0 == 0 goto out
    r6 = r0
    r1 = map_value[leaves] ll
    call spin_lock
    r1 = map_value[items]+8 ll
    r2 = r6
    r2 += 8
    r3 = 0
    r4 = 0
    call kfunc bpf_list_push_front_impl  ; error: bpf_spin_lock at off=0 must be held for bpf_list_head
    r1 = map_value[leaves] ll
    call spin_unlock
out:
    r0 = 0
    exit

an_item_is_put_into_a_list_and_freed:
    r1 = {type:item}
    r2 = 0
    call kfunc bpf_obj_new_impl
    if r0 == 0 goto out
    r6 = r0
    r1 = map_value[items] ll
    call spin_lock
    r1 = map_value[items]+8 ll
    r2 = r6
    r2 += 8
    r3 = 0
    r4 = 0
    call kfunc bpf_list_push_front_impl
    r1 = map_value[items] ll
    call spin_unlock
    r1 = r6
    r2 = 0
    call kfunc bpf_obj_drop_impl   ; error: R1 must be referenced or trusted
out:
    r0 = 0
    exit

an_item_is_put_into_a_list_twice:
    r1 = {type:item}
    r2 = 0
    call kfunc bpf_obj_new_impl
    if r0 == 0 goto out
    r6 = r0
    r1 = map_value[items] ll
    call spin_lock
    r1 = map_value[items]+8 ll
    r2 = r6
    r2 += 8
    r3 = 0
    r4 = 0
    call kfunc bpf_list_push_front_impl
    r1 = map_value[items]+8 ll
    r2 = r6
    r2 += 8
    r3 = 0
    r4 = 0
    call kfunc bpf_list_push_front_impl  ; error: arg#1 expected pointer to allocated object
    r1 = map_value[items] ll
    call spin_unlock
out:
    r0 = 0
    exit

an_item_in_a_list_is_read_under_the_lock: ; accepted
    r1 = {type:item}
    r2 = 0
    call kfunc bpf_obj_new_impl
    if r0 == 0 goto out
    r6 = r0
    r1 = map_value[items] ll
    call spin_lock
    r1 = map_value[items]+8 ll
    r2 = r6
    r2 += 8
    r3 = 0
    r4 = 0
    call kfunc bpf_list_push_front_impl
    r7 = *(u64 *)(r6 + 0)
    r1 = map_value[items] ll
    call spin_unlock
out:
    r0 = 0
    exit

an_item_in_a_list_is_read_without_lock:
    r1 = {type:item}
    r2 = 0
    call kfunc bpf_obj_new_impl
    if r0 == 0 goto out
    r6 = r0
    r1 = map_value[items] ll
    call spin_lock
    r1 = map_value[items]+8 ll
    r2 = r6
    r2 += 8
    r3 = 0
    r4 = 0
    call kfunc bpf_list_push_front_impl
    r1 = map_value[items] ll
    call spin_unlock
    r7 = *(u64 *)(r6 + 0)          ; error: R6 invalid mem access 'scalar'
out:
    r0 = 0
    exit

a_leaf_is_put_into_a_list:
    r1 = {type:leaf}
    r2 = 0
    call kfunc bpf_obj_new_impl
    if r0 == 0 goto out
    r6 = r0
    r1 = map_value[items] ll
    call spin_lock
    r1 = map_value[items]+8 ll
    r2 = r6
    r2 += 8
    r3 = 0
    r4 = 0
    call kfunc bpf_list_push_front_impl  ; error: bpf_list_node not found at offset=8
    r1 = map_value[items] ll
    call spin_unlock
out:
    r0 = 0
    exit

a_plain_object_is_put_into_a_list:
    r1 = {type:plain}
    r2 = 0
    call kfunc bpf_obj_new_impl
    if r0 == 0 goto out
    r6 = r0
    r1 = map_value[items] ll
    call spin_lock
    r1 = map_value[items]+8 ll
    r2 = r6
    r2 += 8
    r3 = 0
    r4 = 0
    call kfunc bpf_list_push_front_impl  ; error: bpf_list_node not found at offset=8
    r1 = map_value[items] ll
    call spin_unlock
out:
    r0 = 0
    exit

an_item_is_put_into_a_list_by_another_place:
    r1 = {type:item}
    r2 = 0
    call kfunc bpf_obj_new_impl
    if r0 == 0 goto out
    r6 = r0
    r1 = map_value[items] ll
    call spin_lock
    r1 = map_value[items]+8 ll
    r2 = r6
    r3 = 0
    r4 = 0
    call kfunc bpf_list_push_front_impl  ; error: bpf_list_node not found at offset=0
    r1 = map_value[items] ll
    call spin_unlock
out:
    r0 = 0
    exit

an_item_is_put_where_no_list_is:
    r1 = {type:item}
    r2 = 0
    call kfunc bpf_obj_new_impl
    if r0 == 0 goto out
    r6 = r0
    r1 = map_value[items] ll
    call spin_lock
    r1 = map_value[items] ll
    r2 = r6
    r2 += 8
    r3 = 0
    r4 = 0
    call kfunc bpf_list_push_front_impl  ; error: bpf_list_head not found at offset=0
    r1 = map_value[items] ll
    call spin_unlock
out:
    r0 = 0
    exit

an_item_is_taken_out_of_a_list:    ; accepted
    r1 = map_value[items] ll
    call spin_lock
    r1 = map_value[items]+8 ll
    call kfunc bpf_list_pop_front
    r6 = r0
    r1 = map_value[items] ll
    call spin_unlock
    if r6 == 0 goto out
    r1 = r6
    r1 += -8
    r2 = 0
    call kfunc bpf_obj_drop_impl
out:
    r0 = 0
    exit

an_item_is_taken_out_of_a_list_and_forgotten:
    r1 = map_value[items] ll
    call spin_lock
    r1 = map_value[items]+8 ll
    call kfunc bpf_list_pop_front
    r1 = map_value[items] ll
    call spin_unlock
    r0 = 0
    exit                           ; error: BPF_EXIT instruction in main prog would lead to reference leak

an_item_is_freed_by_its_node:
    r1 = map_value[items] ll
    call spin_lock
    r1 = map_value[items]+8 ll
    call kfunc bpf_list_pop_front
    r6 = r0
    r1 = map_value[items] ll
    call spin_unlock
    if r6 == 0 goto out
    r1 = r6
    r2 = 0
    call kfunc bpf_obj_drop_impl   ; error: R1 must have zero offset when passed to release func or trusted arg to kfunc
out:
    r0 = 0
    exit

an_item_is_taken_out_of_a_list_without_lock:
    r1 = map_value[items]+8 ll
    call kfunc bpf_list_pop_front  ; error: bpf_spin_lock at off=0 must be held for bpf_list_head
    r0 = 0
    exit

the_first_item_of_a_list_is_read:  ; accepted
    r1 = map_value[items] ll
    call spin_lock
    r1 = map_value[items]+8 ll
    call kfunc bpf_list_front
    if r0 == 0 goto none
    r7 = *(u64 *)(r0 - 8)
none:
    r1 = map_value[items] ll
    call spin_unlock
    r0 = 0
    exit

the_first_item_of_a_list_is_read_without_lock:
    r1 = map_value[items] ll
    call spin_lock
    r1 = map_value[items]+8 ll
    call kfunc bpf_list_front
    r6 = r0
    r1 = map_value[items] ll
    call spin_unlock
    if r6 == 0 goto out
    r7 = *(u64 *)(r6 - 8)          ; error: R6 invalid mem access 'scalar'
out:
    r0 = 0
    exit

the_first_item_of_a_list_is_freed:
    r1 = map_value[items] ll
    call spin_lock
    r1 = map_value[items]+8 ll
    call kfunc bpf_list_front
    if r0 == 0 goto none
    r1 = r0
    r2 = 0
    call kfunc bpf_obj_drop_impl   ; error: function calls are not allowed while holding a lock
none:
    r1 = map_value[items] ll
    call spin_unlock
    r0 = 0
    exit

a_leaf_is_put_into_a_tree:         ; accepted
    r1 = {type:leaf}
    r2 = 0
    call kfunc bpf_obj_new_impl
    if r0 == 0 goto out
    r6 = r0
    r1 = map_value[leaves] ll
    call spin_lock
    r1 = map_value[leaves]+8 ll
    r2 = r6
    r2 += 8
    r3 = func less ll
    r4 = 0
    r5 = 0
    call kfunc bpf_rbtree_add_impl
    r1 = map_value[leaves] ll
    call spin_unlock
out:
    r0 = 0
    exit

a_leaf_is_put_into_a_tree_without_lock:
    r1 = {type:leaf}
    r2 = 0
    call kfunc bpf_obj_new_impl
    if r0 == 0 goto out
    r6 = r0
    r1 = map_value[leaves]+8 ll
    r2 = r6
    r2 += 8
    r3 = func less ll
    r4 = 0
    r5 = 0
    call kfunc bpf_rbtree_add_impl  ; error: bpf_spin_lock at off=0 must be held for bpf_rb_root
out:
    r0 = 0
    exit

an_item_is_put_into_a_tree:
    r1 = {type:item}
    r2 = 0
    call kfunc bpf_obj_new_impl
    if r0 == 0 goto out
    r6 = r0
    r1 = map_value[leaves] ll
    call spin_lock
    r1 = map_value[leaves]+8 ll
    r2 = r6
    r2 += 8
    r3 = func less ll
    r4 = 0
    r5 = 0
    call kfunc bpf_rbtree_add_impl  ; error: bpf_rb_node not found at offset=8
    r1 = map_value[leaves] ll
    call spin_unlock
out:
    r0 = 0
    exit

a_lock_is_given_up_while_leaves_are_compared: ; error: can't spin_{lock,unlock} in rbtree cb
    r1 = {type:leaf}
    r2 = 0
    call kfunc bpf_obj_new_impl
    if r0 == 0 goto out
    r6 = r0
    r1 = map_value[leaves] ll
    call spin_lock
    r1 = map_value[leaves]+8 ll
    r2 = r6
    r2 += 8
    r3 = func less_and_unlocks ll
    r4 = 0
    r5 = 0
    call kfunc bpf_rbtree_add_impl
    r1 = map_value[leaves] ll
    call spin_unlock
out:
    r0 = 0
    exit

the_first_leaf_of_a_tree_is_taken_out: ; accepted
    r1 = map_value[leaves] ll
    call spin_lock
    r1 = map_value[leaves]+8 ll
    call kfunc bpf_rbtree_first
    if r0 == 0 goto none
    r1 = map_value[leaves]+8 ll
    r2 = r0
    call kfunc bpf_rbtree_remove
    r6 = r0
    r1 = map_value[leaves] ll
    call spin_unlock
    if r6 == 0 goto out
    r1 = r6
    r1 += -8
    r2 = 0
    call kfunc bpf_obj_drop_impl
out:
    r0 = 0
    exit
none:
    r1 = map_value[leaves] ll
    call spin_unlock
    r0 = 0
    exit

the_first_leaf_of_a_tree_is_taken_out_and_forgotten:
    r1 = map_value[leaves] ll
    call spin_lock
    r1 = map_value[leaves]+8 ll
    call kfunc bpf_rbtree_first
    if r0 == 0 goto none
    r1 = map_value[leaves]+8 ll
    r2 = r0
    call kfunc bpf_rbtree_remove
none:
    r1 = map_value[leaves] ll
    call spin_unlock
    r0 = 0
    exit                           ; error: BPF_EXIT instruction in main prog would lead to reference leak

a_leaf_that_is_in_no_tree_is_taken_out:
    r1 = map_value[leaves] ll
    call spin_lock
    r1 = map_value[leaves]+8 ll
    r2 = r10
    call kfunc bpf_rbtree_remove   ; error: bpf_rbtree_remove can only take non-owning or refcounted bpf_rb_node pointer
    r1 = map_value[leaves] ll
    call spin_unlock
    r0 = 0
    exit

a_shared_object_is_counted:        ; accepted
    r1 = {type:shared}
    r2 = 0
    call kfunc bpf_obj_new_impl
    if r0 == 0 goto out
    r6 = r0
    r1 = r6
    r2 = 0
    call kfunc bpf_refcount_acquire_impl
    r7 = r0
    r1 = r6
    r2 = 0
    call kfunc bpf_obj_drop_impl
    r1 = r7
    r2 = 0
    call kfunc bpf_obj_drop_impl
out:
    r0 = 0
    exit

a_shared_object_is_counted_and_forgotten:
    r1 = {type:shared}
    r2 = 0
    call kfunc bpf_obj_new_impl
    if r0 == 0 goto out
    r6 = r0
    r1 = r6
    r2 = 0
    call kfunc bpf_refcount_acquire_impl
    r1 = r6
    r2 = 0
    call kfunc bpf_obj_drop_impl
out:
    r0 = 0
    exit                           ; error: BPF_EXIT instruction in main prog would lead to reference leak

an_object_without_count_is_counted:
    r1 = {type:item}
    r2 = 0
    call kfunc bpf_obj_new_impl
    if r0 == 0 goto out
    r6 = r0
    r1 = r6
    r2 = 0
    call kfunc bpf_refcount_acquire_impl  ; error: arg#0 doesn't point to a type with bpf_refcount field
    r1 = r6
    r2 = 0
    call kfunc bpf_obj_drop_impl
out:
    r0 = 0
    exit

a_helper_is_called_under_a_list_lock:
    r1 = map_value[items] ll
    call spin_lock
    call ktime_get_ns              ; error: function calls are not allowed while holding a lock
    r1 = map_value[items] ll
    call spin_unlock
    r0 = 0
    exit
