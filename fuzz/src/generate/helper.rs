//! Calls of helpers: arguments made to fit the tables' prototypes, or nearly.

use skep_isa::{AluOp, Imm64, Insn, JmpOp, Operand, Reg, Size, Width};
use skep_spec::tables::{Arg, ArgType, HelperFlags, HelperProto, MapForHelper, Mods, Ret, RetType};
use skep_spec::{MapSpec, MapType};

use super::body::Body;
use super::model::{MemKind, Val};
use super::subprog::Callback;
use crate::catalogue::RODATA;

/// Helpers that programs use most, so that they are not drowned by the rest.
const COMMON: [u32; 30] = [
    1, 1, 2, 3, 4, 5, 6, 7, 12, 14, 16, 23, 25, 26, 28, 51, 67, 69, 87, 88, 113, 130, 131, 164,
    181, 181, 9, 44, 65, 195,
];

/// Number of helpers in the tables.
const HELPERS: u64 = 211;

impl Body<'_> {
    /// A call of some helper.
    pub(super) fn step_helper(&mut self) {
        if self.protect & 0x3f != 0 {
            return;
        }
        for _ in 0..6 {
            let id = if self.rng.chance(60) {
                self.rng.pick(COMMON)
            } else {
                self.rng.range(1, HELPERS as i64) as u32
            };
            match self.facts.helper(&self.hook, id) {
                Some(proto) if self.fits(proto) => {
                    self.call(proto);
                    return;
                }
                None if self.fault(2) => {
                    self.call_helper(id, Val::ANY);
                    return;
                }
                Some(_) | None => {}
            }
        }
    }

    /// Whether arguments for it can be made here.
    fn fits(&mut self, proto: &HelperProto) -> bool {
        let moves = proto.has(HelperFlags::CHANGES_PKT_DATA);
        if moves && self.nest > 1 || proto.has(HelperFlags::ASYNC_CALLBACK) {
            return false;
        }
        if proto.id == 12 && self.holding && !self.fault(20) {
            return false;
        }
        let acquires = proto.has(HelperFlags::ACQUIRES) || matches!(proto.ret.ty, RetType::Mem);
        if acquires && self.holding {
            return false;
        }
        proto.args.iter().all(|arg| match arg.ty {
            ArgType::Ctx => {
                !self.regs_with(|val| val == Val::Ctx).is_empty() || arg.has(Mods::MAYBE_NULL)
            }
            ArgType::Func => {
                let known = matches!(proto.id, 164 | 181);
                known && self.functions.len() < 8 && self.nest < 3 && self.left > 20
            }
            ArgType::SockCommon | ArgType::Socket | ArgType::BtfIdSockCommon => !self
                .regs_with(|val| matches!(val, Val::Sock { null: false, .. }))
                .is_empty(),
            ArgType::Anything
            | ArgType::ConstMapPtr
            | ArgType::MapKey
            | ArgType::MapValue
            | ArgType::Mem
            | ArgType::ConstSize
            | ArgType::ConstSizeOrZero
            | ArgType::ConstAllocSizeOrZero
            | ArgType::Stack
            | ArgType::ConstStr => true,
            ArgType::Arena
            | ArgType::SpinLock
            | ArgType::BtfId(_)
            | ArgType::BtfIdOfField
            | ArgType::RingbufMem
            | ArgType::PercpuBtfId
            | ArgType::Timer
            | ArgType::KptrXchgDest
            | ArgType::Dynptr => false,
        })
    }

    /// A map that the helper takes.
    fn map_for(&mut self, proto: &HelperProto) -> Option<usize> {
        let maps = self.cat.maps.iter().enumerate();
        let allowed = |map: &MapSpec| {
            let answer = self.facts.map_for_helper(&self.hook, map.ty, proto);
            answer == MapForHelper::Allowed
        };
        let fitting: Vec<usize> = maps
            .filter(|(_, map)| allowed(map))
            .map(|(at, _)| at)
            .collect();
        let used: Vec<usize> = fitting
            .iter()
            .copied()
            .filter(|at| self.maps.contains(at))
            .collect();
        if self.rng.chance(50)
            && let Some(at) = self.rng.choose(&used)
        {
            return Some(*at);
        }
        self.rng.choose(&fitting).copied()
    }

    /// A call with arguments that fit, but for deliberate mistakes.
    fn call(&mut self, proto: &'static HelperProto) {
        self.save_pointers();
        let takes_map = proto.args.iter().any(|arg| arg.ty == ArgType::ConstMapPtr);
        let map = if takes_map { self.map_for(proto) } else { None };
        if takes_map && map.is_none() {
            return;
        }
        let spec = map.and_then(|at| self.cat.maps.get(at)).cloned();
        let before = self.protect;
        let size = self.memory_size();
        let callback = match proto.args.iter().any(|arg| arg.ty == ArgType::Func) {
            true => self.new_callback(proto.id, spec.as_deref()),
            false => None,
        };
        let mut skip = self.rng.index(proto.args.len().max(1));
        if !self.fault(3) {
            skip = usize::MAX;
        }
        let mut args: Vec<usize> = (0..proto.args.len()).collect();
        if self.rng.chance(50) {
            args.reverse();
        }
        for at in args {
            let (Some(arg), Some(reg)) = (proto.args.get(at), Reg::ARGS.get(at).copied()) else {
                continue;
            };
            if at == skip {
                continue;
            }
            match (arg.ty, callback) {
                (ArgType::Func, Some(callback)) => self.function_address(reg, callback),
                (ArgType::ConstMapPtr, _) => match map {
                    Some(map) => self.map_argument(reg, map),
                    None => continue,
                },
                (ArgType::Stack, Some(callback)) => self.callback_context(reg, callback.ctx),
                _ => self.argument(reg, arg, spec.as_deref(), size, proto),
            }
            self.guard(&[reg]);
        }
        self.protect = before;
        self.finish_call(proto, spec.as_deref(), size);
    }

    fn map_argument(&mut self, reg: Reg, map: usize) {
        if self.fault(3) {
            let any = self.rng.index(self.cat.maps.len());
            self.load_map(reg, any);
        } else {
            self.load_map(reg, map);
        }
    }

    /// What a callback is given: a pointer into the stack, or nothing.
    fn callback_context(&mut self, reg: Reg, given: bool) {
        if given {
            let off = self.buffer(16, true);
            self.frame_address(reg, off);
        } else {
            self.mov_imm(reg, 0);
        }
    }

    fn memory_size(&mut self) -> u32 {
        self.rng.pick([1, 2, 4, 8, 8, 16, 16, 20, 24, 32, 48])
    }

    fn argument(
        &mut self,
        reg: Reg,
        arg: &Arg,
        map: Option<&MapSpec>,
        size: u32,
        proto: &HelperProto,
    ) {
        match arg.ty {
            ArgType::Ctx => match self.reg_with(|val| val == Val::Ctx) {
                Some(ctx) => self.mov(reg, ctx),
                None => self.mov_imm(reg, 0),
            },
            ArgType::MapKey => {
                if let Some(map) = map {
                    self.memory(reg, map.key_size.max(1), arg, proto, map.key_size == 4);
                }
            }
            ArgType::MapValue => {
                let len = map.map_or(8, |map| map.value_size).clamp(1, 4096);
                self.memory(reg, len, arg, proto, false);
            }
            ArgType::Mem => {
                let len = if arg.has(Mods::FIXED_SIZE) {
                    arg.size
                } else {
                    size
                };
                self.memory(reg, len, arg, proto, false);
            }
            ArgType::ConstSize | ArgType::ConstSizeOrZero => self.size_argument(reg, arg, size),
            ArgType::ConstAllocSizeOrZero => {
                let len = if self.fault(4) { -1 } else { size as i32 };
                self.mov_imm(reg, len);
            }
            ArgType::SockCommon | ArgType::Socket | ArgType::BtfIdSockCommon => {
                if let Some(sock) =
                    self.reg_with(|val| matches!(val, Val::Sock { null: false, .. }))
                {
                    self.mov(reg, sock);
                }
            }
            ArgType::ConstStr => {
                let constant = if self.fault(6) {
                    self.rng.index(self.cat.maps.len())
                } else {
                    RODATA
                };
                let map = self.map_index(constant);
                let off = if self.fault(10) {
                    self.rng.below(64) as u32
                } else {
                    56
                };
                self.left -= 1;
                self.emit(Insn::LoadImm64 {
                    dst: reg,
                    imm: Imm64::MapValue { map, off },
                });
                self.model.set(reg, Val::Other);
            }
            ArgType::Anything
            | ArgType::ConstMapPtr
            | ArgType::Stack
            | ArgType::Func
            | ArgType::Arena
            | ArgType::SpinLock
            | ArgType::BtfId(_)
            | ArgType::BtfIdOfField
            | ArgType::RingbufMem
            | ArgType::PercpuBtfId
            | ArgType::Timer
            | ArgType::KptrXchgDest
            | ArgType::Dynptr => self.anything(reg),
        }
    }

    /// Any value: mostly a small number.
    fn anything(&mut self, reg: Reg) {
        if self.rng.chance(30)
            && let Some(num) = self.reg_with(Val::is_num)
        {
            self.mov(reg, num);
            return;
        }
        if self.rng.chance(3) {
            self.mov(reg, Reg::FP);
            return;
        }
        let imm = if self.rng.chance(60) {
            self.rng.range(0, 4) as i32
        } else {
            self.imm()
        };
        self.mov_imm(reg, imm);
    }

    /// Memory of `len` bytes: stack, a map's value, the packet; now and then too little.
    fn memory(&mut self, reg: Reg, len: u32, arg: &Arg, proto: &HelperProto, key: bool) {
        if arg.has(Mods::MAYBE_NULL) && self.rng.chance(20) {
            self.mov_imm(reg, 0);
            return;
        }
        let packets = proto.has(HelperFlags::PKT_ACCESS);
        let writes = arg.has(Mods::WRITE);
        let regs: Vec<Reg> = Reg::ALL
            .into_iter()
            .filter(|reg| {
                let val = self.model.get(*reg);
                let fits = match val {
                    Val::Packet { .. } => packets && !writes,
                    Val::Mem {
                        kind: MemKind::Value { writable, readable },
                        ..
                    } => {
                        if writes {
                            writable
                        } else {
                            readable
                        }
                    }
                    Val::Mem {
                        kind: MemKind::Key, ..
                    } => !writes,
                    _ => true,
                };
                *reg != Reg::FP
                    && fits
                    && self
                        .window(val)
                        .is_some_and(|(from, to)| from <= 0 && to >= len as i32)
            })
            .collect();
        if self.rng.chance(40)
            && let Some(base) = self.rng.choose(&regs).copied()
        {
            self.mov(reg, base);
            if self.fault(6)
                && let Some((_, to)) = self.window(self.model.get(base))
            {
                self.add_imm(reg, to - len as i32 + 1);
            }
            return;
        }
        if len > 480 {
            self.mov(reg, Reg::FP);
            self.add_imm(reg, -512);
            return;
        }
        let init = !arg.has(Mods::UNINIT);
        let off = self.buffer(len, init);
        if key && self.rng.chance(60) {
            let index = self.rng.range(0, 4) as i32;
            self.store(Size::W, Reg::FP, off, index.into());
        }
        let off = if self.fault(4) {
            off + self.rng.pick([8, 1, 512])
        } else {
            off
        };
        self.frame_address(reg, off);
        if writes {
            self.smear(off, len);
        }
    }

    /// The size of the memory before it: a constant or a bounded number.
    fn size_argument(&mut self, reg: Reg, arg: &Arg, size: u32) {
        let mut size = size as i32;
        if self.fault(5) {
            size = self.rng.pick([size + 1, 0, -1, size + 512, i32::MAX]);
        } else if arg.ty == ArgType::ConstSizeOrZero && self.rng.chance(15) {
            size = 0;
        }
        let number = self.reg_with(Val::is_num);
        if size > 1
            && self.rng.chance(25)
            && let Some(num) = number
        {
            let low = arg.ty == ArgType::ConstSize && !self.fault(10);
            self.mov(reg, num);
            let bits = (size as u32).ilog2();
            self.alu(AluOp::And, Width::W64, reg, ((1 << bits) - 1).into());
            if low {
                self.add_imm(reg, 1);
            }
            return;
        }
        self.mov_imm(reg, size);
    }

    fn finish_call(&mut self, proto: &HelperProto, map: Option<&MapSpec>, size: u32) {
        let id = self.id();
        let null = proto.ret.has(Mods::MAYBE_NULL);
        let ret = self.returned(proto.ret, map, size, id);
        let moves = proto.has(HelperFlags::CHANGES_PKT_DATA);
        self.call_helper(proto.id, ret);
        if moves {
            self.model.packet_moved();
        }
        let acquires = proto.has(HelperFlags::ACQUIRES) || proto.ret.ty == RetType::Mem;
        if acquires {
            self.hold(proto, id);
        } else if null && ret != Val::Other {
            self.check_null(id, Reg::R0);
        } else if ret.is_num() && self.rng.chance(40) {
            self.keep(Reg::R0);
        }
    }

    fn returned(&mut self, ret: Ret, map: Option<&MapSpec>, size: u32, id: u32) -> Val {
        let null = ret.has(Mods::MAYBE_NULL);
        match ret.ty {
            RetType::Integer => Val::ANY,
            RetType::Void => Val::Uninit,
            RetType::MapValue => {
                let len = map.map_or(0, |map| map.value_size);
                let kind = MemKind::Value {
                    writable: true,
                    readable: true,
                };
                match map {
                    Some(map) if matches!(map.ty, MapType::ArrayOfMaps | MapType::HashOfMaps) => {
                        Val::Other
                    }
                    Some(_) | None => Val::Mem {
                        kind,
                        id,
                        lo: 0,
                        hi: 0,
                        len,
                        null,
                    },
                }
            }
            RetType::Socket | RetType::TcpSock => Val::Sock {
                id,
                null,
                common: false,
            },
            RetType::SockCommon => Val::Sock {
                id,
                null,
                common: true,
            },
            RetType::Mem => Val::Mem {
                kind: MemKind::Record,
                id,
                lo: 0,
                hi: 0,
                len: size,
                null,
            },
            RetType::DynptrMem
            | RetType::MemOrBtfId
            | RetType::BtfId(_)
            | RetType::BtfIdOfField => Val::Other,
        }
    }

    /// What was acquired is checked, used and given back.
    fn hold(&mut self, proto: &HelperProto, id: u32) {
        let Some(saved) = self.free_saved() else {
            // Without a place for it, it leaks.
            return;
        };
        self.mov(saved, Reg::R0);
        let fail = self.fail;
        if !self.fault(6) {
            self.jump(JmpOp::Eq, Width::W64, saved, Operand::Imm(0), fail);
        }
        self.model.not_null(id);
        let release = self.label();
        let (before, outer) = (self.guard(&[saved]), self.fail);
        let held = self.holding;
        if !self.fault(8) {
            self.fail = release;
        }
        self.holding = true;
        self.nest += 1;
        let steps = self.rng.range(0, 4);
        for _ in 0..steps {
            if self.rng.chance(50) {
                self.access(saved);
            } else {
                self.step();
            }
        }
        self.nest -= 1;
        self.fail = outer;
        self.protect = before;
        self.holding = held;
        self.place(release);
        if self.fault(8) {
            return;
        }
        self.mov(Reg::R1, saved);
        let (helper, ret) = match proto.ret.ty {
            RetType::Mem => (self.rng.pick([132, 133]), Val::Uninit),
            _ => (86, Val::ANY),
        };
        if proto.ret.ty == RetType::Mem {
            self.mov_imm(Reg::R2, 0);
        }
        self.call_helper(helper, ret);
        if !self.fault(6) {
            self.model.release(id);
        }
    }

    /// A socket's field is read, perhaps after its null check.
    pub(super) fn step_socket(&mut self) {
        let Some(sock) = self.reg_with(|val| matches!(val, Val::Sock { .. })) else {
            return;
        };
        if let Val::Sock { id, null: true, .. } = self.model.get(sock) {
            self.check_null(id, sock);
            return;
        }
        let dst = self.free();
        let (size, off) = self.rng.pick([
            (Size::W, 0),
            (Size::W, 4),
            (Size::W, 12),
            (Size::W, 16),
            (Size::H, 48),
            (Size::W, 72),
            (Size::B, 4),
        ]);
        let off = if self.fault(10) {
            off + self.rng.pick([1, 2, 80, -8])
        } else {
            off
        };
        self.load(size, dst, sock, off, super::scalar::num_of(size));
    }

    /// The address of a callback, or by mistake of any function.
    pub(super) fn function_address(&mut self, reg: Reg, callback: Callback) {
        self.left -= 2;
        let any = self.rng.index(self.functions.len());
        let wrong = if self.fault(6) {
            self.functions.get(any).map(|f| f.label)
        } else {
            None
        };
        self.out.func(reg, wrong.unwrap_or(callback.label));
        self.model.set(reg, Val::Other);
    }
}
