//! Tables and feeds of the operator → [`Intel`].

use super::{ConfigError, alike, files, plain, text_of};
use crate::intel::{Feeds, Intel, Tables};
use std::path::Path;

/// The shipped intelligence, with the tables of `folder` in place of shipped ones of the same name and every file in its
/// `feeds` folder as a feed. A folder that is not there and a table that nobody reads, or that cannot be replaced,
/// are errors: whoever named them counts on them.
pub(crate) fn intel(folder: Option<&Path>) -> Result<Intel, Box<ConfigError>> {
    let tables = tables(folder)?;
    let mut feeds = Feeds::default();
    if let Some(folder) = folder {
        if !folder.is_dir() {
            return Err(plain(folder, "no such folder".to_owned()));
        }
        let known: Vec<&str> = tables.names().collect();
        for path in files(folder)? {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let is_table = path.extension().is_some_and(|kind| kind == "csv" || kind == "dat");
            if let Some((_, shipped)) = COMPILED_IN.iter().find(|(compiled, _)| *compiled == name) {
                as_shipped(&path, shipped)?;
            } else if is_table && !known.contains(&name) {
                let meant = alike(name, &known).map_or_else(
                    || "own feeds belong in the folder feeds".to_owned(),
                    |known| format!("perhaps {known} is meant"),
                );
                return Err(plain(&path, format!("no table is called so; {meant}")));
            }
        }
        for path in files(&folder.join("feeds"))? {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            feeds.add(&name, &text_of(&path)?).map_err(|wrong| plain(&path, wrong.to_string()))?;
        }
    }
    Intel::new(&tables, feeds).map_err(|(name, wrong)| {
        plain(&folder.map_or_else(|| name.into(), |folder| folder.join(name)), wrong.to_string())
    })
}

/// The shipped tables, with those of `folder` in place of shipped ones of the same name.
pub(crate) fn tables(folder: Option<&Path>) -> Result<Tables, Box<ConfigError>> {
    let mut tables = Tables::shipped();
    let Some(folder) = folder else { return Ok(tables) };
    let names: Vec<_> = tables.names().collect();
    for name in names {
        let path = folder.join(name);
        if path.is_file() {
            tables.replace(name, text_of(&path)?);
        }
    }
    Ok(tables)
}

/// Shipped tables that only a new version replaces, with their texts; a copy of the shipped folder has them.
///
/// Names of operations and shells go into facts as words of the program, written by parsers that carry no configuration,
/// and destination classes are the closed set of a metric's label: none of them may change under a running sensor.
const COMPILED_IN: &[(&str, &str)] = &[
    ("dcerpc_operations.csv", include_str!("../../rules/intel/dcerpc_operations.csv")),
    ("destination_classes.csv", include_str!("../../rules/intel/destination_classes.csv")),
    ("remote_exec_artifacts.csv", include_str!("../../rules/intel/remote_exec_artifacts.csv")),
];

/// A copy of a compiled-in table changes nothing and is right; one that differs would be ignored, and is an error that says
/// where it begins to.
fn as_shipped(path: &Path, shipped: &str) -> Result<(), Box<ConfigError>> {
    let text = text_of(path)?;
    let (mut ours, mut theirs) = (shipped.lines(), text.lines());
    for line in 1_u64.. {
        match (ours.next(), theirs.next()) {
            (None, None) => break,
            (ours, theirs) if ours == theirs => {}
            _ => {
                return Err(plain(
                    path,
                    format!(
                        "line {line}: it differs from the table of this program, which is compiled in and cannot be \
                         replaced (rules/intel/README.md); take the file out of the folder"
                    ),
                ));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn what_is_named_and_not_read_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let says = |path: &Path| intel(Some(path)).unwrap_err().to_string();
        assert!(says(&folder.path().join("none")).contains("no such folder"));
        assert!(intel(Some(folder.path())).is_ok(), "an empty one changes nothing");
        for (name, said) in [
            ("cloud_range.csv", "perhaps cloud_ranges.csv is meant"),
            ("urlhaus.csv", "own feeds belong in the folder feeds"),
        ] {
            let path = folder.path().join(name);
            fs::write(&path, "x").unwrap();
            assert!(says(folder.path()).contains(said), "{name}: {}", says(folder.path()));
            fs::remove_file(path).unwrap();
        }
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("rules/intel");
        for path in files(&shipped).unwrap() {
            fs::copy(&path, folder.path().join(path.file_name().unwrap())).unwrap();
        }
        assert!(intel(Some(folder.path())).is_ok(), "a copy of the shipped folder, notes and all, is right");
        for (name, shipped) in COMPILED_IN {
            let path = folder.path().join(name);
            let rows: Vec<&str> = shipped.lines().collect();
            for (what, text, line) in [
                ("a row more", format!("{shipped}a,b,c,d\n"), rows.len() + 1),
                ("a row less", rows[..rows.len() - 1].join("\n"), rows.len()),
                ("another value", shipped.replacen(rows[2], "changed", 1), 3),
            ] {
                fs::write(&path, text).unwrap();
                let said = says(folder.path());
                assert!(said.contains(&format!("line {line}: ")) && said.contains("compiled in"), "{what}: {said}");
                assert!(said.contains(name), "{what}: {said}");
            }
            fs::write(&path, shipped).unwrap();
        }
        assert!(intel(Some(folder.path())).is_ok());
    }
}
