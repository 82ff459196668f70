//! Finds the types that cost least: sensitivity of each group of tensors, then the best choice under a budget.
