//! Contractions whose apostrophe may be missing in an answer.

use std::collections::HashMap;
use std::sync::LazyLock;

/// All contractions that the evaluators know. A word that lacks exactly one apostrophe of a
/// contraction is replaced by it; words with all apostrophes are unchanged.
const FORMS: &str = "'ow's'at 'twas ain't aren't can't could've couldn't couldn't've didn't \
    doesn't don't hadn't hadn't've hasn't haven't he'd he'd've he's how'd how'll how's isn't it'd \
    it'd've it'll ma'am might've mightn't mightn't've must've mustn't needn't not've o'clock \
    oughtn't shan't she'd've should've shouldn't shouldn't've somebody'd've somebody'll \
    somebody's someone'd someone'd've someone'll someone's something'd something'd've \
    something'll that's there'd there'd've there're there's they'd they'd've they'll they're \
    they've wasn't we'd've we've weren't what'll what're what's what've when's where'd where's \
    where've who'd who'd've who'll who's who've why'll why're why's won't would've wouldn't \
    wouldn't've y'all y'all'd've y'all'll you'd you'd've you'll you're you've";

/// The contraction that a word stands for, if the word only lacks an apostrophe.
pub(super) fn restored(word: &str) -> Option<&'static str> {
    static TABLE: LazyLock<HashMap<String, &'static str>> = LazyLock::new(|| {
        let mut table = HashMap::from([("somebody'd".to_owned(), "somebodyd")]);
        for form in FORMS.split(' ') {
            for (apostrophe, _) in form.match_indices('\'') {
                table.insert(
                    format!("{}{}", &form[..apostrophe], &form[apostrophe + 1..]),
                    form,
                );
            }
        }
        table
    });
    TABLE.get(word).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_missing_apostrophe_is_put_back() {
        assert_eq!(restored("dont"), Some("don't"));
        assert_eq!(restored("couldn'tve"), Some("couldn't've"));
        assert_eq!(restored("couldnt've"), Some("couldn't've"));
        assert_eq!(restored("y'alld've"), Some("y'all'd've"));
        // The only entry whose apostrophe is removed.
        assert_eq!(restored("somebody'd"), Some("somebodyd"));
    }

    #[test]
    fn other_words_stay() {
        for word in [
            "don't",
            "couldntve",
            "its",
            "im",
            "ive",
            "lets",
            "wed",
            "well",
            "Dont",
            "",
        ] {
            assert_eq!(restored(word), None, "{word}");
        }
    }
}
