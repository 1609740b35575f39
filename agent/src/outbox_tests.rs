//! What may be sent when, and what answers do.

use super::*;
use sweep_core::attempt::{Done, Failed, Started, StopCause, Stopped};
use sweep_core::num::Num;

fn line(body: Body) -> Line {
    Line { work: 0, body }
}

fn epoch(seq: u64) -> Line {
    line(Body::Epoch(EpochMetrics::uniform(seq, seq as u32, Num(seq as f64))))
}

fn checkpoint(kind: CheckpointKind, epoch: u32) -> CheckpointLine {
    let file = match kind {
        CheckpointKind::Last => format!("last-{epoch}.safetensors"),
        CheckpointKind::Best => format!("best-{epoch}.safetensors"),
    };
    CheckpointLine { kind, epoch, seq: epoch.into(), file, bytes: 1, sha256: format!("{epoch:064x}") }
}

fn last(epoch: u32) -> CheckpointLine {
    checkpoint(CheckpointKind::Last, epoch)
}

fn best(epoch: u32) -> CheckpointLine {
    checkpoint(CheckpointKind::Best, epoch)
}

fn done(final_seq: u64) -> Line {
    line(Body::Done(Done { final_seq, early: false, weights: "w".into(), test: None }))
}

/// An outbox that has seen so many epochs, with the words of what it would send.
#[derive(Default)]
struct Case(Outbox);

impl Case {
    fn with(lines: impl IntoIterator<Item = Line>) -> Self {
        let mut case = Self::default();
        case.push(lines);
        case
    }

    fn push(&mut self, lines: impl IntoIterator<Item = Line>) {
        for line in lines {
            assert!(self.0.push(line).unwrap().is_none());
        }
    }

    fn keep(&mut self, line_: CheckpointLine) {
        self.push([line(Body::Checkpoint(line_))]);
    }

    fn words(&mut self) -> String {
        let words = self.0.take().into_iter().map(|(what, _)| match what {
            EffectKind::Chosen(numerics) => numerics.precision.name().to_owned(),
            EffectKind::Started(origin) => origin.build,
            EffectKind::Metrics(epochs) => format!("{}..{}", epochs[0].seq, epochs[epochs.len() - 1].seq),
            EffectKind::Checkpoint(checkpoint) => format!("{:?}{}", checkpoint.kind, checkpoint.epoch),
            EffectKind::Ended { final_seq, how } => match how {
                Ending::Done { .. } => format!("done{final_seq}"),
                Ending::Stopped => format!("stopped{final_seq}"),
                Ending::Failed(failure) => format!("{}{final_seq}", failure.reason),
            },
        });
        words.collect::<Vec<_>>().join(" ")
    }

    /// Sends everything and has it accepted.
    fn accept(&mut self) -> Step {
        let mut step = Step::On;
        for (what, sent) in self.0.take() {
            let acked_seq = match what {
                EffectKind::Metrics(epochs) => epochs[epochs.len() - 1].seq,
                _ => self.0.acked,
            };
            step = self.0.answer(&sent, EffectResult::Accepted { acked_seq });
        }
        step
    }

    fn store(&mut self, line: &CheckpointLine) {
        self.0.uploaded(line, Uploaded::Stored);
    }
}

#[test]
fn a_trial_of_one_epoch_is_one_report() {
    let mut case = Case::with([epoch(1), done(1)]);
    assert_eq!(case.words(), "1..1", "the end waits until the process is gone");
    case.0.finish(|| Ending::Stopped);
    assert_eq!(case.words(), "1..1 done1");
    assert_eq!(case.words(), "1..1 done1", "until it is answered it is sent again");
    assert_eq!(case.accept(), Step::Finished);
}

