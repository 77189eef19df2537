//! Programs at functions: their arguments and results, what iterators print, what is asked of tasks.

use skep_spec::AttachType;

use super::Row;
use super::call::{Call, status};
use super::format::format;
use super::print::arguments;
use super::probe::readable;
use crate::errno::Errno;
use crate::fault::Access;
use crate::hooks::Run;
use crate::trap::Trap;

pub(super) const HELPERS: &[Row] = &[
    ("bpf_get_func_arg", func_arg),
    ("bpf_get_func_ret", func_ret),
    ("bpf_get_func_arg_cnt", func_arg_cnt),
    ("bpf_override_return", override_return),
    ("bpf_seq_printf", seq_printf),
    ("bpf_seq_write", seq_write),
    ("bpf_copy_from_user_task", copy_from_user_task),
    ("bpf_find_vma", no_entry),
    ("bpf_get_branch_snapshot", no_entry),
    ("bpf_read_branch_records", no_entry),
    ("bpf_ima_inode_hash", unsupported),
    ("bpf_ima_file_hash", unsupported),
    ("bpf_bprm_opts_set", bprm_opts_set),
    ("bpf_sock_from_file", no_socket),
];

pub(super) const KFUNCS: &[Row] = &[
    ("bpf_session_is_return", session_is_return),
    ("bpf_get_fsverity_digest", unsupported),
];

/// Bytes of a word of arguments.
const WORD: u64 = 8;

impl Call<'_> {
    /// The number of arguments of the function that the program runs at, and whether a result follows.
    fn func_args(&self) -> Result<(u64, bool), Trap> {
        self.expect_ctx(1)?;
        let Run::Raw(len) = self.sim.run else {
            return Err(self.bad(1, "the arguments of a function"));
        };
        let after = matches!(
            self.sim.attach,
            AttachType::TraceFexit | AttachType::ModifyReturn
        );
        let result = after || self.sim.attach == AttachType::LsmMac;
        let words = len / WORD;
        Ok((words.saturating_sub(result.into()), after))
    }
}

fn func_arg(call: &mut Call<'_>) -> Result<u64, Trap> {
    let (n, to) = (u64::from(call.arg32(2)), call.arg(3));
    let (args, _) = call.func_args()?;
    call.sim.mem.check(to, WORD, Access::Write)?;
    if n >= args {
        return Ok(Errno::INVAL.as_ret());
    }
    let at = call.arg(1) + n * WORD;
    call.sim.mem.copy(at, to, WORD);
    Ok(0)
}

fn func_ret(call: &mut Call<'_>) -> Result<u64, Trap> {
    let to = call.arg(2);
    let (args, has_result) = call.func_args()?;
    call.sim.mem.check(to, WORD, Access::Write)?;
    if !has_result {
        return Ok(Errno::OPNOTSUPP.as_ret());
    }
    let at = call.arg(1) + args * WORD;
    call.sim.mem.copy(at, to, WORD);
    Ok(0)
}

fn func_arg_cnt(call: &mut Call<'_>) -> Result<u64, Trap> {
    Ok(call.func_args()?.0)
}

/// The probed function returns at once, with that result.
fn override_return(call: &mut Call<'_>) -> Result<u64, Trap> {
    call.expect_ctx(1)?;
    call.sim.output.override_return = Some(call.arg(2));
    Ok(0)
}

fn seq_put(call: &mut Call<'_>, text: &[u8]) {
    if call.sim.may_output(text.len()) {
        call.sim.output.seq.extend_from_slice(text);
    }
}

fn seq_printf(call: &mut Call<'_>) -> Result<u64, Trap> {
    /// Bytes that one call prints at most.
    const MOST: usize = 64 << 10;
    let (size, bytes) = (u64::from(call.arg32(3)), u64::from(call.arg32(5)));
    let Some(args) = arguments(call, 4, bytes)? else {
        return Ok(Errno::INVAL.as_ret());
    };
    let fmt = call.bytes(2, size)?;
    match format(&call.sim.mem, fmt, &args, MOST) {
        Ok(text) => {
            seq_put(call, &text.bytes);
            Ok(0)
        }
        Err(errno) => Ok(errno.as_ret()),
    }
}

fn seq_write(call: &mut Call<'_>) -> Result<u64, Trap> {
    let len = u64::from(call.arg32(3));
    let data = call.bytes(2, len)?.to_vec();
    seq_put(call, &data);
    Ok(0)
}

fn copy_from_user_task(call: &mut Call<'_>) -> Result<u64, Trap> {
    let (to, len, from, flags) = (
        call.arg(1),
        u64::from(call.arg32(2)),
        call.arg(3),
        call.arg(5),
    );
    call.bytes_mut(1, len)?;
    if flags != 0 {
        return Ok(Errno::INVAL.as_ret());
    }
    if readable(&call.sim.mem, from, len) < len {
        call.sim.mem.fill(to, len, 0);
        return Ok(Errno::FAULT.as_ret());
    }
    call.sim.mem.copy(from, to, len);
    Ok(0)
}

/// There are no memory areas and no branch records.
fn no_entry(_: &mut Call<'_>) -> Result<u64, Trap> {
    Ok(Errno::NOENT.as_ret())
}

/// Nobody measures files here.
fn unsupported(_: &mut Call<'_>) -> Result<u64, Trap> {
    Ok(Errno::OPNOTSUPP.as_ret())
}

fn no_socket(_: &mut Call<'_>) -> Result<u64, Trap> {
    Ok(0)
}

fn bprm_opts_set(call: &mut Call<'_>) -> Result<u64, Trap> {
    /// `BPF_F_BPRM_SECUREEXEC`.
    const SECUREEXEC: u64 = 1;
    let flags = call.arg(2);
    Ok(status(if flags & !SECUREEXEC == 0 {
        Ok(())
    } else {
        Err(Errno::INVAL)
    }))
}

/// A session's program runs at the function's entry here.
fn session_is_return(_: &mut Call<'_>) -> Result<u64, Trap> {
    Ok(0)
}
