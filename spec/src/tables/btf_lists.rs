//! What the verifier knows of kernel functions by their names: tracepoints whose arguments may be null,
//! iterators and their arguments, functions whose result may be replaced, LSM hooks, structures of maps.
//!
//! Types come from the kernel's BTF; these rows say what BTF does not. Fields that are known to be valid
//! are no rows here: the kernel's BTF names them itself, as members of `STRUCT__safe_rcu` and the like.

use crate::MapType;

/// What a tracepoint's argument may be instead of a valid pointer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NotValid {
    /// Null.
    Null,
    /// An error number in the guise of a pointer.
    Error,
}

/// A tracepoint whose arguments are not all valid pointers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TracepointArgs {
    /// Its name, without `btf_trace_`.
    pub name: &'static str,
    /// Arguments, counted from 0, and what they may be.
    pub args: &'static [(u32, NotValid)],
}

const fn tracepoint(name: &'static str, args: &'static [(u32, NotValid)]) -> TracepointArgs {
    TracepointArgs { name, args }
}

const fn null(arg: u32) -> (u32, NotValid) {
    (arg, NotValid::Null)
}

const fn error(arg: u32) -> (u32, NotValid) {
    (arg, NotValid::Error)
}

impl TracepointArgs {
    /// Whether an argument may be that.
    pub fn may_be(&self, arg: u32, what: NotValid) -> bool {
        self.args.contains(&(arg, what))
    }
}

/// The row of a tracepoint.
pub fn tracepoint_args(name: &str) -> Option<&'static TracepointArgs> {
    let at = TRACEPOINT_ARGS
        .binary_search_by_key(&name, |row| row.name)
        .ok()?;
    TRACEPOINT_ARGS.get(at)
}

/// Structures whose objects maps can own, in order of their names, and the functions that free them
/// (`register_btf_id_dtor_kfuncs`): a kernel has the first of them that is among its types.
pub static DESTRUCTORS: &[(&str, &[&str])] = &[
    ("bpf_cpumask", &["bpf_cpumask_release_dtor"]),
    (
        "bpf_crypto_ctx",
        &["bpf_crypto_ctx_release_dtor", "bpf_crypto_ctx_release"],
    ),
    ("cgroup", &["bpf_cgroup_release_dtor"]),
    ("prog_test_member", &["bpf_kfunc_call_memb_release_dtor"]),
    ("prog_test_ref_kfunc", &["bpf_kfunc_call_test_release_dtor"]),
    ("sk_buff", &["bpf_kfree_skb_dtor"]),
    ("task_struct", &["bpf_task_release_dtor"]),
];

/// What may free an object of that structure when it lies in a map: nothing if it cannot lie there.
pub fn destructors(name: &str) -> &'static [&'static str] {
    let at = DESTRUCTORS.binary_search_by_key(&name, |row| row.0);
    let row = at.ok().and_then(|at| DESTRUCTORS.get(at));
    row.map_or(&[], |row| row.1)
}

/// Structures whose objects RCU protects when they lie in maps (`rcu_protected_types`), in order of their
/// names.
pub static RCU_PROTECTED: &[&str] = &[
    "bpf_cpumask",
    "bpf_crypto_ctx",
    "cgroup",
    "prog_test_ref_kfunc",
    "task_struct",
];

/// What an iterator's argument is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum IterValue {
    /// A kernel object of that type, or null at the end.
    Object {
        /// Its structure.
        name: &'static str,
        /// The kernel vouches for it.
        trusted: bool,
    },
    /// Bytes of a map's key or value, or null at the end.
    Buffer {
        /// They may only be read.
        rdonly: bool,
    },
}

/// An argument of an iterator that is more than its type says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct IterArg {
    /// Where it lies in the context, in bytes.
    pub off: u32,
    /// What it is.
    pub value: IterValue,
}

/// What programs of type iter attach to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct IterTarget {
    /// Its name, without `bpf_iter_`.
    pub name: &'static str,
    /// Arguments, by offset.
    pub args: &'static [IterArg],
}

const fn iter(name: &'static str, args: &'static [IterArg]) -> IterTarget {
    IterTarget { name, args }
}

