//! The table of kinds, and what is made of it: the enums that hold a subject of any kind, and `each_kind!`, which does
//! the same with each. A match in here is made by a row, so a new kind is in all of them.

use domain::ids::SubjectKind;
use serde::{Deserialize, Serialize};

use super::Kind;

/// Makes the enums of the rows `Kind(name) = State`: the kind's variant, the word for it in names of methods, and the
/// type that says what kind it is, by its whole path: `each_kind!` names it elsewhere.
macro_rules! kinds {
    ($($(#[$when:meta])* $Kind:ident($name:ident) = $State:ty;)*) => {
        /// A subject's state.
        #[derive(Debug, Clone, PartialEq)]
        pub enum Entity {
            $($(#[$when])* $Kind(Box<$State>),)*
        }

        /// A subject's event.
        #[derive(Debug, Clone)]
        pub enum EntityEvent {
            $($(#[$when])* $Kind(Box<<$State as Kind>::Event>),)*
        }

        /// A command to a subject.
        #[derive(Debug, Clone, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum Command {
            $($(#[$when])* $Kind(<$State as Kind>::Command),)*
        }

        /// What a subject was before some events.
        #[derive(Debug)]
        pub enum EntityUndo {
            /// It did not exist.
            Absent,
            $($(#[$when])* $Kind(<$State as Kind>::Undo),)*
        }

        /// A subject as its driver shows it.
        #[derive(Debug, Clone, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum Shown {
            $($(#[$when])* $Kind(Box<<$State as Kind>::Shown>),)*
        }

        // What only one kind has is asked for by its name.
        impl Entity {
            $($(#[$when])* pub fn $name(&self) -> Option<&$State> {
                if let Self::$Kind(state) = self { Some(state) } else { None }
            })*
        }

        impl EntityEvent {
            $($(#[$when])* pub fn $name(&self) -> Option<&<$State as Kind>::Event> {
                if let Self::$Kind(event) = self { Some(event) } else { None }
            })*
        }

        impl Command {
            $($(#[$when])* pub fn $name(&self) -> Option<&<$State as Kind>::Command> {
                if let Self::$Kind(command) = self { Some(command) } else { None }
            })*
        }

        $($(#[$when])* impl From<<$State as Kind>::Command> for Command {
            fn from(command: <$State as Kind>::Command) -> Self {
                Self::$Kind(command)
            }
        })*

        $($(#[$when])* impl InTable for $State {
            const KIND: SubjectKind = SubjectKind::$Kind;

            fn entity(state: Box<Self>) -> Entity {
                Entity::$Kind(state)
            }

            fn event(event: Box<Self::Event>) -> EntityEvent {
                EntityEvent::$Kind(event)
            }

            fn empty_undo() -> EntityUndo {
                EntityUndo::$Kind(<Self as Kind>::Undo::default())
            }

            fn shows(shown: Self::Shown) -> Shown {
                Shown::$Kind(Box::new(shown))
            }

            fn of_entity(entity: &Entity) -> Option<&Self> {
                entity.$name()
            }

            fn of_event(event: &EntityEvent) -> Option<&Self::Event> {
                event.$name()
            }

            fn of_undo(undo: &mut EntityUndo) -> Option<&mut Self::Undo> {
                if let EntityUndo::$Kind(undo) = undo { Some(undo) } else { None }
            }

            fn from_undo(undo: EntityUndo) -> Option<Self::Undo> {
                if let EntityUndo::$Kind(undo) = undo { Some(undo) } else { None }
            }

            fn from_entity(entity: Entity) -> Option<Self> {
                if let Entity::$Kind(state) = entity { Some(*state) } else { None }
            }

            fn from_shown(shown: Shown) -> Option<Self::Shown> {
                if let Shown::$Kind(shown) = shown { Some(*shown) } else { None }
            }
        })*

        /// Does the same with what an enum of the table holds, whatever kind that is; `K` is the kind's type there. What is
        /// asked of it names its trait, or a method of the type with the same name would be taken for it.
        macro_rules! each_kind {
            (SubjectKind, $value:expr, $K:ident => $do:expr) => {
                match $value {
                    $($(#[$when])* SubjectKind::$Kind => {
                        type $K = $State;
                        $do
                    })*
                }
            };
            ($Enum:ident, $value:expr, $K:ident, $held:ident => $do:expr) => {
                match $value {
                    $($(#[$when])* $Enum::$Kind($held) => {
                        type $K = $State;
                        $do
                    })*
                }
            };
        }
    };
}

/// A kind that has a row in the table: its way into the enums and out of them.
pub trait InTable: Kind {
    const KIND: SubjectKind;

    fn entity(state: Box<Self>) -> Entity;
    fn event(event: Box<Self::Event>) -> EntityEvent;
    fn empty_undo() -> EntityUndo;
    fn shows(shown: Self::Shown) -> Shown;

    fn of_entity(entity: &Entity) -> Option<&Self>;
    fn of_event(event: &EntityEvent) -> Option<&Self::Event>;
    fn of_undo(undo: &mut EntityUndo) -> Option<&mut Self::Undo>;

    fn from_undo(undo: EntityUndo) -> Option<Self::Undo>;
    fn from_entity(entity: Entity) -> Option<Self>;
    fn from_shown(shown: Shown) -> Option<Self::Shown>;
}

kinds! {
    Job(job) = domain::job::state::JobState;
    Environment(environment) = domain::environment::state::EnvironmentState;
    Catalog(catalog) = domain::catalog::state::CatalogState;
    #[cfg(feature = "proof")]
    Tally(tally) = domain::tally::state::TallyState;
}
