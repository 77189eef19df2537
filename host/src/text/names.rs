//! What return values are called.

use skep_spec::ProgType;
use skep_spec::tables::results;

/// The name of a return value at the program's hook, or what it means; empty where it has none.
pub fn verdict(ty: ProgType, value: u32) -> String {
    if ty == ProgType::SocketFilter {
        return socket_filter(value);
    }
    let name = results::of(ty)
        .iter()
        .find(|(number, _)| *number == value.cast_signed());
    name.map_or_else(String::new, |(_, name)| (*name).to_owned())
}

/// The return value of that name, upper case or lower, with its prefix or without.
pub fn value(ty: ProgType, name: &str) -> Option<u32> {
    let same = |full: &str| {
        let short = full.rsplit_once("ACT_").or_else(|| full.split_once('_'));
        full.eq_ignore_ascii_case(name) || short.is_some_and(|s| s.1.eq_ignore_ascii_case(name))
    };
    let row = results::of(ty).iter().find(|(_, full)| same(full));
    row.map(|(number, _)| number.cast_unsigned())
}

/// The names of return values of a type.
pub fn all(ty: ProgType) -> Vec<&'static str> {
    results::of(ty).iter().map(|(_, name)| *name).collect()
}

fn socket_filter(value: u32) -> String {
    match value {
        0 => "drops the packet".to_owned(),
        u32::MAX => "keeps the whole packet".to_owned(),
        kept => format!("keeps at most {kept} bytes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_named_by_their_hook() {
        assert_eq!(verdict(ProgType::Xdp, 2), "XDP_PASS");
        assert_eq!(verdict(ProgType::SchedCls, u32::MAX), "TC_ACT_UNSPEC");
        assert_eq!(verdict(ProgType::SchedCls, 2), "TC_ACT_SHOT");
        assert_eq!(
            verdict(ProgType::SocketFilter, 40),
            "keeps at most 40 bytes"
        );
        assert_eq!(verdict(ProgType::Tracepoint, 0), "");
        assert_eq!(verdict(ProgType::Xdp, 9), "");
        assert_eq!(value(ProgType::Xdp, "XDP_TX"), Some(3));
        assert_eq!(value(ProgType::Xdp, "tx"), Some(3));
        assert_eq!(value(ProgType::SchedCls, "shot"), Some(2));
        assert_eq!(value(ProgType::SchedCls, "XDP_TX"), None);
    }
}
