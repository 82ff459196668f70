//! Pages and pictures: self-contained HTML, readable without a network and on a phone.
