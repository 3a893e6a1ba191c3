//! What a replay is worth, measured against what really happened.
//!
//! [`Watch`] looks on while a replay runs and condenses it to a [`Record`]; [`Scorecard`] puts that
//! beside the [`Truth`]s of `incidents.toml`; [`Bounds`] say what it must at least be worth. All of
//! it is pure.

mod bounds;
mod compare;
mod incidents;
mod record;
mod score;
mod tune;

pub use bounds::{Bound, BoundError, Bounds};
pub use compare::{Alone, COMPARISON_SCHEMA, Changed, Comparison, Difference, SignalDifference};
pub use incidents::{INCIDENTS_MAX, Truth, keys, parse};
pub use record::{CASES_MAX, Case, Heard, LENGTH_ASSUMED, Record, SLACK, Sighting, Turn, Watch};
pub use score::{BudgetUse, Caught, Fate, Figures, SCHEMA, Scorecard, Scored, Spent, Tally};
pub use tune::{Change, Gain, Split, candidates};

#[cfg(test)]
mod tests;
