//! The room `event`.
