//! What the system says when it has no file left to open. Nothing is wrong then with what is stored or asked, and the
//! next try may have one, so nobody may end for it.

use std::io;

use rustix::io::Errno;

/// Whether there was no file left, for this process or for the whole machine.
pub fn is_out_of_files(error: &io::Error) -> bool {
    let lacking = [Errno::MFILE, Errno::NFILE].map(|errno| Some(errno.raw_os_error()));
    lacking.contains(&error.raw_os_error())
}
