//! Several stages, merges and positions: each compared with something simpler that must give the
//! same, to the last bit.

mod published;

use candle_core::Tensor;
use fp_model::prompt::EncodedPrompt;
use fp_model::{
    Advance, Ending, ImageFeatures, LlavaModel, Prefix, PrefixOptions, Sample, VisionRead,
    VisionRequest,
};
use fp_scoring::PositionRule::{Keep, Renumber};
use fp_scoring::{
    Evidence, Plan, PositionRule, SelectError, Selected, Selector, Site, Stage, TokenSelection,
    random_tokens,
};

use crate::common::{self, expected, greedy, load};

/// Logits after the prompt, tokens, and the number of tokens cached per layer.
type Answer = (Vec<f32>, Vec<u32>, Vec<usize>);

/// A placeholder: the tests make their own selections.
#[derive(Debug)]
struct NoSelector;

impl Selector for NoSelector {
    fn select(&self, evidence: &Evidence<'_>, _kept: usize) -> Result<Selected, SelectError> {
        Ok(TokenSelection::all(evidence.num_tokens()).into())
    }
}

struct Case {
    model: LlavaModel,
    pixels: Tensor,
    features: ImageFeatures,
    prompt: EncodedPrompt,
}

impl Case {
    fn new() -> Case {
        let model = load();
        let mut views: Vec<_> = expected().into_iter().collect();
        views.retain(|(name, _)| name.starts_with("pixel_values_"));
        views.sort_by(|a, b| a.0.cmp(&b.0));
        let pixels = views[0].1.unsqueeze(0).unwrap();
        let stage = Stage {
            site: Site::Vision,
            selector: std::sync::Arc::new(NoSelector),
            kept: 1,
        };
        let plan = Plan {
            stages: vec![stage],
            ..Plan::vanilla()
        };
        let request = model.config().vision_request([&plan]).unwrap();
        Case {
            features: model.encode_image_for(&pixels, &request).unwrap(),
            pixels,
            model,
            prompt: EncodedPrompt {
                input_ids: (1..7).chain([500]).chain(20..32).collect(),
                image_position: 6,
            },
        }
    }

    fn n(&self) -> usize {
        self.features.num_tokens()
    }

    fn prefix(&self, depth: usize) -> Prefix {
        let options = PrefixOptions {
            depth,
            query_rows: Vec::new(),
        };
        let prefix = self
            .model
            .prefill_prefix(&self.prompt, &self.features, &options);
        prefix.unwrap()
    }

    /// The same after a system part and an image that were run before, at several depths.
    fn shared(&self, depths: &[usize]) -> Vec<Prefix> {
        let system = self.model.prefill_system(self.prompt.system_ids()).unwrap();
        let image = self.model.prefill_image(&system, &self.features, depths);
        let rows = vec![Vec::new(); depths.len()];
        let shared = self
            .model
            .prefill_question(&image.unwrap(), &self.prompt, &rows);
        shared.unwrap()
    }

    fn finish(&self, prefix: &Prefix, selection: &TokenSelection, rule: PositionRule) -> Answer {
        let ending = Ending {
            prefix,
            selection,
            positions: rule,
        };
        let mut branches = self.model.finish_all(&[ending]).unwrap();
        let logits = branches.logits(0).unwrap().unwrap().to_vec();
        let answer = self.model.generate(&mut branches, &greedy(5)).unwrap();
        let tokens = branches.kv_tokens_of(0).unwrap();
        (logits, answer[0].token_ids.clone(), tokens)
    }

    fn advance(&self, from: &Prefix, by: &TokenSelection, rule: PositionRule, to: usize) -> Prefix {
        let request = Advance {
            prefix: from,
            selection: by,
            positions: rule,
            query_rows: Vec::new(),
        };
        self.model.advance(&[request], to).unwrap().remove(0)
    }

    fn vanilla(&self) -> Answer {
        let sample = Sample {
            prompt: &self.prompt,
            features: &self.features,
        };
        let mut branches = self.model.prefill(&[sample]).unwrap();
        let logits = branches.logits(0).unwrap().unwrap().to_vec();
        let answer = self.model.generate(&mut branches, &greedy(5)).unwrap();
        let tokens = branches.kv_tokens_of(0).unwrap();
        (logits, answer[0].token_ids.clone(), tokens)
    }
}

fn some(n: usize, kept: usize, seed: u64) -> TokenSelection {
    TokenSelection::from(&random_tokens(n, kept, seed).unwrap())
}

