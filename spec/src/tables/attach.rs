//! Kernel functions that some rule names: LSM hooks by what they allow, functions whose paths may be printed.

/// LSM hooks that are called where sleeping is allowed.
#[rustfmt::skip]
pub static SLEEPABLE_LSM: &[&str] = &[
    "bpf_lsm_bpf",
    "bpf_lsm_bpf_map",
    "bpf_lsm_bpf_map_create",
    "bpf_lsm_bpf_map_free",
    "bpf_lsm_bpf_prog",
    "bpf_lsm_bpf_prog_free",
    "bpf_lsm_bpf_prog_load",
    "bpf_lsm_bpf_token_capable",
    "bpf_lsm_bpf_token_cmd",
    "bpf_lsm_bpf_token_create",
    "bpf_lsm_bpf_token_free",
    "bpf_lsm_bprm_check_security",
    "bpf_lsm_bprm_committed_creds",
    "bpf_lsm_bprm_committing_creds",
    "bpf_lsm_bprm_creds_for_exec",
    "bpf_lsm_bprm_creds_from_file",
    "bpf_lsm_capget",
    "bpf_lsm_capset",
    "bpf_lsm_cred_prepare",
    "bpf_lsm_file_ioctl",
    "bpf_lsm_file_lock",
    "bpf_lsm_file_open",
    "bpf_lsm_file_post_open",
    "bpf_lsm_file_receive",
    "bpf_lsm_inet_conn_established",
    "bpf_lsm_inode_create",
    "bpf_lsm_inode_free_security",
    "bpf_lsm_inode_getattr",
    "bpf_lsm_inode_getxattr",
    "bpf_lsm_inode_mknod",
    "bpf_lsm_inode_need_killpriv",
    "bpf_lsm_inode_post_removexattr",
    "bpf_lsm_inode_post_setxattr",
    "bpf_lsm_inode_readlink",
    "bpf_lsm_inode_removexattr",
    "bpf_lsm_inode_rename",
    "bpf_lsm_inode_rmdir",
    "bpf_lsm_inode_setattr",
    "bpf_lsm_inode_setxattr",
    "bpf_lsm_inode_symlink",
    "bpf_lsm_inode_unlink",
    "bpf_lsm_kernel_module_request",
    "bpf_lsm_kernel_read_file",
    "bpf_lsm_kernfs_init_security",
    "bpf_lsm_mmap_file",
    "bpf_lsm_netlink_send",
    "bpf_lsm_path_chmod",
    "bpf_lsm_path_chown",
    "bpf_lsm_path_link",
    "bpf_lsm_path_mkdir",
    "bpf_lsm_path_notify",
    "bpf_lsm_path_rename",
    "bpf_lsm_path_rmdir",
    "bpf_lsm_path_symlink",
    "bpf_lsm_path_truncate",
    "bpf_lsm_path_unlink",
    "bpf_lsm_release_secctx",
    "bpf_lsm_sb_alloc_security",
    "bpf_lsm_sb_eat_lsm_opts",
    "bpf_lsm_sb_kern_mount",
    "bpf_lsm_sb_mount",
    "bpf_lsm_sb_remount",
    "bpf_lsm_sb_set_mnt_opts",
    "bpf_lsm_sb_show_options",
    "bpf_lsm_sb_statfs",
    "bpf_lsm_sb_umount",
    "bpf_lsm_settime",
    "bpf_lsm_socket_accept",
    "bpf_lsm_socket_bind",
    "bpf_lsm_socket_connect",
    "bpf_lsm_socket_create",
    "bpf_lsm_socket_getpeername",
    "bpf_lsm_socket_getpeersec_dgram",
    "bpf_lsm_socket_getsockname",
    "bpf_lsm_socket_getsockopt",
    "bpf_lsm_socket_listen",
    "bpf_lsm_socket_post_create",
    "bpf_lsm_socket_recvmsg",
    "bpf_lsm_socket_sendmsg",
    "bpf_lsm_socket_shutdown",
    "bpf_lsm_socket_socketpair",
    "bpf_lsm_syslog",
    "bpf_lsm_task_alloc",
    "bpf_lsm_task_prctl",
    "bpf_lsm_task_setscheduler",
    "bpf_lsm_task_to_inode",
    "bpf_lsm_userns_create",
];

