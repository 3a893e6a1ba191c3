//! grayflag sees the weak signals before an incident, names the probable cause, and hands over
//! the next steps.
//!
//! Data flows one way: source → baseline → detect → correlate → diagnose → notify. The engine in
//! the middle is pure: time and data in, decisions out. ARCHITECTURE.md draws the house.

// The modules in the order in which they depend on each other.
pub mod format;
pub mod problem;
pub mod selector;
pub mod series;
pub mod time;

pub mod hours;
pub mod html;

pub mod stats;

pub mod rules;

pub mod engine;

pub mod matcher;
pub mod scorecard;

pub mod changes;
pub mod store;

pub mod lab;
pub mod notify;
pub mod source;
pub mod telemetry;

pub mod course;
pub mod coverage;
pub mod discover;
pub mod replay;

pub mod http;

pub mod config;

pub mod retro;
pub mod rule_test;

pub mod schema;

pub mod daemon;

pub mod cli;
pub mod clock;
