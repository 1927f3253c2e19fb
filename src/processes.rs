//! A command and all that it starts: one group of processes, which is ended together.

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

/// All processes of a command that did not leave its group: ended when this is dropped. The system gives their number to nobody else while one
/// of them lives, or has not been waited for.
#[derive(Debug)]
pub struct Group(Option<Pid>);

impl Group {
    /// That of a command which leads it, by its number.
    pub fn led_by(process: Option<u32>) -> Group {
        Group(process.and_then(|id| i32::try_from(id).ok()).map(Pid::from_raw))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // Nobody is left: that is well.
            let _ = killpg(group, Signal::SIGKILL);
        }
    }
}