#[test]
fn a_lost_answer_a_gap_and_a_rewind_lose_nothing() {
    let mut case = Case::with((1..=5).map(epoch));
    let sent = Sent::Metrics;
    assert_eq!(case.0.answer(&sent, EffectResult::Accepted { acked_seq: 3 }), Step::On);
    assert_eq!(case.words(), "4..5");
    assert_eq!(case.0.answer(&sent, EffectResult::Gap { acked_seq: 1 }), Step::On);
    assert_eq!(case.words(), "2..5");
    assert_eq!(case.0.answer(&sent, EffectResult::Gap { acked_seq: 1 }), Step::Stuck);
    case.0.resume_from(0);
    assert_eq!(case.words(), "1..5");
    assert_eq!(case.0.answer(&sent, EffectResult::Fenced), Step::Fenced);
}

#[test]
fn checkpoints_wait_for_their_bytes_and_the_newest_for_the_best_before_it() {
    let mut case = Case::with([epoch(1)]);
    case.keep(best(1));
    case.keep(last(1));
    assert_eq!(case.0.take_uploads(), [best(1), last(1)]);
    assert_eq!(case.0.take_uploads(), []);
    case.store(&last(1));
    assert_eq!(case.words(), "1..1");
    case.push([epoch(2)]);
    assert_eq!(case.words(), "1..2", "epochs do not wait for uploads");
    case.store(&best(1));
    assert_eq!(case.words(), "1..2 Best1 Last1");
    assert_eq!(case.accept(), Step::On);
    assert!(!case.0.is_ready());
}

#[test]
fn what_a_newer_one_has_replaced_is_left_out_together_with_what_needs_it() {
    let mut case = Case::with((1..=3).map(epoch));
    case.keep(best(1));
    case.keep(last(1));
    case.keep(last(2));
    case.keep(best(3));
    case.keep(last(3));
    assert_eq!(case.0.take_uploads(), [best(3), last(3)]);
}

#[test]
fn a_newest_state_on_its_way_is_not_committed_without_its_best() {
    let mut case = Case::with((1..=3).map(epoch));
    case.keep(best(1));
    case.keep(last(1));
    assert_eq!(case.0.take_uploads().len(), 2);
    case.0.uploaded(&best(1), Uploaded::Lost);
    case.keep(best(2));
    case.store(&last(1));
    assert_eq!(case.words(), "1..3");
    assert_eq!(case.0.take_uploads(), [best(2)]);
    case.keep(last(3));
    case.store(&best(2));
    assert_eq!(case.words(), "1..3 Best2");
    assert_eq!(case.0.take_uploads(), [last(3)]);
    case.store(&last(3));
    assert_eq!(case.words(), "1..3 Best2 Last3");
}

#[test]
fn an_upload_that_fails_while_newer_ones_wait_gives_way_to_them() {
    let mut case = Case::with((1..=2).map(epoch));
    case.keep(best(1));
    case.keep(last(1));
    case.0.take_uploads();
    case.keep(best(2));
    case.keep(last(2));
    case.0.uploaded(&best(1), Uploaded::Later);
    case.0.uploaded(&last(1), Uploaded::Stored);
    assert_eq!(case.words(), "1..2");
    assert_eq!(case.0.take_uploads(), [best(2), last(2)]);
    case.store(&last(2));
    case.store(&best(2));
    assert_eq!(case.words(), "1..2 Best2 Last2");
}

/// Taken inside the epoch after `epoch`.
fn inside(epoch: u32, batch: u32) -> CheckpointLine {
    CheckpointLine {
        file: format!("last-{epoch}-{batch}.safetensors"),
        sha256: format!("{:064x}", 1000 * epoch + batch),
        ..last(epoch)
    }
}

#[test]
fn checkpoints_inside_an_epoch_follow_each_other() {
    let mut case = Case::default();
    case.keep(inside(0, 5));
    assert_eq!(case.0.take_uploads(), [inside(0, 5)]);
    case.keep(inside(0, 10));
    case.keep(inside(0, 15));
    // The one on its way fails, its file is gone: a newer one of the same epoch takes its place.
    case.0.uploaded(&inside(0, 5), Uploaded::Lost);
    assert_eq!(case.0.take_uploads(), [inside(0, 15)]);
    case.push([epoch(1)]);
    case.keep(last(1));
    assert_eq!(case.0.take_uploads(), [last(1)]);
    case.store(&last(1));
    assert_eq!(case.words(), "1..1 Last1");
    case.accept();
    // What comes late is not offered any more.
    case.store(&inside(0, 15));
    case.push([done(1)]);
    case.0.finish(|| Ending::Stopped);
    assert_eq!(case.words(), "done1");
}

