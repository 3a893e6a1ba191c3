//! Messages and their delivery, against a real mail server and a real HTTP server.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a panic here is a failed test")]

mod mail;
mod messages;
mod routing;
#[path = "../common/smtp.rs"]
mod smtp;
mod support;
mod web;
