//! The libraries: one library, one file. Their behaviour is what
//! <https://kubernetes.io/docs/reference/using-api/cel/#cel-options-language-features-and-libraries>
//! documents.

mod cidr;
mod format;
mod ip;
mod json_patch;
mod lists;
pub(super) mod optional;
mod quantity;
mod regex;
mod semver;
mod sets;
mod two_variables;
mod url;

use cel::{DeclarationError, Env, ExecutionError, extensions};

/// Makes a Rust type a value of the language that only functions look into. Its values are equal
/// when Rust says so.
macro_rules! opaque {
    ($type:ident, $name:literal) => {
        impl ::cel::common::value::Val for $type {
            fn get_type(&self) -> &::cel::common::types::Type {
                <Self as ::cel::common::value::Val>::cel_type()
            }

            fn cel_type() -> &'static ::cel::common::types::Type {
                static TYPE: ::cel::common::types::Type =
                    ::cel::common::types::Type::new_unspecified_type($name);
                &TYPE
            }

            fn equals(&self, other: &dyn ::cel::common::value::Val) -> bool {
                other.downcast_ref::<$type>().is_some_and(|other| other == self)
            }

            fn clone_as_boxed<'v>(&self) -> Box<dyn ::cel::common::value::Val + 'v> {
                Box::new(self.clone())
            }

            fn as_any(&self) -> Option<&dyn std::any::Any> {
                Some(self)
            }
        }

        impl ::cel::common::value::StaticVal for $type {}
    };
}
use opaque;

/// Declares every library.
pub(super) fn register(env: &mut Env) -> Result<(), DeclarationError> {
    env.add_extension(extensions::strings)?;
    env.add_extension(extensions::lists)?;
    env.add_extension(extensions::math)?;
    env.add_extension(extensions::encoders)?;
    optional::register(env)?;
    two_variables::register(env)?;
    regex::register(env)?;
    lists::register(env)?;
    sets::register(env)?;
    quantity::register(env)?;
    ip::register(env)?;
    cidr::register(env)?;
    url::register(env)?;
    semver::register(env)?;
    format::register(env)?;
    json_patch::register(env)
}

/// An error of a function.
fn failed(function: &str, message: impl Into<String>) -> ExecutionError {
    ExecutionError::FunctionError { function: function.to_owned(), message: message.into() }
}
