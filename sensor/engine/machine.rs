//! The machine the sensor runs on.

/// Its name, for receivers that hear several sensors. Asked of the kernel: the unit hides `/proc/sys`.
pub(crate) fn host_name() -> String {
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    if name.is_empty() { "yukue".to_owned() } else { name }
}
