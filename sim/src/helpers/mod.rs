//! Helpers: the functions that programs call by number.
//!
//! [`find`] turns a number into a [`Helper`] once, when a program is loaded; the number's name comes
//! from the tables of `spec`, the function from the lists in this folder. Arguments are checked where
//! they are used: a bad pointer is a trap, as the verifier would not have let it pass, while an error
//! that programs may provoke is a negative number in R0, as in the kernel.

mod bits;
mod call;
mod callback;
mod cgroup;
mod csum;
mod device;
mod dynptr;
mod event;
mod format;
mod kfunc;
mod map;
mod message;
mod object;
mod packet;
mod pages;
mod print;
mod probe;
mod process;
mod redirect;
mod ring;
mod room;
mod skb;
mod sock;
mod sockmap;
mod sockopt;
mod stack;
mod task;
mod text;
mod time;
mod timer;
mod trace;
mod xdp;

pub use call::{Call, Engine};
pub(crate) use device::Tunnel;
pub use timer::DueCall;
pub(crate) use timer::Timer;

use skep_spec::ProgType;
use skep_spec::tables::{ctx as spec_ctx, helpers as table};

use crate::trap::Trap;

/// A helper's function: its result goes to R0.
pub type HelperFn = fn(&mut Call<'_>) -> Result<u64, Trap>;

/// What a call of a helper does.
#[derive(Clone, Copy, Debug)]
pub enum Helper {
    /// Runs this function.
    Function(HelperFn),
    /// Leaves for another program: the engine's business.
    TailCall,
}

/// A helper's name and function.
type Row = (&'static str, HelperFn);

/// The helper of that number for a type of program, with its name.
///
/// # Errors
/// [`Trap::HelperNotSimulated`]: it is not simulated, or no such helper exists.
pub fn find(id: i32, ty: ProgType) -> Result<(&'static str, Helper), Trap> {
    let name = u32::try_from(id)
        .ok()
        .and_then(table::first)
        .map_or("", |proto| proto.name);
    let missing = Trap::HelperNotSimulated { id, name };
    if name == "bpf_tail_call" {
        return Ok((name, Helper::TailCall));
    }
    let of_packets = spec_ctx::of(ty).is_some_and(|table| table.name == spec_ctx::SK_BUFF.name);
    let by_type: &[Row] = if ty == ProgType::Xdp {
        xdp::HELPERS
    } else if of_packets {
        skb::HELPERS
    } else {
        &[]
    };
    let common = [
        map::HELPERS,
        time::HELPERS,
        process::HELPERS,
        print::HELPERS,
        probe::HELPERS,
        ring::HELPERS,
        event::HELPERS,
        text::HELPERS,
        csum::HELPERS,
        redirect::HELPERS,
        callback::HELPERS,
        stack::HELPERS,
        sock::HELPERS,
        dynptr::HELPERS,
        cgroup::HELPERS,
        device::HELPERS,
        message::HELPERS,
        sockmap::HELPERS,
        sockopt::HELPERS,
        timer::HELPERS,
        trace::HELPERS,
    ];
    std::iter::once(by_type)
        .chain(common)
        .flatten()
        .find(|row| row.0 == name)
        .map(|row| (row.0, Helper::Function(row.1)))
        .ok_or(missing)
}

/// The kernel function of that name, with its name for as long as anyone wants it.
pub fn find_kfunc(name: &str) -> Option<(&'static str, HelperFn)> {
    KFUNCS
        .into_iter()
        .flatten()
        .find(|row| row.0 == name)
        .copied()
}

/// All kernel functions that are simulated.
const KFUNCS: [&[Row]; 8] = [
    kfunc::KFUNCS,
    dynptr::KFUNCS,
    bits::KFUNCS,
    object::KFUNCS,
    pages::KFUNCS,
    task::KFUNCS,
    timer::KFUNCS,
    trace::KFUNCS,
];

/// Names of the kernel functions that are simulated, in no order.
pub fn simulated_kfuncs() -> impl Iterator<Item = &'static str> {
    KFUNCS.into_iter().flatten().map(|row| row.0)
}

/// Names of the helpers that are simulated for some type of program, in no order.
pub fn simulated() -> impl Iterator<Item = &'static str> {
    [
        xdp::HELPERS,
        skb::HELPERS,
        map::HELPERS,
        time::HELPERS,
        process::HELPERS,
        print::HELPERS,
        probe::HELPERS,
        ring::HELPERS,
        event::HELPERS,
        text::HELPERS,
        csum::HELPERS,
        redirect::HELPERS,
        callback::HELPERS,
        stack::HELPERS,
        sock::HELPERS,
        dynptr::HELPERS,
        cgroup::HELPERS,
        device::HELPERS,
        message::HELPERS,
        sockmap::HELPERS,
        sockopt::HELPERS,
        timer::HELPERS,
        trace::HELPERS,
    ]
    .into_iter()
    .flatten()
    .map(|row| row.0)
    .chain(["bpf_tail_call"])
}
