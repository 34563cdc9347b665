//! The room `options`.
