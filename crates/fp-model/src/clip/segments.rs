//! Cutting a text longer than CLIP's context into segments.

/// One segment: the tokens that the text tower runs on, pooled at the last one.
///
/// Attention is causal, so tokens after the pooled one, padding included, don't affect it and are
/// omitted.
pub(super) struct Segment<'a> {
    /// Ids up to and including the pooled token; positions begin at 0.
    pub(super) ids: &'a [u32],
}

/// The segments of `ids`, a text from its beginning to its end token, for a context of `context`
/// tokens.
///
/// The pooled token is chosen as in transformers: the first `eos_token` of a segment, or the
/// segment's first token if it has none. An `eos_token` of 2, which OpenAI's configs state, means
/// the segment's largest id, the first one of equals: the end token if there is one, or the
/// beginning token in a first segment without an end. Padding has id 0 and is never larger.
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
        // 90 is the beginning token, 91 the end token.
        assert_eq!(lens(&[90, 5, 6, 91], 4, 2), [[90, 5, 6, 91]]);
        // The first segment has no end: pooled at its beginning. The middle one: at its largest id,
        // the first of equals. The last one, a single token here: at its end.
        let ids = [90, 5, 6, 7, 3, 8, 8, 1, 91];
        assert_eq!(lens(&ids, 4, 2), [vec![90], vec![3, 8], vec![91]]);
        // Zeros count as tokens too: pooled at the first one.
        assert_eq!(lens(&[0, 0, 0], 3, 2), [[0]]);
    }

    #[test]
    fn others_are_pooled_at_the_first_end_token() {
        assert_eq!(lens(&[90, 91, 6, 91], 4, 91), [[90, 91]]);
        let ids = [90, 5, 6, 7, 3, 8, 8, 1, 91];
        assert_eq!(lens(&ids, 4, 91), [[90], [3], [91]]);
    }
}