#[test]
fn the_end_waits_for_room_and_a_lost_checkpoint_is_no_success() {
    let mut case = Case::with([epoch(1)]);
    case.keep(last(1));
    case.push([done(1)]);
    case.0.finish(|| Ending::Stopped);
    case.0.take_uploads();
    assert_eq!(case.words(), "1..1");
    case.0.uploaded(&last(1), Uploaded::Later);
    assert_eq!(case.words(), "1..1", "no room yet");
    assert_eq!(case.0.take_uploads(), [last(1)]);
    case.0.uploaded(&last(1), Uploaded::Lost);
    assert_eq!(case.words(), "1..1 checkpoint_lost1");

    let mut case = Case::with([epoch(1)]);
    case.keep(last(1));
    case.push([line(Body::Stopped(Stopped { final_seq: 1, why: StopCause::Asked }))]);
    case.0.finish(|| Ending::Stopped);
    case.0.take_uploads();
    case.0.uploaded(&last(1), Uploaded::Lost);
    assert_eq!(case.words(), "1..1 stopped1");
}

#[test]
fn lines_that_make_no_sense_are_named() {
    let check = |lines: Vec<Line>, what: &str| {
        let mut outbox = Outbox::default();
        let problem = lines.into_iter().find_map(|line| outbox.push(line).err()).unwrap();
        assert_eq!((problem.class, problem.reason.as_str()), (FailureClass::Host, "events_corrupt"));
        assert!(problem.message.contains(what), "{}", problem.message);
    };
    check(vec![epoch(2)], "epoch line 2 where 1 was due");
    check(vec![epoch(1), epoch(1)], "epoch line 1 where 2 was due");
    check(vec![done(1)], "counts 1 epochs, there are 0");
    check(vec![done(0), epoch(1)], "after the final one");
    check(vec![line(Body::Checkpoint(last(1)))], "ahead of its epochs");
    check(vec![Line { work: 1, ..epoch(1) }], "other work");
}

#[test]
fn a_file_that_is_behind_the_coordinator_fails_the_attempt() {
    let mut case = Case::with([epoch(1)]);
    case.0.resume_from(3);
    case.0.finish(|| Ending::Stopped);
    assert_eq!(case.words(), "events_corrupt3");
}

#[test]
fn many_epochs_go_in_pieces() {
    let count = EPOCHS_AT_ONCE as u64 + 1;
    let mut case = Case::with((1..=count).map(epoch));
    let failed = Failed { final_seq: count, class: FailureClass::Data, reason: "r".into(), message: "m".into() };
    case.push([line(Body::Failed(failed))]);
    case.0.finish(|| Ending::Stopped);
    assert_eq!(case.words(), "1..5000");
    case.accept();
    assert_eq!(case.words(), "5001..5001 r5001");
}

#[test]
fn what_was_chosen_goes_first_and_until_it_is_known() {
    let mut bench = Case::default();
    let numerics = Numerics { precision: sweep_core::recipe::Precision::Bf16, ..Numerics::PLAIN };
    bench.push([line(Body::Chosen(numerics)), epoch(1)]);
    assert_eq!(bench.words(), "bf16 1..1");
    assert_eq!(bench.0.answer(&Sent::Metrics, EffectResult::Accepted { acked_seq: 1 }), Step::On);
    assert!(bench.0.is_ready());
    assert_eq!(bench.words(), "bf16");
    assert_eq!(bench.accept(), Step::On);
    assert!(!bench.0.is_ready());
}

