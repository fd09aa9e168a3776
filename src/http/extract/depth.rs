//! How deep a JSON text is nested, found without parsing it, so that no parser is asked to recurse.
//! Always holds: brackets inside strings do not count. Absent: any judgement of whether the text is JSON.

/// Whether arrays and objects are nested deeper than `depth_max`.
pub(crate) fn is_deeper_than(text: &[u8], depth_max: usize) -> bool {
    let mut depth = 0_usize;
    let mut in_string = false;
    let mut escaped = false;
    for byte in text {
        if in_string {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => in_string = false,
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' => in_string = true,
            b'[' | b'{' => {
                depth += 1;
                if depth > depth_max {
                    return true;
                }
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nesting_counts_outside_strings_only() {
        assert!(!is_deeper_than(b"[[1],[2]]", 2));
        assert!(is_deeper_than(b"[[1],[[2]]]", 2));
        assert!(!is_deeper_than(br#"["[[[[\"[[["]"#, 1));
        assert!(!is_deeper_than(b"]]]][", 1));
        assert!(is_deeper_than(&vec![b'['; 1_000_000], 64));
    }
}
