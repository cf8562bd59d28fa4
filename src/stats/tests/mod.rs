//! Golden values of `NumPy` and `SciPy`, properties, and what is not defined.

mod descriptive;
mod golden;
mod properties;
mod robust;
mod undefined;
