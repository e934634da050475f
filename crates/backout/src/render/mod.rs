//! What people see: text with styles, from data.

pub(crate) mod diagnostic;
#[cfg_attr(not(test), expect(dead_code, reason = "no command of this version shows it yet"))]
pub(crate) mod live;
pub(crate) mod matrix;
mod page;
pub(crate) mod plan;
pub(crate) mod sweep;
pub(crate) mod text;
pub(crate) mod timeline;
pub(crate) mod words;
