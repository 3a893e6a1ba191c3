//! Residuals become evidence: per series, and per service.

pub mod absence;
pub mod budget;
pub mod drift;
pub mod statistic;
