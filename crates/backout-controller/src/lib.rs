//! Custom resources, their index and status, and leadership.
