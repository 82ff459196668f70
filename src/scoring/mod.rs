//! How far a text is from the truth: normalising, aligning, counting, and how sure one can be of a count.
