//! Evidence, besides the id, of which question an answer belongs to: its prompt and its image.

use std::cmp::Ordering;
use std::collections::HashMap;

use crate::dataset::{Benchmark, Dataset, file_stem};
use crate::metric::mme::official_question;
use crate::rescore::Answer;
use crate::sample::Sample;

/// Beginnings of the instructions that benchmarks append to questions.
const INSTRUCTIONS: [&str; 5] = [
    "\nAnswer the question using",
    "\nAnswer with the option",
    "\nPlease answer",
    "\nWhen the provided information",
    "\n请直接",
];
/// Beginnings of the context after a question: options, words read in the image.
const CONTEXTS: [&str; 2] = ["\nA. ", "\nReference OCR token"];

/// How an answer's prompt and image match a question, the best match first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fit {
    /// The same question.
    Same,
    /// The same question with other surrounding text, such as another instruction.
    Reworded,
    /// The answer has neither prompt nor image.
    Untold,
    /// Another question.
    Other,
}

/// The questions of a dataset, indexed by everything that answers may refer to. Those with an image
/// come first.
pub(super) struct Questions<'a> {
    pub(super) samples: Vec<&'a Sample>,
    benchmark: Benchmark,
    by_id: HashMap<&'a str, Vec<usize>>,
    by_text: HashMap<String, Vec<usize>>,
    by_body: HashMap<String, Vec<usize>>,
    by_image: HashMap<String, Vec<usize>>,
}

impl<'a> Questions<'a> {
    pub(super) fn new(dataset: &'a Dataset) -> Self {
        let mut questions = Questions {
            samples: dataset.samples.iter().chain(&dataset.text_only).collect(),
            benchmark: dataset.benchmark,
            by_id: HashMap::new(),
            by_text: HashMap::new(),
            by_body: HashMap::new(),
            by_image: HashMap::new(),
        };
        // LLaVA's ids for these are image names.
        let is_by_image = matches!(dataset.benchmark, Benchmark::Mme | Benchmark::Textvqa);
        for (index, sample) in questions.samples.iter().enumerate() {
            let by_id = &mut questions.by_id;
            by_id.entry(&sample.id).or_default().push(index);
            if is_by_image && sample.image_id != sample.id {
                by_id.entry(&sample.image_id).or_default().push(index);
            }
            let add = |map: &mut HashMap<String, Vec<usize>>, key: String| {
                map.entry(key).or_default().push(index);
            };
            add(&mut questions.by_text, words(text(&sample.question)));
            add(&mut questions.by_body, words(body(&sample.question)));
            for name in image_names(sample) {
                add(&mut questions.by_image, name);
            }
        }
        questions
    }

    /// The questions that an answer's id may mean: one, or several on one image.
    pub(super) fn candidates(&self, answer: &Answer) -> &[usize] {
        let exact = self.by_id.get(answer.id.as_str());
        let fits = |found: &&Vec<usize>| {
            let best = self.best(answer, found.iter().copied());
            best.is_some_and(|(_, fit, _)| fit != Fit::Other)
        };
        // Files that include their questions number those of an image, each in its own order.
        let of_image = || self.by_id.get(answer.id.rsplit_once('#')?.0);
        let found = exact.filter(fits).or_else(of_image).or(exact);
        found.map_or(&[], Vec::as_slice)
    }

    /// The questions that match an answer's prompt and image.
    pub(super) fn told_by(&self, answer: &Answer) -> Vec<usize> {
        let Some(prompt) = &answer.prompt else {
            return Vec::new();
        };
        let prompt = without_image(prompt);
        let found = self.by_text.get(&words(text(prompt)));
        let found = found.or_else(|| self.by_body.get(&words(body(prompt))));
        let found = found.map_or(&[][..], Vec::as_slice).iter().copied();
        let found = found.filter(|&index| self.is_of_family(answer, index));
        match self.of_image(answer) {
            Some(places) => found.filter(|index| places.contains(index)).collect(),
            None => found.collect(),
        }
    }

    /// Whether a question has the answer's family; true if the answer has none.
    fn is_of_family(&self, answer: &Answer, index: usize) -> bool {
        let family = answer.family.as_deref();
        family.is_none_or(|family| self.samples[index].family == family)
    }

    /// Whether a question's right answer equals the one in the answer's file, for benchmarks with a
    /// single right answer. For others the file has a list or nothing useful.
    pub(super) fn has_gold(&self, answer: &Answer, index: usize) -> bool {
        let same = |a: &str, b: &str| a.trim().to_lowercase() == b.trim().to_lowercase();
        let has_one = matches!(
            self.benchmark,
            Benchmark::Pope | Benchmark::Mme | Benchmark::Gqa
        );
        match (&answer.gold, self.samples[index].answers.as_slice()) {
            (Some(gold), [right]) if has_one => same(gold, right),
            _ => true,
        }
    }

    /// The questions on the image that an answer names; `None` where it names no known image.
    fn of_image(&self, answer: &Answer) -> Option<&[usize]> {
        let name = file_stem(answer.image.as_deref()?);
        self.by_image.get(name).map(Vec::as_slice)
    }

    pub(super) fn fit(&self, answer: &Answer, index: usize) -> Fit {
        let sample = self.samples[index];
        let places = self.of_image(answer);
        if !self.is_of_family(answer, index) {
            return Fit::Other;
        }
        if places.is_some_and(|places| !places.contains(&index)) {
            return Fit::Other;
        }
        match &answer.prompt {
            Some(prompt) => fit(without_image(prompt), sample, self.benchmark),
            None if places.is_some() => Fit::Same,
            None => Fit::Untold,
        }
    }

