//! What people see of releases in a cluster.

pub(crate) mod again;
pub(crate) mod explain;
pub(crate) mod quarantine;
pub(crate) mod rollback;
pub(crate) mod status;
mod table;
#[cfg(test)]
mod testing;
mod times;
