//! Which columns of every matrix matter: mean squares of what they multiply, collected while audio is transcribed.