    /// The best match among several, and whether another is equally good.
    pub(super) fn best(
        &self,
        answer: &Answer,
        among: impl Iterator<Item = usize>,
    ) -> Option<(usize, Fit, bool)> {
        let mut best: Option<(usize, Fit, bool)> = None;
        for index in among {
            let fit = self.fit(answer, index);
            match best.map_or(Ordering::Less, |(_, other, _)| fit.cmp(&other)) {
                Ordering::Less => best = Some((index, fit, false)),
                Ordering::Equal => best = best.map(|(index, fit, _)| (index, fit, true)),
                Ordering::Greater => {}
            }
        }
        best
    }
}

fn fit(prompt: &str, sample: &Sample, benchmark: Benchmark) -> Fit {
    let question = sample.question.as_str();
    // MMBench's prompts are logged without the instruction.
    let rest = question.strip_prefix(prompt.trim_end());
    let is_beginning = rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('\n'));
    let is_official =
        || benchmark == Benchmark::Mme && official_question(prompt) == official_question(question);
    if is_beginning || is_official() || words(prompt) == words(question) {
        return Fit::Same;
    }
    let asked = words(body(question));
    let has_two = |text: &str| text.trim().contains(' ');
    let is_reworded = holds(&words(prompt), &asked) || {
        let said = words(body(prompt));
        has_two(&said) && holds(&asked, &said)
    };
    if is_reworded {
        Fit::Reworded
    } else {
        Fit::Other
    }
}

/// Whether a text contains a sequence of words; neither is empty.
fn holds(whole: &str, part: &str) -> bool {
    // Both begin and end with a space. Languages without spaces have no word boundaries.
    let has_spaces = part.is_ascii() || part.trim().contains(' ');
    let part = if has_spaces { part } else { part.trim() };
    !part.trim().is_empty() && whole.contains(part)
}

/// The words in lower case without punctuation, separated and surrounded by single spaces.
fn words(text: &str) -> String {
    let mut words = String::with_capacity(text.len() + 2);
    words.push(' ');
    let parts = text.split(|c: char| !c.is_alphanumeric());
    for part in parts.filter(|part| !part.is_empty()) {
        words.extend(part.chars().flat_map(char::to_lowercase));
        words.push(' ');
    }
    words
}

/// A prompt without its instruction.
fn text(prompt: &str) -> &str {
    until(prompt, &INSTRUCTIONS)
}

/// The question itself.
fn body(prompt: &str) -> &str {
    until(text(prompt), &CONTEXTS)
}

fn until<'a>(prompt: &'a str, marks: &[&str]) -> &'a str {
    let ends = marks.iter().filter_map(|mark| prompt.find(mark));
    &prompt[..ends.min().unwrap_or(prompt.len())]
}

/// A prompt without the image placeholder.
pub(super) fn without_image(prompt: &str) -> &str {
    let mark = fp_image::IMAGE_PLACEHOLDER;
    let prompt = prompt.trim();
    let prompt = prompt.strip_prefix(mark).unwrap_or(prompt);
    prompt.strip_suffix(mark).unwrap_or(prompt).trim()
}

/// Possible names of a sample's image, without folders and extensions.
fn image_names(sample: &Sample) -> Vec<String> {
    let file = sample.image.as_file().and_then(|path| path.file_stem());
    let mut names = vec![file_stem(&sample.image_id).to_owned()];
    names.extend(file.map(|name| name.to_string_lossy().into_owned()));
    names.dedup();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(question: &str) -> Sample {
        Sample {
            question: question.to_owned(),
            ..Sample::default()
        }
    }

    #[test]
    fn how_prompts_fit() {
        const SHORT: &str = "Answer the question using a single word or phrase.";
        let cat = format!("Is there a cat in the image?\n{SHORT}");
        let ocr = format!("What brand?\nReference OCR token: a, b\n{SHORT}");
        let choice = "Context: it rains.\nWhich way?\nA. up\nB. down\nAnswer with the option's letter from the given choices directly.";
        use Fit::{Other, Reworded, Same};
        for (prompt, question, expected) in [
            (cat.as_str(), cat.as_str(), Same),
            ("Is there a cat in the image?", &cat, Same),
            ("is there a CAT in the image", &cat, Reworded),
            (
                "Is there a cat in the image? Reply yes or no.",
                &cat,
                Reworded,
            ),
            ("Is there a dog in the image?", &cat, Other),
            ("Is there a cat in", &cat, Reworded),
            ("Is there a cat", "Is there a caterpillar?", Other),
            ("What is 1?", "What is 11?", Other),
            (&format!("What brand?\n{SHORT}"), &ocr, Reworded),
            (&format!("What colour?\n{SHORT}"), &ocr, Other),
            (
                "Context: it rains.\nWhich way?\nA. up\nB. down",
                choice,
                Same,
            ),
            (
                "Context: it rains. Which way? There are several options:\nA. up\nB. down\n",
                choice,
                Reworded,
            ),
            ("Which way?\nA. up\nB. down", choice, Reworded),
            ("图中有猫吗？请回答", "图中有猫吗？", Reworded),
            ("图中有狗吗？请回答", "图中有猫吗？", Other),
        ] {
            let found = fit(without_image(prompt), &asked(question), Benchmark::Pope);
            assert_eq!(found, expected, "{prompt:?} {question:?}");
        }
        let official = "Is there a cat in the image? Please answer yes or no.";
        assert_eq!(fit(official, &asked(&cat), Benchmark::Mme), Same);
        assert_eq!(fit(official, &asked(&cat), Benchmark::Pope), Reworded);
    }

    #[test]
    fn the_mark_of_the_image_is_no_text() {
        assert_eq!(without_image("<image>\nWhat?"), "What?");
        assert_eq!(without_image("What?\n<image>"), "What?");
    }
}
