//! All kernel functions that Linux 6.18 offers to programs, in order of their names.
//!
//! `kfunc(name, groups of program types)`, then what it asks and gives, then a condition on the program,
//! then what the verifier itself knows it as. Prototypes are not here: the kernel's BTF has them, and
//! the names of parameters say more (`__sz`: the size of the memory before it; `__k`: a constant; `__ign`:
//! anything; `__nullable`: null is allowed).

use super::hook::Hook;
use super::kfunc::KfuncFilter::{Iterator, KprobeSession, Lsm};
use super::kfunc::KfuncRole::{
    CastToKernCtx, DeviceMetadata, DynptrClone, DynptrFromSkb, DynptrFromSkbMeta, DynptrFromXdp,
    DynptrSlice, DynptrSliceRdwr, GetKmemCache, IrqRestore, IrqSave, IterCssTaskNew, ListNode,
    ListPush, ObjDrop, ObjNew, PercpuObjDrop, PercpuObjNew, PreemptDisable, PreemptEnable,
    RbtreeAdd, RbtreeNode, RcuReadLock, RcuReadUnlock, RdonlyCast, RefcountAcquire, ResSpinLock,
    ResSpinLockIrqsave, ResSpinUnlock, ResSpinUnlockIrqrestore, SessionCookie, TaskWork, Throw,
    Trap, WqSetCallback,
};
use super::kfunc::{KfuncAccess, KfuncHooks, KfuncRow, kfunc};

/// Functions that programs may only replace the results of.
const NONE: KfuncHooks = KfuncHooks::empty();
const COMMON: KfuncHooks = KfuncHooks::COMMON;
const XDP: KfuncHooks = KfuncHooks::XDP;
const TC: KfuncHooks = KfuncHooks::TC;
const STRUCT_OPS: KfuncHooks = KfuncHooks::STRUCT_OPS;
const TRACING: KfuncHooks = KfuncHooks::TRACING;
const SYSCALL: KfuncHooks = KfuncHooks::SYSCALL;
const CGROUP: KfuncHooks = KfuncHooks::CGROUP;
const KPROBE: KfuncHooks = KfuncHooks::KPROBE;
const TC_ALL: KfuncHooks = TC.union(KfuncHooks::SCHED_ACT);
const XDP_TC: KfuncHooks = XDP.union(TC);
const PACKETS: KfuncHooks = XDP.union(TC_ALL);
const CPUMASK: KfuncHooks = TRACING.union(STRUCT_OPS).union(SYSCALL);
const TEST: KfuncHooks = TRACING.union(TC).union(SYSCALL);
const GENERIC: KfuncHooks = CPUMASK.union(XDP_TC).union(CGROUP);
const SKB: KfuncHooks = TC_ALL
    .union(TRACING)
    .union(CGROUP)
    .union(KfuncHooks::SK_SKB)
    .union(KfuncHooks::SOCKET_FILTER)
    .union(KfuncHooks::LWT)
    .union(KfuncHooks::NETFILTER);

