//! What programs hold: acquired by helpers and kernel functions, kept in maps, given back once.

use skep_btf::TypeId;
use skep_isa::{Reg, Size};
use skep_spec::ProgType;

use super::homes::slot_off;
use super::model::{HOMES, Held, Obj, SLOTS, SockKind, Trust, Val};
use super::stock::{KPTR_AT, KPTRS, KPTRS_HASH, RINGBUF};
use super::writer::Writer;

impl Writer<'_> {
    /// The kernel's structure of an object.
    pub(super) fn structure_of(&self, obj: Obj) -> Option<TypeId> {
        let name = match obj {
            Obj::Task | Obj::UnrefTask => "task_struct",
            Obj::Cgroup => "cgroup",
            Obj::Cpumask => "bpf_cpumask",
            Obj::File => "file",
            Obj::Sock => "sock",
            Obj::Record => return None,
        };
        self.stock.structure(name)
    }

    /// Something to begin with: the current task, a variable of the kernel, a map's value.
    pub(super) fn step_source(&mut self) {
        match self.rng.below(8) {
            0..=2 => {
                if !self.can("get_current_task_btf") {
                    return;
                }
                self.helper("get_current_task_btf");
                if let Some(ty) = self.structure_of(Obj::Task) {
                    self.keep(
                        Reg::R0,
                        Val::Btf {
                            ty,
                            trust: Trust::Trusted,
                            null: false,
                            held: 0,
                        },
                    );
                }
            }
            3 | 4 => self.kernel_variable(),
            5 => {
                let map = self.rng.pick([
                    super::stock::PLAIN,
                    super::stock::HASH,
                    super::stock::PERCPU,
                ]);
                self.lookup(map);
            }
            _ => {
                let map = self.rng.pick([KPTRS, KPTRS_HASH, super::stock::LOCKED]);
                self.lookup(map);
            }
        }
    }

    /// A map's value, which may be null.
    pub(super) fn lookup(&mut self, map: usize) -> usize {
        self.scratch(Reg::R2, 8);
        if self.rng.chance(40) {
            let key = self.rng.pick([0, 1, 3, 4, 100]);
            self.out.store(Size::W, Reg::R2, 0, key);
        }
        self.map(Reg::R1, map);
        self.helper("map_lookup_elem");
        self.keep(Reg::R0, Val::Value { map, null: true })
    }

    /// A variable of the kernel: read in place, or through its CPU's copy.
    fn kernel_variable(&mut self) {
        if !self.can("this_cpu_ptr") {
            return;
        }
        let variables = self.stock.variables.clone();
        let favourite = self
            .rng
            .pick(["runqueues", "bpf_prog_active", "cpu_info", "softnet_data"]);
        let named = self
            .stock
            .kernel
            .find_by_name(skep_btf::Kind::Var, favourite);
        let id = if self.rng.chance(50) { named } else { None };
        let Some(id) = id.or_else(|| self.rng.choose(&variables).copied()) else {
            return;
        };
        self.variable(Reg::R1, id);
        if self.fault(12) {
            self.out.load(Size::W, Reg::R1, Reg::R1, 0);
            self.keep(Reg::R1, Val::Num);
            return;
        }
        let null = self.rng.chance(60);
        if null {
            let cpu = self.rng.pick([0, 1, 7]);
            self.out.mov(Reg::R2, cpu);
            self.helper("per_cpu_ptr");
        } else {
            self.helper("this_cpu_ptr");
        }
        let var = self
            .stock
            .kernel
            .ty(id)
            .ok()
            .and_then(skep_btf::Type::as_var);
        let Some((ty, of)) = var.and_then(|var| self.stock.kernel.resolve(var.ty).ok()) else {
            return;
        };
        let val = match of {
            skep_btf::Type::Struct(_) => Val::Btf {
                ty,
                trust: Trust::Loose,
                null,
                held: 0,
            },
            _ => {
                let size = self.stock.kernel.size_of(ty).unwrap_or(4);
                Val::Mem {
                    size: size as i32,
                    null,
                }
            }
        };
        self.keep(Reg::R0, val);
    }

    pub(super) fn step_acquire(&mut self) {
        if self.model.held.len() >= 3 {
            return self.step_release();
        }
        let sockets = matches!(
            self.ty,
            ProgType::SchedCls | ProgType::Xdp | ProgType::CgroupSkb
        );
        match self.rng.below(10) {
            0..=2 => self.reserve(),
            3..=5 if sockets => self.lookup_socket(),
            3 | 4 => self.acquire_task(),
            5 | 6 => self.acquire_cgroup(),
            7 => {
                if self.can("bpf_cpumask_create") && self.kfunc("bpf_cpumask_create") {
                    self.acquired(Obj::Cpumask, true);
                }
            }
            8 => {
                if !self.can("bpf_get_task_exe_file") {
                    return;
                }
                let Some(task) = self.argument(Obj::Task) else {
                    return;
                };
                self.out.mov(Reg::R1, task);
                if self.kfunc("bpf_get_task_exe_file") {
                    self.acquired(Obj::File, true);
                }
            }
            _ => self.exchange(),
        }
    }

    fn reserve(&mut self) {
        if !self.can("ringbuf_reserve") {
            return;
        }
        self.map(Reg::R1, RINGBUF);
        let size = self.rng.pick([8, 16, 24, 64]);
        self.out.mov(Reg::R2, size);
        self.out.mov(Reg::R3, 0);
        self.helper("ringbuf_reserve");
        let held = self.hold(Obj::Record);
        self.keep(
            Reg::R0,
            Val::Record {
                size,
                null: true,
                held,
            },
        );
    }

    fn lookup_socket(&mut self) {
        if !self.can("sk_lookup_tcp") {
            return;
        }
        let Some(ctx) = self.find(|val| val == Val::Ctx) else {
            return;
        };
        self.out.mov(Reg::R1, HOMES[ctx]);
        self.scratch(Reg::R2, 40);
        let size = if self.fault(6) {
            13
        } else {
            self.rng.pick([12, 36])
        };
        self.out.mov(Reg::R3, size).mov(Reg::R4, -1).mov(Reg::R5, 0);
        let (name, kind) = self.rng.pick([
            ("sk_lookup_tcp", SockKind::Full),
            ("sk_lookup_udp", SockKind::Full),
            ("skc_lookup_tcp", SockKind::Common),
        ]);
        self.helper(name);
        let held = self.hold(Obj::Sock);
        self.keep(
            Reg::R0,
            Val::Sock {
                kind,
                null: true,
                held,
            },
        );
    }

    fn acquire_task(&mut self) {
        if !self.can("bpf_task_acquire") {
            return;
        }
        if self.rng.chance(40) {
            let pid = self.rng.pick([1, 2, 100]);
            self.out.mov(Reg::R1, pid);
            let name = self.rng.pick(["bpf_task_from_pid", "bpf_task_from_vpid"]);
            if self.kfunc(name) {
                self.acquired(Obj::Task, true);
            }
            return;
        }
        let Some(task) = self.argument(Obj::Task) else {
            return;
        };
        self.out.mov(Reg::R1, task);
        if self.kfunc("bpf_task_acquire") {
            self.acquired(Obj::Task, true);
        }
    }

    fn acquire_cgroup(&mut self) {
        if !self.can("bpf_cgroup_from_id") {
            return;
        }
        match self.rng.below(4) {
            0 => {
                let Some(cgroup) = self.argument(Obj::Cgroup) else {
                    return;
                };
                self.out.mov(Reg::R1, cgroup);
                if self.kfunc("bpf_cgroup_acquire") {
                    self.acquired(Obj::Cgroup, true);
                }
            }
            1 => {
                let Some(task) = self.argument(Obj::Task) else {
                    return;
                };
                self.out.mov(Reg::R1, task).mov(Reg::R2, 0);
                if self.kfunc("bpf_task_get_cgroup1") {
                    self.acquired(Obj::Cgroup, true);
                }
            }
            _ => {
                self.out.mov(Reg::R1, 1);
                if self.kfunc("bpf_cgroup_from_id") {
                    self.acquired(Obj::Cgroup, true);
                }
            }
        }
    }

    /// The result of an acquiring function is kept.
    pub(super) fn acquired(&mut self, obj: Obj, null: bool) -> Option<usize> {
        let ty = self.structure_of(obj)?;
        let held = self.hold(obj);
        Some(self.keep(
            Reg::R0,
            Val::Btf {
                ty,
                trust: Trust::Trusted,
                null,
                held,
            },
        ))
    }

    /// A register with a vouched pointer to such an object, made if there is none, for the call that
    /// follows; at times something else.
    pub(super) fn argument(&mut self, obj: Obj) -> Option<Reg> {
        if self.fault(10)
            && let Some(at) = self.any()
        {
            return Some(HOMES[at]);
        }
        let ty = self.structure_of(obj);
        let loose = self.faults > 0 && self.rng.chance(20);
        let wanted = |val: Val| match val {
            Val::Btf {
                ty: of,
                trust,
                null,
                ..
            } => Some(of) == ty && !null && (loose || trust == Trust::Trusted),
            _ => false,
        };
        if let Some(at) = self.find(wanted) {
            return Some(HOMES[at]);
        }
        let name = match obj {
            Obj::Task | Obj::UnrefTask => "get_current_task_btf",
            Obj::Cgroup => "bpf_cgroup_from_id",
            Obj::Cpumask => "bpf_cpumask_create",
            Obj::File | Obj::Sock | Obj::Record => return None,
        };
        let ty = ty?;
        if self.model.held.len() >= 3 || !self.can(name) {
            return None;
        }
        if matches!(obj, Obj::Task | Obj::UnrefTask) {
            self.helper(name);
            let val = Val::Btf {
                ty,
                trust: Trust::Trusted,
                null: false,
                held: 0,
            };
            return Some(HOMES[self.keep(Reg::R0, val)]);
        }
        self.out.mov(Reg::R1, 1);
        self.kfunc(name);
        let at = self.acquired(obj, true)?;
        self.check_here(at);
        Some(HOMES[at])
    }

    pub(super) fn step_release(&mut self) {
        if self.fault(8) {
            // Something that is not held, or not by this name.
            let Some(at) = self.any() else { return };
            let obj = self
                .rng
                .pick([Obj::Task, Obj::Cgroup, Obj::Sock, Obj::Record, Obj::Cpumask]);
            self.release_call(HOMES[at], obj);
            return;
        }
        let held = self.model.held.clone();
        if let Some(held) = self.rng.choose(&held).copied() {
            self.give_back(held);
        }
    }

    /// Gives a reference back, checking it first where it may be null.
    pub(super) fn give_back(&mut self, held: Held) {
        let mine = |val: &Val| val.held() == held.id;
        let at = self.model.regs.iter().position(mine);
        let slot = (0..SLOTS).find(|slot| mine(&self.model.slots[*slot]));
        let (reg, val) = match (at, slot) {
            (Some(at), _) => (HOMES[at], self.model.regs[at]),
            (None, Some(slot)) => {
                self.out.load(Size::DW, Reg::R1, Reg::FP, slot_off(slot));
                (Reg::R1, self.model.slots[slot])
            }
            // Lost: nothing can give it back.
            (None, None) => {
                self.model.forget(held.id);
                return;
            }
        };
        let skip = self.label();
        let check = val.may_be_null() && !self.fault(10);
        if check {
            self.out.jump(skep_isa::JmpOp::Eq, reg, 0, skip);
        }
        let stash = held.obj != Obj::Sock && held.obj != Obj::Record && self.rng.chance(15);
        if !(stash && self.stash(reg, held.obj)) {
            self.release_call(reg, held.obj);
        }
        if !self.fault(4) {
            self.model.forget(held.id);
        }
        self.out.label(skip);
    }

    fn release_call(&mut self, reg: Reg, obj: Obj) {
        self.out.mov(Reg::R1, reg);
        match obj {
            Obj::Task | Obj::UnrefTask => {
                self.kfunc("bpf_task_release");
            }
            Obj::Cgroup => {
                self.kfunc("bpf_cgroup_release");
            }
            Obj::Cpumask => {
                self.kfunc("bpf_cpumask_release");
            }
            Obj::File => {
                self.kfunc("bpf_put_file");
            }
            Obj::Sock => self.helper("sk_release"),
            Obj::Record => {
                let name = self.rng.pick(["ringbuf_submit", "ringbuf_discard"]);
                self.out.mov(Reg::R2, 0);
                self.helper(name);
            }
        }
    }

    /// Puts a reference into a map, and gives back what was there. Only where a value is at hand.
    fn stash(&mut self, reg: Reg, obj: Obj) -> bool {
        let value = self.model.regs.iter().position(|val| {
            matches!(
                val,
                Val::Value {
                    map: KPTRS | KPTRS_HASH,
                    null: false
                }
            )
        });
        let (Some(value), Some((off, _))) = (value, KPTR_AT.iter().find(|(_, of)| *of == obj))
        else {
            return false;
        };
        let skip = self.label();
        self.out.mov(Reg::R2, reg).mov(Reg::R1, HOMES[value]);
        self.out.alu(skep_isa::AluOp::Add, Reg::R1, *off);
        self.helper("kptr_xchg");
        self.out.jump(skep_isa::JmpOp::Eq, Reg::R0, 0, skip);
        self.release_call(Reg::R0, obj);
        self.out.label(skip);
        true
    }

    /// Takes a reference out of a map.
    fn exchange(&mut self) {
        if !self.can("kptr_xchg") {
            return;
        }
        let value = self.find(|val| {
            matches!(
                val,
                Val::Value {
                    map: KPTRS | KPTRS_HASH,
                    null: false
                }
            )
        });
        let at = match value {
            Some(at) => at,
            None => {
                let map = self.rng.pick([KPTRS, KPTRS_HASH]);
                let at = self.lookup(map);
                if !self.fault(10) {
                    self.check_here(at);
                }
                at
            }
        };
        let (off, obj) = self.rng.pick(KPTR_AT);
        if obj == Obj::UnrefTask && !self.fault(30) {
            return;
        }
        let off = if self.fault(6) { off + 4 } else { off };
        self.out.mov(Reg::R1, HOMES[at]);
        self.out
            .alu(skep_isa::AluOp::Add, Reg::R1, off)
            .mov(Reg::R2, 0);
        self.helper("kptr_xchg");
        self.acquired(obj, true);
    }

    /// As [`Writer::check`], without leaping: the program ends on the null side.
    pub(super) fn check_here(&mut self, at: usize) {
        let nest = std::mem::replace(&mut self.nest, 9);
        self.check(at);
        self.nest = nest;
    }

    pub(super) fn step_kptr(&mut self) {
        let value = self.find(|val| {
            matches!(
                val,
                Val::Value {
                    map: KPTRS | KPTRS_HASH,
                    null: false
                }
            )
        });
        match value {
            None => {
                let map = self.rng.pick([KPTRS, KPTRS_HASH]);
                let at = self.lookup(map);
                if !self.fault(8) {
                    self.check(at);
                }
            }
            Some(_) if self.rng.chance(35) => self.exchange(),
            Some(at) if self.rng.chance(12) => {
                // The unreferenced field takes stores. Other pointers than to kernel structures make
                // kernels fail: they stay out.
                let Some(src) = self.find(|val| matches!(val, Val::Btf { null: false, .. })) else {
                    return;
                };
                let (off, _) = if self.fault(20) {
                    self.rng.pick(KPTR_AT)
                } else {
                    KPTR_AT[3]
                };
                if matches!(self.model.regs[at], Val::Value { .. }) {
                    self.out.store(Size::DW, HOMES[at], off as i16, HOMES[src]);
                }
            }
            Some(at) => self.read_kptr(at),
        }
    }
}
