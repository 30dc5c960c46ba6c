//! Work shared among many runs gives the same results as separate runs, to the last bit.

use fp_model::prompt::EncodedPrompt;
use fp_model::{Branches, ImageFeatures, LlavaModel, LoadOptions, Prefix, PrefixOptions, Sample};
use fp_scoring::{KeptTokens, random_tokens};

use crate::common::{self, cases, expected, golden, greedy, largest_difference, load};

/// Features of the first golden views.
fn some_features(model: &LlavaModel, count: usize) -> Vec<ImageFeatures> {
    let mut views: Vec<_> = expected().into_iter().collect();
    views.retain(|(name, _)| name.starts_with("pixel_values_"));
    views.sort_by(|a, b| a.0.cmp(&b.0));
    let pixels = views.into_iter().map(|(_, pixels)| pixels).take(count);
    pixels
        .map(|pixels| model.encode_image(&pixels.unsqueeze(0).unwrap()).unwrap())
        .collect()
}

/// A prompt with these numbers of tokens before and after the image.
fn prompt(num_system: u32, num_text: u32) -> EncodedPrompt {
    let image = cases()[0].input_ids[cases()[0].image_position];
    let system = (0..num_system).map(|i| 10 + 3 * i);
    let text = (0..num_text).map(|i| 20 + (7 * i + num_text) % 90);
    EncodedPrompt {
        input_ids: system.chain([image]).chain(text).collect(),
        image_position: num_system as usize,
    }
}

fn kept_sets(n: usize) -> Vec<KeptTokens> {
    let mut kept: Vec<KeptTokens> = [(30, 1), (98, 2), (1, 3)]
        .map(|(count, seed)| random_tokens(n, count, seed).unwrap())
        .into();
    kept.push(KeptTokens::new(Vec::new(), n).unwrap());
    kept.push(KeptTokens::all(n));
    kept
}

/// Logits after the prefill, tokens, and logits after the last token that was run.
fn answers(model: &LlavaModel, mut branches: Branches) -> Vec<(Vec<f32>, Vec<u32>, Vec<f32>)> {
    let logits = |branches: &Branches| -> Vec<Vec<f32>> {
        let each = 0..branches.len();
        each.map(|i| branches.logits(i).unwrap().unwrap().to_vec())
            .collect()
    };
    let first = logits(&branches);
    let generations = model.generate(&mut branches, &greedy(3)).unwrap();
    let tokens = generations.into_iter().map(|answer| answer.token_ids);
    let rest = tokens.zip(logits(&branches));
    first
        .into_iter()
        .zip(rest)
        .map(|(first, (tokens, last))| (first, tokens, last))
        .collect()
}

fn alone(
    model: &LlavaModel,
    prompt: &EncodedPrompt,
    features: &ImageFeatures,
    options: &PrefixOptions,
) -> Prefix {
    model.prefill_prefix(prompt, features, options).unwrap()
}

/// A sample run alone, and after a system part and an image that were run before.
fn alone_and_shared(
    model: &LlavaModel,
    prompt: &EncodedPrompt,
    features: &ImageFeatures,
    options: &PrefixOptions,
) -> [Prefix; 2] {
    let system = model.prefill_system(prompt.system_ids()).unwrap();
    let image = model.prefill_image(&system, features, &[options.depth]);
    let rows = std::slice::from_ref(&options.query_rows);
    let mut shared = model
        .prefill_question(&image.unwrap(), prompt, rows)
        .unwrap();
    [alone(model, prompt, features, options), shared.remove(0)]
}

#[test]
fn branches_behind_a_shared_system_part_equal_those_without() {
    let model = load();
    let features = &some_features(&model, 1)[0];
    let num_layers = model.config().text.num_layers;
    for (num_system, prune_layer) in [(0, 2), (1, 1), (35, 2), (20, num_layers - 1)] {
        let prompts = [prompt(num_system, 9), prompt(num_system, 24)];
        let system = model.prefill_system(prompts[0].system_ids()).unwrap();
        assert_eq!(system.ids().len(), num_system as usize);
        for prompt in &prompts {
            let layout = Sample { prompt, features }.layout();
            let (image, end) = (layout.image_range(), layout.sequence_len());
            let options = PrefixOptions {
                depth: prune_layer,
                query_rows: vec![image.start, image.end - 1, image.end, end - 1],
            };
            let fresh = alone(&model, prompt, features, &options);
            let shared = model
                .prefill_image(&system, features, &[prune_layer])
                .unwrap();
            let rows = std::slice::from_ref(&options.query_rows);
            let shared = model
                .prefill_question(&shared, prompt, rows)
                .unwrap()
                .remove(0);
            assert_eq!(
                common::flat(fresh.hidden_states()),
                common::flat(shared.hidden_states())
            );
            assert_eq!(
                fresh.image_attention_rows().unwrap(),
                shared.image_attention_rows().unwrap()
            );

            let kept = kept_sets(features.num_tokens());
            let a = model.branch(&fresh, &kept).unwrap();
            let b = model.branch(&shared, &kept).unwrap();
            for request in 0..kept.len() {
                assert_eq!(a.kv_tokens_of(request), b.kv_tokens_of(request));
                assert_eq!(a.kv_bytes_of(request), b.kv_bytes_of(request));
            }
            assert!(
                answers(&model, a) == answers(&model, b),
                "{num_system} tokens before the image, K = {prune_layer}"
            );
        }
    }
}

