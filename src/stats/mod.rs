//! The maths: pure functions and small states over numbers, each with its formula and source.
//!
//! Throughout, a *block* is five minutes, a *slot* is a block's place in the wall-clock week
//! (Monday 00:00 is 0), NaN in a slice marks a missing block, and `None` means "cannot say".

pub mod robust;

pub mod packed;
pub mod profile;
pub mod scale;

pub mod alone;
pub mod ewma;
pub mod grain;
pub mod hours;

pub mod count;

pub mod combine;

pub mod exact;

pub mod tail;

pub mod block;
pub mod onset;

pub mod skew;

pub mod trend;

pub mod climb;
pub mod knee;

pub mod surprise;
