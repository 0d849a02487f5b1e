//! One test binary; each module is a chapter.

#[cfg(test)]
mod architecture;
#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod real;
#[cfg(test)]
mod packets;
#[cfg(test)]
mod shipped;
#[cfg(test)]
mod support;
#[cfg(test)]
mod synth;
