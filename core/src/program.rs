//! What a process of somebody else is called: the name of its program, and of the script that it runs. Everybody sees it, and what else
//! stands on a command line (paths, hosts, keys) is nobody else's business.

/// Longest name of a program or a script, characters.
const LONGEST: usize = 60;
/// Programs that run a script which says more than they do; digits and dots at their ends do not count.
const INTERPRETERS: [&str; 17] = [
    "python", "pypy", "bash", "sh", "dash", "zsh", "ksh", "fish", "perl", "ruby", "node", "nodejs", "julia", "Rscript",
    "lua", "luajit", "php",
];

/// Of the arguments of a process, its program first: `python train.py`.
pub fn name<'a>(arguments: impl IntoIterator<Item = &'a str>) -> String {
    let mut arguments = arguments.into_iter().filter(|argument| !argument.trim().is_empty());
    let program = arguments.next().map(|path| base(path.trim_start_matches('-'))).unwrap_or_default();
    let program = if program.is_empty() { "unknown".to_owned() } else { program };
    let bare = program.trim_end_matches(|letter: char| letter.is_ascii_digit() || letter == '.');
    if !INTERPRETERS.contains(&bare) {
        return program;
    }
    match script(arguments, matches!(bare, "python" | "pypy")) {
        Some(script) => format!("{program} {script}"),
        None => program,
    }
}

/// Of a command line whose arguments are not told apart any more. The name of a process stays what it is.
pub fn of_line(line: &str) -> String {
    name(line.split_whitespace())
}

/// The script that an interpreter runs. Where it is not plain which argument that is, there is none: `-c` has the text of a program.
fn script<'a>(mut arguments: impl Iterator<Item = &'a str>, is_python: bool) -> Option<String> {
    /// Python's options without a value, which may stand together.
    const FLAGS: &str = "bBdEhiIOPqsSuvx";
    loop {
        let argument = arguments.next()?;
        let option = match argument.strip_prefix('-') {
            None => {
                let script = base(argument);
                // What is no plain name may be something else than a file.
                let is_file = argument.ends_with(&script) && !script.is_empty();
                return Some(script).filter(|_| is_file);
            }
            Some(option) => option,
        };
        match option {
            _ if !is_python => return None,
            "m" => return arguments.next().map(base).filter(|module| !module.is_empty()),
            "W" | "X" => drop(arguments.next()),
            _ if !option.is_empty() && option.chars().all(|flag| FLAGS.contains(flag)) => {}
            _ => return None,
        }
    }
}

/// The last part of a path, up to what cannot be in a plain name.
fn base(path: &str) -> String {
    let last = path.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    let plain = |letter: &char| letter.is_alphanumeric() || matches!(letter, '.' | '_' | '-' | '+' | ':');
    last.chars().take_while(plain).take(LONGEST).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_its_program_and_its_script_and_nothing_else() {
        for (line, expected) in [
            ("/usr/bin/python3.11 /home/ann/secret/train.py --key hunter2", "python3.11 train.py"),
            ("python -u -OO train.py --name a", "python train.py"),
            ("python -W ignore -X dev train.py", "python train.py"),
            ("python -m torch.distributed.run --nproc 8 train.py", "python torch.distributed.run"),
            ("python -c import_os;connect('hunter2')", "python"),
            ("python --key hunter2 train.py", "python"),
            ("python KEY=hunter2 train.py", "python"),
            ("python", "python"),
            ("bash -c curl -u ann:hunter2 http://lab", "bash"),
            ("bash /srv/run.sh hunter2", "bash run.sh"),
            ("-bash", "bash"),
            ("node --require hunter2 x.js", "node"),
            ("/opt/blender/blender --token hunter2", "blender"),
            ("postgres: ann hunter2 10.0.0.1(4711) idle", "postgres:"),
            ("ray::train(key=hunter2)", "ray::train"),
            ("./a.out", "a.out"),
            ("?token=hunter2", "unknown"),
            ("", "unknown"),
            ("python ré.py", "python ré.py"),
        ] {
            let shown = of_line(line);
            assert_eq!(shown, expected, "{line}");
            assert_eq!(of_line(&shown), shown, "it stays what it is: {line}");
        }
        assert_eq!(name(["/usr/bin/python3", "my script.py", "x"]), "python3");
        assert_eq!(of_line(&"x".repeat(500)).len(), LONGEST);
    }
}
