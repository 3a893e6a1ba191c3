//! Messages and their delivery, against a real mail server and a real HTTP server.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a panic here is a failed test")]

mod alertmanager;
mod browser;
mod charts;
#[expect(dead_code, reason = "shared")]
#[path = "../common/mod.rs"]
mod common;
mod digest;
mod mail;
mod messages;
mod routing;
mod secrets;
mod services;
#[path = "../common/smtp.rs"]
mod smtp;
mod support;
mod told_once;
mod trouble;
mod updates;
mod web;
