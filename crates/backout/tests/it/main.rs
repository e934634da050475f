//! The program as its users meet it: arguments and files in, text and an exit code out.

mod broken;
mod chart;
mod live;
mod plan;
mod project;
mod reference;
mod simulate;