/// The table.
#[rustfmt::skip]
pub static KFUNCS: &[KfuncRow] = &[
    kfunc("__bpf_trap",                           COMMON)     .role(Trap),
    kfunc("bbr_cwnd_event",                       STRUCT_OPS),
    kfunc("bbr_init",                             STRUCT_OPS),
    kfunc("bbr_main",                             STRUCT_OPS),
    kfunc("bbr_min_tso_segs",                     STRUCT_OPS),
    kfunc("bbr_set_state",                        STRUCT_OPS),
    kfunc("bbr_sndbuf_expand",                    STRUCT_OPS),
    kfunc("bbr_ssthresh",                         STRUCT_OPS),
    kfunc("bbr_undo_cwnd",                        STRUCT_OPS),
    kfunc("bpf_arena_alloc_pages",                COMMON)     .trusted().sleeps(),
    kfunc("bpf_arena_free_pages",                 COMMON)     .trusted().sleeps(),
    kfunc("bpf_arena_reserve_pages",              COMMON)     .trusted().sleeps(),
    kfunc("bpf_cast_to_kern_ctx",                 COMMON)     .fastcall().role(CastToKernCtx),
    kfunc("bpf_cgroup_acquire",                   GENERIC)    .acquires().rcu().or_null(),
    kfunc("bpf_cgroup_ancestor",                  GENERIC)    .acquires().rcu().or_null(),
    kfunc("bpf_cgroup_from_id",                   GENERIC)    .acquires().or_null(),
    kfunc("bpf_cgroup_read_xattr",                COMMON)     .rcu(),
    kfunc("bpf_cgroup_release",                   GENERIC)    .releases(),
    kfunc("bpf_copy_from_user_dynptr",            COMMON)     .sleeps(),
    kfunc("bpf_copy_from_user_str",               COMMON)     .sleeps(),
    kfunc("bpf_copy_from_user_str_dynptr",        COMMON)     .sleeps(),
    kfunc("bpf_copy_from_user_task_dynptr",       COMMON)     .sleeps().trusted(),
    kfunc("bpf_copy_from_user_task_str",          COMMON)     .sleeps(),
    kfunc("bpf_copy_from_user_task_str_dynptr",   COMMON)     .sleeps().trusted(),
    kfunc("bpf_cpumask_acquire",                  CPUMASK)    .acquires().trusted(),
    kfunc("bpf_cpumask_and",                      CPUMASK)    .rcu(),
    kfunc("bpf_cpumask_any_and_distribute",       CPUMASK)    .rcu(),
    kfunc("bpf_cpumask_any_distribute",           CPUMASK)    .rcu(),
    kfunc("bpf_cpumask_clear",                    CPUMASK)    .rcu(),
    kfunc("bpf_cpumask_clear_cpu",                CPUMASK)    .rcu(),
    kfunc("bpf_cpumask_copy",                     CPUMASK)    .rcu(),
    kfunc("bpf_cpumask_create",                   CPUMASK)    .acquires().or_null(),
    kfunc("bpf_cpumask_empty",                    CPUMASK)    .rcu(),
    kfunc("bpf_cpumask_equal",                    CPUMASK)    .rcu(),
    kfunc("bpf_cpumask_first",                    CPUMASK)    .rcu(),
    kfunc("bpf_cpumask_first_and",                CPUMASK)    .rcu(),
    kfunc("bpf_cpumask_first_zero",               CPUMASK)    .rcu(),
    kfunc("bpf_cpumask_full",                     CPUMASK)    .rcu(),
    kfunc("bpf_cpumask_intersects",               CPUMASK)    .rcu(),
    kfunc("bpf_cpumask_or",                       CPUMASK)    .rcu(),
    kfunc("bpf_cpumask_populate",                 CPUMASK)    .rcu(),
    kfunc("bpf_cpumask_release",                  CPUMASK)    .releases(),
    kfunc("bpf_cpumask_set_cpu",                  CPUMASK)    .rcu(),
    kfunc("bpf_cpumask_setall",                   CPUMASK)    .rcu(),
    kfunc("bpf_cpumask_subset",                   CPUMASK)    .rcu(),
    kfunc("bpf_cpumask_test_and_clear_cpu",       CPUMASK)    .rcu(),
    kfunc("bpf_cpumask_test_and_set_cpu",         CPUMASK)    .rcu(),
    kfunc("bpf_cpumask_test_cpu",                 CPUMASK)    .rcu(),
    kfunc("bpf_cpumask_weight",                   CPUMASK)    .rcu(),
    kfunc("bpf_cpumask_xor",                      CPUMASK)    .rcu(),
    kfunc("bpf_crypto_ctx_acquire",               SYSCALL)    .acquires().rcu().or_null(),
    kfunc("bpf_crypto_ctx_create",                SYSCALL)    .acquires().or_null().sleeps(),
    kfunc("bpf_crypto_ctx_release",               SYSCALL)    .releases(),
    kfunc("bpf_crypto_decrypt",                   PACKETS)    .rcu(),
    kfunc("bpf_crypto_encrypt",                   PACKETS)    .rcu(),
    kfunc("bpf_ct_change_status",                 XDP_TC)     .trusted(),
    kfunc("bpf_ct_change_timeout",                XDP_TC)     .trusted(),
    kfunc("bpf_ct_insert_entry",                  XDP_TC)     .acquires().or_null().releases(),
    kfunc("bpf_ct_release",                       XDP_TC)     .releases(),
    kfunc("bpf_ct_set_nat_info",                  XDP_TC)     .trusted(),
    kfunc("bpf_ct_set_status",                    XDP_TC)     .trusted(),
    kfunc("bpf_ct_set_timeout",                   XDP_TC)     .trusted(),
    kfunc("bpf_dynptr_adjust",                    COMMON),
    kfunc("bpf_dynptr_clone",                     COMMON)     .role(DynptrClone),
    kfunc("bpf_dynptr_copy",                      COMMON),
    kfunc("bpf_dynptr_from_skb",                  SKB)        .trusted().role(DynptrFromSkb),
    kfunc("bpf_dynptr_from_skb_meta",             TC_ALL)     .trusted().role(DynptrFromSkbMeta),
    kfunc("bpf_dynptr_from_xdp",                  XDP)        .role(DynptrFromXdp),
    kfunc("bpf_dynptr_is_null",                   COMMON),
    kfunc("bpf_dynptr_is_rdonly",                 COMMON),
    kfunc("bpf_dynptr_memset",                    COMMON),
    kfunc("bpf_dynptr_size",                      COMMON),
    kfunc("bpf_dynptr_slice",                     COMMON)     .or_null().role(DynptrSlice),
    kfunc("bpf_dynptr_slice_rdwr",                COMMON)     .or_null().role(DynptrSliceRdwr),
    kfunc("bpf_fentry_test1",                     NONE),
    kfunc("bpf_get_dentry_xattr",                 TRACING)    .sleeps().trusted().filter(Lsm),
    kfunc("bpf_get_file_xattr",                   TRACING)    .sleeps().trusted().filter(Lsm),
    kfunc("bpf_get_fsverity_digest",              TRACING)    .trusted().filter(Lsm),
    kfunc("bpf_get_kmem_cache",                   COMMON)     .role(GetKmemCache),
    kfunc("bpf_get_task_exe_file",                TRACING)    .acquires().trusted().or_null().filter(Lsm),
    kfunc("bpf_iter_bits_destroy",                COMMON)     .iter_destroy(),
    kfunc("bpf_iter_bits_new",                    COMMON)     .iter_new(),
    kfunc("bpf_iter_bits_next",                   COMMON)     .iter_next(),
    kfunc("bpf_iter_css_destroy",                 COMMON)     .iter_destroy(),
    kfunc("bpf_iter_css_new",                     COMMON)     .iter_new().trusted().in_rcu(),
    kfunc("bpf_iter_css_next",                    COMMON)     .iter_next(),
    kfunc("bpf_iter_css_task_destroy",            COMMON)     .iter_destroy(),
    kfunc("bpf_iter_css_task_new",                COMMON)     .iter_new().trusted().role(IterCssTaskNew),
    kfunc("bpf_iter_css_task_next",               COMMON)     .iter_next(),
    kfunc("bpf_iter_dmabuf_destroy",              COMMON)     .iter_destroy().sleeps(),
    kfunc("bpf_iter_dmabuf_new",                  COMMON)     .iter_new().sleeps(),
    kfunc("bpf_iter_dmabuf_next",                 COMMON)     .iter_next().sleeps(),
    kfunc("bpf_iter_kmem_cache_destroy",          COMMON)     .iter_destroy().sleeps(),
    kfunc("bpf_iter_kmem_cache_new",              COMMON)     .iter_new().sleeps(),
    kfunc("bpf_iter_kmem_cache_next",             COMMON)     .iter_next().sleeps(),
    kfunc("bpf_iter_num_destroy",                 COMMON)     .iter_destroy().under_lock(),
    kfunc("bpf_iter_num_new",                     COMMON)     .iter_new().under_lock(),
    kfunc("bpf_iter_num_next",                    COMMON)     .iter_next().under_lock(),
    kfunc("bpf_iter_task_destroy",                COMMON)     .iter_destroy(),
    kfunc("bpf_iter_task_new",                    COMMON)     .iter_new().trusted().in_rcu(),
    kfunc("bpf_iter_task_next",                   COMMON)     .iter_next(),
    kfunc("bpf_iter_task_vma_destroy",            COMMON)     .iter_destroy(),
    kfunc("bpf_iter_task_vma_new",                COMMON)     .iter_new().rcu(),
    kfunc("bpf_iter_task_vma_next",               COMMON)     .iter_next(),
    kfunc("bpf_key_put",                          GENERIC)    .releases(),
    kfunc("bpf_kfunc_call_memb_release",          TEST)       .releases(),
    kfunc("bpf_kfunc_call_test_release",          TEST)       .releases(),
    kfunc("bpf_list_back",                        GENERIC)    .or_null().under_lock().role(ListNode),
    kfunc("bpf_list_front",                       GENERIC)    .or_null().under_lock().role(ListNode),
    kfunc("bpf_list_pop_back",                    GENERIC)    .acquires().or_null().under_lock().role(ListNode),
    kfunc("bpf_list_pop_front",                   GENERIC)    .acquires().or_null().under_lock().role(ListNode),
    kfunc("bpf_list_push_back_impl",              GENERIC)    .under_lock().role(ListPush),
    kfunc("bpf_list_push_front_impl",             GENERIC)    .under_lock().role(ListPush),
    kfunc("bpf_local_irq_restore",                COMMON)     .role(IrqRestore),
    kfunc("bpf_local_irq_save",                   COMMON)     .role(IrqSave),
    kfunc("bpf_lookup_system_key",                GENERIC)    .acquires().or_null(),
    kfunc("bpf_lookup_user_key",                  GENERIC)    .acquires().or_null().sleeps(),
    kfunc("bpf_map_sum_elem_count",               COMMON)     .trusted(),
    kfunc("bpf_modify_return_test",               NONE),
    kfunc("bpf_modify_return_test2",              NONE),
    kfunc("bpf_modify_return_test_tp",            COMMON),
    kfunc("bpf_obj_drop_impl",                    GENERIC)    .releases().role(ObjDrop),
    kfunc("bpf_obj_new_impl",                     GENERIC)    .acquires().or_null().role(ObjNew),
    kfunc("bpf_path_d_path",                      TRACING)    .trusted().filter(Lsm),
    kfunc("bpf_percpu_obj_drop_impl",             GENERIC)    .releases().role(PercpuObjDrop),
    kfunc("bpf_percpu_obj_new_impl",              GENERIC)    .acquires().or_null().role(PercpuObjNew),
    kfunc("bpf_preempt_disable",                  COMMON)     .role(PreemptDisable),
    kfunc("bpf_preempt_enable",                   COMMON)     .role(PreemptEnable),
    kfunc("bpf_probe_read_kernel_dynptr",         COMMON),
    kfunc("bpf_probe_read_kernel_str_dynptr",     COMMON),
    kfunc("bpf_probe_read_user_dynptr",           COMMON),
    kfunc("bpf_probe_read_user_str_dynptr",       COMMON),
    kfunc("bpf_put_file",                         TRACING)    .releases().filter(Lsm),
    kfunc("bpf_rbtree_add_impl",                  GENERIC)    .under_lock().role(RbtreeAdd),
    kfunc("bpf_rbtree_first",                     GENERIC)    .or_null().under_lock().role(RbtreeNode),
    kfunc("bpf_rbtree_left",                      GENERIC)    .or_null().under_lock().role(RbtreeNode),
    kfunc("bpf_rbtree_remove",                    GENERIC)    .acquires().or_null().under_lock().role(RbtreeNode),
    kfunc("bpf_rbtree_right",                     GENERIC)    .or_null().under_lock().role(RbtreeNode),
    kfunc("bpf_rbtree_root",                      GENERIC)    .or_null().under_lock().role(RbtreeNode),
    kfunc("bpf_rcu_read_lock",                    COMMON)     .role(RcuReadLock),
    kfunc("bpf_rcu_read_unlock",                  COMMON)     .role(RcuReadUnlock),
    kfunc("bpf_rdonly_cast",                      COMMON)     .fastcall().role(RdonlyCast),
    kfunc("bpf_refcount_acquire_impl",            GENERIC)    .acquires().or_null().rcu().under_lock().role(RefcountAcquire),
    kfunc("bpf_remove_dentry_xattr",              TRACING)    .sleeps().trusted().filter(Lsm),
    kfunc("bpf_res_spin_lock",                    COMMON)     .or_null().under_lock().role(ResSpinLock),
    kfunc("bpf_res_spin_lock_irqsave",            COMMON)     .or_null().under_lock().role(ResSpinLockIrqsave),
    kfunc("bpf_res_spin_unlock",                  COMMON)     .under_lock().role(ResSpinUnlock),
    kfunc("bpf_res_spin_unlock_irqrestore",       COMMON)     .under_lock().role(ResSpinUnlockIrqrestore),
    kfunc("bpf_send_signal_task",                 GENERIC)    .trusted(),
    kfunc("bpf_session_cookie",                   KPROBE)     .filter(KprobeSession).role(SessionCookie),
    kfunc("bpf_session_is_return",                KPROBE)     .filter(KprobeSession),
    kfunc("bpf_set_dentry_xattr",                 TRACING)    .sleeps().trusted().filter(Lsm),
    kfunc("bpf_sk_assign_tcp_reqsk",              TC)         .trusted(),
    kfunc("bpf_skb_ct_alloc",                     XDP_TC)     .acquires().or_null(),
    kfunc("bpf_skb_ct_lookup",                    XDP_TC)     .acquires().or_null(),
    kfunc("bpf_sock_addr_set_sun_path",           CGROUP),
    kfunc("bpf_sock_destroy",                     TRACING)    .trusted().filter(Iterator),
    kfunc("bpf_sock_ops_enable_tx_tstamp",        CGROUP)     .trusted(),
    kfunc("bpf_strcasecmp",                       COMMON),
    kfunc("bpf_strchr",                           COMMON),
    kfunc("bpf_strchrnul",                        COMMON),
    kfunc("bpf_strcmp",                           COMMON),
    kfunc("bpf_strcspn",                          COMMON),
    kfunc("bpf_stream_vprintk_impl",              COMMON)     .trusted(),
    kfunc("bpf_strlen",                           COMMON),
    kfunc("bpf_strnchr",                          COMMON),
    kfunc("bpf_strnlen",                          COMMON),
    kfunc("bpf_strnstr",                          COMMON),
    kfunc("bpf_strrchr",                          COMMON),
    kfunc("bpf_strspn",                           COMMON),
    kfunc("bpf_strstr",                           COMMON),
    kfunc("bpf_task_acquire",                     GENERIC)    .acquires().rcu().or_null(),
    kfunc("bpf_task_from_pid",                    GENERIC)    .acquires().or_null(),
    kfunc("bpf_task_from_vpid",                   GENERIC)    .acquires().or_null(),
    kfunc("bpf_task_get_cgroup1",                 GENERIC)    .acquires().rcu().or_null(),
    kfunc("bpf_task_release",                     GENERIC)    .releases(),
    kfunc("bpf_task_under_cgroup",                GENERIC)    .rcu(),
    kfunc("bpf_task_work_schedule_resume_impl",   COMMON)     .trusted().role(TaskWork),
    kfunc("bpf_task_work_schedule_signal_impl",   COMMON)     .trusted().role(TaskWork),
    kfunc("bpf_throw",                            GENERIC)    .role(Throw),
    kfunc("bpf_verify_pkcs7_signature",           GENERIC)    .sleeps(),
    kfunc("bpf_wq_init",                          COMMON),
    kfunc("bpf_wq_set_callback_impl",             COMMON)     .role(WqSetCallback),
    kfunc("bpf_wq_start",                         COMMON),
    kfunc("bpf_xdp_ct_alloc",                     XDP_TC)     .acquires().or_null(),
    kfunc("bpf_xdp_ct_lookup",                    XDP_TC)     .acquires().or_null(),
    kfunc("bpf_xdp_get_xfrm_state",               XDP)        .acquires().or_null(),
    kfunc("bpf_xdp_metadata_rx_hash",             XDP)        .trusted().role(DeviceMetadata),
    kfunc("bpf_xdp_metadata_rx_timestamp",        XDP)        .trusted().role(DeviceMetadata),
    kfunc("bpf_xdp_metadata_rx_vlan_tag",         XDP)        .trusted().role(DeviceMetadata),
    kfunc("bpf_xdp_pull_data",                    XDP)        .changes_pkt(),
    kfunc("bpf_xdp_xfrm_state_release",           XDP)        .releases(),
    kfunc("crash_kexec",                          GENERIC)    .destroys(),
    kfunc("css_rstat_flush",                      TRACING)    .sleeps(),
    kfunc("css_rstat_updated",                    TRACING),
    kfunc("cubictcp_acked",                       STRUCT_OPS),
    kfunc("cubictcp_cong_avoid",                  STRUCT_OPS),
    kfunc("cubictcp_cwnd_event",                  STRUCT_OPS),
    kfunc("cubictcp_init",                        STRUCT_OPS),
    kfunc("cubictcp_recalc_ssthresh",             STRUCT_OPS),
    kfunc("cubictcp_state",                       STRUCT_OPS),
    kfunc("dctcp_cwnd_event",                     STRUCT_OPS),
    kfunc("dctcp_cwnd_undo",                      STRUCT_OPS),
    kfunc("dctcp_init",                           STRUCT_OPS),
    kfunc("dctcp_ssthresh",                       STRUCT_OPS),
    kfunc("dctcp_state",                          STRUCT_OPS),
    kfunc("dctcp_update_alpha",                   STRUCT_OPS),
    kfunc("tcp_cong_avoid_ai",                    STRUCT_OPS),
    kfunc("tcp_reno_cong_avoid",                  STRUCT_OPS),
    kfunc("tcp_reno_ssthresh",                    STRUCT_OPS),
    kfunc("tcp_reno_undo_cwnd",                   STRUCT_OPS),
    kfunc("tcp_slow_start",                       STRUCT_OPS),
];