#[test]
fn keeping_everything_is_vanilla_wherever_and_however_often() {
    let case = Case::new();
    let (all, vanilla) = (TokenSelection::all(case.n()), case.vanilla());
    for rule in [Keep, Renumber] {
        for depth in [0, 1, 2, 3] {
            assert_eq!(case.finish(&case.prefix(depth), &all, rule), vanilla);
            for shared in case.shared(&[0, 1, 3]) {
                assert_eq!(case.finish(&shared, &all, rule), vanilla);
                let further = case.advance(&shared, &all, rule, 3);
                assert_eq!(case.finish(&further, &all, rule), vanilla);
            }
        }
    }
}

#[test]
fn a_second_stage_that_keeps_everything_is_no_stage() {
    let case = Case::new();
    let first = some(case.n(), 40, 1);
    let all = TokenSelection::all(40);
    for rule in [Keep, Renumber] {
        for prefix in [case.prefix(1), case.shared(&[1]).remove(0)] {
            let one = case.finish(&prefix, &first, rule);
            for depth in [1, 2, 3] {
                let further = case.advance(&prefix, &first, rule, depth);
                assert_eq!(further.layout().num_image, 40);
                assert_eq!(case.finish(&further, &all, rule), one, "{rule} {depth}");
            }
        }
    }
}

#[test]
fn identity_weights_are_a_selection_and_others_are_sums() {
    let case = Case::new();
    let plain = some(case.n(), 12, 4);
    let rows = plain
        .places()
        .iter()
        .map(|&t| (t, vec![(t, 1.0)]))
        .collect();
    let merged = TokenSelection::merged(rows, case.n()).unwrap();
    let prefix = case.prefix(2);
    let expected = case.finish(&prefix, &plain, Keep);
    assert_eq!(case.finish(&prefix, &merged, Keep), expected);
    // A weight of 1 beside a weight of 0 also gives the row itself, through the sum.
    let rows = plain.places().iter();
    let rows = rows.map(|&t| (t, vec![(t, 1.0), ((t + 1) % case.n(), 0.0)]));
    let summed = TokenSelection::merged(rows.collect(), case.n()).unwrap();
    assert!(summed.merge().is_some());
    for prefix in [case.prefix(2), case.shared(&[2]).remove(0)] {
        assert_eq!(case.finish(&prefix, &summed, Keep), expected);
    }
    let rows = plain.places().iter();
    let halves = rows.map(|&t| (t, vec![(t, 0.5), ((t + 1) % case.n(), 0.5)]));
    let halves = TokenSelection::merged(halves.collect(), case.n()).unwrap();
    assert_ne!(case.finish(&prefix, &halves, Keep).0, expected.0);
}

#[test]
fn sums_before_the_projector_are_projected() {
    let case = Case::new();
    let n = case.n();
    // Rows with weight 1 are the tokens themselves, bit for bit.
    let plain = some(n, 9, 4);
    let rows = plain.places().iter();
    let rows = rows.map(|&t| (t, vec![(t, 1.0), (n, 0.0)]));
    let summed = TokenSelection::merged_before_projector(rows.collect(), n).unwrap();
    // Sums of other rows equal the projector's output for them: a class token, a mean.
    let rows = vec![
        (0, vec![(n, 1.0)]),
        (0, vec![(0, 1.0)]),
        (7, vec![(7, 0.5), (9, 0.25), (n, 0.25)]),
        (3, vec![]),
    ];
    let merged = TokenSelection::merged_before_projector(rows, n).unwrap();
    let sample = Sample {
        prompt: &case.prompt,
        features: &case.features,
    };
    let pixels = expected();
    let mut views: Vec<_> = pixels.into_iter().collect();
    views.retain(|(name, _)| name.starts_with("pixel_values_"));
    views.sort_by(|a, b| a.0.cmp(&b.0));
    let vision = &case.model.config().vision;
    let reads = [
        VisionRead::Features,
        VisionRead::HiddenState(case.model.config().num_vision_layers_used()),
    ];
    let (_, evidence) = case
        .model
        .encode_image_with(
            &views[0].1.unsqueeze(0).unwrap(),
            &VisionRequest::from_iter(reads),
        )
        .unwrap();
    let width = vision.hidden_size;
    let features = evidence.values(reads[0]).unwrap();
    let class = evidence.values(reads[1]).unwrap()[..width].to_vec();
    let row = |token: usize| &features[token * width..(token + 1) * width];
    let mut values: Vec<f32> = class.clone();
    values.extend(row(0));
    values.extend((0..width).map(|i| {
        let sum = 0.5 * f64::from(row(7)[i]) + 0.25 * f64::from(row(9)[i]);
        (sum + 0.25 * f64::from(class[i])) as f32
    }));
    values.extend(vec![0.0; width]);
    let rows = candle_core::Tensor::from_vec(values, (4, width), case.model.device()).unwrap();
    let smaller = Case {
        features: case.model.project_features(&rows).unwrap(),
        ..Case::new()
    };
    let expected = smaller.vanilla();
    assert_eq!(sample.layout().num_image, n);
    for prefix in [case.prefix(0), case.shared(&[0]).remove(0)] {
        let by_sums = case.finish(&prefix, &summed, Keep);
        assert_eq!(by_sums, case.finish(&prefix, &plain, Keep));
        assert_eq!(case.finish(&prefix, &merged, Renumber), expected);
        let further = case.advance(&prefix, &merged, Renumber, 2);
        let all = TokenSelection::all(4);
        assert_eq!(case.finish(&further, &all, Renumber), expected);
    }
    // After layer 1 there is no projector.
    let request = Advance {
        prefix: &case.prefix(1),
        selection: &merged,
        positions: Renumber,
        query_rows: Vec::new(),
    };
    let error = case.model.advance(&[request], 2).unwrap_err().to_string();
    assert!(error.contains("before the projector"), "{error}");
}

