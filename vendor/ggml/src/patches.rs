//! What a convolution multiplies by its kernel, copied out of images whose channels lie side by side.
//!
//! ggml's own `im2col` wants images with time fastest: it copies value by value, and each result must be turned before it is
//! the next image. With channels fastest a patch is a few whole pixels, and the result of a product is the next image.

use crate::custom::{Operation, Share, Source, Target};
use crate::graph::{Arena, Node};
use crate::{Error, Result};
use std::ops::Range;

/// A square convolution: its kernel is `kernel` pixels wide and high, it moves by `stride` pixels, and around the image
/// there are `padding` pixels of 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Convolution {
    /// Pixels of the kernel in either direction.
    pub kernel: usize,
    /// Pixels from one patch to the next.
    pub stride: usize,
    /// Pixels of 0 on each side.
    pub padding: usize,
}

impl Convolution {
    /// How many patches fit side by side into this number of pixels; `None` where none does.
    pub fn places(self, pixels: usize) -> Option<usize> {
        let padded = self.padding.checked_mul(2)?.checked_add(pixels)?;
        padded.checked_sub(self.kernel.max(1))?.checked_div(self.stride)?.checked_add(1)
    }
}

/// Rows of patches out of an image that is the operands one below the other.
struct Patches {
    shape: Convolution,
    channels: usize,
    width: usize,
    /// Patches side by side.
    across: usize,
    rows: Range<usize>,
}

impl Patches {
    /// The row of pixels at this height.
    fn row<'a>(&self, sources: &[Source<'a>], mut height: usize) -> &'a [f32] {
        let row = self.width * self.channels;
        for source in sources {
            let rows = source.f32().len() / row;
            if height < rows {
                return &source.f32()[height * row..][..row];
            }
            height -= rows;
        }
        &[]
    }
}

