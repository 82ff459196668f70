//! What quantization costs, at five depths, each naming what the next only notices: blocks, tensors, embeddings, logits,
//! transcripts.
