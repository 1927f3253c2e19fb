//! Writes what fuzzing begins with to `<directory>/<target>/`.

use std::path::Path;
use std::{env, fs};

fn main() {
    let directory = env::args().nth(1).expect("usage: seeds <directory>");
    for (target, _) in steerdns_fuzz::TARGETS {
        let directory = Path::new(&directory).join(target);
        fs::create_dir_all(&directory).expect("the directory can be made");
        for (number, seed) in steerdns_fuzz::seeds(target).into_iter().enumerate() {
            fs::write(directory.join(format!("seed-{number}")), seed).expect("the directory can be written");
        }
    }
}
