//! What operators do with two values. Ints and doubles are compared on one line and never calculated with one another;
//! values of different types are unequal and have no order.
//! Always holds: an int that leaves 64 bits is an error, never another number.

use std::cmp::Ordering;
use std::sync::Arc;

use super::budget::Budget;
use super::error::{ErrorClass, Mistake};
use super::tree::Operator;
use super::value::{Key, VALUE_BYTES, Value};
use super::{numbers, times};

/// An operation on a value it does not take.
pub(super) fn wrong(name: &str, takes: &str, value: &Value) -> Mistake {
    Mistake::of_type(format!("{name} takes {takes}, not {}", value.type_name()))
}

/// The value of an operator other than `&&` and `||`, which do not look at both sides.
pub(super) fn apply(
    operator: Operator,
    left: &Value,
    right: &Value,
    budget: &mut Budget,
) -> Result<Value, Mistake> {
    let bool = |value: bool| Ok(Value::Bool(value));
    match operator {
        Operator::Equal => bool(equal(left, right, budget)?),
        Operator::NotEqual => bool(!equal(left, right, budget)?),
        Operator::Less => bool(order(operator, left, right, budget)?.is_some_and(Ordering::is_lt)),
        Operator::LessOrEqual => {
            bool(order(operator, left, right, budget)?.is_some_and(Ordering::is_le))
        }
        Operator::Greater => {
            bool(order(operator, left, right, budget)?.is_some_and(Ordering::is_gt))
        }
        Operator::GreaterOrEqual => {
            bool(order(operator, left, right, budget)?.is_some_and(Ordering::is_ge))
        }
        Operator::In => bool(is_in(left, right, budget)?),
        Operator::Add => add(left, right, budget),
        Operator::Subtract => subtract(left, right),
        Operator::Multiply | Operator::Divide | Operator::Remainder => {
            multiply(operator, left, right)
        }
        Operator::And | Operator::Or => Err(Mistake::of_type("&& and || take bools")),
    }
}

/// Whether two values are equal. Recursion is bounded by the nesting of values.
pub(super) fn equal(left: &Value, right: &Value, budget: &mut Budget) -> Result<bool, Mistake> {
    Ok(match (left, right) {
        (Value::Null, Value::Null) => true,
        (Value::Bool(left), Value::Bool(right)) => left == right,
        (Value::Int(_) | Value::Double(_), Value::Int(_) | Value::Double(_)) => {
            order_of_numbers(left, right) == Some(Ordering::Equal)
        }
        (Value::Text(left), Value::Text(right)) => {
            budget.read(left.len().min(right.len()))?;
            left == right
        }
        (Value::Timestamp(left), Value::Timestamp(right)) => left == right,
        (Value::Duration(left), Value::Duration(right)) => left == right,
        (Value::List(left), Value::List(right)) => {
            let (left, right) = (left.items(), right.items());
            if left.len() != right.len() {
                return Ok(false);
            }
            for (left, right) in left.iter().zip(right) {
                budget.step(1)?;
                if !equal(left, right, budget)? {
                    return Ok(false);
                }
            }
            true
        }
        (Value::Map(left), Value::Map(right)) => {
            if left.entries().len() != right.entries().len() {
                return Ok(false);
            }
            // Both are sorted, so equal keys stand at equal places.
            for ((left_key, left), (right_key, right)) in left.entries().iter().zip(right.entries())
            {
                budget.step(1)?;
                if left_key != right_key || !equal(left, right, budget)? {
                    return Ok(false);
                }
            }
            true
        }
        _ => false,
    })
}

fn order_of_numbers(left: &Value, right: &Value) -> Option<Ordering> {
    match (left, right) {
        (Value::Int(left), Value::Int(right)) => Some(left.cmp(right)),
        (Value::Double(left), Value::Double(right)) => left.partial_cmp(right),
        (Value::Int(left), Value::Double(right)) => numbers::compare(*left, *right),
        (Value::Double(left), Value::Int(right)) => {
            numbers::compare(*right, *left).map(Ordering::reverse)
        }
        _ => None,
    }
}

