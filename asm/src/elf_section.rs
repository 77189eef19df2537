//! The section that libbpf expects a program of some type in, by its naming rules.

use skep_spec::tables::sec_rules::written_rule;
use skep_spec::{ProgFlags, ProgType, ProgramSpec};

/// The section for a program: its own if it names one.
pub(crate) fn section(program: &ProgramSpec) -> String {
    let optional = if program.autoload { "" } else { "?" };
    if !program.section.is_empty() {
        let named = program.section.trim_start_matches('?');
        return format!("{optional}{named}");
    }
    let Some(rule) = written_rule(program.ty, program.attach) else {
        return format!("{optional}{}", program.ty);
    };
    let stem = rule.stem();
    // The variant with fragments is named before an attach point, the sleepable one behind.
    let frags = program.ty == ProgType::Xdp && program.flags.contains(ProgFlags::XDP_HAS_FRAGS);
    let mut name = if frags {
        stem.replacen("xdp", "xdp.frags", 1)
    } else {
        stem.to_owned()
    };
    if rule.takes_target() && program.flags.contains(ProgFlags::SLEEPABLE) {
        name.push_str(".s");
    }
    if rule.takes_target() && !program.attach_to.is_empty() {
        name = format!("{name}/{}", program.attach_to);
    }
    format!("{optional}{name}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use skep_spec::tables::sec_rules::{SEC_RULES, sec_rule};

    #[test]
    fn loaders_read_the_type_back() {
        for (ty, attach) in SEC_RULES.iter().map(|rule| (rule.ty, rule.attach)) {
            for flags in [
                ProgFlags::empty(),
                ProgFlags::SLEEPABLE,
                ProgFlags::XDP_HAS_FRAGS,
            ] {
                let mut program = ProgramSpec::new("p", ty, Vec::new());
                program.attach = attach;
                program.flags = flags;
                let name = section(&program);
                let rule = sec_rule(&name);
                // Not every type has a sleepable variant; system call programs have no other.
                let sleeps = flags == ProgFlags::SLEEPABLE || ty == ProgType::Syscall;
                let Some(rule) = rule else {
                    assert!(sleeps, "{name}");
                    continue;
                };
                assert_eq!((rule.ty, rule.attach), (ty, attach), "{name}");
                let frags = ty == ProgType::Xdp && flags == ProgFlags::XDP_HAS_FRAGS;
                assert_eq!(
                    rule.flags.contains(ProgFlags::XDP_HAS_FRAGS),
                    frags,
                    "{name}"
                );
            }
        }
    }

    #[test]
    fn every_type_has_a_section() {
        for ty in ProgType::all().filter(|ty| *ty != ProgType::Unspec) {
            let name = section(&ProgramSpec::new("p", ty, Vec::new()));
            assert_eq!(sec_rule(&name).map(|rule| rule.ty), Some(ty), "{name}");
        }
    }
}
