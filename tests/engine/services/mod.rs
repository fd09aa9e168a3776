//! Services: the life that all of them share, and each real one started and stopped from many sides.

mod lifecycle;
mod stress;
