//! The live sensor on real packet sockets: a veth pair in a network namespace of its own, our own sender at one end, the
//! program at the other. Where namespaces cannot be made, each test says that it was skipped, and why.

#[cfg(test)]
mod crowd;
#[cfg(test)]
mod equality;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod injected;
#[cfg(test)]
mod killed;
#[cfg(test)]
mod lag;
#[cfg(test)]
mod overload;
#[cfg(test)]
mod reload;
#[cfg(test)]
mod rights;
#[cfg(test)]
mod soak;
#[cfg(test)]
mod troubles;
#[cfg(test)]
mod veth;
#[cfg(test)]
mod watch;
