//! What evidence can look for, each form with something that shows it and a look-alike that does
//! not.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a panic here is a failed test")]

#[path = "../common/scene.rs"]
mod scene;
mod world;

mod boundary;
mod changes;
mod forms;