const fn arg(off: u32, value: IterValue) -> IterArg {
    IterArg { off, value }
}

const fn trusted(name: &'static str) -> IterValue {
    IterValue::Object {
        name,
        trusted: true,
    }
}

const fn object(name: &'static str) -> IterValue {
    IterValue::Object {
        name,
        trusted: false,
    }
}

const KEY: IterValue = IterValue::Buffer { rdonly: true };
const VALUE: IterValue = IterValue::Buffer { rdonly: false };

/// The iterator of that name.
pub fn iter_target(name: &str) -> Option<&'static IterTarget> {
    let at = ITER_TARGETS
        .binary_search_by_key(&name, |row| row.name)
        .ok()?;
    ITER_TARGETS.get(at)
}

/// Functions whose result modify_return programs may replace, beside those that `security_` begins and
/// those made for error injection; and whether such programs, and fentry and fexit, may sleep there.
#[rustfmt::skip]
pub static MODIFIABLE: &[(&str, bool)] = &[
    ("bpf_fentry_test1",             true),
    ("bpf_modify_return_test",       false),
    ("bpf_modify_return_test2",      false),
    ("bpf_modify_return_test_tp",    false),
    ("update_socket_protocol",       false),
];

/// Whether the function may be modified (`btf_kfunc_is_modify_return`), and whether it may sleep.
pub fn modifiable(name: &str) -> Option<bool> {
    MODIFIABLE
        .iter()
        .find(|(of, _)| *of == name)
        .map(|(_, sleeps)| *sleeps)
}

/// Functions that are made for error injection and yet called where nothing may sleep.
pub static NON_SLEEPABLE_INJECTION: &[&str] = &[
    "__filemap_add_folio",
    "should_fail_alloc_page",
    "should_failslab",
];

/// Functions of the kernel that `bpf_lsm_` begins and that are no hooks.
#[rustfmt::skip]
pub static NO_LSM_HOOKS: &[&str] = &[
    "bpf_lsm_find_cgroup_shim",
    "bpf_lsm_func_proto",
    "bpf_lsm_get_retval_range",
    "bpf_lsm_has_d_inode_locked",
    "bpf_lsm_hook_returns_errno",
    "bpf_lsm_init",
    "bpf_lsm_is_sleepable_hook",
    "bpf_lsm_is_trusted",
    "bpf_lsm_verify_prog",
];

/// The kernel's structure of a map, whose fields programs may read.
pub fn map_structure(ty: MapType) -> Option<&'static str> {
    use MapType as M;
    Some(match ty {
        M::Hash | M::PercpuHash | M::LruHash | M::LruPercpuHash | M::HashOfMaps => "bpf_htab",
        M::Array
        | M::PercpuArray
        | M::ProgArray
        | M::PerfEventArray
        | M::CgroupArray
        | M::ArrayOfMaps => "bpf_array",
        M::StackTrace => "bpf_stack_map",
        M::LpmTrie => "lpm_trie",
        M::Devmap | M::DevmapHash => "bpf_dtab",
        M::Sockmap => "bpf_stab",
        M::Sockhash => "bpf_shtab",
        M::Cpumap => "bpf_cpu_map",
        M::Xskmap => "xsk_map",
        M::CgroupStorage | M::PercpuCgroupStorage => "bpf_cgroup_storage_map",
        M::ReuseportSockarray => "reuseport_array",
        M::Queue | M::Stack => "bpf_queue_stack",
        M::SkStorage | M::InodeStorage | M::TaskStorage | M::CgrpStorage => "bpf_local_storage_map",
        M::StructOps => "bpf_struct_ops_map",
        M::Ringbuf | M::UserRingbuf => "bpf_ringbuf_map",
        M::BloomFilter => "bpf_bloom_filter",
        M::Arena => "bpf_arena",
        M::InsnArray => "bpf_insn_array",
        M::Rhash => "bpf_rhtab",
        M::Unspec => return None,
    })
}

