//! RTMP's chunk stream (Adobe's RTMP 1.0 specification, §5.3): octets in, messages out; and one message back.

/// The longest message that is taken, in octets, unless it is media. What answers a `connect` has some hundred.
const MESSAGE_MAX: usize = 64 * 1024;
/// The most chunk streams of one connection.
const STREAMS_MAX: usize = 8;
/// The chunk size of both directions until Set Chunk Size (§5.4.1).
const CHUNK_DEFAULT: usize = 128;
/// A timestamp that says: the real one follows in four octets more.
const EXTENDED: u32 = 0xFF_FFFF;

const SET_CHUNK_SIZE: u8 = 1;
const ABORT: u8 = 2;
/// A message of sound (§7.1.4).
pub(super) const AUDIO: u8 = 8;
/// One of pictures (§7.1.5).
pub(super) const VIDEO: u8 = 9;
/// One that holds several of both (§7.1.6).
pub(super) const AGGREGATE: u8 = 22;

/// One message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Message {
    /// Its type: 5 window acknowledgement size, 17 and 20 commands, …
    pub kind: u8,
    /// What it carries.
    pub body: Vec<u8>,
}

/// The reading end of a chunk stream.
#[derive(Debug)]
pub(super) struct Chunks {
    /// What was read and is not yet a whole chunk.
    unread: Vec<u8>,
    chunk_size: usize,
    streams: Vec<Stream>,
}

#[derive(Debug)]
struct Stream {
    id: u32,
    kind: u8,
    length: usize,
    extended: bool,
    /// What has come of the message.
    body: Vec<u8>,
}

/// One chunk's header, read.
struct Header {
    stream: u32,
    /// Length and type, where the header says them.
    message: Option<(usize, u8)>,
    extended: bool,
    /// Octets of the header.
    size: usize,
}

impl Chunks {
    /// A fresh one, behind the handshake.
    pub(super) fn new() -> Chunks {
        Chunks { unread: Vec::new(), chunk_size: CHUNK_DEFAULT, streams: Vec::new() }
    }

    /// Takes what was read.
    pub(super) fn push(&mut self, octets: &[u8]) {
        self.unread.extend_from_slice(octets);
    }

    /// The next whole message; `None` while more must be read. Those that steer the chunk stream itself are
    /// obeyed here.
    pub(super) fn next(&mut self) -> Result<Option<Message>, &'static str> {
        loop {
            let Some(header) = self.header()? else { return Ok(None) };
            let at = self.stream(&header)?;
            let stream = &mut self.streams[at];
            let take = (stream.length - stream.body.len()).min(self.chunk_size);
            let Some(octets) = self.unread.get(header.size..header.size + take) else { return Ok(None) };
            stream.body.extend_from_slice(octets);
            self.unread.drain(..header.size + take);
            if stream.body.len() < stream.length {
                continue;
            }
            let message = Message { kind: stream.kind, body: std::mem::take(&mut stream.body) };
            match message.kind {
                SET_CHUNK_SIZE => self.chunk_size = chunk_size(&message.body)?,
                ABORT => self.abort(&message.body),
                _ => return Ok(Some(message)),
            }
        }
    }

    /// The message that begins with what is read next: its type, and what there is of its first chunk. A picture may be
    /// larger than what anybody wants to hold, and its beginning tells enough.
    pub(super) fn begun(&self) -> Option<(u8, &[u8])> {
        let header = self.header().ok()??;
        let (length, kind) = header.message?;
        let end = (header.size + length.min(self.chunk_size)).min(self.unread.len());
        Some((kind, &self.unread[header.size..end]))
    }

    /// Reads a header (§5.3.1), if all of it is there.
    fn header(&self) -> Result<Option<Header>, &'static str> {
        let octets = &self.unread[..];
        let Some(first) = octets.first() else { return Ok(None) };
        let (stream, basic) = match (first & 0x3F, octets) {
            (0, [_, low, ..]) => (64 + u32::from(*low), 2),
            (1, [_, low, high, ..]) => (64 + u32::from(*low) + 256 * u32::from(*high), 3),
            (0 | 1, _) => return Ok(None),
            (id, _) => (u32::from(id), 1),
        };
        let form = first >> 6;
        let fields = [11, 7, 3, 0][usize::from(form)];
        let Some(rest) = octets.get(basic..basic + fields) else { return Ok(None) };
        let extended = match rest {
            [a, b, c, ..] => u32::from_be_bytes([0, *a, *b, *c]) == EXTENDED,
            _ => self.streams.iter().any(|known| known.id == stream && known.extended),
        };
        let message = match rest {
            [_, _, _, a, b, c, kind, ..] => Some((u32::from_be_bytes([0, *a, *b, *c]) as usize, *kind)),
            _ => None,
        };
        let too_long = |(length, kind)| length > MESSAGE_MAX && !matches!(kind, AUDIO | VIDEO | AGGREGATE);
        if message.is_some_and(too_long) {
            return Err("a message longer than 64 KiB");
        }
        let size = basic + fields + if extended { 4 } else { 0 };
        Ok((octets.len() >= size).then_some(Header { stream, message, extended, size }))
    }

    /// The place of a chunk's stream, told what its header says.
    fn stream(&mut self, header: &Header) -> Result<usize, &'static str> {
        let known = self.streams.iter().position(|stream| stream.id == header.stream);
        let at = match (known, header.message) {
            (Some(at), _) => at,
            (None, None) => return Err("a chunk that continues nothing"),
            (None, Some(_)) if self.streams.len() == STREAMS_MAX => return Err("too many chunk streams"),
            (None, Some(_)) => {
                let fresh =
                    Stream { id: header.stream, kind: 0, length: 0, extended: false, body: Vec::new() };
                self.streams.push(fresh);
                self.streams.len() - 1
            }
        };
        let stream = &mut self.streams[at];
        stream.extended = header.extended;
        if let Some(message) = header.message
            && message != (stream.length, stream.kind)
        {
            (stream.length, stream.kind) = message;
            stream.body.clear();
        }
        Ok(at)
    }

    /// Drops what has come of a message (§5.4.2).
    fn abort(&mut self, body: &[u8]) {
        let Ok(id) = body.try_into().map(u32::from_be_bytes) else { return };
        for stream in self.streams.iter_mut().filter(|stream| stream.id == id) {
            stream.body.clear();
        }
    }
}

