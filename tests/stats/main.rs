//! The maths against outside numbers, against chance, and against anything.
#![expect(clippy::unwrap_used, reason = "a panic here is a failed test")]

mod random;

mod reference;

mod profile;

mod alarms;

mod chance;

mod intervals;

mod properties;

mod exact;
