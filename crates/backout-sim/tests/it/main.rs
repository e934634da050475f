//! The simulator on the example project.

mod crashes;
mod determinism;
mod example;
mod external;
mod matrix;
mod people;
mod replay;
