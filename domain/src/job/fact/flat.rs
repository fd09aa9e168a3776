//! An enum of enums in JSON as if it were one: the name of the innermost variant alone says which it is, so that stored
//! events do not change when facts are sorted anew.
//! Always holds: reading costs one more look at the name, and copies nothing.

use std::fmt;

use serde::de::value::EnumAccessDeserializer;
use serde::de::{self, DeserializeSeed, Deserializer, EnumAccess, IntoDeserializer as _, Visitor};
use serde::{Deserialize, forward_to_deserialize_any};

/// The names of an enum's variants, as its derived `Deserialize` knows them.
pub(super) fn names_of<'de, T: Deserialize<'de>>() -> &'static [&'static str] {
    T::deserialize(AskForNames).err().map_or(&[], |Names(names)| names)
}

/// Reads the inner enum whose variant has this name, which has been read already.
pub(super) fn read_named<'de, T, A>(name: &'static str, variant: A) -> Result<T, A::Error>
where
    T: Deserialize<'de>,
    A: de::VariantAccess<'de>,
{
    T::deserialize(EnumAccessDeserializer::new(NameRead { name, variant }))
}

/// Reads the name of a variant: the first list that has it, and the name itself.
pub(super) struct NameIn<'a>(pub(super) &'a [&'static [&'static str]]);

impl<'de> DeserializeSeed<'de> for NameIn<'_> {
    type Value = (usize, &'static str);

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_identifier(self)
    }
}

impl Visitor<'_> for NameIn<'_> {
    type Value = (usize, &'static str);

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a fact")
    }

    fn visit_str<E: de::Error>(self, name: &str) -> Result<Self::Value, E> {
        let found = self.0.iter().enumerate().find_map(|(list, names)| {
            names.iter().find(|known| **known == name).map(|known| (list, *known))
        });
        found.ok_or_else(|| E::custom(format_args!("no fact has the name `{name}`")))
    }
}

struct NameRead<A> {
    name: &'static str,
    variant: A,
}

impl<'de, A: de::VariantAccess<'de>> EnumAccess<'de> for NameRead<A> {
    type Error = A::Error;
    type Variant = A;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, A), A::Error> {
        let name: de::value::StrDeserializer<'_, A::Error> = self.name.into_deserializer();
        Ok((seed.deserialize(name)?, self.variant))
    }
}

/// A deserializer that holds nothing and only hears which variants are asked for.
struct AskForNames;

#[derive(Debug)]
struct Names(&'static [&'static str]);

impl fmt::Display for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("only the names were asked for")
    }
}

impl std::error::Error for Names {}

impl de::Error for Names {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self(&[])
    }
}

impl<'de> Deserializer<'de> for AskForNames {
    type Error = Names;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Names> {
        Err(Names(&[]))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Names> {
        Err(Names(variants))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}
