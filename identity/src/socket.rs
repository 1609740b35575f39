//! A socket of the file system, for programs of one user on one host: no port, no certificate. The folder lets nobody else
//! in, and the kernel says who is at the other end.

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::geteuid;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc;
use tokio::time::sleep;
use tokio_stream::wrappers::ReceiverStream;

use crate::private::{self, PrivateError};

/// Accepted connections that wait for the server.
const AHEAD: usize = 16;
/// Pause when the system has no room for another connection.
const NO_ROOM: Duration = Duration::from_millis(100);

/// Why nobody can listen there.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// Others may enter the folder, and put something else there.
    #[error(
        "refusing to listen in {}: others may enter it (mode {mode:o}). Use a folder of this user's alone, which is \
         made if it is not there", path.display()
    )]
    Open {
        /// The folder.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// Something else has that name.
    #[error("{} is there and is no socket: choose another path", .0.display())]
    NoSocket(PathBuf),
    /// Somebody listens there.
    #[error("another program listens on {}", .0.display())]
    Taken(PathBuf),
    /// The folder cannot be made.
    #[error(transparent)]
    Private(#[from] PrivateError),
    /// The system refuses.
    #[error("listening on {} failed", path.display())]
    Io {
        /// Where.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// Listens on a path in a folder of this user's alone. A socket that nobody listens on any more is replaced.
///
/// # Errors
/// When others may enter the folder, or something else has that name.
pub fn listen(path: &Path) -> Result<UnixListener, SocketError> {
    let failed = |source| SocketError::Io { path: path.to_owned(), source };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    private::folder(folder)?;
    let found = fs::metadata(folder).map_err(failed)?;
    let mode = found.permissions().mode() & 0o777;
    if mode & 0o077 != 0 || found.uid() != geteuid().as_raw() {
        return Err(SocketError::Open { path: folder.to_owned(), mode });
    }
    match fs::symlink_metadata(path) {
        Ok(found) if !found.file_type().is_socket() => return Err(SocketError::NoSocket(path.to_owned())),
        Ok(_) if std::os::unix::net::UnixStream::connect(path).is_ok() => {
            return Err(SocketError::Taken(path.to_owned()));
        }
        Ok(_) => fs::remove_file(path).map_err(failed)?,
        Err(_) => {}
    }
    UnixListener::bind(path).map_err(failed)
}

/// Connections of this user and of root; others are hung up on.
pub fn connections(listener: UnixListener) -> ReceiverStream<io::Result<UnixStream>> {
    let (ready, connections) = mpsc::channel(AHEAD);
    tokio::spawn(async move {
        loop {
            let accepted = tokio::select! {
                () = ready.closed() => return,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be taken");
                    sleep(NO_ROOM).await;
                }
                Ok((stream, _)) => match is_ours(&stream) {
                    // The server has ended; so will the connection.
                    Ok(()) => drop(ready.send(Ok(stream)).await),
                    Err(error) => tracing::warn!(%error, "a connection was refused"),
                },
            }
        }
    });
    ReceiverStream::new(connections)
}

/// Whether this user or root is at the other end.
///
/// # Errors
/// When it is somebody else, or nobody any more.
pub(crate) fn is_ours(stream: &UnixStream) -> io::Result<()> {
    let other = stream.peer_cred()?.uid();
    if may(other, geteuid().as_raw()) {
        return Ok(());
    }
    let text = format!("the other end of the socket is user {other}");
    Err(io::Error::new(io::ErrorKind::PermissionDenied, text))
}

fn may(other: u32, own: u32) -> bool {
    other == own || other == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_user_and_root_may() {
        assert_eq!([may(7, 7), may(0, 7), may(8, 7), may(7, 0), may(0, 0)], [true, true, false, false, true]);
    }

    #[tokio::test]
    async fn only_in_a_folder_of_ones_own_and_only_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("made/socket");
        let listener = listen(&path).unwrap();
        assert_eq!(fs::metadata(path.parent().unwrap()).unwrap().permissions().mode() & 0o777, 0o700);
        assert!(matches!(listen(&path), Err(SocketError::Taken(_))));
        drop(listener);
        listen(&path).unwrap();
        let file = folder.path().join("made/file");
        fs::write(&file, "x").unwrap();
        assert!(matches!(listen(&file), Err(SocketError::NoSocket(_))));
        assert_eq!(fs::read(&file).unwrap(), b"x");
        fs::set_permissions(path.parent().unwrap(), fs::Permissions::from_mode(0o755)).unwrap();
        let open = listen(&path).unwrap_err().to_string();
        assert!(open.contains("mode 755"), "{open}");
    }
}
