//! Residuals become evidence: per series, and per service.

pub mod absence;
pub mod apart;
pub mod budget;
pub mod creep;
pub mod drift;
pub mod statistic;