/// The row of a function.
pub fn named(name: &str) -> Option<&'static KfuncRow> {
    let at = KFUNCS.binary_search_by_key(&name, |row| row.name).ok()?;
    KFUNCS.get(at)
}

/// Whether a program may call a function that the kernel offers to some.
pub fn access(hook: &Hook<'_>, name: &str) -> KfuncAccess {
    match named(name) {
        Some(row) if row.admits(hook) => KfuncAccess::Allowed(row),
        Some(_) => KfuncAccess::Refused,
        None => KfuncAccess::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AttachType, ProgType};

    #[test]
    fn rows_are_in_the_order_of_names() {
        assert!(KFUNCS.is_sorted_by(|a, b| a.name < b.name));
    }

    #[test]
    fn groups_and_conditions_decide() {
        let allowed = |name, ty, attach| {
            let hook = Hook::new(ty, attach);
            matches!(access(&hook, name), KfuncAccess::Allowed(_))
        };
        let none = AttachType::CgroupInetIngress;
        assert!(allowed("bpf_rcu_read_lock", ProgType::Kprobe, none));
        assert!(allowed("bpf_task_acquire", ProgType::SockOps, none));
        assert!(!allowed("bpf_task_acquire", ProgType::Kprobe, none));
        assert!(!allowed("bpf_cpumask_create", ProgType::SchedCls, none));
        assert!(allowed(
            "bpf_sock_destroy",
            ProgType::Tracing,
            AttachType::TraceIter
        ));
        assert!(!allowed(
            "bpf_sock_destroy",
            ProgType::Tracing,
            AttachType::TraceFentry
        ));
        assert!(!allowed(
            "bpf_path_d_path",
            ProgType::Tracing,
            AttachType::TraceFentry
        ));
        assert!(!allowed("vmalloc", ProgType::Syscall, none));
    }
}