#[test]
fn what_trains_goes_along_with_the_first_report_and_asks_for_none() {
    let started = Started {
        protocol: 1,
        build: "trainer".into(),
        engine: None,
        hardware: None,
        train_images: 1,
        val_images: 1,
        classes: 2,
        parameters: 3,
        data: "d".into(),
    };
    let mut case = Case::with([line(Body::Started(started))]);
    assert!(!case.0.is_ready());
    case.push([epoch(1)]);
    assert!(case.0.is_ready());
    assert_eq!(case.words(), "trainer 1..1");
    assert_eq!(case.accept(), Step::On);
    assert!(!case.0.is_ready());
    case.push([epoch(2)]);
    assert_eq!(case.words(), "2..2");
}

#[test]
fn a_trainer_that_waits_with_a_lost_checkpoint_fails_and_comes_back() {
    let lost = |case: &mut Case, line: &CheckpointLine| case.0.uploaded(line, Uploaded::Lost);
    // Before the rung another checkpoint follows, and after it nobody waits for this one.
    let mut case = Case::with([epoch(1), epoch(2)]);
    case.keep(last(2));
    lost(&mut case, &last(2));
    assert!(!case.0.strand(3));
    case.push([epoch(3)]);
    assert!(!case.0.strand(3), "its checkpoint is still to come");
    case.keep(last(3));
    assert!(!case.0.strand(3), "it may still be stored");
    lost(&mut case, &last(3));
    assert!(case.0.strand(3));
    assert_eq!(case.accept(), Step::On);
    case.push([line(Body::Stopped(Stopped { final_seq: 3, why: StopCause::Asked }))]);
    assert!(!case.0.strand(3), "it is leaving");
    case.0.finish(|| Ending::Stopped);
    assert_eq!(case.words(), "checkpoint_lost3");
    // The newest state never comes before the best one, so that it waits as well.
    let mut case = Case::with([epoch(1)]);
    case.keep(best(1));
    case.keep(last(1));
    case.store(&last(1));
    lost(&mut case, &best(1));
    assert!(case.0.strand(1));
}

/// The end of the journal was lost, and with it what was acknowledged: it is in nobody's hands unless it is said again.
#[test]
fn what_was_acknowledged_is_offered_again_after_a_hello() {
    let numerics = Numerics { precision: sweep_core::recipe::Precision::Bf16, ..Numerics::PLAIN };
    let mut case = Case::with([line(Body::Chosen(numerics)), epoch(1)]);
    let keep = |case: &mut Case, lines: &[CheckpointLine]| {
        for one in lines {
            case.keep(one.clone());
            case.0.take_uploads();
            case.store(one);
            case.accept();
        }
    };
    keep(&mut case, &[best(1), last(1)]);
    case.push([epoch(2)]);
    keep(&mut case, &[last(2)]);
    assert!(!case.0.is_ready());
    // Epochs are counted; whether a checkpoint is still known cannot be told from their number.
    for acked in [2, 0] {
        case.0.resume_from(acked);
        let epochs = if acked == 0 { " 1..2" } else { "" };
        assert_eq!(case.words(), format!("bf16{epochs} Best1 Last2"));
        assert_eq!(case.accept(), Step::On);
        assert!(!case.0.is_ready(), "once is enough");
    }
    // In the order of the trainer, also among those that nobody has acknowledged yet.
    case.push([epoch(3)]);
    case.keep(best(3));
    case.0.take_uploads();
    case.store(&best(3));
    case.accept();
    case.keep(last(3));
    case.0.resume_from(0);
    case.0.resume_from(0);
    assert_eq!(case.words(), "bf16 1..3 Best1 Last2 Best3");
    // The store has lost them as well: what a newer one replaces need not come back.
    for lost in [best(1), last(2), best(3)] {
        case.0.uploaded(&lost, Uploaded::Later);
    }
    assert_eq!(case.0.take_uploads(), [best(3), last(3)]);
    case.store(&best(3));
    case.store(&last(3));
    case.push([done(3)]);
    case.0.finish(|| Ending::Stopped);
    assert_eq!(case.words(), "bf16 1..3 Best3 Last3 done3");
    // Without its best state no trial is done.
    case.0.answer(&Sent::Metrics, EffectResult::Accepted { acked_seq: 3 });
    case.0.uploaded(&best(3), Uploaded::Lost);
    assert_eq!(case.words(), "bf16 checkpoint_lost3");
}
