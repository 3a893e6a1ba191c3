//! Numbers of blocks in half the memory, for what there are millions of.

use std::num::NonZeroI32;

/// A block's number and one, so that none takes no memory of its own.
pub type Number = NonZeroI32;

/// The number that stands for a block; none for the one before the first.
pub fn number(block: i64) -> Option<Number> {
    Number::new(narrow(block.saturating_add(1)))
}

/// The block that a number stands for.
pub fn block_of(number: Number) -> i64 {
    i64::from(number.get()) - 1
}

/// A block's number in half the memory: enough for twenty thousand years.
pub fn narrow(block: i64) -> i32 {
    i32::try_from(block).unwrap_or(i32::MAX)
}
