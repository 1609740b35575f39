//! What the columns of a table of rows are called, so that no two of them are called the same.

/// Stands before the path of a setting whose name is that of another column.
const SETTING: &str = "setting.";

/// The names of the settings' columns in a table with some fixed columns: their paths, as long as no other column has that name (`epochs` that
/// vary, beside the epochs that were trained: `setting.epochs`).
pub fn of_settings<'a>(paths: impl IntoIterator<Item = &'a str>, fixed: &[&str]) -> Vec<String> {
    let paths: Vec<&str> = paths.into_iter().collect();
    let mut names: Vec<String> = Vec::new();
    for path in &paths {
        let mut name = (*path).to_owned();
        while fixed.contains(&name.as_str())
            || names.contains(&name)
            || (name != *path && paths.contains(&name.as_str()))
        {
            name.insert_str(0, SETTING);
        }
        names.push(name);
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_columns_are_called_the_same() {
        let fixed = ["point", "seed", "epochs", "val_loss"];
        assert_eq!(of_settings(["lr", "augmentation.p"], &fixed), ["lr", "augmentation.p"], "as they were");
        assert_eq!(of_settings(["lr", "epochs", "val_loss"], &fixed), ["lr", "setting.epochs", "setting.val_loss"]);
        // Whatever the paths are.
        for paths in [["setting.seed", "seed", "setting.setting.seed"], ["seed", "setting.seed", "x"], ["x", "x", "x"]]
        {
            let names = of_settings(paths, &fixed);
            let mut all: Vec<&str> = names.iter().map(String::as_str).chain(fixed).collect();
            all.sort_unstable();
            all.dedup();
            assert_eq!(all.len(), names.len() + fixed.len(), "{names:?}");
        }
    }
}
