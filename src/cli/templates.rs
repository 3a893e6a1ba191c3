//! `grayflag config --templates`: the templates of messages as files to start from.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use super::Failure;
use crate::notify::templates::BUILT_IN;

/// Writes every template into a folder and says so on `err`. A file that is there is somebody's
/// work, and stays.
pub(super) fn write(folder: &Path, err: &mut dyn Write) -> Result<(), Failure> {
    std::fs::create_dir_all(folder).map_err(|error| {
        Failure::could_not(format!("cannot make the folder `{}`: {error}", folder.display()))
    })?;
    for (name, source) in BUILT_IN {
        let path = folder.join(name);
        let shown = path.display();
        let written =
            File::create_new(&path).and_then(|mut file| file.write_all(source.as_bytes()));
        match written {
            Ok(()) => writeln!(err, "wrote {shown}")?,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                writeln!(err, "kept {shown}: it is there already")?;
            }
            Err(error) => {
                return Err(Failure::could_not(format!("cannot write `{shown}`: {error}")));
            }
        }
    }
    Ok(())
}
