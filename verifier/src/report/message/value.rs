//! Pieces that several messages share.

use crate::number::Scalar;
use crate::report::ValueView;
use crate::report::value::{tnum_text, value_type_text};

/// A value's type, as in `R1 invalid mem access 'scalar'`.
pub(super) fn ty(value: &ValueView) -> String {
    value_type_text(&value.0)
}

/// A number's known bits, as in `var_off=(0x0; 0xff)`.
pub(super) fn bits(var: &Scalar) -> String {
    tnum_text(var.known())
}