/// Iterators by name.
#[rustfmt::skip]
pub static ITER_TARGETS: &[IterTarget] = &[
    iter("bpf_link",           &[arg(8, object("bpf_link"))]),
    iter("bpf_map",            &[arg(8, trusted("bpf_map"))]),
    iter("bpf_map_elem",       &[arg(16, KEY), arg(24, VALUE)]),
    iter("bpf_prog",           &[arg(8, object("bpf_prog"))]),
    iter("bpf_sk_storage_map", &[arg(16, object("sock")), arg(24, VALUE)]),
    iter("cgroup",             &[arg(8, trusted("cgroup"))]),
    iter("dmabuf",             &[arg(8, object("dma_buf"))]),
    iter("ipv6_route",         &[arg(8, object("fib6_info"))]),
    iter("kmem_cache",         &[arg(8, trusted("kmem_cache"))]),
    iter("ksym",               &[arg(8, object("kallsym_iter"))]),
    iter("netlink",            &[arg(8, object("netlink_sock"))]),
    iter("sockmap",            &[arg(16, KEY), arg(24, object("sock"))]),
    iter("task",               &[arg(8, trusted("task_struct"))]),
    iter("task_file",          &[arg(8, object("task_struct")), arg(24, object("file"))]),
    iter("task_vma",           &[arg(8, object("task_struct")), arg(16, object("vm_area_struct"))]),
    iter("tcp",                &[arg(8, trusted("sock_common"))]),
    iter("udp",                &[arg(8, trusted("udp_sock"))]),
    iter("unix",               &[arg(8, object("unix_sock"))]),
];

