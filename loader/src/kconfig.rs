//! Values of the kernel's configuration for `extern … __kconfig` variables.
//!
//! `CONFIG_X` comes from the configuration's text (`CONFIG_X=y`); a few names that begin with
//! `LINUX_` are made up by loaders and answered from what is known of the kernel.

use crate::Options;
use crate::externs::{Extern, ExternKind, Externs};
use rustc_hash::FxHashMap;
use skep_btf::{Btf, Kind, Type};

/// What kind of value a variable takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    Bool,
    Char,
    Tristate,
    Int { signed: bool },
    Text,
    Unknown,
}

/// The contents of `.kconfig`, and for each extern why its value is not known (if it is not).
pub(crate) fn values(
    externs: &Externs,
    btf: &Btf,
    options: &Options,
) -> (Vec<u8>, FxHashMap<usize, String>) {
    let mut data = vec![0; externs.config_size() as usize];
    let mut unknown = FxHashMap::default();
    let config = options.kconfig.as_deref().map(parse);
    for (index, ext) in externs.list.iter().enumerate() {
        let ExternKind::Config { offset, size, .. } = ext.kind else {
            continue;
        };
        let range = offset as usize..offset as usize + size as usize;
        let Some(out) = data.get_mut(range) else {
            continue;
        };
        let shape = shape_of(ext, btf);
        let result = if ext.name.starts_with("CONFIG_") {
            from_config(config.as_ref(), ext, shape, out)
        } else {
            match virtual_value(&ext.name, options) {
                Some(Some(value)) => put_number(value, shape, out),
                Some(None) => Err("the kernel is not given".to_string()),
                None if ext.weak && ext.name.starts_with("LINUX_") => Ok(()),
                None => Err("no such value".to_string()),
            }
        };
        if let Err(why) = result {
            unknown.insert(index, format!("configuration value {}: {why}", ext.name));
        }
    }
    (data, unknown)
}

/// `CONFIG_X=value` lines.
fn parse(text: &str) -> FxHashMap<&str, &str> {
    text.lines()
        .filter(|line| line.starts_with("CONFIG_"))
        .filter_map(|line| line.split_once('='))
        .map(|(name, value)| (name, value.trim_end()))
        .collect()
}

fn shape_of(ext: &Extern, btf: &Btf) -> Shape {
    let var = btf.ty(ext.btf_id).ok().and_then(Type::as_var);
    let resolved = var.and_then(|v| btf.resolve(v.ty).ok());
    let Some((_, ty)) = resolved else {
        return Shape::Unknown;
    };
    if let Some(int) = ty.as_int() {
        return match int.size {
            1 if int.encoding.is_bool() => Shape::Bool,
            _ if int.encoding.is_bool() => Shape::Unknown,
            1 => Shape::Char,
            2 | 4 | 8 => Shape::Int {
                signed: int.is_signed(),
            },
            _ => Shape::Unknown,
        };
    }
    if ty.as_enum().is_some_and(|e| e.name() == "libbpf_tristate") {
        return Shape::Tristate;
    }
    let elem = ty
        .as_array()
        .filter(|a| a.nelems != 0)
        .and_then(|a| btf.resolve(a.elem).ok());
    if elem
        .and_then(|e| e.1.as_int())
        .is_some_and(|i| i.size == 1 && !i.encoding.is_bool())
    {
        return Shape::Text;
    }
    Shape::Unknown
}

fn from_config(
    config: Option<&FxHashMap<&str, &str>>,
    ext: &Extern,
    shape: Shape,
    out: &mut [u8],
) -> Result<(), String> {
    let config = config.ok_or("the kernel's configuration is not given")?;
    match config.get(ext.name.as_str()) {
        None if ext.weak => Ok(()),
        None => Err("not set".to_string()),
        Some(value) => put(value, shape, out),
    }
}

/// Stores a value as the variable's type wants it.
fn put(value: &str, shape: Shape, out: &mut [u8]) -> Result<(), String> {
    let mismatch = || format!("`{value}` does not fit the variable's type");
    match value {
        "y" | "m" | "n" => match shape {
            Shape::Bool if value != "m" => put_number(u64::from(value == "y"), shape, out),
            Shape::Char => put_number(u64::from(value.as_bytes()[0]), shape, out),
            // enum libbpf_tristate: no, yes, module.
            Shape::Tristate => {
                let number = ["n", "y", "m"].iter().position(|v| *v == value);
                put_number(number.unwrap_or(0) as u64, shape, out)
            }
            Shape::Bool | Shape::Int { .. } | Shape::Text | Shape::Unknown => Err(mismatch()),
        },
        _ => match value.strip_prefix('"') {
            Some(text) => {
                let text = text.strip_suffix('"').ok_or_else(mismatch)?;
                if shape != Shape::Text {
                    return Err(mismatch());
                }
                // The last byte stays NUL; longer texts are cut.
                let room = out.len().saturating_sub(1);
                for (to, from) in out.iter_mut().take(room).zip(text.bytes()) {
                    *to = from;
                }
                Ok(())
            }
            None => put_number(parse_number(value).ok_or_else(mismatch)?, shape, out),
        },
    }
}

