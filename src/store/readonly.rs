//! Read-only.
