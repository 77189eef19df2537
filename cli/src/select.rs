//! Which programs of an input are meant: names with `*` and `?`.

/// Names as given with `--prog`; none means all.
#[derive(Clone, Debug, Default)]
pub(crate) struct Names(Vec<String>);

impl Names {
    /// The names or patterns.
    pub(crate) fn new(patterns: &[String]) -> Names {
        Names(patterns.to_vec())
    }

    /// Whether a program of that name is meant.
    pub(crate) fn chooses(&self, name: &str) -> bool {
        self.0.is_empty() || self.0.iter().any(|pattern| matches(pattern, name))
    }

    /// The patterns, for an error that says which matched nothing.
    pub(crate) fn patterns(&self) -> &[String] {
        &self.0
    }
}

/// Whether a name matches a pattern in which `*` stands for any text and `?` for one character.
fn matches(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) =
        (pattern.chars().collect(), name.chars().collect());
    let (mut p, mut n) = (0, 0);
    // Where to go on after a mismatch: behind the last `*`, one more character swallowed by it.
    let mut retry = None;
    while n < name.len() {
        match pattern.get(p) {
            Some('*') => {
                p += 1;
                retry = Some((p, n));
            }
            Some(c) if *c == '?' || name.get(n) == Some(c) => {
                p += 1;
                n += 1;
            }
            Some(_) | None => {
                let Some((star, swallowed)) = retry else {
                    return false;
                };
                (p, n) = (star, swallowed + 1);
                retry = Some((star, swallowed + 1));
            }
        }
    }
    pattern.iter().skip(p).all(|c| *c == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_and_question_marks_stand_for_others() {
        for (pattern, name, expected) in [
            ("xdp", "xdp", true),
            ("xdp", "xdp2", false),
            ("*", "", true),
            ("xdp_*", "xdp_pass", true),
            ("*_pass", "xdp_pass_pass", true),
            ("a*b*c", "aXbXbc", true),
            ("a*b*c", "acb", false),
            ("x?p", "xdp", true),
            ("x?p", "xp", false),
            ("", "x", false),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn a_hostile_pattern_takes_no_time() {
        let name = "a".repeat(2000);
        assert!(!matches(&format!("{}b", "*a".repeat(500)), &name));
    }
}