/// LSM hooks whose arguments may be half built or half freed: not trusted.
#[rustfmt::skip]
pub static UNTRUSTED_LSM: &[&str] = &[
    "bpf_lsm_bpf_map_free",
    "bpf_lsm_bpf_prog_free",
    "bpf_lsm_file_alloc_security",
    "bpf_lsm_file_free_security",
    "bpf_lsm_sk_alloc_security",
    "bpf_lsm_sk_free_security",
    "bpf_lsm_task_free",
];

/// LSM hooks that no program may attach to.
#[rustfmt::skip]
pub static DISABLED_LSM: &[&str] = &[
    "bpf_lsm_audit_rule_match",
    "bpf_lsm_getprocattr",
    "bpf_lsm_getselfattr",
    "bpf_lsm_inode_copy_up_xattr",
    "bpf_lsm_inode_getsecurity",
    "bpf_lsm_inode_listsecurity",
    "bpf_lsm_inode_need_killpriv",
    "bpf_lsm_ismaclabel",
    "bpf_lsm_key_getsecurity",
    "bpf_lsm_setprocattr",
    "bpf_lsm_vm_enough_memory",
];

/// LSM hooks that return a truth value; all others return an errno or nothing.
#[rustfmt::skip]
pub static BOOL_LSM: &[&str] = &[
    "bpf_lsm_audit_rule_known",
    "bpf_lsm_inode_xattr_skipcap",
    "bpf_lsm_xfrm_state_pol_flow_match",
];

/// LSM hooks of sockets that, in a control group, belong to the current task's.
#[rustfmt::skip]
pub static CURRENT_LSM: &[&str] = &[
    "bpf_lsm_sk_alloc_security",
    "bpf_lsm_sk_free_security",
];

/// LSM hooks in which socket options may be read and set, in a control group.
#[rustfmt::skip]
pub static SOCKOPT_LSM: &[&str] = &[
    "bpf_lsm_inet_conn_established",
    "bpf_lsm_inet_csk_clone",
    "bpf_lsm_sock_graft",
    "bpf_lsm_socket_post_create",
    "bpf_lsm_socket_socketpair",
];

/// Functions in which `bpf_d_path` may be called, beside iterators and sleepable LSM hooks.
#[rustfmt::skip]
pub static D_PATH: &[&str] = &[
    "dentry_open",
    "filp_close",
    "security_file_open",
    "security_file_permission",
    "security_inode_getattr",
    "security_path_truncate",
    "vfs_fallocate",
    "vfs_getattr",
    "vfs_truncate",
];

/// Functions that never return: fexit and modify_return programs cannot attach.
#[rustfmt::skip]
pub static NORETURN: &[&str] = &[
    "__ia32_sys_exit",
    "__ia32_sys_exit_group",
    "__kunit_abort",
    "__module_put_and_kthread_exit",
    "__x64_sys_exit",
    "__x64_sys_exit_group",
    "do_exit",
    "do_group_exit",
    "kthread_complete_and_exit",
    "kthread_exit",
    "kunit_try_catch_throw",
    "make_task_dead",
];

/// Functions that the machinery of tracing itself uses: no tracing program can attach.
#[rustfmt::skip]
pub static UNTRACEABLE: &[&str] = &[
    "___migrate_enable",
    "__rcu_read_lock",
    "__rcu_read_unlock",
    "migrate_disable",
    "migrate_enable",
    "preempt_count_add",
    "preempt_count_sub",
    "rcu_read_unlock_strict",
];