/// Decimal, hexadecimal (`0x`) or octal (`0`), with sign.
fn parse_number(text: &str) -> Option<u64> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let number = if let Some(hex) = digits.strip_prefix("0x") {
        u64::from_str_radix(hex, 16).ok()?
    } else if digits.len() > 1 && digits.starts_with('0') {
        u64::from_str_radix(digits, 8).ok()?
    } else {
        digits.parse().ok()?
    };
    Some(if negative {
        number.wrapping_neg()
    } else {
        number
    })
}

fn put_number(value: u64, shape: Shape, out: &mut [u8]) -> Result<(), String> {
    let bits = out.len().min(8) as u32 * 8;
    let fits = match shape {
        Shape::Bool => value <= 1,
        Shape::Char | Shape::Tristate => true,
        Shape::Int { .. } if bits >= 64 => true,
        Shape::Int { signed: true } => {
            let half = 1i64 << (bits - 1).min(62);
            (-half..half).contains(&(value as i64))
        }
        Shape::Int { signed: false } => value >> bits == 0,
        Shape::Text | Shape::Unknown => false,
    };
    if !fits {
        return Err(format!("{value} does not fit the variable's type"));
    }
    for (to, from) in out.iter_mut().zip(value.to_le_bytes()) {
        *to = from;
    }
    Ok(())
}

/// The values that libbpf makes up: `None` for other names, `Some(None)` if it depends on a
/// kernel that was not given.
fn virtual_value(name: &str, options: &Options) -> Option<Option<u64>> {
    let kernel = options.kernel_btf.as_deref();
    Some(match name {
        "LINUX_KERNEL_VERSION" => options.kernel_version.map(|v| {
            let patch = u32::from(v.patch).min(255);
            u64::from(u32::from(v.major) << 16 | u32::from(v.minor) << 8 | patch)
        }),
        "LINUX_HAS_BPF_COOKIE" => kernel.map(|btf| {
            u64::from(has_enum_value(
                btf,
                "bpf_func_id",
                "BPF_FUNC_get_attach_cookie",
            ))
        }),
        "LINUX_HAS_SYSCALL_WRAPPER" => kernel.map(|btf| {
            let wrapped = ["x64", "arm64", "s390x", "riscv"].iter().any(|arch| {
                btf.find_by_name(Kind::Func, &format!("__{arch}_sys_bpf"))
                    .is_some()
            });
            // libbpf asks by attaching a kprobe; a kernel without them seems to lack wrappers.
            let config = options.kconfig.as_deref();
            let kprobes = config.is_none_or(|c| c.lines().any(|l| l == "CONFIG_KPROBE_EVENTS=y"));
            u64::from(wrapped && kprobes)
        }),
        _ => return None,
    })
}

/// Whether an enumeration of the kernel has a value of this name.
pub(crate) fn has_enum_value(btf: &Btf, name: &str, value: &str) -> bool {
    let id = btf.find_by_name(Kind::Enum, name);
    let found = id.and_then(|id| btf.ty(id).ok()).and_then(Type::as_enum);
    found.is_some_and(|e| e.values.iter().any(|v| v.name() == value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(value: &str, shape: Shape, len: usize) -> Option<Vec<u8>> {
        let mut out = vec![0; len];
        put(value, shape, &mut out).ok().map(|()| out)
    }

    #[test]
    fn values_fit_their_types_or_are_refused() {
        let int = |signed| Shape::Int { signed };
        assert_eq!(stored("y", Shape::Bool, 1), Some(vec![1]));
        assert_eq!(stored("m", Shape::Bool, 1), None);
        assert_eq!(stored("m", Shape::Tristate, 4), Some(vec![2, 0, 0, 0]));
        assert_eq!(stored("y", Shape::Char, 1), Some(vec![b'y']));
        assert_eq!(stored("y", int(false), 4), None);
        assert_eq!(stored("300", int(false), 2), Some(vec![44, 1]));
        assert_eq!(stored("65536", int(false), 2), None);
        assert_eq!(stored("-1", int(true), 2), Some(vec![255, 255]));
        assert_eq!(stored("-32769", int(true), 2), None);
        assert_eq!(stored("0x10", int(false), 2), Some(vec![16, 0]));
        assert_eq!(
            stored("\"abcd\"", Shape::Text, 4),
            Some(vec![b'a', b'b', b'c', 0])
        );
        assert_eq!(stored("\"abcd", Shape::Text, 4), None);
        assert_eq!(stored("5", Shape::Text, 4), None);
    }
}
