//! The tags of an FLV stream (Adobe's FLV specification 10.1, annex E): counted while they come, kept nowhere.

use super::play::is_media;

/// The longest header that is skipped, in octets; it has 9.
const HEADER_MAX: u32 = 64 * 1024;

/// Reads an FLV stream.
#[derive(Debug)]
pub(super) struct Tags {
    stage: Stage,
    /// What has come of a header that is not whole.
    held: Vec<u8>,
    media: u32,
    octets: u64,
}

#[derive(Debug)]
enum Stage {
    /// `FLV`, version, flags, length of this header.
    Header,
    /// So many octets tell nothing.
    Skip(u32),
    /// Type, length, time, stream.
    Tag,
    /// What a tag carries: so many octets are missing.
    Payload { kind: u8, left: u32, first: Vec<u8> },
}

impl Tags {
    pub(super) fn new() -> Tags {
        Tags { stage: Stage::Header, held: Vec::new(), media: 0, octets: 0 }
    }

    /// How many whole tags of audio or video have come. Those that only set up a decoder do not count: servers keep them,
    /// and send them of streams that stand still.
    pub(super) fn media(&self) -> u32 {
        self.media
    }

    /// Whether anything has come, and whether the header has.
    pub(super) fn began(&self) -> (bool, bool) {
        (self.octets > 0, !matches!(self.stage, Stage::Header))
    }

    /// Takes what was read.
    pub(super) fn push(&mut self, mut octets: &[u8]) -> Result<(), &'static str> {
        self.octets += octets.len() as u64;
        while !octets.is_empty() {
            match &mut self.stage {
                Stage::Header => {
                    let Some(header) = self.head::<9>(&mut octets) else { return self.is_flv() };
                    self.is_flv_with(&header)?;
                    let length = u32::from_be_bytes([header[5], header[6], header[7], header[8]]);
                    if !(9..=HEADER_MAX).contains(&length) {
                        return Err("no FLV: its header has another length");
                    }
                    // The rest of the header, and the length of the tag before the first.
                    self.stage = Stage::Skip(length - 9 + 4);
                }
                Stage::Skip(left) => {
                    let skipped = (*left).min(u32::try_from(octets.len()).unwrap_or(u32::MAX));
                    octets = &octets[skipped as usize..];
                    *left -= skipped;
                    if *left == 0 {
                        self.stage = Stage::Tag;
                    }
                }
                Stage::Tag => {
                    let Some(header) = self.head::<11>(&mut octets) else { return Ok(()) };
                    let left = u32::from_be_bytes([0, header[1], header[2], header[3]]);
                    self.stage = match left {
                        0 => Stage::Skip(4),
                        // The bits above the type: encrypted or not, reserved.
                        _ => Stage::Payload { kind: header[0] & 0x1F, left, first: Vec::with_capacity(2) },
                    };
                }
                Stage::Payload { kind, left, first } => {
                    let came = (*left).min(u32::try_from(octets.len()).unwrap_or(u32::MAX));
                    let (payload, rest) = octets.split_at(came as usize);
                    first.extend(payload.iter().take(2 - first.len()));
                    *left -= came;
                    octets = rest;
                    if *left == 0 {
                        self.media += u32::from(is_media(*kind, first));
                        self.stage = Stage::Skip(4);
                    }
                }
            }
        }
        Ok(())
    }

    /// A header of so many octets, once it is whole.
    fn head<const N: usize>(&mut self, octets: &mut &[u8]) -> Option<[u8; N]> {
        let missing = N - self.held.len();
        let (more, rest) = octets.split_at(missing.min(octets.len()));
        self.held.extend_from_slice(more);
        *octets = rest;
        let header = <[u8; N]>::try_from(&self.held[..]).ok()?;
        self.held.clear();
        Some(header)
    }

    fn is_flv(&self) -> Result<(), &'static str> {
        self.is_flv_with(&self.held)
    }

    fn is_flv_with(&self, begin: &[u8]) -> Result<(), &'static str> {
        let same = begin.iter().zip(b"FLV").all(|(is, must)| is == must);
        if same { Ok(()) } else { Err("no FLV: it does not begin with `FLV`") }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop, prop_assert, prop_assert_eq, proptest};

    use super::*;

    const HEADER: [u8; 13] = *b"FLV\x01\x05\0\0\0\x09\0\0\0\0";

    fn tag(kind: u8, payload: &[u8]) -> Vec<u8> {
        let length = (payload.len() as u32).to_be_bytes();
        let head = [kind, length[1], length[2], length[3], 0, 0, 0, 0, 0, 0, 0];
        [&head, payload, &(payload.len() as u32 + 11).to_be_bytes()].concat()
    }

    fn counted(octets: &[u8], piece: usize) -> Result<u32, &'static str> {
        let mut tags = Tags::new();
        for piece in octets.chunks(piece) {
            tags.push(piece)?;
        }
        Ok(tags.media())
    }

    #[test]
    fn tags_of_audio_and_video_count_once_they_are_whole() {
        let stream =
            [&HEADER[..], &tag(18, b"onMetaData"), &tag(8, &[0xAF, 1, 2]), &tag(9, &[0x17, 1, 0, 0])]
                .concat();
        for piece in [1, 2, 7, 1000] {
            assert_eq!(counted(&stream, piece), Ok(2));
            // The last payload but its last octet.
            assert_eq!(counted(&stream[..stream.len() - 5], piece), Ok(1));
        }
    }

    #[test]
    fn what_sets_up_a_decoder_and_what_is_empty_does_not_count() {
        let tags = [
            tag(8, &[0xAF, 0, 0x12, 0x10]),
            tag(9, &[0x17, 0, 0, 0, 0, 1]),
            tag(9, &[0x90, b'h', b'v', b'c', b'1']),
            tag(8, &[0x90, b'O', b'p', b'u', b's']),
            tag(9, &[]),
        ];
        assert_eq!(counted(&[&HEADER[..], &tags.concat()].concat(), 5), Ok(0));
        // MP3 and Sorenson have nothing to set up: their second octet is sound and picture.
        let old = [tag(8, &[0x2F, 0, 0]), tag(9, &[0x22, 0, 0]), tag(9, &[0x91, b'h', b'v', b'c', b'1'])];
        assert_eq!(counted(&[&HEADER[..], &old.concat()].concat(), 5), Ok(3));
    }

    #[test]
    fn what_is_no_flv_is_told() {
        assert_eq!(counted(b"<html>", 1000), Err("no FLV: it does not begin with `FLV`"));
        assert_eq!(counted(b"FLX", 1000), Err("no FLV: it does not begin with `FLV`"));
        assert_eq!(
            counted(b"FLV\x01\x05\xFF\xFF\xFF\xFF", 1000),
            Err("no FLV: its header has another length")
        );
    }

    proptest! {
        // Reading never panics, keeps next to nothing, and tells the same however it is cut.
        #[test]
        fn any_stream_is_read(octets in prop::collection::vec(any::<u8>(), 0..600), piece in 1usize..50) {
            let stream = [&HEADER[..], &octets].concat();
            prop_assert_eq!(counted(&stream, piece), counted(&stream, stream.len()));
            let mut tags = Tags::new();
            let _ = tags.push(&octets);
            prop_assert!(tags.held.len() <= 11);
        }
    }
}
