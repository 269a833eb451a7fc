//! `requires = ">=1.2, =1"`: whether this version may read a file.
//!
//! Invariant: what is not understood is not met.

use std::cmp::Ordering;

/// Whether `version` meets every comparison of `requires`; `None` when `requires` is not written as it should be.
pub(crate) fn meets(requires: &str, version: &str) -> Option<bool> {
    let version = numbers(version.split(['-', '+']).next()?)?;
    let mut met = true;
    for comparison in requires.split(',').map(str::trim) {
        let at = comparison.find(|c: char| c.is_ascii_digit())?;
        let (operator, wanted) = comparison.split_at(at);
        let wanted = numbers(wanted)?;
        // Only the parts that are written are compared: 1.2 stands for every 1.2.x.
        let order = (0..wanted.len()).map(|i| version.get(i).unwrap_or(&0).cmp(&wanted[i])).find(|o| o.is_ne());
        let order = order.unwrap_or(Ordering::Equal);
        met &= match operator.trim_end() {
            ">=" => order.is_ge(),
            ">" => order.is_gt(),
            "=" => order.is_eq(),
            _ => return None,
        };
    }
    Some(met)
}

fn numbers(text: &str) -> Option<Vec<u32>> {
    let parts: Vec<&str> = text.split('.').collect();
    if parts.len() > 3 {
        return None;
    }
    parts.into_iter().map(|p| p.bytes().all(|b| b.is_ascii_digit()).then(|| p.parse().ok()).flatten()).collect()
}

#[cfg(test)]
mod tests {
    use super::meets;

    #[test]
    fn comparisons_hold_as_written() {
        for (requires, version, met) in [
            (">=1.2", "1.2.0", Some(true)),
            (">=1.2", "1.10.0", Some(true)),
            (">=1.2", "2.0.0-rc.1", Some(true)),
            (">=1.2", "1.1.9", Some(false)),
            (">= 1.2 , =1", "1.3.0", Some(true)),
            (">=1.2,=1", "2.0.0", Some(false)),
            (">1.2", "1.2.5", Some(false)),
            (">1.2", "1.3.0", Some(true)),
            ("=1.2.3", "1.2.3+build", Some(true)),
            ("=1.2.3", "1.2.4", Some(false)),
            (">=0", "0.1.0", Some(true)),
            ("1.2", "1.2.0", None),
            ("^1.2", "1.2.0", None),
            ("<2", "1.2.0", None),
            (">=", "1.2.0", None),
            ("", "1.2.0", None),
            (">=1.2,", "1.2.0", None),
            (">=1.2.x", "1.2.0", None),
            (">=1.2.3.4", "1.2.0", None),
            (">=99999999999", "1.2.0", None),
            (">=1", "unknown", None),
        ] {
            assert_eq!(meets(requires, version), met, "{requires} by {version}");
        }
    }
}
