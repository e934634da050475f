//! The adapters behind the engine: they observe and perform, and never decide.
