//! A data folder with damaged files: the check finds it or refuses it, and never panics. ORRERY_FUZZ_FOLDER is a sound
//! folder that each run damages a copy of: five bytes of input are a place (four) and what is written there.
#![no_main]

use std::fs;
use std::path::{Path, PathBuf};

use libfuzzer_sys::fuzz_target;
use orrery::app::keeping;

fn copy(from: &Path, to: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(from).expect("the sound folder");
    let files = entries.map(|entry| entry.expect("an entry").path()).filter(|path| path.is_file());
    let mut copied: Vec<PathBuf> = files
        .map(|path| {
            let name = path.file_name().expect("a name");
            fs::copy(&path, to.join(name)).expect("a copy");
            to.join(name)
        })
        .collect();
    copied.sort();
    copied
}

fuzz_target!(|data: &[u8]| {
    let sound = PathBuf::from(std::env::var_os("ORRERY_FUZZ_FOLDER").expect("ORRERY_FUZZ_FOLDER"));
    let folder = tempfile::tempdir().expect("a folder");
    let files = copy(&sound, folder.path());
    for change in data.chunks_exact(5) {
        let place = u32::from_le_bytes([change[0], change[1], change[2], change[3]]) as usize;
        let file = &files[place % files.len()];
        let mut bytes = fs::read(file).expect("a file");
        if !bytes.is_empty() {
            let at = (place / files.len()) % bytes.len();
            bytes[at] ^= change[4];
            fs::write(file, bytes).expect("a file");
        }
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let _ = runtime.block_on(keeping::check(folder.path(), &mut |_, _| {}));
});
