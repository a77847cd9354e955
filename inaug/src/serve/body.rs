//! The bytes of a file as the body of an answer, a piece at a time.

use axum::body::{Body, Bytes};
use futures_util::stream;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;

/// What is read at once, bytes. The server holds about two pieces for each client that reads
/// slower than the disk: at [`super::listen::CONNECTIONS_MAX`] that is 512 MiB.
const PIECE_BYTES: u64 = 128 << 10;

/// A file and what is still to be sent of it.
struct Rest {
    file: File,
    left_bytes: u64,
}

/// Exactly the bytes of `range` of `file`. A file that turns out to be shorter breaks the
/// connection, so that the client sees an error and not an end.
pub(crate) fn of_file(mut file: File, range: Range<u64>) -> io::Result<Body> {
    file.seek(SeekFrom::Start(range.start))?;
    let rest = Rest { file, left_bytes: range.end - range.start };
    Ok(Body::from_stream(stream::try_unfold(rest, next_piece)))
}

async fn next_piece(mut rest: Rest) -> io::Result<Option<(Bytes, Rest)>> {
    if rest.left_bytes == 0 {
        return Ok(None);
    }
    // A disk read may block for long; the threads that talk to clients must not.
    tokio::task::spawn_blocking(move || {
        let piece = read_piece(&mut rest)?;
        Ok(Some((piece, rest)))
    })
    .await?
}

fn read_piece(rest: &mut Rest) -> io::Result<Bytes> {
    let length = rest.left_bytes.min(PIECE_BYTES);
    let mut piece = Vec::with_capacity(length as usize);
    rest.file.by_ref().take(length).read_to_end(&mut piece)?;
    if (piece.len() as u64) < length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    rest.left_bytes -= length;
    Ok(piece.into())
}
