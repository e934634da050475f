//! The simulator on the example project.

mod crashes;
mod determinism;
mod example;
mod matrix;
mod people;
