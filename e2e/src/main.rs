//! A real cluster for tests, in a network namespace of its own.

fn main() {}