#[test]
fn prefixes_with_and_without_a_shared_system_part_go_together() {
    let model = load();
    let features = &some_features(&model, 1)[0];
    let prompt = prompt(12, 9);
    let options = PrefixOptions {
        depth: 2,
        query_rows: Vec::new(),
    };
    let [fresh, shared] = alone_and_shared(&model, &prompt, features, &options);
    let kept = kept_sets(features.num_tokens());
    let requests: Vec<(&Prefix, &KeptTokens)> = kept
        .iter()
        .flat_map(|kept| [(&fresh, kept), (&shared, kept)])
        .collect();
    let answers = answers(&model, model.branch_all(&requests).unwrap());
    for pair in answers.chunks(2) {
        assert!(pair[0] == pair[1]);
    }
}

/// The tensor library's sums depend on the number of rows, so its results are equal only up to
/// rounding.
#[test]
fn the_tensor_library_shares_too() {
    let options = LoadOptions {
        kernels: false,
        ..LoadOptions::default()
    };
    let model = LlavaModel::load(golden("model"), &options).unwrap();
    let features = &some_features(&model, 1)[0];
    let prompt = prompt(12, 9);
    let options = PrefixOptions {
        depth: 2,
        query_rows: vec![features.num_tokens() + 20],
    };
    let [fresh, shared] = alone_and_shared(&model, &prompt, features, &options);
    let rows = shared.image_attention_rows().unwrap();
    assert!(largest_difference(fresh.image_attention_rows().unwrap(), rows) < 1e-5);
    let kept = kept_sets(features.num_tokens());
    let a = model.branch(&fresh, &kept).unwrap();
    let b = model.branch(&shared, &kept).unwrap();
    for request in 0..kept.len() {
        let (a, b) = (
            a.logits(request).unwrap().unwrap(),
            b.logits(request).unwrap().unwrap(),
        );
        assert!(largest_difference(a, b) < 1e-4);
    }
}

#[test]
fn a_prompt_of_nothing_but_its_system_part_has_logits() {
    let model = load();
    let features = &some_features(&model, 1)[0];
    let n = features.num_tokens();
    let prompt = prompt(12, 0);
    let options = PrefixOptions {
        depth: 2,
        query_rows: Vec::new(),
    };
    let [fresh, shared] = alone_and_shared(&model, &prompt, features, &options);
    let nothing = [KeptTokens::new(Vec::new(), n).unwrap()];
    let a = model.branch(&fresh, &nothing).unwrap();
    let b = model.branch(&shared, &nothing).unwrap();
    assert_eq!(a.kv_tokens_of(0), b.kv_tokens_of(0));
    assert!(answers(&model, a) == answers(&model, b));
}

#[test]
fn what_branches_share_is_counted_once() {
    let model = load();
    let features = &some_features(&model, 1)[0];
    let (num_system, num_text) = (35, 9);
    let prompt = prompt(num_system, num_text);
    let system = model.prefill_system(prompt.system_ids()).unwrap();
    let image = model.prefill_image(&system, features, &[2]).unwrap();
    let prefix = model
        .prefill_question(&image, &prompt, &[vec![]])
        .unwrap()
        .remove(0);
    let text = &model.config().text;
    let shape = text.decoder_shape();
    let bytes = |first: u32, rest: u32| {
        let lengths = (0..text.num_layers).map(|layer| if layer < 2 { first } else { rest });
        shape.kv_bytes(lengths.map(|length| length as usize), 4) as usize
    };
    let n = features.num_tokens() as u32;
    assert_eq!(system.kv_bytes(), bytes(num_system, num_system));
    assert_eq!(
        prefix.kv_bytes(),
        bytes(num_system + n + num_text, num_system)
    );
    let kept: Vec<KeptTokens> = (0..3)
        .map(|seed| random_tokens(n as usize, 50, seed).unwrap())
        .collect();
    let branches = model.branch(&prefix, &kept).unwrap();
    let own = bytes(0, 50 + num_text);
    assert_eq!(branches.kv_bytes(), prefix.kv_bytes() + 3 * own);
}

#[test]
fn texts_in_a_batch_equal_single_ones() {
    let model = load();
    let texts: Vec<Vec<u32>> = [3, 17, 1, 40]
        .map(|len| (0..len).map(|i| 10 + (5 * i + len) % 100).collect())
        .into();
    let borrowed: Vec<&[u32]> = texts.iter().map(Vec::as_slice).collect();
    let together = answers(&model, model.prefill_texts(&borrowed).unwrap());
    for (ids, expected) in texts.iter().zip(&together) {
        let single = answers(&model, model.prefill_text(ids).unwrap());
        assert!(single[0] == *expected, "{} tokens", ids.len());
    }
    assert!(model.prefill_texts(&[]).unwrap().is_empty());
    assert!(model.prefill_texts(&[&[1], &[]]).is_err());
}

#[test]
fn system_parts_that_make_no_sense_are_refused() {
    let model = load();
    let outside = model.config().text.vocab_size as u32;
    assert!(model.prefill_system(&[1, outside]).is_err());
    // A question after another system part.
    let features = &some_features(&model, 1)[0];
    let system = model.prefill_system(&[1, 2, 3]).unwrap();
    let image = model.prefill_image(&system, features, &[2]).unwrap();
    let error = model.prefill_question(&image, &prompt(3, 5), &[vec![]]);
    assert!(error.unwrap_err().to_string().contains("beginning"));
    let num_layers = model.config().text.num_layers;
    for depths in [vec![], vec![num_layers], vec![2, 2], vec![3, 1]] {
        let error = model.prefill_image(&system, features, &depths);
        assert!(error.is_err(), "{depths:?}");
    }
    let question = prompt(3, 5);
    assert!(model.prefill_question(&image, &question, &[]).is_err());
}
