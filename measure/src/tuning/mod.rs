//! Finds the types that cost least: sensitivity of each group of tensors, then the best choice under a budget.
//!
//! ```text
//! each group at each type ─ measured alone ─▶ Sensitivity ─ choice ─▶ the best combinations ─ measured whole ─▶ Found
//! ```

mod choice;
mod groups;
mod resumed;
mod search;
mod trial;

pub use groups::Group;
pub use resumed::{ResumedTrial, TrialLine};
pub use search::{Budget, Found, Measured, Sensitivity, Trial, search, sensitivities};
pub use trial::{ModelTrial, recipe};