/// The order of two values; none beside what is not a number.
fn order(
    operator: Operator,
    left: &Value,
    right: &Value,
    budget: &mut Budget,
) -> Result<Option<Ordering>, Mistake> {
    match (left, right) {
        (Value::Int(_) | Value::Double(_), Value::Int(_) | Value::Double(_)) => {
            Ok(order_of_numbers(left, right))
        }
        (Value::Bool(left), Value::Bool(right)) => Ok(Some(left.cmp(right))),
        (Value::Text(left), Value::Text(right)) => {
            budget.read(left.len().min(right.len()))?;
            Ok(Some(left.cmp(right)))
        }
        (Value::Timestamp(left), Value::Timestamp(right)) => Ok(Some(left.cmp(right))),
        (Value::Duration(left), Value::Duration(right)) => Ok(Some(left.cmp(right))),
        _ => Err(mismatch(
            operator,
            left,
            right,
            "takes two numbers, strings, bools, timestamps or durations",
        )),
    }
}

fn mismatch(operator: Operator, left: &Value, right: &Value, takes: &str) -> Mistake {
    let (left, right) = (left.type_name(), right.type_name());
    Mistake::of_type(format!("{} {takes}, not {left} and {right}", operator.as_str()))
}

fn is_in(item: &Value, of: &Value, budget: &mut Budget) -> Result<bool, Mistake> {
    match of {
        Value::List(list) => {
            for own in list.items() {
                budget.step(1)?;
                if equal(item, own, budget)? {
                    return Ok(true);
                }
            }
            Ok(false)
        }
        Value::Map(map) => Ok(key_of(item)?.is_some_and(|key| map.get(&key).is_some())),
        Value::Null
        | Value::Bool(_)
        | Value::Int(_)
        | Value::Double(_)
        | Value::Text(_)
        | Value::Timestamp(_)
        | Value::Duration(_) => Err(wrong("in", "a list or a map on its right", of)),
    }
}

fn add(left: &Value, right: &Value, budget: &mut Budget) -> Result<Value, Mistake> {
    match (left, right) {
        (Value::Int(left), Value::Int(right)) => int(left.checked_add(*right)),
        (Value::Double(left), Value::Double(right)) => Ok(Value::Double(left + right)),
        (Value::Text(left), Value::Text(right)) => {
            budget.make(VALUE_BYTES + left.len() + right.len())?;
            budget.read(left.len() + right.len())?;
            Ok(Value::Text(Arc::from([&**left, &**right].concat())))
        }
        (Value::List(first), Value::List(second)) => {
            budget.make(left.bytes() + right.bytes())?;
            let items = [first.items(), second.items()];
            budget.copy(items[0].len() + items[1].len())?;
            Ok(Value::list(items.concat()))
        }
        (Value::Timestamp(at), Value::Duration(nanos))
        | (Value::Duration(nanos), Value::Timestamp(at)) => {
            times::moved(*at, *nanos, false).map(Value::Timestamp)
        }
        (Value::Duration(left), Value::Duration(right)) => {
            times::sum(*left, *right, false).map(Value::Duration)
        }
        _ => Err(no_arithmetic(Operator::Add, left, right)),
    }
}

fn subtract(left: &Value, right: &Value) -> Result<Value, Mistake> {
    match (left, right) {
        (Value::Int(left), Value::Int(right)) => int(left.checked_sub(*right)),
        (Value::Double(left), Value::Double(right)) => Ok(Value::Double(left - right)),
        (Value::Timestamp(left), Value::Timestamp(right)) => {
            times::between(*left, *right).map(Value::Duration)
        }
        (Value::Timestamp(at), Value::Duration(nanos)) => {
            times::moved(*at, *nanos, true).map(Value::Timestamp)
        }
        (Value::Duration(left), Value::Duration(right)) => {
            times::sum(*left, *right, true).map(Value::Duration)
        }
        _ => Err(no_arithmetic(Operator::Subtract, left, right)),
    }
}

/// Products, quotients and remainders: of numbers only.
fn multiply(operator: Operator, left: &Value, right: &Value) -> Result<Value, Mistake> {
    match (left, right) {
        (Value::Int(left), Value::Int(right)) if operator == Operator::Multiply => {
            int(left.checked_mul(*right))
        }
        (Value::Int(_), Value::Int(0)) => {
            Err(Mistake::new(ErrorClass::DivisionByZero, "an int is divided by zero"))
        }
        (Value::Int(left), Value::Int(right)) if operator == Operator::Divide => {
            int(left.checked_div(*right))
        }
        (Value::Int(left), Value::Int(right)) => int(left.checked_rem(*right)),
        (Value::Double(left), Value::Double(right)) if operator == Operator::Multiply => {
            Ok(Value::Double(left * right))
        }
        (Value::Double(left), Value::Double(right)) if operator == Operator::Divide => {
            Ok(Value::Double(left / right))
        }
        _ => Err(no_arithmetic(operator, left, right)),
    }
}

