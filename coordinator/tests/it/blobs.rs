//! What the checkpoint store promises, in a folder and in memory.

use std::time::SystemTime;

use futures_util::TryStreamExt as _;
use sha2::{Digest as _, Sha256};
use sweep_coordinator::blobs::{BlobError, Blobs};
use sweep_coordinator::janitor::{GRACE, LEAST, clean, scrub};
use sweep_core::attempt::CheckpointKind;
use sweep_core::command::{Effect, EffectKind};
use sweep_core::event::Checkpoint;
use sweep_core::id::Lease;
use sweep_proto::status::reason_of;
use sweep_proto::v1;

use crate::world::{Disk, Pretend, SPEC, World, metrics, within};

fn name(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

async fn put(blobs: &Blobs, sha256: &str, bytes: &[u8]) -> Result<bool, BlobError> {
    let Some(mut upload) = blobs.upload(sha256, bytes.len() as u64).await? else { return Ok(true) };
    for piece in bytes.chunks(1 << 20) {
        upload.push(piece).await?;
    }
    upload.finish().await.map(|()| false)
}

async fn check(blobs: &Blobs) {
    let big: Vec<u8> = (0..9_000_000u32).map(|number| (number % 251) as u8).collect();
    for bytes in [big.as_slice(), b"", b"small"] {
        let sha256 = name(bytes);
        assert!(!put(blobs, &sha256, bytes).await.unwrap());
        assert!(put(blobs, &sha256, bytes).await.unwrap(), "the second time it is there");
        let (length, stream) = blobs.download(&sha256).await.unwrap();
        let pieces: Vec<bytes::Bytes> = stream.try_collect().await.unwrap();
        assert_eq!((length, pieces.concat().as_slice()), (bytes.len() as u64, bytes));
    }
    let (wrong, good) = (name(b"wrong"), name(b"small"));
    assert!(matches!(put(blobs, &wrong, b"other").await, Err(BlobError::Hash { .. })));
    assert!(matches!(blobs.length(&wrong).await, Err(BlobError::Missing(_))), "nothing is left of it");
    let mut long = blobs.upload(&wrong, 2).await.unwrap().unwrap();
    assert!(matches!(long.push(b"abc").await, Err(BlobError::Length { declared: 2, got: 3 })));
    drop(long);
    let short = blobs.upload(&wrong, 2).await.unwrap().unwrap();
    assert!(matches!(short.finish().await, Err(BlobError::Length { declared: 2, got: 0 })));
    for bad in ["", "../../etc/passwd", &good.to_uppercase(), &good[1..]] {
        assert!(matches!(blobs.length(bad).await, Err(BlobError::Name(_))), "{bad}");
    }
    assert_eq!(blobs.list().await.unwrap().len(), 3);
    blobs.delete(&good).await.unwrap();
    blobs.delete(&good).await.unwrap();
    assert_eq!(blobs.list().await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_folder_keeps_what_is_right_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let blobs = Blobs::open(folder.path()).unwrap();
    check(&blobs).await;
    // What a crash leaves behind goes at the next start.
    let sha256 = name(b"cut off");
    std::fs::create_dir_all(folder.path().join(&sha256[..2])).unwrap();
    let staged = folder.path().join(&sha256[..2]).join(format!("{sha256}#1"));
    std::fs::write(&staged, "cut").unwrap();
    let blobs = Blobs::open(folder.path()).unwrap();
    assert!(!staged.exists());
    assert_eq!(blobs.list().await.unwrap().len(), 2);
}

/// Whoever reads a damaged blob hears of it, nobody is given it again, and it can be stored once more; nothing of it is deleted.
#[tokio::test]
async fn a_damaged_blob_is_set_aside_by_whoever_reads_it() {
    let folder = tempfile::tempdir().unwrap();
    let blobs = Blobs::open(&folder.path().join("blobs")).unwrap();
    let aside = folder.path().join("damaged");
    let contents: Vec<Vec<u8>> = (0..4u8).map(|number| vec![number; 3_000_000]).collect();
    let names: Vec<String> = contents.iter().map(|bytes| name(bytes)).collect();
    for (bytes, sha256) in contents.iter().zip(&names) {
        put(&blobs, sha256, bytes).await.unwrap();
    }
    let damage = |sha256: &str| {
        let path = folder.path().join("blobs").join(&sha256[..2]).join(sha256);
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[1_234_567] ^= 4;
        std::fs::write(path, bytes).unwrap();
    };
    damage(&names[1]);
    let (_, stream) = blobs.download(&names[1]).await.unwrap();
    let read: Result<Vec<bytes::Bytes>, BlobError> = stream.try_collect().await;
    assert!(matches!(read, Err(BlobError::Damaged(sha256)) if sha256 == names[1]));
    assert!(matches!(blobs.download(&names[1]).await.map(drop), Err(BlobError::Missing(_))));
    // The same bytes come again, and are damaged again.
    assert!(!put(&blobs, &names[1], &contents[1]).await.unwrap());
    assert_eq!(blobs.check(&names[1]).await.unwrap(), 3_000_000);
    damage(&names[1]);
    damage(&names[2]);
    let mut unread = names.clone();
    unread.push(name(b"deleted meanwhile"));
    assert_eq!(scrub(&blobs, &mut unread, 1).await, [""; 0], "the last one alone");
    assert_eq!(unread, names[..3]);
    assert_eq!(scrub(&blobs, &mut unread, u64::MAX).await, [names[2].as_str(), &names[1]]);
    assert_eq!(unread, [""; 0]);
    // A shorter one is not taken for what is uploaded.
    std::fs::write(folder.path().join("blobs").join(&names[0][..2]).join(&names[0]), "cut").unwrap();
    assert!(!put(&blobs, &names[0], &contents[0]).await.unwrap());
    assert_eq!(blobs.list().await.unwrap().len(), 2);
    let kept = std::fs::read_dir(&aside).unwrap().map(|file| file.unwrap().metadata().unwrap().len());
    assert_eq!(kept.sum::<u64>(), 3 * 3_000_000 + 3, "nothing is thrown away");
}

#[tokio::test]
async fn memory_keeps_the_same_promises() {
    check(&Blobs::memory()).await;
}

#[tokio::test]
async fn a_checkpoint_needs_its_bytes_and_keeps_them() {
    let disk = Disk::new();
    let mut world = World::start(disk.config()).await;
    world.submit(SPEC).await.unwrap();
    let (mut agent, _) = Pretend::hello(&world, 1, &[]).await;
    let lease: Lease = agent.poll(&[], std::time::Duration::ZERO, 0).await.leases[0];
    let checkpoint = |bytes: &[u8]| Checkpoint {
        kind: CheckpointKind::Last,
        epoch: 1,
        seq: 1,
        sha256: name(bytes),
        bytes: bytes.len() as u64,
    };
    let effects = [EffectKind::Metrics(vec![metrics(1, 0.5)]), EffectKind::Checkpoint(checkpoint(b"state"))]
        .map(|what| Effect { lease, what });
    let refused = agent.report(&effects, &[lease]).await.unwrap_err();
    assert_eq!(reason_of(&refused).as_deref(), Some("blob_missing"));
    let upload = |bytes: &'static [u8]| {
        let head = v1::UploadChunk { sha256: name(bytes), bytes: bytes.len() as u64, data: bytes::Bytes::new() };
        let body = v1::UploadChunk { data: bytes.into(), ..v1::UploadChunk::default() };
        tokio_stream::iter([head, body])
    };
    for bytes in [b"state".as_slice(), b"nobody's"] {
        let reply = within(world.blobs.upload(upload(bytes))).await.unwrap().into_inner();
        assert!(!reply.existing);
    }
    agent.report(&effects, &[lease]).await.unwrap();
    let mut down = world.blobs.download(v1::DownloadRequest { sha256: name(b"state") }).await.unwrap().into_inner();
    let head = down.message().await.unwrap().unwrap();
    let body = down.message().await.unwrap().unwrap();
    assert_eq!((head.bytes, body.data.as_ref()), (5, b"state".as_slice()));

    let now = SystemTime::now();
    let clean = |room, now| clean(&world.handle, &disk.blobs, GRACE, room, now);
    assert_eq!(clean(None, now).await.unwrap().unwrap(), 0, "both are young");
    assert_eq!(clean(Some(0), now).await.unwrap().unwrap(), 0, "whoever has just stored it may be about to say so");
    // That of nobody has eight bytes: as long as there is room for as much again it stays.
    assert_eq!(clean(Some(8), now + LEAST * 2).await.unwrap().unwrap(), 0);
    assert_eq!(clean(Some(7), now + LEAST * 2).await.unwrap().unwrap(), 1);
    let nobodys = within(world.blobs.upload(upload(b"nobody's"))).await.unwrap().into_inner();
    assert!(!nobodys.existing);
    assert_eq!(clean(None, now + GRACE * 2).await.unwrap().unwrap(), 1);
    assert_eq!(disk.blobs.length(&name(b"state")).await.unwrap(), 5);
    world.stop().await;
}
