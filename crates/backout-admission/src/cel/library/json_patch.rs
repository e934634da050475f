//! `jsonpatch.escapeKey`, which writes a key as a part of a JSON pointer (RFC 6901).

use cel::common::types::CelString;
use cel::{DeclarationError, Env, add_overload};

pub(super) fn register(env: &mut Env) -> Result<(), DeclarationError> {
    add_overload!(env, fn escape_key: (CelString) -> CelString, name = "jsonpatch.escapeKey")
}

fn escape_key(key: &CelString<'_>) -> CelString<'static> {
    CelString::from(key.inner().replace('~', "~0").replace('/', "~1"))
}

#[cfg(test)]
mod tests {
    use crate::cel::tests::holds;

    #[test]
    fn slashes_and_tildes_are_written_otherwise() {
        assert!(holds("jsonpatch.escapeKey('k8s.io/my~label') == 'k8s.io~1my~0label'"));
    }
}
