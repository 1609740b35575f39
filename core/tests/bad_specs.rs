//! Bad sweep files: each with the reason, the key, the place and a word of the message that it must get.

use std::fmt::Write;

use sweep_core::plan::plan_text;
use sweep_core::spec::{MAX_BYTES, MAX_ERRORS, Reason, SpecError};

/// What stands above every snippet that does not bring its own head.
const HEAD: &str = "name = \"x\"\ndataset = \"d\"\n";

fn errors(text: &[u8]) -> Vec<SpecError> {
    plan_text(text).map(|(plan, _)| plan.len()).expect_err("the file is bad")
}

fn shown(errors: &[SpecError]) -> String {
    let mut text = String::new();
    for error in errors {
        writeln!(text, "  {} {error}", error.reason).expect("a string takes everything");
    }
    text
}

#[test]
fn every_bad_file_gets_its_error() {
    let mut wrong = String::new();
    let cases = include_str!("bad_specs.txt").split("\n=== ").skip(1);
    for case in cases {
        let (expected, rest) = case.split_once('\n').expect("a case has a file");
        let lines: Vec<&str> = rest.lines().filter(|line| !line.starts_with("# ")).collect();
        let text = lines.join("\n");
        let text = match text.strip_prefix('!') {
            Some(whole) => whole.to_owned(),
            None => format!("{HEAD}{text}"),
        };
        let parts: Vec<&str> = expected.splitn(4, " | ").collect();
        let [reason, key, place, part] = parts[..] else {
            panic!("{expected}: four parts");
        };
        let fits = |error: &SpecError| {
            error.reason.as_str() == reason
                && error.key.as_deref().unwrap_or("") == key
                && format!("{}:{}", error.line, error.column) == place
                && error.to_string().contains(part)
        };
        let found = plan_text(text.as_bytes()).err().unwrap_or_default();
        if found.len() != 1 || !fits(&found[0]) {
            let found = shown(&found);
            writeln!(wrong, "{text}\n  expected {expected}\n{found}").expect("a string");
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn a_zero_byte_is_a_syntax_error() {
    let found = errors(b"name = \"x\"\ndescription = \"\0\"\n");
    assert_eq!(found[0].reason, Reason::SpecSyntax);
    assert_eq!((found[0].line, found[0].column), (2, 16));
}

#[test]
fn all_errors_come_at_once_in_the_order_of_the_file() {
    let text = "name = \"a b\"\nlearning_rate = 1\nepochs = 0\n[grid]\nlr = [nan, 0.1, \"x\"]\nmodel = [\"vit\"]\n\
        [[zip]]\ndropout = []\n[[point]]\nbatch = 3\n[[exclude]]\nlr = true\n";
    let found: Vec<String> = (errors(text.as_bytes()).iter())
        .map(|error| format!("{} {}", error.line, error.key.as_deref().unwrap_or("")))
        .collect();
    let expected = [
        "1 name",
        "2 learning_rate",
        "3 epochs",
        "5 grid.lr[0]",
        "5 grid.lr[2]",
        "6 grid.model[0]",
        "8 zip[0].dropout",
        "10 point[0].batch",
        "12 exclude[0].lr",
        "0 dataset",
    ];
    assert_eq!(found, expected);
}

#[test]
fn several_syntax_errors_come_at_once() {
    let found = errors(b"name = \nlr = \"open\n[grid]\nepochs = [1,, 2]\n");
    assert!(found.len() >= 3, "{}", shown(&found));
    assert!(found.iter().all(|error| error.reason == Reason::SpecSyntax));
}

#[test]
fn what_is_too_large_is_refused_with_its_number() {
    let list = |count: usize| (0..count).map(|at| format!("{},", at + 1)).collect::<String>();
    let axes = |names: &[String], count: usize| -> String {
        names.iter().map(|name| format!("{name} = [{}]\n", list(count))).collect()
    };
    let four = ["lr", "epochs", "batch_size", "image_size"].map(str::to_owned);
    let many: Vec<String> = (0..1000).map(|at| format!("a{at}")).collect();
    let overflow: Vec<String> = (0..64).map(|at| format!("a{at}")).collect();
    let rows: String = (0..70_000).map(|_| "[[point]]\n").collect();
    for (body, reason, part) in [
        (
            format!("[grid]\n{}", axes(&four, 1000)),
            Reason::GridTooLarge,
            "1000000000000 trials (1000 x 1000 x 1000 x 1000",
        ),
        (format!("seeds = 2\n[grid]\n{}", axes(&four[..1], 6000)), Reason::GridTooLarge, ""),
        (format!("[grid]\n{}", axes(&overflow, 9)), Reason::GridTooLarge, "more than 2^128"),
        (format!("[grid]\n{}", axes(&many, 1)), Reason::TooManyParams, "1000 axes, the limit is 64"),
        (format!("[grid]\nepochs = [{}]", list(10_001)), Reason::ChoiceTooLarge, "10001 values"),
        (format!("seeds = 2\n{rows}"), Reason::GridTooLarge, "140000 trials"),
        (format!("description = \"{}\"", "x".repeat(5000)), Reason::ValueOutOfRange, "5000 bytes"),
        (format!("seeds = [{}]", list(10_001)), Reason::ChoiceTooLarge, "10001 seeds"),
        ("x".repeat(MAX_BYTES), Reason::SpecTooLarge, "the limit is 1048576"),
    ] {
        if part.is_empty() {
            let (plan, _) = plan_text(format!("{HEAD}{body}").as_bytes()).expect("just small enough");
            assert_eq!(plan.len(), 12_000);
            continue;
        }
        let found = errors(format!("{HEAD}{body}").as_bytes());
        let text = shown(&found[..found.len().min(3)]);
        assert!(found[0].reason == reason && text.contains(part), "{part}: {text}");
    }
}

#[test]
fn bytes_that_are_no_text_are_refused_with_their_place() {
    let found = errors(b"name = \"x\"\nlr = \xff\n");
    let error = &found[0];
    assert_eq!(error.reason, Reason::SpecNotUtf8);
    assert_eq!((error.line, error.column, error.span.clone()), (2, 6, Some(16..17)));
}

#[test]
fn messages_hold_nothing_that_a_terminal_obeys() {
    let text = "name = \"x\\u001b[31m\"\nmodel = \"\\u001b]0;\\u202e\"\n\"a\\u001bb\" = 1\ndesign = \"\\n\"\n\
        early_stop = { patience = 1, metric = \"\\u001b\" }\n";
    let long = format!("{} = 1\nlr.{} = 1\n", "k".repeat(100_000), "m".repeat(100_000));
    for error in errors(text.as_bytes()).into_iter().chain(errors(long.as_bytes())) {
        let shown = error.to_string();
        assert!(!shown.chars().any(|c| c.is_control() || c == '\u{202e}'), "{shown:?}");
        assert!(shown.len() < 1000, "{} bytes", shown.len());
    }
}

#[test]
fn depth_is_no_danger() {
    for text in [
        format!("lr = {}", "[".repeat(500_000)),
        format!("{}a = 1", "a.".repeat(400_000)),
        format!("lr = {}", "{a=".repeat(300_000)),
        format!("{}\n", "[[a]]\n[a.b]\n".repeat(50_000)),
    ] {
        assert!(!errors(text.as_bytes()).is_empty());
    }
}

#[test]
fn what_has_no_place_points_nowhere() {
    let found = errors(format!("name = \"x\"\n{} = 1\n", ["a"; 200].join(".")).as_bytes());
    assert_eq!((found[0].reason, found[0].line), (Reason::SpecSyntax, 0), "{}", shown(&found));
}

#[test]
fn a_name_that_means_nothing_here_gets_no_far_fetched_hint() {
    let found = errors(format!("{HEAD}\"データ\" = 1\n").as_bytes());
    assert_eq!(found[0].hint, None, "{}", shown(&found));
}

#[test]
fn a_file_full_of_errors_is_cut_short() {
    let text: String = (0..20_000).map(|at| format!("wrong{at} = 1\n")).collect();
    let found = errors(text.as_bytes());
    assert_eq!(found.len(), MAX_ERRORS + 1);
    assert_eq!(found.last().map(|error| error.reason), Some(Reason::TooManyErrors));
}
