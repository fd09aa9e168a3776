//! The items of a batch: at least one, at most so many, and no more of them is read.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use validator::{Validate, ValidationError, ValidationErrors};

use super::bounded;
use super::rules::broken;

/// One to `MAX` items.
#[derive(Debug)]
pub struct BatchItems<T, const MAX: usize>(pub Vec<T>);

impl<'de, T: Deserialize<'de>, const MAX: usize> Deserialize<'de> for BatchItems<T, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        bounded::list::<MAX, T, D>(deserializer).map(Self)
    }
}

impl<T, const MAX: usize> BatchItems<T, MAX> {
    /// The rule of `validator` about it.
    pub fn fits(&self) -> Result<(), ValidationError> {
        if (1..=MAX).contains(&self.0.len()) {
            return Ok(());
        }
        Err(broken("out_of_range", format!("must have 1 to {MAX} items")))
    }
}

/// `validator` keeps a copy of what it refuses; of a batch that is how many there are.
impl<T, const MAX: usize> Serialize for BatchItems<T, MAX> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.len().serialize(serializer)
    }
}

/// The rules of its items.
impl<T: Validate, const MAX: usize> Validate for BatchItems<T, MAX> {
    fn validate(&self) -> Result<(), ValidationErrors> {
        self.0.validate()
    }
}
