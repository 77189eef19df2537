//! Calls: of helpers, of the program's own subprograms, and of its subprograms by helpers.
//!
//! `helper` keeps the kernel's order of checks; each later file is one of its rules: `args` and
//! `arg_types` (is the argument what the prototype asks for), `map` (may this map be passed, what is
//! remembered of it), `refs` (what is acquired and released), `special` (rules of single helpers),
//! `returns` (what is in r0). `subprog`, `global` and `callback` enter and leave subprograms; `lock`
//! says what may be called inside critical sections.

mod arg_types;
mod args;
mod callback;
mod dynptr;
mod format;
mod global;
mod graph;
mod helper;
mod iterator;
mod kfunc;
mod kfunc_args;
mod kfunc_kind;
mod kfunc_result;
mod kptr;
mod lock;
mod map;
mod refs;
mod returns;
mod section;
mod special;
mod stack_object;
mod structure;
mod subprog;
mod work;

use skep_isa::Reg;
use skep_spec::tables::{ArgType, HelperProto, Mods};

use crate::access::RawAccess;
use crate::state::{BtfSource, MapId};

/// What the arguments of a helper call told, for the rules that come after them.
pub(super) struct CallMeta {
    proto: &'static HelperProto,
    /// The map argument, and which lookup it came from.
    map: Option<(MapId, u32)>,
    /// The memory argument need not be initialised.
    raw_mode: bool,
    /// Memory that the call initialises.
    raw: RawAccess,
    /// The argument that the call releases.
    released: Option<Reg>,
    /// The reference that an argument depends on; 0 = none.
    ref_id: u32,
    /// The map's key, where it is known.
    key: Option<u64>,
    /// Bytes to allocate.
    mem_size: u32,
    /// The greatest size of the memory argument.
    size_max: u64,
    /// The subprogram to call back.
    callback: Option<usize>,
    /// The per-CPU variable or object.
    percpu: Option<PercpuObject>,
    /// The pointer in a value that is exchanged.
    kptr: Option<crate::prepare::MapField>,
    /// The dynptr argument, if it was made before the call.
    dynptr: Option<dynptr::DynptrSeen>,
}

/// A variable or object of which each CPU has its own.
#[derive(Clone, Copy)]
struct PercpuObject {
    /// Whose type it is.
    source: BtfSource,
    /// Its type.
    id: u32,
    /// The program allocated it; RCU protects it.
    allocated: bool,
}

impl CallMeta {
    /// Whether what the call releases is a dynptr.
    fn releases_dynptr(&self) -> bool {
        let released = self.proto.args.iter().find(|arg| arg.has(Mods::RELEASE));
        released.is_some_and(|arg| arg.ty == ArgType::Dynptr)
    }

    fn new(proto: &'static HelperProto) -> CallMeta {
        CallMeta {
            proto,
            map: None,
            raw_mode: false,
            raw: RawAccess::default(),
            released: None,
            ref_id: 0,
            key: None,
            mem_size: 0,
            size_max: 0,
            callback: None,
            percpu: None,
            kptr: None,
            dynptr: None,
        }
    }

    /// Where the memory that the call initialises is noted, if the argument may be uninitialised.
    fn raw(&mut self) -> Option<&mut RawAccess> {
        self.raw_mode.then_some(&mut self.raw)
    }
}