fn chunk_size(body: &[u8]) -> Result<usize, &'static str> {
    let size =
        body.try_into().map(u32::from_be_bytes).map_err(|_| "a Set Chunk Size that is not four octets")?;
    // At least 1; the top bit must be zero (§5.4.1).
    match size {
        1..=0x7FFF_FFFF => Ok(size as usize),
        _ => Err("a chunk size of zero, or over 31 bits"),
    }
}

/// A message as chunks of the default size, on this chunk stream (2..=63) and message stream.
pub(super) fn chunked(stream: u8, kind: u8, on: u32, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).unwrap_or(u32::MAX).to_be_bytes();
    let mut out = vec![stream, 0, 0, 0, length[1], length[2], length[3], kind];
    out.extend(on.to_le_bytes());
    for (chunk, first) in
        body.chunks(CHUNK_DEFAULT).zip(std::iter::once(true).chain(std::iter::repeat(false)))
    {
        if !first {
            out.push(0xC0 | stream);
        }
        out.extend_from_slice(chunk);
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop, prop_assert, prop_assert_eq, proptest};

    use super::*;

    fn read(chunks: &mut Chunks) -> Result<Vec<Message>, &'static str> {
        std::iter::from_fn(|| chunks.next().transpose()).collect()
    }

    proptest! {
        // What is written is read, however the octets arrive.
        #[test]
        fn messages_come_back(
            body in prop::collection::vec(any::<u8>(), 0..2000),
            stream in 2u8..64,
            piece in 1usize..300,
        ) {
            let mut chunks = Chunks::new();
            let mut back = Vec::new();
            for octets in chunked(stream, 20, 0, &body).chunks(piece) {
                chunks.push(octets);
                back.extend(read(&mut chunks).unwrap());
            }
            prop_assert_eq!(back, vec![Message { kind: 20, body }]);
        }

        // Reading never panics, and holds no more than it was given.
        #[test]
        fn garbage_is_an_error_or_waits(octets in prop::collection::vec(any::<u8>(), 0..3000)) {
            let mut chunks = Chunks::new();
            chunks.push(&octets);
            let _ = read(&mut chunks);
            let held: usize = chunks.streams.iter().map(|stream| stream.body.len()).sum();
            prop_assert!(held + chunks.unread.len() <= octets.len());
        }
    }

    #[test]
    fn a_chunk_size_is_obeyed_from_the_next_chunk_on() {
        let mut chunks = Chunks::new();
        chunks.push(&chunked(2, SET_CHUNK_SIZE, 0, &4096u32.to_be_bytes()));
        let mut whole = vec![3, 0, 0, 0, 0, 4, 0, 20, 0, 0, 0, 0];
        whole.extend([7; 1024]);
        chunks.push(&whole);
        assert_eq!(read(&mut chunks).unwrap(), [Message { kind: 20, body: vec![7; 1024] }]);
    }

    #[test]
    fn messages_of_two_streams_may_be_interleaved() {
        let (a, b) = (chunked(3, 20, 0, &[1; 200]), chunked(4, 17, 0, &[2; 200]));
        let mut chunks = Chunks::new();
        for octets in [&a[..12 + 128], &b[..12 + 128], &a[12 + 128..], &b[12 + 128..]] {
            chunks.push(octets);
        }
        let kinds: Vec<_> = read(&mut chunks).unwrap().iter().map(|message| message.kind).collect();
        assert_eq!(kinds, [20, 17]);
    }

    #[test]
    fn an_extended_timestamp_is_skipped_in_every_chunk() {
        let mut octets = vec![3, 0xFF, 0xFF, 0xFF, 0, 0, 130, 20, 0, 0, 0, 0, 1, 2, 3, 4];
        octets.extend([9; 128]);
        octets.extend([0xC3, 1, 2, 3, 4, 9, 9]);
        let mut chunks = Chunks::new();
        chunks.push(&octets);
        assert_eq!(read(&mut chunks).unwrap(), [Message { kind: 20, body: vec![9; 130] }]);
    }

    #[test]
    fn long_stream_ids_and_short_headers_are_understood() {
        let mut chunks = Chunks::new();
        chunks.push(&[0, 5, 0, 0, 0, 0, 0, 1, 20, 0, 0, 0, 0, b'a']);
        chunks.push(&[0x40, 5, 0, 0, 0, 0, 0, 2, 17, b'b', b'b']);
        chunks.push(&[0x80, 5, 0, 0, 0, b'c', b'c', 0xC0, 5, b'd', b'd']);
        let bodies: Vec<_> = read(&mut chunks).unwrap().into_iter().map(|message| message.body).collect();
        assert_eq!(bodies, [b"a".to_vec(), b"bb".to_vec(), b"cc".to_vec(), b"dd".to_vec()]);
    }

    #[test]
    fn the_beginning_of_a_long_picture_is_seen_before_its_end() {
        let mut chunks = Chunks::new();
        chunks.push(&[6, 0, 0, 0, 0xFF, 0, 0, VIDEO, 1, 0, 0, 0]);
        assert_eq!(chunks.begun(), Some((VIDEO, &[][..])));
        chunks.push(&[0x17, 1, 0]);
        assert_eq!(read(&mut chunks).unwrap(), []);
        assert_eq!(chunks.begun(), Some((VIDEO, &[0x17, 1, 0][..])));
        chunks.push(&[0; 125]);
        assert_eq!(read(&mut chunks).unwrap(), []);
        assert_eq!(chunks.begun(), None);
    }

    #[test]
    fn bombs_are_refused() {
        let refused = |octets: &[u8]| {
            let mut chunks = Chunks::new();
            chunks.push(octets);
            read(&mut chunks).unwrap_err()
        };
        assert_eq!(refused(&[3, 0, 0, 0, 0xFF, 0xFF, 0xFF, 20, 0, 0, 0, 0]), "a message longer than 64 KiB");
        assert_eq!(refused(&[0xC3]), "a chunk that continues nothing");
        assert_eq!(refused(&chunked(2, 1, 0, &[0; 4])), "a chunk size of zero, or over 31 bits");
        assert_eq!(refused(&chunked(2, 1, 0, &[0xFF; 4])), "a chunk size of zero, or over 31 bits");
        let streams: Vec<u8> =
            (3..20).flat_map(|id| chunked(id, 20, 0, &[0; 200])[..12 + 128].to_vec()).collect();
        assert_eq!(refused(&streams), "too many chunk streams");
    }
}
