//! Messages to people and machines: from an alert in the outbox to a receiver that has it.

pub mod routes;

mod subject;
pub mod view;

pub mod chart;

pub mod digest;
pub mod digest_view;
pub mod sample;
pub mod templates;

pub mod message;
pub mod text;

pub mod alertmanager;
mod chat;
pub mod discord;
pub mod email;
pub mod error;
pub mod heartbeat;
pub mod opsgenie;
pub mod pagerduty;
mod patience;
pub mod post;
pub mod receiver;
pub mod slack;
pub mod teams;
pub mod telegram;
pub mod webhook;

pub mod delivery;
pub mod handle;
pub mod pace;
pub mod status;
mod worker;
