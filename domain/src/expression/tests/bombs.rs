//! Hostile texts and data. Each ends in an error of its class, with few steps; none is slow, large or deep, and none
//! overflows a small stack.

use super::{Data, ErrorClass, Expression};
use crate::expression::budget::{Budget, MADE_BYTES_MAX, NODES_MAX, STEPS_MAX};

/// 10,000 ints, 300,000 letters and 100,000 binary digits.
fn data() -> Data {
    let list: Vec<String> = (0..10_000).map(|n: u32| n.to_string()).collect();
    let digit = |n: u64| if n.wrapping_mul(2_654_435_761) >> 7 & 1 == 1 { '1' } else { '0' };
    let digits: String = (0..100_000).map(digit).collect();
    Data::of(&format!(
        r#"{{"l": [{}], "t": "{}", "r": "{digits}"}}"#,
        list.join(","),
        "a".repeat(300_000)
    ))
}

fn class(source: &str, data: &Data) -> Option<ErrorClass> {
    let mut budget = Budget::default();
    let expression = match Expression::parse(source) {
        Ok(expression) => expression,
        Err(error) => return Some(error.class),
    };
    let value = expression.evaluate_within(data, &mut budget);
    assert!(budget.steps_left() <= STEPS_MAX && budget.bytes_left() <= MADE_BYTES_MAX);
    value.err().map(|error| error.class)
}

#[test]
fn long_and_deep_texts_are_refused_before_they_are_read() {
    let nested = |open: &str, close: &str, depth: usize| {
        format!("{}1{}", open.repeat(depth), close.repeat(depth))
    };
    let bombs = [
        vec!["1"; 100_000].join("+"),
        vec!["true"; 100_000].join("||"),
        nested("(", ")", 10_000),
        nested("[", "]", 10_000),
        nested("{1:", "}", 10_000),
        "!".repeat(1_000_000),
        nested("(", ")", 41),
        nested("[", "]", 25),
        nested("size(", ")", 25),
        nested("{1:", "}", 25),
        nested("[0][", "]", 25),
        format!("{}true", "!".repeat(NODES_MAX)),
        vec!["1"; 101].join("+"),
        format!("'{}'", "a".repeat(1_024)),
    ];
    for bomb in &bombs {
        let shown: String = bomb.chars().take(40).collect();
        assert_eq!(class(bomb, &Data::default()), Some(ErrorClass::Budget), "{shown}");
    }
}

#[test]
fn what_the_languages_definition_asks_for_fits() {
    let nested = |open: &str, close: &str, depth: usize| {
        format!("{}1{}", open.repeat(depth), close.repeat(depth))
    };
    let fit = [
        vec!["1"; 100].join("+"),
        vec!["false"; 32].join("||"),
        vec!["true"; 32].join("&&"),
        format!("{} 1", "true ? 1 : ".repeat(24)),
        nested("(", ")", 32),
        nested("[", "]", 24),
        format!("{}7{}", "int(".repeat(12), ")".repeat(12)),
        nested("{0:", "}", 12).replace("{0:", "{'a':"),
        format!("{}true", "!".repeat(32)),
        format!("[{}]", vec!["1"; 32].join(",")),
        format!("{}[0]{}", "[".repeat(12), "]".repeat(12)) + &"[0]".repeat(12),
    ];
    for source in &fit {
        assert_eq!(class(source, &Data::default()), None, "{source}");
    }
}

#[test]
fn long_work_is_cut_off() {
    let data = data();
    let ten = "[1,2,3,4,5,6,7,8,9,10]";
    for bomb in [
        "job.input.l.map(x, job.input.l.map(y, x * y))",
        "job.input.l.all(x, job.input.l.all(y, true))",
        "job.input.l.filter(x, job.input.l.exists(y, y == x + 20000))",
        "job.input.l.exists(x, x < 0) || true",
        "true && job.input.l.all(x, 1 / 0 == x)",
        "job.input.l.all(x, job.input == job.input)",
        "job.input.l.all(x, job.input.l == job.input.l)",
        "job.input.l.all(x, x + 20000 in job.input.l)",
        "job.input.l.all(x, !job.input.t.contains('b'))",
        "job.input.l.all(x, size(job.input.t) > x)",
        "job.input.l.all(x, job.input.t < job.input.t + 'a')",
        "job.input.l.exists(x, job.input.r.matches('1[01]{20}x'))",
        "job.input.r.matches('[01]*1[01]{200}$')",
        "job.input.r.matches('(0|1|.){1,400}x')",
        "job.input.t.matches('(a|a)*b')",
        "job.input.l.exists(x, 'a'.matches('(a?){30}a{30}' + string(x)))",
        "''.matches(job.input.t)",
        "''.matches('((' + 'a{90}){90}' + '){90}' + string(item))",
        &format!("{ten}.map(a, {ten}.map(b, {ten}.map(c, 1)))"),
    ] {
        assert_eq!(class(bomb, &data), Some(ErrorClass::Budget), "{bomb}");
    }
}

#[test]
fn large_values_are_not_made() {
    let data = data();
    let mut doubled = "'aaaaaaaaaaaaaaaa'".to_owned();
    for _ in 0..20 {
        doubled = format!("[{doubled}].map(x, x + x)[0]");
    }
    assert_eq!(class("[item].map(x, 'aaaaaaaa').map(x, [x, x, x, x])", &data), None);
    for bomb in [
        "job.input.t + job.input.t",
        "[job.input.t]",
        "{'a': job.input.t}",
        "job.input.l.map(x, job.input.r)",
        "job.input.l + job.input.l + job.input.l",
        "job.input.l.map(x, [x, x, x, x, x, x, x, x])",
        "json('[' + job.input.r + '1]')",
        "[1, 2, 3].map(x, job.input.r)",
        &doubled,
        &format!("[item].map(x, 'aaaaaaaa'){}", ".map(x, [x, x, x, x, x, x, x, x])".repeat(6)),
    ] {
        assert_eq!(class(bomb, &data), Some(ErrorClass::Budget), "{bomb}");
    }
}

#[test]
fn a_spent_budget_is_passed_over_by_nothing() {
    let data = data();
    for bomb in [
        "job.input.l.all(x, true && true && true) || true",
        "false && true || job.input.l.all(x, true && true && true) || true",
        "[1, 2].exists(y, y == 2 || job.input.l.all(x, true && true && true))",
        "(job.input.l.all(x, true && true && true) ? true : true) || true",
    ] {
        assert_eq!(class(bomb, &data), Some(ErrorClass::Budget), "{bomb}");
    }
}

#[test]
fn the_deepest_of_all_runs_on_a_small_stack() {
    let run = || {
        let sum = vec!["item"; 100].join("+");
        let conditions = format!("{}1", "true?1:".repeat(66));
        let signs = format!("{}item", "-".repeat(198));
        let brackets = format!("{}{}", "[".repeat(24), "]".repeat(24));
        let deep = format!("json('{}{}')", "[".repeat(120), "]".repeat(120));
        for source in [sum, conditions, signs, brackets, deep] {
            assert_eq!(class(&source, &Data::default()), None, "{source}");
        }
    };
    // A worker thread of the runtime has 2 MiB.
    let thread = std::thread::Builder::new().stack_size(1 << 20).spawn(run);
    assert!(thread.is_ok_and(|thread| thread.join().is_ok()));
}
