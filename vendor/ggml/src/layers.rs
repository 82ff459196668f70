//! Operations that a decoder needs beside those of the encoder.

use crate::graph::{Arena, Node};
use crate::{Error, Result};
use ggml_sys as sys;
use std::ptr;

impl Arena {
    /// Root mean square normalisation of each row, without weight; `epsilon` is not negative.
    pub fn rms_norm<'a>(&'a self, a: Node<'a>, epsilon: f32) -> Result<Node<'a>> {
        self.need_f32("normalisation", a)?;
        if epsilon.is_nan() || epsilon < 0.0 {
            return Err(Error::new(format!("a normalisation with an epsilon of {epsilon}")));
        }
        let context = self.take(&a.dims())?;
        // SAFETY: room was taken; the node is f32 with contiguous rows.
        self.wrap(unsafe { sys::ggml_rms_norm(context, a.ptr(), epsilon) })
    }

    /// Rotary positions over whole heads, the first half of a head with its second: `[head, heads, rows]`, a position for
    /// each of the rows, and the base of the frequencies, which is more than 1.
    pub fn rope<'a>(&'a self, a: Node<'a>, positions: Node<'a>, base: f32) -> Result<Node<'a>> {
        self.need_f32("rotation", a)?;
        self.check("rotation", positions)?;
        let ([head, _, rows, planes], places) = (a.dims(), positions.dims());
        let is_sane = base.is_finite() && base > 1.0 && head.is_multiple_of(2) && planes == 1;
        if !is_sane || places != [rows, 1, 1, 1] || positions.kind() != sys::GGML_TYPE_I32 || !positions.is_plain() {
            return Err(Error::new(format!("a rotation of {:?} by positions {places:?}, base {base}", a.dims())));
        }
        let head = i32::try_from(head).map_err(|_| Error::new("a head beyond all bounds"))?;
        let context = self.take(&a.dims())?;
        let mode = sys::constants::GGML_ROPE_TYPE_NEOX as i32;
        // SAFETY: room was taken; one i32 position for each plane of `a`; even heads; no factors.
        self.wrap(unsafe {
            let (a, positions) = (a.ptr(), positions.ptr());
            sys::ggml_rope_ext(context, a, positions, ptr::null_mut(), head, mode, 0, base, 1.0, 0.0, 1.0, 0.0, 0.0)
        })
    }

    /// `silu(gate) * up`, value by value.
    pub fn swiglu<'a>(&'a self, gate: Node<'a>, up: Node<'a>) -> Result<Node<'a>> {
        self.need_f32("gate", gate)?;
        self.need_f32("gate", up)?;
        if gate.dims() != up.dims() {
            return Err(Error::new(format!("a gate of {:?} for {:?}", gate.dims(), up.dims())));
        }
        let context = self.take(&gate.dims())?;
        // SAFETY: room was taken; both are contiguous f32 of one shape.
        self.wrap(unsafe { sys::ggml_swiglu_split(context, gate.ptr(), up.ptr()) })
    }

    /// Some rows of `[width, rows]`: `[width, n]` for `n` indices, which must have been made with a bound of `rows` or less.
    pub fn rows<'a>(&'a self, a: Node<'a>, indices: Node<'a>) -> Result<Node<'a>> {
        self.need_f32("selection", a)?;
        self.check("selection", indices)?;
        let ([width, rows, ..], [count, ..]) = (a.dims(), indices.dims());
        let fits = a.dims() == [width, rows, 1, 1] && indices.dims() == [count, 1, 1, 1];
        let bound = self.bound(indices).ok_or_else(|| Error::new("a selection by what are no indices"))?;
        if !fits || bound > rows {
            return Err(Error::new(format!("a selection from {:?} by indices below {bound}", a.dims())));
        }
        let context = self.take(&[width, count])?;
        // SAFETY: room was taken; matrix and vector of one plane; values are checked against the bound before a run.
        self.wrap(unsafe { sys::ggml_get_rows(context, a.ptr(), indices.ptr()) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_shapes_and_types_are_errors_not_aborts() {
        let arena = Arena::new(32).expect("arena");
        let (a, b) = (arena.input(&[8, 2, 3]).expect("a"), arena.input(&[8, 3]).expect("b"));
        let (three, two) = (arena.indices(3, 100).expect("three"), arena.indices(2, 3).expect("two"));
        assert!(arena.rms_norm(a, -1.0).is_err());
        assert!(arena.rms_norm(three, 1e-6).is_err(), "whole numbers");
        assert!(arena.rope(a, two, 1e6).is_err(), "two positions for three rows");
        assert!(arena.rope(a, b, 1e6).is_err(), "positions that are not whole");
        assert!(arena.rope(a, three, f32::NAN).is_err());
        assert!(arena.rope(a, three, 1.0).is_err());
        assert!(arena.rope(arena.input(&[7, 2, 3]).expect("odd"), three, 1e6).is_err(), "an odd head");
        assert!(arena.swiglu(a, b).is_err());
        assert!(arena.rows(b, three).is_err(), "indices that may be too large");
        assert!(arena.rows(a, two).is_err(), "rows of planes");
        assert!(arena.rows(b, a).is_err(), "no indices");
        assert_eq!(arena.rows(b, two).expect("two rows").dims(), [8, 2, 1, 1]);
        assert_eq!(arena.rope(a, three, 1e6).expect("rotated").dims(), [8, 2, 3, 1]);
        let turned = arena.permute(a, [1, 0, 2, 3]).expect("a view");
        assert!(arena.rms_norm(turned, 1e-6).is_err());
        assert!(arena.swiglu(turned, turned).is_err());
        assert!(arena.indices(0, 4).is_err() && arena.indices(4, 0).is_err() && arena.indices(4, 1 << 40).is_err());
    }
}
