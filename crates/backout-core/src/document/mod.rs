//! Strict reading of one YAML or JSON document, with the place of every field.
//!
//! The document must be one mapping in UTF-8. Tags, merge keys, directives, duplicate keys and
//! unknown fields are problems, because each of them can hide what a policy really says.

mod field_path;
mod limits;
mod location;
mod nearest;
mod problem;
mod read;
mod source;
mod source_map;
mod stream;
mod syntax;
mod text;
mod translate;
mod walk;

pub use field_path::{FieldPath, FieldPathError, Segment};
pub use limits::Limits;
pub use location::Location;
pub use nearest::nearest;
pub use problem::{Problem, Unreadable};
pub use read::{Document, read};
pub use source::Source;
pub use source_map::SourceMap;
pub use stream::read_stream;
