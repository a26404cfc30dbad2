//! What the fuzz targets and the driver share. Build with `RUSTFLAGS='--cfg fuzzing'` (`cargo fuzz` does it by itself).

pub mod mend;
pub mod mutate;
pub mod store;