#[test]
fn tokens_renumbered_before_layer_1_are_a_smaller_image() {
    let case = Case::new();
    let kept = some(case.n(), 30, 7);
    let indices: Vec<u32> = kept.places().iter().map(|&t| t as u32).collect();
    let indices = candle_core::Tensor::new(indices, case.model.device()).unwrap();
    let rows = case.features.embeds().index_select(&indices, 0).unwrap();
    let smaller = Case {
        features: case.model.image_features(&rows).unwrap(),
        ..Case::new()
    };
    let expected = smaller.vanilla();
    for prefix in [case.prefix(0), case.shared(&[0]).remove(0)] {
        assert_eq!(case.finish(&prefix, &kept, Renumber), expected);
        assert_ne!(case.finish(&prefix, &kept, Keep).0, expected.0);
        // In two stages, the second one before layer 3.
        let further = case.advance(&prefix, &kept, Renumber, 2);
        let all = TokenSelection::all(30);
        assert_eq!(case.finish(&further, &all, Renumber), expected);
    }
}

#[test]
fn caches_hold_what_the_schedule_says() {
    let case = Case::new();
    let others = case.prompt.input_ids.len() - 1;
    let num_layers = case.model.config().text.num_layers;
    for rule in [Keep, Renumber] {
        for prefix in [case.prefix(1), case.shared(&[1]).remove(0)] {
            let further = case.advance(&prefix, &some(case.n(), 50, 1), rule, 3);
            let places = further.places().to_vec();
            assert_eq!(places, some(case.n(), 50, 1).places());
            for last in [0, 9] {
                let answer = case.finish(&further, &some_or_none(50, last), rule);
                let decoded = answer.1.len().min(4);
                let expected: Vec<usize> = (0..num_layers)
                    .map(|layer| match layer {
                        0 => case.n(),
                        1 | 2 => 50,
                        _ => last,
                    })
                    .map(|image| image + others + decoded)
                    .collect();
                assert_eq!(answer.2, expected);
            }
        }
    }
}

fn some_or_none(n: usize, kept: usize) -> TokenSelection {
    match kept {
        0 => TokenSelection::all(0),
        kept => some(n, kept, 2),
    }
}

#[test]
fn positions_are_kept_or_numbered_anew() {
    let case = Case::new();
    let kept = TokenSelection::new(vec![3, 5, 9], case.n()).unwrap();
    let (n, text) = (case.n(), case.prompt.num_text());
    let prefix = case.prefix(1);
    let further = case.advance(&prefix, &kept, Keep, 2);
    let ends = 6 + n..6 + n + text;
    let expected: Vec<usize> = (0..6).chain([9, 11, 15]).chain(ends).collect();
    assert_eq!(further.positions(), expected);
    let anew = case.advance(&prefix, &kept, Renumber, 2);
    let expected: Vec<usize> = (0..9 + text).collect();
    assert_eq!(anew.positions(), expected);
    // A second selection is among the remaining tokens.
    let second = TokenSelection::new(vec![1, 2], 3).unwrap();
    let last = case.advance(&anew, &second, Keep, 3);
    assert_eq!(last.places(), [5, 9]);
    assert_eq!(&last.positions()[6..8], [11, 15]);
}

