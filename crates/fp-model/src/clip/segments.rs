//! A text beyond CLIP's context, cut in segments.

/// One segment: what the text tower runs on, its last token being the one pooled at.
///
/// A token sees itself and those before it alone. So neither what comes after the pooled
/// token nor padding is of account, and both are left out.
pub(super) struct Segment<'a> {
    /// Ids up to the pooled token and with it; positions begin at 0.
    pub(super) ids: &'a [u32],
}

/// The segments of `ids`, a text from its beginning to its end token, in contexts of
/// `context` tokens.
///
/// As transformers pools: at the first `eos_token` of a segment, or at its first token where
/// it has none. 2, which OpenAI's configs say, means the largest id of the segment, the
/// first one of equals: the end token where there is one, the beginning of a first segment
/// without. Padding has the id 0 and is never larger.
pub(super) fn segments(ids: &[u32], context: usize, eos_token: u32) -> Vec<Segment<'_>> {
    const LEGACY: u32 = 2;
    ids.chunks(context)
        .map(|chunk| {
            let pooled = if eos_token == LEGACY {
                let largest = chunk.iter().max();
                chunk.iter().position(|id| Some(id) == largest)
            } else {
                chunk.iter().position(|id| *id == eos_token)
            };
            Segment {
                ids: &chunk[..=pooled.unwrap_or(0)],
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lens(ids: &[u32], context: usize, eos: u32) -> Vec<Vec<u32>> {
        let segments = segments(ids, context, eos);
        segments.into_iter().map(|s| s.ids.to_vec()).collect()
    }

    #[test]
    fn legacy_segments_are_pooled_at_their_largest_id() {
        // 90 begins, 91 ends.
        assert_eq!(lens(&[90, 5, 6, 91], 4, 2), [[90, 5, 6, 91]]);
        // A first segment without an end: its beginning. A middle one: its largest id, the
        // first of equals. The last one, here of a single token: its end.
        let ids = [90, 5, 6, 7, 3, 8, 8, 1, 91];
        assert_eq!(lens(&ids, 4, 2), [vec![90], vec![3, 8], vec![91]]);
        // Zeros are tokens too, the first one counts.
        assert_eq!(lens(&[0, 0, 0], 3, 2), [[0]]);
    }

    #[test]
    fn others_are_pooled_at_the_first_end_token() {
        assert_eq!(lens(&[90, 91, 6, 91], 4, 91), [[90, 91]]);
        let ids = [90, 5, 6, 7, 3, 8, 8, 1, 91];
        assert_eq!(lens(&ids, 4, 91), [[90], [3], [91]]);
    }
}
