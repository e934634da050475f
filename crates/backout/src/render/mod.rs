//! What people see: text with styles, from data.

pub(crate) mod diagnostic;
pub(crate) mod live;
pub(crate) mod matrix;
mod page;
pub(crate) mod plan;
pub(crate) mod sweep;
pub(crate) mod text;
pub(crate) mod timeline;
pub(crate) mod words;