/// Tracepoints by name, as 6.18 lists them (`raw_tp_null_args`).
#[rustfmt::skip]
pub static TRACEPOINT_ARGS: &[TracepointArgs] = &[
    tracepoint("afs_flock_ev",                           &[null(1)]),
    tracepoint("afs_make_fs_call",                       &[null(1)]),
    tracepoint("afs_make_fs_call1",                      &[null(1)]),
    tracepoint("afs_make_fs_call2",                      &[null(1)]),
    tracepoint("afs_make_fs_calli",                      &[null(1)]),
    tracepoint("afs_protocol_error",                     &[null(0)]),
    tracepoint("amdgpu_vm_bo_map",                       &[null(0)]),
    tracepoint("amdgpu_vm_bo_unmap",                     &[null(0)]),
    tracepoint("amdtp_packet",                           &[null(2)]),
    tracepoint("binder_transaction",                     &[null(2)]),
    tracepoint("bpf_testmod_test_read",                  &[]),
    tracepoint("break_lease_block",                      &[null(1)]),
    tracepoint("break_lease_noblock",                    &[null(1)]),
    tracepoint("break_lease_unblock",                    &[null(1)]),
    tracepoint("btree_path_free",                        &[null(2)]),
    tracepoint("cachefiles_io_error",                    &[null(0)]),
    tracepoint("cachefiles_lookup",                      &[null(0), error(2)]),
    tracepoint("cachefiles_mark_active",                 &[null(0)]),
    tracepoint("cachefiles_mark_failed",                 &[null(0)]),
    tracepoint("cachefiles_mark_inactive",               &[null(0)]),
    tracepoint("cachefiles_ondemand_close",              &[null(0)]),
    tracepoint("cachefiles_ondemand_copen",              &[null(0)]),
    tracepoint("cachefiles_ondemand_cread",              &[null(0)]),
    tracepoint("cachefiles_ondemand_fd_release",         &[null(0)]),
    tracepoint("cachefiles_ondemand_fd_write",           &[null(0)]),
    tracepoint("cachefiles_ondemand_open",               &[null(0)]),
    tracepoint("cachefiles_ondemand_read",               &[null(0)]),
    tracepoint("cachefiles_prep_read",                   &[null(0)]),
    tracepoint("cachefiles_rename",                      &[null(0)]),
    tracepoint("cachefiles_unlink",                      &[null(0)]),
    tracepoint("cachefiles_vfs_error",                   &[null(0)]),
    tracepoint("cfg80211_inform_bss_frame",              &[null(2)]),
    tracepoint("cfg80211_michael_mic_failure",           &[null(4)]),
    tracepoint("cfg80211_report_wowlan_wakeup",          &[null(2)]),
    tracepoint("cfg80211_scan_done",                     &[null(0), null(1)]),
    tracepoint("coda_dec_pic_done",                      &[null(1)]),
    tracepoint("coda_dec_pic_run",                       &[null(1)]),
    tracepoint("device_pm_callback_start",               &[null(1)]),
    tracepoint("dpu_crtc_setup_mixer",                   &[null(2)]),
    tracepoint("ext4_mballoc_discard",                   &[null(1)]),
    tracepoint("ext4_mballoc_free",                      &[null(1)]),
    tracepoint("fcntl_setlk",                            &[null(1)]),
    tracepoint("fib_table_lookup",                       &[null(2)]),
    tracepoint("flock_lock_inode",                       &[null(1)]),
    tracepoint("folio_wait_writeback",                   &[null(1)]),
    tracepoint("generic_delete_lease",                   &[null(1)]),
    tracepoint("hfi1_sdma_progress",                     &[null(3)]),
    tracepoint("host1x_cdma_push_gather",                &[null(4)]),
    tracepoint("hugetlbfs_alloc_inode",                  &[null(1)]),
    tracepoint("iptfs_ingress_postq_event",              &[null(3)]),
    tracepoint("kfree_skb",                              &[null(3)]),
    tracepoint("kvm_page_fault_enter",                   &[null(2)]),
    tracepoint("locks_remove_posix",                     &[null(1)]),
    tracepoint("mm_collapse_huge_page_isolate",          &[null(0)]),
    tracepoint("mm_khugepaged_collapse_file",            &[null(1)]),
    tracepoint("mm_khugepaged_scan_file",                &[null(1)]),
    tracepoint("mm_khugepaged_scan_pmd",                 &[null(1)]),
    tracepoint("mm_page_alloc",                          &[null(0)]),
    tracepoint("mm_page_alloc_zone_locked",              &[null(0)]),
    tracepoint("mm_page_pcpu_drain",                     &[null(0)]),
    tracepoint("mr_integ_alloc",                         &[error(3)]),
    tracepoint("neigh_update",                           &[null(1)]),
    tracepoint("netfs_failure",                          &[null(1)]),
    tracepoint("netfs_folioq",                           &[null(0)]),
    tracepoint("nfs4_inode_callback_event",              &[error(2)]),
    tracepoint("nfs4_inode_stateid_callback_event",      &[error(2)]),
    tracepoint("nfs4_setup_sequence",                    &[null(0)]),
    tracepoint("nfsd_dirent",                            &[null(0)]),
    tracepoint("nfsd_file_acquire",                      &[null(0), null(3)]),
    tracepoint("nfsd_file_cons_err",                     &[null(0)]),
    tracepoint("nfsd_file_insert_err",                   &[null(0)]),
    tracepoint("pnfs_mds_fallback_pg_get_mirror_count",  &[null(4)]),
    tracepoint("pnfs_mds_fallback_pg_init_read",         &[null(4)]),
    tracepoint("pnfs_mds_fallback_pg_init_write",        &[null(4)]),
    tracepoint("pnfs_mds_fallback_read_done",            &[null(4)]),
    tracepoint("pnfs_mds_fallback_read_pagelist",        &[null(4)]),
    tracepoint("pnfs_mds_fallback_write_done",           &[null(4)]),
    tracepoint("pnfs_mds_fallback_write_pagelist",       &[null(4)]),
    tracepoint("pnfs_update_layout",                     &[null(4)]),
    tracepoint("posix_lock_inode",                       &[null(1)]),
    tracepoint("qdisc_dequeue",                          &[null(3)]),
    tracepoint("rdev_set_coalesce",                      &[null(1)]),
    tracepoint("rxrpc_client",                           &[null(0)]),
    tracepoint("rxrpc_recvdata",                         &[null(0)]),
    tracepoint("rxrpc_resend",                           &[null(1)]),
    tracepoint("rxrpc_tq",                               &[null(1)]),
    tracepoint("sched_pi_setprio",                       &[null(1)]),
    tracepoint("sched_stick_numa",                       &[null(2)]),
    tracepoint("sched_swap_numa",                        &[null(2)]),
    tracepoint("spufs_context",                          &[null(1)]),
    tracepoint("tcp_send_reset",                         &[null(0), null(1)]),
    tracepoint("tcp_sendmsg_locked",                     &[null(2)]),
    tracepoint("tegra_dma_tx_status",                    &[null(2)]),
    tracepoint("time_out_leases",                        &[null(1)]),
    tracepoint("tmigr_update_events",                    &[null(0)]),
    tracepoint("wiphy_work_cancel",                      &[null(1)]),
    tracepoint("wiphy_work_flush",                       &[null(1)]),
    tracepoint("wiphy_work_queue",                       &[null(1)]),
    tracepoint("wiphy_work_run",                         &[null(1)]),
    tracepoint("writeback_dirty_folio",                  &[null(1)]),
    tracepoint("xchk_metapath_lookup",                   &[null(2)]),
    tracepoint("xchk_nlinks_live_update",                &[null(1)]),
    tracepoint("xfs_blockgc_flush_all",                  &[null(0)]),
    tracepoint("xfs_blockgc_free_space",                 &[null(1)]),
    tracepoint("xfs_blockgc_start",                      &[null(0)]),
    tracepoint("xfs_blockgc_stop",                       &[null(0)]),
    tracepoint("xfs_blockgc_worker",                     &[null(0)]),
    tracepoint("xfs_btree_overlapped_query_range",       &[null(2)]),
    tracepoint("xfs_btree_updkeys",                      &[null(2)]),
    tracepoint("xfs_defer_add_item",                     &[null(0)]),
    tracepoint("xfs_defer_cancel_item",                  &[null(0)]),
    tracepoint("xfs_defer_cancel_list",                  &[null(0)]),
    tracepoint("xfs_defer_create_intent",                &[null(0)]),
    tracepoint("xfs_defer_finish_item",                  &[null(0)]),
    tracepoint("xfs_defer_isolate_paused",               &[null(0)]),
    tracepoint("xfs_defer_item_pause",                   &[null(0)]),
    tracepoint("xfs_defer_item_unpause",                 &[null(0)]),
    tracepoint("xfs_defer_pending_abort",                &[null(0)]),
    tracepoint("xfs_defer_pending_finish",               &[null(0)]),
    tracepoint("xfs_defer_relog_intent",                 &[null(0)]),
    tracepoint("xfs_fs_sync_fs",                         &[null(0)]),
    tracepoint("xfs_inodegc_flush",                      &[null(0)]),
    tracepoint("xfs_inodegc_push",                       &[null(0)]),
    tracepoint("xfs_inodegc_queue",                      &[null(0)]),
    tracepoint("xfs_inodegc_start",                      &[null(0)]),
    tracepoint("xfs_inodegc_stop",                       &[null(0)]),
    tracepoint("xfs_inodegc_throttle",                   &[null(0)]),
    tracepoint("xfs_ioc_free_eofblocks",                 &[null(1)]),
    tracepoint("xfs_iomap_alloc",                        &[null(3)]),
    tracepoint("xfs_iomap_found",                        &[null(3)]),
    tracepoint("xfs_map_blocks_alloc",                   &[null(4)]),
    tracepoint("xfs_map_blocks_found",                   &[null(4)]),
    tracepoint("xprt_get_cong",                          &[null(1)]),
    tracepoint("xprt_put_cong",                          &[null(1)]),
    tracepoint("xprt_release_cong",                      &[null(1)]),
    tracepoint("xprt_reserve_cong",                      &[null(1)]),
    tracepoint("xs_stream_read_data",                    &[null(0)]),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_in_order() {
        assert!(TRACEPOINT_ARGS.is_sorted_by(|a, b| a.name < b.name));
        assert!(ITER_TARGETS.is_sorted_by(|a, b| a.name < b.name));
        assert!(MODIFIABLE.is_sorted_by(|a, b| a.0 < b.0));
    }

    #[test]
    fn a_tracepoints_arguments_are_told_apart() {
        let row = tracepoint_args("cachefiles_lookup").unwrap();
        assert!(row.may_be(0, NotValid::Null) && row.may_be(2, NotValid::Error));
        assert!(!row.may_be(1, NotValid::Null) && !row.may_be(2, NotValid::Null));
        assert!(tracepoint_args("sched_switch").is_none());
    }
}
