//! The `grayflag` command.

fn main() {}
