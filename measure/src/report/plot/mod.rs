//! Pictures as SVG, in the colours of the page that holds them, scaling with it.
//!
//! Every picture is `canvas::WIDTH` units wide with letters of a thirtieth of that, so that they are readable where
//! the page is as wide as a phone. Series differ by colour (Okabe and Ito's, which the colour-blind can distinguish), by
//! marker and by dashes. A value that cannot be drawn (not a number, infinite, or not above zero on a logarithmic axis)
//! is left out and the picture says how many were.

mod bars;
mod canvas;
mod frame;
mod legend;
mod lines;
mod scale;
mod scatter;
mod strip;

pub use bars::{Bar, bars};
pub use canvas::Svg;
pub use lines::{Series, lines};
pub use scale::Axis;
pub use scatter::{Point, scatter};
pub use strip::{Strip, strip};
