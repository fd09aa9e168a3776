//! The log of writes (WAL) read by ourselves before SQLite does. SQLite takes it up to the first frame that does not
//! fit and forgets the rest without a word. That is right for an end torn by a power cut. After damage it loses what
//! was acknowledged, and laid over a file into which some of those pages were copied already it is a mixed state.
//! Always holds: what was written and never synced is not called damage; damage in frames that are known to be synced
//! is. Absent: any write.
//!
//! How it is known that a frame was synced: SQLite syncs each commit before it writes the next, so a frame that
//! follows a commit and carries on its checksum proves that commit. The marks say it of the last commit too, which
//! nothing follows; a machine that lost its power may have forgotten the newest of them, and then damage in the last
//! commits cannot be told from a torn end: a whole prefix is left. Up to where pages were copied they say as well.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

use super::mark::{Mark, MarkClaims};
use super::wal_salts::{HEADER, salts};

const FRAME_HEADER: usize = 24;
/// The first 31 bits of a WAL; the last bit says in which order checksums read their words.
const MAGIC: u32 = 0x377f_0682;
/// Pages are no larger.
const PAGE_MAX: u32 = 65_536;

/// What is wrong with it, in words for an operator.
#[derive(Debug, thiserror::Error)]
pub(super) enum WalDamage {
    /// It cannot be read.
    #[error("it cannot be read: {0}")]
    Unreadable(#[from] io::Error),
    #[error("its first {HEADER} bytes are damaged, so that no commit in it can be read")]
    Head,
    /// A frame that was synced.
    #[error(
        "frame {frame} (byte {at}) is damaged, and commits that were acknowledged come after it; cut to {whole} bytes \
         it would hold everything before the damage and nothing after"
    )]
    Synced {
        /// Counted from 1.
        frame: u64,
        /// Where it begins.
        at: u64,
        /// Where the last whole commit before it ends.
        whole: u64,
    },
    /// Less of it is whole than was copied.
    #[error(
        "only {whole} of its frames are whole, but {copied} may have been copied into the file, which is neither what \
         it was before nor what it should be"
    )]
    Copied {
        /// Frames that can be read.
        whole: u64,
        /// Frames that the mark speaks of.
        copied: u64,
    },
    /// Less of it is whole than was synced.
    #[error(
        "only {whole} of its frames are whole, but {synced} were synced, with commits that were acknowledged"
    )]
    Short {
        /// Frames that can be read.
        whole: u64,
        /// Frames that were synced.
        synced: u64,
    },
    /// It is not there, or empty, while it has what the file has not.
    #[error("it is missing, and commits that were acknowledged are nowhere else")]
    Missing,
}

/// What the WAL holds.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Whole {
    /// Frames up to the last whole commit.
    pub(super) frames: u64,
    pub(super) pages: BTreeSet<u32>,
    /// Pages of the whole file after that commit.
    pub(super) pages_after: u32,
}

type Sum = (u32, u32);

struct Header {
    page: usize,
    big_endian: bool,
    salts: [u8; 8],
    sum: Sum,
}

/// One frame's header with the sums of what it follows.
#[derive(Clone, Copy, Default)]
struct Frame {
    page: u32,
    /// Pages of the whole file after the commit that ends here; 0 where none does.
    pages_after: u32,
    salts: [u8; 8],
    stored: Sum,
}

/// Reads the WAL at `path` and says whether SQLite will get all of it that was synced.
pub(super) fn examine(path: &Path, claims: &MarkClaims) -> Result<Whole, WalDamage> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return nothing(claims),
        Err(error) => return Err(error.into()),
    };
    let mut file = BufReader::with_capacity(1 << 20, file);
    let mut head = [0; HEADER];
    if !filled(&mut file, &mut head)? {
        return nothing(claims);
    }
    match header(&head) {
        Some(header) => frames(&mut file, &header, claims),
        None => headless(&mut file, &head, claims),
    }
}

/// There is no WAL: right, unless its pages were being copied, or were still to be.
fn nothing(claims: &MarkClaims) -> Result<Whole, WalDamage> {
    let copying = claims.copied.is_some_and(|mark| !mark.done);
    if copying || !claims.all_copied() { Err(WalDamage::Missing) } else { Ok(Whole::default()) }
}

fn header(bytes: &[u8; HEADER]) -> Option<Header> {
    let magic = word(bytes, 0);
    let page = word(bytes, 8);
    if magic & !1 != MAGIC || !page.is_power_of_two() || !(512..=PAGE_MAX).contains(&page) {
        return None;
    }
    let big_endian = magic & 1 == 1;
    let sum = (word(bytes, 24), word(bytes, 28));
    if summed((0, 0), &bytes[..24], big_endian) != sum {
        return None;
    }
    Some(Header { page: page as usize, big_endian, salts: salts(bytes, 16), sum })
}

