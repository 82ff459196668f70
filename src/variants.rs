//! One model in many types: quantized into a working folder when first asked for.
