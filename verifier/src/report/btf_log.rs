//! What the kernel's log tells of an argument that is a pointer to a structure.

use skep_btf::TypeId;

use super::message;
use crate::env::Env;

impl Env<'_> {
    /// An argument that a program reads is a pointer to that structure; `is_error`: it may be an error
    /// number instead and is taken for a number.
    pub(crate) fn log_ctx_arg(&mut self, arg: u32, id: TypeId, is_error: bool) {
        if self.log_level == 0 {
            return;
        }
        let mut text = message::argument_text(self.scene(), arg, id);
        if is_error {
            // The kernel forgets to end this line.
            text.push_str(&format!(
                "marking pointer arg{arg} as scalar as it may encode error"
            ));
        }
        self.trace.write(&text);
    }
}
