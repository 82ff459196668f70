//! A model over a manifest: a list of recordings with what is said in them. What is finished is never done twice.
