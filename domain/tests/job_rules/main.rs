//! The rules of a job held against a naive model (`orrery_model`): random graphs and trees, random options, random commands
//! (`walk`), what else must hold of each state (`moves`), named cases of graphs (`cases`, `table`, `explains`), of groups
//! (`groups`, `lists`, `tries`) and of flow (`branches`, `handled`, `cleanups`, `data`), and jobs at the bounds (`large`). No
//! clock and no chance but proptest's seed.

mod branches;
mod build;
mod cases;
mod cleanups;
mod data;
mod delays;
mod explains;
mod groups;
mod handed_on;
mod handled;
mod large;
mod lists;
mod live;
mod moves;
mod named;
mod repairs;
mod retries;
mod table;
mod trees;
mod tries;
mod walk;
