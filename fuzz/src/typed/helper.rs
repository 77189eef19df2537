//! Calls that take typed pointers: helpers, kernel functions, local storage.

use skep_isa::{Reg, Size};
use skep_spec::tables::prog_types::PROG_TYPES;

use super::model::{HOMES, Obj, SockKind, Trust, Val};
use super::stock::{CGRP_STORAGE, INODE_STORAGE, LOCKED_STORAGE, SK_STORAGE, TASK_STORAGE};
use super::writer::Writer;

impl Writer<'_> {
    /// A register with a pointer to that structure, or whatever there is.
    fn pointer_to(&mut self, name: &str) -> Option<Reg> {
        let ty = self.stock.structure(name);
        let found =
            self.find(|val| matches!(val, Val::Btf { ty: of, null: false, .. } if Some(of) == ty));
        let found = match found {
            None if self.fault(10) => self.any(),
            found => found,
        };
        found.map(|at| HOMES[at])
    }

    fn socket(&mut self) -> Option<usize> {
        let ty = self.structure_of(Obj::Sock);
        let strict = !self.fault(10);
        self.find(|val| match val {
            Val::Sock { null, .. } => !(strict && null),
            Val::Btf { ty: of, null, .. } => Some(of) == ty && !(strict && null),
            _ => false,
        })
    }

    pub(super) fn step_use(&mut self) {
        match self.rng.below(12) {
            0..=4 => self.use_socket(),
            5 => self.read_kernel(),
            6 => {
                self.take_task("task_pt_regs", |_| {});
                if let Some(ty) = self.stock.structure("pt_regs") {
                    self.keep_loose(ty, false);
                }
            }
            7 => self.take_pointer("path", "d_path", |w| {
                w.scratch(Reg::R2, 16);
                w.out.mov(Reg::R3, 16);
            }),
            8 => {
                self.take_pointer("file", "sock_from_file", |_| {});
                if let Some(ty) = self.stock.structure("socket") {
                    self.keep_loose(ty, true);
                }
            }
            9 => self.take_task("get_task_stack", |w| {
                w.scratch(Reg::R2, 64);
                w.out.mov(Reg::R3, 64).mov(Reg::R4, 0);
            }),
            10 => self.take_pointer("seq_file", "seq_write", |w| {
                w.scratch(Reg::R2, 8);
                w.out.mov(Reg::R3, 8);
            }),
            _ => self.func_arg(),
        }
    }

    /// A helper that takes a task, and what the rest says.
    fn take_task(&mut self, name: &str, rest: impl Fn(&mut Self)) {
        if !self.can(name) {
            return;
        }
        if let Some(task) = self.argument(Obj::Task) {
            self.out.mov(Reg::R1, task);
            rest(self);
            self.helper(name);
            return;
        }
        self.out.mov(Reg::R0, 0);
    }

    /// A helper that takes a pointer to that structure.
    fn take_pointer(&mut self, structure: &str, name: &str, rest: impl Fn(&mut Self)) {
        self.out.mov(Reg::R0, 0);
        if !self.can(name) {
            return;
        }
        if let Some(reg) = self.pointer_to(structure) {
            self.out.mov(Reg::R1, reg);
            rest(self);
            self.helper(name);
        }
    }

    fn keep_loose(&mut self, ty: skep_btf::TypeId, null: bool) {
        let trust = Trust::Loose;
        self.keep(
            Reg::R0,
            Val::Btf {
                ty,
                trust,
                null,
                held: 0,
            },
        );
    }

    fn read_kernel(&mut self) {
        let name = self
            .rng
            .pick(["probe_read_kernel", "probe_read_kernel_str"]);
        if !self.can(name) {
            return;
        }
        if let Some(src) = self.pointer_to("task_struct") {
            self.out.mov(Reg::R3, src);
            self.scratch(Reg::R1, 16);
            self.out.mov(Reg::R2, 16);
            self.helper(name);
        }
    }

    /// Arguments of traced functions by their number.
    fn func_arg(&mut self) {
        if !self.can("get_func_arg_cnt") {
            return;
        }
        let Some(ctx) = self.find(|val| val == Val::Ctx) else {
            return;
        };
        let home = HOMES[ctx];
        match self.rng.below(3) {
            0 => {
                self.scratch(Reg::R3, 8);
                self.out.mov(Reg::R1, home).mov(Reg::R2, 0);
                self.helper("get_func_arg");
            }
            1 => {
                self.scratch(Reg::R2, 8);
                self.out.mov(Reg::R1, home);
                self.helper("get_func_ret");
            }
            _ => {
                self.out.mov(Reg::R1, home);
                self.helper("get_func_arg_cnt");
            }
        }
    }

    /// Casts of sockets and what they are good for.
    fn use_socket(&mut self) {
        if !self.can("sk_fullsock") && !self.can("skc_to_tcp_sock") {
            return;
        }
        let Some(at) = self.socket() else {
            self.step_arg();
            return;
        };
        let held = self.model.regs[at].held();
        self.out.mov(Reg::R1, HOMES[at]);
        let casts = [
            "skc_to_tcp_sock",
            "skc_to_tcp6_sock",
            "skc_to_udp6_sock",
            "skc_to_unix_sock",
            "skc_to_tcp_timewait_sock",
            "skc_to_tcp_request_sock",
            "skc_to_mptcp_sock",
        ];
        match self.rng.below(6) {
            0 if self.can("sk_fullsock") => {
                self.helper("sk_fullsock");
                self.keep(
                    Reg::R0,
                    Val::Sock {
                        kind: SockKind::Full,
                        null: true,
                        held,
                    },
                );
            }
            1 if self.can("tcp_sock") => {
                self.helper("tcp_sock");
                self.keep(
                    Reg::R0,
                    Val::Sock {
                        kind: SockKind::Tcp,
                        null: true,
                        held,
                    },
                );
            }
            2 | 3 => {
                let name = self.rng.pick(casts);
                if !self.can(name) {
                    return;
                }
                self.helper(name);
                let ty = name
                    .strip_prefix("skc_to_")
                    .and_then(|ty| self.stock.structure(ty));
                if let Some(ty) = ty {
                    self.keep(
                        Reg::R0,
                        Val::Btf {
                            ty,
                            trust: Trust::Loose,
                            null: true,
                            held,
                        },
                    );
                }
            }
            4 if self.can("get_listener_sock") => {
                self.helper("get_listener_sock");
                self.keep(
                    Reg::R0,
                    Val::Sock {
                        kind: SockKind::Full,
                        null: true,
                        held: 0,
                    },
                );
            }
            _ => {
                let name = self.rng.pick(["sk_cgroup_id", "get_socket_cookie"]);
                if self.can(name) {
                    self.helper(name);
                }
            }
        }
    }

    pub(super) fn step_storage(&mut self) {
        let (map, owner, get, delete) = self.rng.pick([
            (
                TASK_STORAGE,
                "task_struct",
                "task_storage_get",
                "task_storage_delete",
            ),
            (
                LOCKED_STORAGE,
                "task_struct",
                "task_storage_get",
                "task_storage_delete",
            ),
            (SK_STORAGE, "sock", "sk_storage_get", "sk_storage_delete"),
            (
                INODE_STORAGE,
                "inode",
                "inode_storage_get",
                "inode_storage_delete",
            ),
            (
                CGRP_STORAGE,
                "cgroup",
                "cgrp_storage_get",
                "cgrp_storage_delete",
            ),
        ]);
        if !self.can(get) {
            return;
        }
        let owner = match owner {
            "task_struct" => self.argument(Obj::Task),
            "cgroup" => self.argument(Obj::Cgroup),
            "sock" => match self.socket() {
                Some(at) => Some(HOMES[at]),
                None => self.pointer_to("sock"),
            },
            name => self.pointer_to(name),
        };
        let Some(owner) = owner else { return };
        self.out.mov(Reg::R2, owner);
        let wrong = self.fault(8);
        self.map(Reg::R1, if wrong { TASK_STORAGE } else { map });
        if self.rng.chance(12) {
            return self.helper(delete);
        }
        let flags = self.rng.pick([0, 1, 1]);
        self.out.mov(Reg::R3, 0).mov(Reg::R4, flags);
        self.helper(get);
        self.keep(Reg::R0, Val::Value { map, null: true });
    }

    /// Kernel functions that neither acquire nor release.
    pub(super) fn step_kfunc(&mut self) {
        match self.rng.below(9) {
            0 => self.under_cgroup(),
            1..=4 => self.use_mask(),
            5 => self.read_only_cast(),
            6 => self.kernel_context(),
            7 => {
                // Without keeping the result: a leak, or a release of what is not held.
                let name =
                    self.rng
                        .pick(["bpf_task_release", "bpf_task_acquire", "bpf_cgroup_release"]);
                if self.fault(40)
                    && self.can(name)
                    && let Some(task) = self.argument(Obj::Task)
                {
                    self.out.mov(Reg::R1, task);
                    self.kfunc(name);
                }
            }
            _ => {
                if self.can("bpf_cgroup_ancestor")
                    && let Some(cgroup) = self.argument(Obj::Cgroup)
                {
                    let level = self.rng.pick([0, 1, 5]);
                    self.out.mov(Reg::R1, cgroup).mov(Reg::R2, level);
                    if self.kfunc("bpf_cgroup_ancestor") {
                        self.acquired(Obj::Cgroup, true);
                    }
                }
            }
        }
    }

    fn under_cgroup(&mut self) {
        if !self.can("bpf_task_under_cgroup") {
            return;
        }
        let Some(cgroup) = self.argument(Obj::Cgroup) else {
            return;
        };
        let Some(task) = self.argument(Obj::Task) else {
            return;
        };
        self.out.mov(Reg::R1, task).mov(Reg::R2, cgroup);
        self.kfunc("bpf_task_under_cgroup");
    }

    fn use_mask(&mut self) {
        if !self.can("bpf_cpumask_first") {
            return;
        }
        let Some(mask) = self.mask() else { return };
        match self.rng.below(4) {
            0 | 1 => {
                let name = self.rng.pick([
                    "bpf_cpumask_set_cpu",
                    "bpf_cpumask_test_cpu",
                    "bpf_cpumask_clear_cpu",
                ]);
                let cpu = self.rng.pick([0, 1, 63]);
                self.out.mov(Reg::R2, mask).mov(Reg::R1, cpu);
                self.kfunc(name);
            }
            2 => {
                let other = self.mask().unwrap_or(mask);
                self.out
                    .mov(Reg::R1, other)
                    .mov(Reg::R2, mask)
                    .mov(Reg::R3, other);
                let name = self.rng.pick(["bpf_cpumask_and", "bpf_cpumask_or"]);
                self.kfunc(name);
            }
            _ => {
                self.out.mov(Reg::R1, mask);
                let name = self.rng.pick([
                    "bpf_cpumask_first",
                    "bpf_cpumask_empty",
                    "bpf_cpumask_weight",
                ]);
                if self.kfunc(name) {
                    self.keep(Reg::R0, Val::Num);
                }
            }
        }
    }

    /// A mask, or what may pass for one.
    fn mask(&mut self) -> Option<Reg> {
        let mask = self.structure_of(Obj::Cpumask);
        let plain = self.stock.structure("cpumask");
        let found = self.find(|val| match val {
            Val::Btf {
                ty, null: false, ..
            } => Some(ty) == mask || Some(ty) == plain,
            _ => false,
        });
        match found {
            Some(at) => Some(HOMES[at]),
            None => self.argument(Obj::Cpumask),
        }
    }

    fn read_only_cast(&mut self) {
        if !self.can("bpf_rdonly_cast") {
            return;
        }
        let Some(at) = self.any() else { return };
        let name = self
            .rng
            .pick(["task_struct", "sock", "file", "cgroup", "sk_buff"]);
        let Some(ty) = self.stock.structure(name) else {
            return;
        };
        let known = !self.fault(10);
        self.out.mov(Reg::R1, HOMES[at]);
        if known {
            self.out.mov(Reg::R2, ty.0.cast_signed());
        } else {
            self.out.load(Size::DW, Reg::R2, Reg::FP, -8);
        }
        if self.kfunc("bpf_rdonly_cast") {
            self.keep(
                Reg::R0,
                Val::Btf {
                    ty,
                    trust: Trust::Loose,
                    null: false,
                    held: 0,
                },
            );
        }
    }

    /// The context as the kernel knows it.
    fn kernel_context(&mut self) {
        let row = PROG_TYPES.iter().find(|row| row.ty == self.ty);
        let name = row.map_or("", |row| row.kernel_ctx);
        let name = name
            .trim_start_matches("struct ")
            .trim_end_matches([' ', '*']);
        let ty = self.stock.structure(name);
        if ty.is_none() && !self.fault(5) {
            return;
        }
        let Some(ctx) = self.find(|val| val == Val::Ctx) else {
            return;
        };
        self.out.mov(Reg::R1, HOMES[ctx]);
        if self.kfunc("bpf_cast_to_kern_ctx")
            && let Some(ty) = ty
        {
            let (trust, null, held) = (Trust::Trusted, false, 0);
            self.keep(
                Reg::R0,
                Val::Btf {
                    ty,
                    trust,
                    null,
                    held,
                },
            );
        }
    }
}