/// Numbers of helpers that have rules of their own.
mod id {
    pub(super) const MAP_LOOKUP_ELEM: u32 = 1;
    pub(super) const MAP_UPDATE_ELEM: u32 = 2;
    pub(super) const MAP_DELETE_ELEM: u32 = 3;
    pub(super) const GET_SMP_PROCESSOR_ID: u32 = 8;
    pub(super) const TAIL_CALL: u32 = 12;
    pub(super) const PROBE_READ_STR: u32 = 45;
    pub(super) const REDIRECT_MAP: u32 = 51;
    pub(super) const GET_STACK: u32 = 67;
    pub(super) const GET_LOCAL_STORAGE: u32 = 81;
    pub(super) const SK_RELEASE: u32 = 86;
    pub(super) const MAP_PUSH_ELEM: u32 = 87;
    pub(super) const MAP_POP_ELEM: u32 = 88;
    pub(super) const MAP_PEEK_ELEM: u32 = 89;
    pub(super) const SPIN_LOCK: u32 = 93;
    pub(super) const SPIN_UNLOCK: u32 = 94;
    pub(super) const PROBE_READ_USER_STR: u32 = 114;
    pub(super) const PROBE_READ_KERNEL_STR: u32 = 115;
    pub(super) const GET_TASK_STACK: u32 = 141;
    pub(super) const FOR_EACH_MAP_ELEM: u32 = 164;
    pub(super) const SNPRINTF: u32 = 165;
    pub(super) const TIMER_SET_CALLBACK: u32 = 170;
    pub(super) const GET_FUNC_IP: u32 = 173;
    pub(super) const FIND_VMA: u32 = 180;
    pub(super) const LOOP: u32 = 181;
    pub(super) const SET_RETVAL: u32 = 187;
    pub(super) const KPTR_XCHG: u32 = 194;
    pub(super) const MAP_LOOKUP_PERCPU_ELEM: u32 = 195;
    pub(super) const DYNPTR_FROM_MEM: u32 = 197;
    pub(super) const DYNPTR_WRITE: u32 = 202;
    pub(super) const USER_RINGBUF_DRAIN: u32 = 209;
}

#[cfg(test)]
mod tests {
    use skep_spec::tables::helpers;

    use super::id;

    #[test]
    fn the_numbers_name_the_helpers_that_they_are_called_after() {
        for (number, name) in [
            (id::MAP_LOOKUP_ELEM, "map_lookup_elem"),
            (id::MAP_UPDATE_ELEM, "map_update_elem"),
            (id::MAP_DELETE_ELEM, "map_delete_elem"),
            (id::GET_SMP_PROCESSOR_ID, "get_smp_processor_id"),
            (id::TAIL_CALL, "tail_call"),
            (id::PROBE_READ_STR, "probe_read_str"),
            (id::REDIRECT_MAP, "redirect_map"),
            (id::GET_STACK, "get_stack"),
            (id::GET_LOCAL_STORAGE, "get_local_storage"),
            (id::SK_RELEASE, "sk_release"),
            (id::MAP_PUSH_ELEM, "map_push_elem"),
            (id::MAP_POP_ELEM, "map_pop_elem"),
            (id::MAP_PEEK_ELEM, "map_peek_elem"),
            (id::SPIN_LOCK, "spin_lock"),
            (id::SPIN_UNLOCK, "spin_unlock"),
            (id::PROBE_READ_USER_STR, "probe_read_user_str"),
            (id::PROBE_READ_KERNEL_STR, "probe_read_kernel_str"),
            (id::GET_TASK_STACK, "get_task_stack"),
            (id::FOR_EACH_MAP_ELEM, "for_each_map_elem"),
            (id::SNPRINTF, "snprintf"),
            (id::TIMER_SET_CALLBACK, "timer_set_callback"),
            (id::GET_FUNC_IP, "get_func_ip"),
            (id::FIND_VMA, "find_vma"),
            (id::LOOP, "loop"),
            (id::SET_RETVAL, "set_retval"),
            (id::KPTR_XCHG, "kptr_xchg"),
            (id::DYNPTR_FROM_MEM, "dynptr_from_mem"),
            (id::DYNPTR_WRITE, "dynptr_write"),
            (id::MAP_LOOKUP_PERCPU_ELEM, "map_lookup_percpu_elem"),
            (id::USER_RINGBUF_DRAIN, "user_ringbuf_drain"),
        ] {
            let proto = helpers::named(name).map(|proto| proto.id);
            assert_eq!(proto, Some(number), "{name}");
        }
    }
}