fn frames(file: &mut impl Read, header: &Header, claims: &MarkClaims) -> Result<Whole, WalDamage> {
    let length = FRAME_HEADER + header.page;
    let mut bytes = vec![0; length];
    let (mut whole, mut open) = (Whole::default(), Vec::new());
    let (mut number, mut running) = (0, header.sum);
    let mut before = Frame { stored: header.sum, ..Frame::default() };
    let mut broken: Option<u64> = None;
    while filled(file, &mut bytes)? {
        number += 1;
        let frame = frame(&bytes);
        let follows = |sum| follows(sum, &bytes, header.big_endian);
        let from_running = follows(running);
        let fits = frame.salts == header.salts && frame.page != 0 && from_running == frame.stored;
        if broken.is_none() && fits {
            open.push(frame.page);
            if frame.pages_after > 0 {
                whole.pages_after = frame.pages_after;
                whole.pages.extend(open.drain(..));
                whole.frames = number;
            }
        } else {
            let carries_on = frame.salts == header.salts
                && (follows(before.stored) == frame.stored || from_running == frame.stored);
            if broken.is_some() && before.pages_after > 0 && carries_on {
                let at = |frame: u64| HEADER as u64 + frame * length as u64;
                let frame = broken.unwrap_or(number);
                return Err(WalDamage::Synced {
                    frame,
                    at: at(frame - 1),
                    whole: at(whole.frames),
                });
            }
            broken = broken.or(Some(number));
        }
        (before, running) = (frame, from_running);
    }
    let is_short = |mark: Mark| mark.salts == header.salts && whole.frames < mark.frames;
    if let Some(mark) = claims.copied.filter(|mark| is_short(*mark)) {
        // Older pages would be laid over newer ones. Without any, a file that has all of them is whole.
        if !(mark.done && whole.frames == 0 && claims.all_copied()) {
            return Err(WalDamage::Copied { whole: whole.frames, copied: mark.frames });
        }
    } else if let Some(mark) = claims.synced.filter(|mark| is_short(*mark)) {
        return Err(WalDamage::Short { whole: whole.frames, synced: mark.frames });
    }
    Ok(whole)
}

/// The head says nothing. A WAL that was never synced may look so; one with commits in it may not.
fn headless(
    file: &mut impl Read,
    head: &[u8; HEADER],
    claims: &MarkClaims,
) -> Result<Whole, WalDamage> {
    // The page size stands in the head; ours is always the same where the head is the damaged part.
    let page = Some(word(head, 8)).filter(|page| *page == 4_096).unwrap_or(4_096) as usize;
    let mut bytes = vec![0; FRAME_HEADER + page];
    let mut before: Option<Frame> = None;
    while filled(file, &mut bytes)? {
        let frame = frame(&bytes);
        let copied = claims.copied.is_some_and(|mark| !mark.done && mark.salts == frame.salts);
        let proven = before.is_some_and(|before| {
            before.pages_after > 0
                && before.salts == frame.salts
                && [false, true]
                    .iter()
                    .any(|big| follows(before.stored, &bytes, *big) == frame.stored)
        });
        if copied || proven {
            return Err(WalDamage::Head);
        }
        before = Some(frame);
    }
    // Nothing follows the last commit; that there was one says the mark.
    if claims.all_copied() { nothing(claims) } else { Err(WalDamage::Head) }
}

fn frame(bytes: &[u8]) -> Frame {
    Frame {
        page: word(bytes, 0),
        pages_after: word(bytes, 4),
        salts: salts(bytes, 8),
        stored: (word(bytes, 16), word(bytes, 20)),
    }
}

/// The checksum of a frame that comes after `sum`.
fn follows(sum: Sum, bytes: &[u8], big_endian: bool) -> Sum {
    summed(summed(sum, &bytes[..8], big_endian), &bytes[FRAME_HEADER..], big_endian)
}

/// SQLite's checksum: two sums over pairs of words.
fn summed((mut one, mut two): Sum, bytes: &[u8], big_endian: bool) -> Sum {
    let read = if big_endian { u32::from_be_bytes } else { u32::from_le_bytes };
    let (pairs, _) = bytes.as_chunks::<8>();
    for &[a, b, c, d, e, f, g, h] in pairs {
        one = one.wrapping_add(read([a, b, c, d])).wrapping_add(two);
        two = two.wrapping_add(read([e, f, g, h])).wrapping_add(one);
    }
    (one, two)
}

fn word(bytes: &[u8], at: usize) -> u32 {
    bytes[at..].first_chunk().map_or(0, |word| u32::from_be_bytes(*word))
}

/// Fills `bytes`; false where the file ends before.
fn filled(file: &mut impl Read, bytes: &mut [u8]) -> io::Result<bool> {
    match file.read_exact(bytes) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}
