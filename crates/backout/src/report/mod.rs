//! Reports for other programs: one format, one file. What a report is made of has a file as well.

pub(crate) mod json;
pub(crate) mod junit;
pub(crate) mod markdown;
pub(crate) mod simulation;
pub(crate) mod sweep;
