//! Messages to people and machines: from an alert in the outbox to a receiver that has it.

pub mod routes;

pub mod view;

pub mod message;
pub mod text;

pub mod email;
pub mod error;
pub mod receiver;
pub mod webhook;

pub mod delivery;
pub mod handle;
pub mod status;