/// The negative of a number.
pub(super) fn negative(of: &Value) -> Result<Value, Mistake> {
    match of {
        Value::Int(of) => int(of.checked_neg()),
        Value::Double(of) => Ok(Value::Double(-of)),
        Value::Null
        | Value::Bool(_)
        | Value::Text(_)
        | Value::List(_)
        | Value::Map(_)
        | Value::Timestamp(_)
        | Value::Duration(_) => Err(wrong("-", "an int or a double", of)),
    }
}

fn int(value: Option<i64>) -> Result<Value, Mistake> {
    value.map(Value::Int).ok_or_else(|| Mistake::overflow("the int is beyond 64 bits"))
}

fn no_arithmetic(operator: Operator, left: &Value, right: &Value) -> Mistake {
    let takes = if operator == Operator::Add {
        "takes two ints, doubles, strings, lists or durations, or a timestamp and a duration"
    } else if operator == Operator::Subtract {
        "takes two ints, doubles, timestamps or durations, or a timestamp and a duration"
    } else if operator == Operator::Remainder {
        "takes two ints"
    } else {
        "takes two ints or two doubles"
    };
    let mut mistake = mismatch(operator, left, right, takes);
    let hint = match (left, right) {
        (Value::Int(_), Value::Double(_)) | (Value::Double(_), Value::Int(_)) => {
            Some("; write double(x) around the int")
        }
        (Value::Text(_), Value::Int(_) | Value::Double(_) | Value::Bool(_))
        | (Value::Int(_) | Value::Double(_) | Value::Bool(_), Value::Text(_))
            if operator == Operator::Add =>
        {
            Some("; write string(x) around the other")
        }
        _ => None,
    };
    if let Some(hint) = hint {
        mistake.message.to_mut().push_str(hint);
    }
    mistake
}

/// The value of `of[key]`.
pub(super) fn index(of: &Value, key: &Value) -> Result<Value, Mistake> {
    match of {
        Value::List(list) => {
            let place = match key {
                Value::Int(place) => Some(*place),
                Value::Double(place) => numbers::whole(*place),
                Value::Null
                | Value::Bool(_)
                | Value::Text(_)
                | Value::List(_)
                | Value::Map(_)
                | Value::Timestamp(_)
                | Value::Duration(_) => return Err(wrong("the place in a list", "an int", key)),
            };
            let found = place.and_then(|place| list.items().get(usize::try_from(place).ok()?));
            found.cloned().ok_or_else(|| {
                let length = list.items().len();
                Mistake::new(
                    ErrorClass::Index,
                    format!(
                        "the list has {length} items, and none at this place; the first one is 0"
                    ),
                )
            })
        }
        Value::Map(map) => {
            key_of(key)?.and_then(|key| map.get(&key)).cloned().ok_or_else(no_such_key)
        }
        Value::Null
        | Value::Bool(_)
        | Value::Int(_)
        | Value::Double(_)
        | Value::Text(_)
        | Value::Timestamp(_)
        | Value::Duration(_) => Err(wrong("[]", "a list or a map", of)),
    }
}

/// The value as a key to look for; none where it is a double that no key is equal to.
fn key_of(value: &Value) -> Result<Option<Key>, Mistake> {
    let key = Key::of(value);
    if key.is_none() && !matches!(value, Value::Double(_)) {
        return Err(wrong("the key of a map", "a string, an int or a bool", value));
    }
    Ok(key)
}

fn no_such_key() -> Mistake {
    Mistake::new(
        ErrorClass::NoSuchKey,
        "the map has no such key; has(x.name) and \"name\" in x ask first",
    )
}

/// The value of `of.name`.
pub(super) fn select(of: &Value, name: &str) -> Result<Value, Mistake> {
    match field(of, name)? {
        Some(value) => Ok(value.clone()),
        None => Err(Mistake::new(
            ErrorClass::NoSuchKey,
            format!("the map has no key `{name}`; has(x.{name}) asks first"),
        )),
    }
}

/// The value under a name, if the map has it; what is no map has no names to ask for.
pub(super) fn field<'v>(of: &'v Value, name: &str) -> Result<Option<&'v Value>, Mistake> {
    match of {
        Value::Map(map) => Ok(map.field(name)),
        Value::Null
        | Value::Bool(_)
        | Value::Int(_)
        | Value::Double(_)
        | Value::Text(_)
        | Value::List(_)
        | Value::Timestamp(_)
        | Value::Duration(_) => {
            Err(Mistake::of_type(format!("`.{name}` takes a map, not {}", of.type_name())))
        }
    }
}