#[test]
fn a_batch_gives_what_single_runs_give() {
    let case = Case::new();
    let prefixes = case.shared(&[1, 2]);
    let last = prefixes[0].layout().num_system + 20 + case.prompt.num_text() - 1;
    let selections = [some(case.n(), 20, 1), some(case.n(), 20, 2)];
    let requests: Vec<Advance<'_>> = selections
        .iter()
        .flat_map(|selection| [Keep, Renumber].map(|rule| (selection, rule)))
        .map(|(selection, positions)| Advance {
            prefix: &prefixes[0],
            selection,
            positions,
            query_rows: vec![last],
        })
        .collect();
    let together = case.model.advance(&requests, 3).unwrap();
    for (request, batched) in requests.iter().zip(&together) {
        let fresh = Advance {
            prefix: &case.prefix(1),
            ..request.clone()
        };
        let alone = case.model.advance(&[fresh], 3).unwrap().remove(0);
        assert_eq!(
            common::flat(alone.hidden_states()),
            common::flat(batched.hidden_states())
        );
        assert_eq!(
            alone.image_attention_rows().unwrap(),
            batched.image_attention_rows().unwrap()
        );
        let all = TokenSelection::all(20);
        let rule = request.positions;
        assert_eq!(
            case.finish(&alone, &all, rule),
            case.finish(batched, &all, rule)
        );
    }
}

#[test]
fn several_depths_in_one_run_are_several_runs() {
    let case = Case::new();
    let end = 6 + case.n() + case.prompt.num_text();
    let rows = [vec![], vec![10, end - 1], vec![end - 2]];
    let system = case.model.prefill_system(case.prompt.system_ids()).unwrap();
    let image = case
        .model
        .prefill_image(&system, &case.features, &[0, 1, 3]);
    let shared = case
        .model
        .prefill_question(&image.unwrap(), &case.prompt, &rows)
        .unwrap();
    for ((depth, rows), shared) in [0, 1, 3].into_iter().zip(rows).zip(&shared) {
        let options = PrefixOptions {
            depth,
            query_rows: rows,
        };
        let alone = case
            .model
            .prefill_prefix(&case.prompt, &case.features, &options)
            .unwrap();
        assert_eq!(
            common::flat(alone.hidden_states()),
            common::flat(shared.hidden_states())
        );
        assert_eq!(
            alone.image_attention_rows().unwrap(),
            shared.image_attention_rows().unwrap()
        );
        let kept = some(case.n(), 17, 5);
        assert_eq!(
            case.finish(&alone, &kept, Keep),
            case.finish(shared, &kept, Keep)
        );
    }
}

#[test]
fn attention_ahead_is_that_of_the_next_layer() {
    let case = Case::new();
    let end = 6 + case.n() + case.prompt.num_text();
    let rows = vec![8, end - 3, end - 1];
    for depth in [0, 1, 2] {
        let options = PrefixOptions {
            depth: depth + 1,
            query_rows: rows.clone(),
        };
        let next = case
            .model
            .prefill_prefix(&case.prompt, &case.features, &options)
            .unwrap();
        let ahead = case.model.attention_ahead(&case.prefix(depth), &rows);
        assert_eq!(ahead.unwrap(), next.image_attention_rows().unwrap());
    }
}

#[test]
fn requests_that_make_no_sense_are_refused() {
    let case = Case::new();
    let prefixes = case.shared(&[1, 2]);
    let kept = some(case.n(), 5, 1);
    let request = |prefix| Advance {
        prefix,
        selection: &kept,
        positions: Keep,
        query_rows: Vec::new(),
    };
    let num_layers = case.model.config().text.num_layers;
    let refused = |requests: &[Advance<'_>], depth| {
        let error = case.model.advance(requests, depth).unwrap_err();
        fp_scoring::error_text(&error)
    };
    assert!(refused(&[request(&prefixes[0]), request(&prefixes[1])], 3).contains("depth"));
    assert!(refused(&[request(&prefixes[1])], 1).contains("at least 2"));
    assert!(refused(&[request(&prefixes[1])], num_layers).contains("layer"));
    let outside = some(case.n() + 1, case.n() + 1, 1);
    let wrong = Advance {
        selection: &outside,
        ..request(&prefixes[0])
    };
    assert!(refused(&[wrong], 2).contains("below"));
    let wrong = Advance {
        query_rows: vec![6 + 5 + case.prompt.num_text()],
        ..request(&prefixes[0])
    };
    assert!(refused(&[wrong], 2).contains("rows"));
}