impl Operation for Patches {
    fn compute(&self, sources: &[Source<'_>], result: &Target<'_>, share: Share) {
        let Convolution { kernel, stride, padding } = self.shape;
        let line = kernel * self.channels;
        let places = share.range(self.rows.len() * self.across, 1);
        let patch = kernel * line;
        // SAFETY: the patches of two shares do not overlap.
        let to = unsafe { result.part(places.start * patch..places.end * patch) };
        for (to, place) in to.chunks_exact_mut(patch).zip(places) {
            let (down, across) = (self.rows.start + place / self.across, place % self.across);
            // The part of the kernel's width that is inside the image.
            let left = across * stride;
            let inside =
                padding.saturating_sub(left).min(kernel)..(self.width + padding).saturating_sub(left).min(kernel);
            for (to, row) in to.chunks_exact_mut(line).zip(down * stride..) {
                // Beyond the last row there is none, which is empty.
                let pixels = row.checked_sub(padding).map_or(&[][..], |row| self.row(sources, row));
                if pixels.is_empty() || inside.is_empty() {
                    to.fill(0.0);
                    continue;
                }
                let (start, end) = (inside.start * self.channels, inside.end * self.channels);
                let from = (left + inside.start - padding) * self.channels;
                to[..start].fill(0.0);
                to[start..end].copy_from_slice(&pixels[from..from + end - start]);
                to[end..].fill(0.0);
            }
        }
    }
}

impl Arena {
    /// What a convolution multiplies by its kernel, of those of its rows that `rows` names: `[k*k*channels, across, rows]`,
    /// channels fastest, then the kernel's width, then its height. The image is the operands one below the other, up to
    /// eight, each `[channels, width, height]` with heights of their own.
    pub fn patches<'a>(&'a self, images: &[Node<'a>], shape: Convolution, rows: Range<usize>) -> Result<Node<'a>> {
        let dims: Vec<_> = images.iter().map(Node::dims).collect();
        let wrong = || Error::new(format!("patches {rows:?} of {shape:?} in {dims:?}"));
        for image in images {
            self.need_f32("convolution", *image)?;
        }
        let [channels, width, ..] = *dims.first().ok_or_else(wrong)?;
        if dims.iter().any(|image| image[..2] != [channels, width] || image[3] != 1) {
            return Err(wrong());
        }
        let height = dims.iter().map(|image| image[2]).sum();
        let across = shape.places(width).ok_or_else(wrong)?;
        let down = shape.places(height).ok_or_else(wrong)?;
        let patch = shape.kernel.checked_mul(shape.kernel).and_then(|pixels| pixels.checked_mul(channels));
        let patch = patch.filter(|patch| *patch > 0).ok_or_else(wrong)?;
        if rows.is_empty() || rows.end > down {
            return Err(wrong());
        }
        let result = [patch, across, rows.len(), 1];
        self.custom(Box::new(Patches { shape, channels, width, across, rows }), result, images)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Backend;
    use crate::graph::Executor;

    #[test]
    fn patches_are_the_pixels_under_the_kernel() {
        for (kernel, stride, padding) in [(3, 2, 1), (3, 1, 0), (1, 1, 0), (2, 3, 2), (5, 2, 3), (3, 2, 5)] {
            for (channels, width, heights) in [(3, 7, &[4, 1, 3][..]), (1, 1, &[1]), (16, 5, &[6])] {
                let shape = Convolution { kernel, stride, padding };
                let height: usize = heights.iter().sum();
                let values: Vec<f32> = (1..=channels * width * height).map(|at| at as f32).collect();
                let (Some(across), Some(down)) = (shape.places(width), shape.places(height)) else { continue };
                let rows = down / 2..down;
                let arena = Arena::new(8).expect("arena");
                let images: Vec<_> =
                    heights.iter().map(|height| arena.input(&[channels, width, *height]).expect("image")).collect();
                let mut rest = &values[..];
                let inputs: Vec<_> =
                    images.iter().map(|image| (*image, rest.split_off(..image.len()).unwrap())).collect();
                let patches = arena.patches(&images, shape, rows.clone()).expect("patches");
                assert_eq!(patches.dims(), [kernel * kernel * channels, across, rows.len(), 1]);
                let mut executor = Executor::new(Backend::cpu(2).expect("a CPU")).expect("an executor");
                let mut found = executor.run(&arena, &inputs, patches).expect("runs").into_iter();
                let inside = |at: usize, end: usize| at.checked_sub(padding).filter(|at| *at < end);
                for (down, across) in rows.flat_map(|down| (0..across).map(move |across| (down, across))) {
                    for (up, left) in (0..kernel).flat_map(|up| (0..kernel).map(move |left| (up, left))) {
                        let (y, x) = (inside(down * stride + up, height), inside(across * stride + left, width));
                        for channel in 0..channels {
                            let expected = y.zip(x).map_or(0.0, |(y, x)| values[(y * width + x) * channels + channel]);
                            assert_eq!(found.next(), Some(expected), "{shape:?} {down} {across} {up} {left}");
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn patches_that_are_not_there() {
        let arena = Arena::new(32).expect("arena");
        let image = arena.input(&[4, 8, 6]).expect("an image");
        let shape = Convolution { kernel: 3, stride: 2, padding: 1 };
        assert_eq!(arena.patches(&[image], shape, 0..3).expect("all rows").dims(), [36, 4, 3, 1]);
        let refused = |images: &[Node<'_>], shape: Convolution, rows: Range<usize>| {
            assert!(arena.patches(images, shape, rows.clone()).is_err(), "{shape:?} {rows:?}");
        };
        refused(&[], shape, 0..3);
        refused(&[image], shape, 0..4);
        refused(&[image], shape, 1..1);
        refused(&[image], shape, usize::MAX - 1..usize::MAX);
        for (kernel, stride, padding) in [
            (3, 0, 1),
            (0, 2, 1),
            (11, 2, 1),
            (usize::MAX, 1, 0),
            (3, 2, usize::MAX),
            (3, 2, usize::MAX / 2),
            (1 << 33, 2, 1 << 33),
        ] {
            refused(&[image], Convolution { kernel, stride, padding }, 0..1);
        }
        for dims in [&[4, 9, 6][..], &[3, 8, 6], &[4, 8, 6, 2]] {
            let other = arena.input(dims).expect("an image");
            refused(&[image, other], shape, 0..3);
        }
        refused(&[image; 9], shape, 0..3);
        let turned = arena.permute(image, [1, 0, 2, 3]).expect("a view");
        refused(&[turned], shape, 0..3);
        let foreign = Arena::new(2).expect("another");
        refused(&[foreign.input(&[4, 8, 6]).expect("an image")], shape, 0..3);
    }
}
