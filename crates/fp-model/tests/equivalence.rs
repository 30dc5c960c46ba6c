//! Batched runs give the same results as separate ones, to the last bit.

use fp_model::prompt::EncodedPrompt;
use fp_model::{
    FinishReason, GenerateOptions, ImageFeatures, LlavaModel, PrefixOptions, Sample, Sampling,
};
use fp_scoring::{
    HeadCount, HeadStrategy, KeptTokens, Normalization, PruneConfig, QueryStrategy, TokenBudget,
    random_tokens,
};

use crate::common::{self, cases, expected, features, greedy, load};

/// Prompts of different lengths.
fn prompts(count: usize) -> Vec<EncodedPrompt> {
    let cases = cases();
    let base = &cases[0];
    (0..count)
        .map(|index| {
            let mut input_ids = base.input_ids.clone();
            input_ids.extend((0..index as u32 * 3).map(|i| 20 + 7 * i + index as u32));
            EncodedPrompt {
                input_ids,
                image_position: base.image_position,
            }
        })
        .collect()
}

fn some_features(model: &LlavaModel) -> Vec<ImageFeatures> {
    let mut features: Vec<_> = features(model, &expected()).into_iter().collect();
    features.sort_by(|a, b| a.0.cmp(&b.0));
    features.into_iter().map(|(_, features)| features).collect()
}

fn pruning(query_strategy: QueryStrategy) -> PruneConfig {
    PruneConfig {
        head_strategy: HeadStrategy::Variance,
        query_strategy,
        normalization: Normalization::L1,
        num_selected_heads: HeadCount::HALF,
        budget: TokenBudget::Kept(50),
        prune_layer: 3,
        allow_degenerate: false,
    }
}

#[test]
fn branches_equal_single_runs() {
    let model = load();
    let features = &some_features(&model)[0];
    let prompt = &prompts(2)[1];
    let options = PrefixOptions {
        depth: 2,
        query_rows: vec![],
    };
    let prefix = model.prefill_prefix(prompt, features, &options).unwrap();
    let n = features.num_tokens();
    let mut kept: Vec<KeptTokens> = [(30, 1), (98, 2), (166, 3), (1, 4)]
        .map(|(count, seed)| random_tokens(n, count, seed).unwrap())
        .into();
    kept.push(kept[1].clone());
    kept.push(KeptTokens::all(n));

    let mut together = model.branch(&prefix, &kept).unwrap();
    assert_eq!((together.len(), together.num_distinct()), (6, 5));
    let logits: Vec<Vec<f32>> = (0..6)
        .map(|i| together.logits(i).unwrap().unwrap().to_vec())
        .collect();
    let generations = model.generate(&mut together, &greedy(6)).unwrap();
    assert_eq!(generations[1], generations[4]);
    for (index, kept) in kept.iter().enumerate() {
        let prefix = model.prefill_prefix(prompt, features, &options).unwrap();
        let mut alone = model.branch(&prefix, std::slice::from_ref(kept)).unwrap();
        assert_eq!(alone.logits(0).unwrap().unwrap(), logits[index]);
        assert_eq!(
            model.generate(&mut alone, &greedy(6)).unwrap()[0],
            generations[index]
        );
        // These are the logits of the last token that was run.
        assert_eq!(alone.logits(0).unwrap(), together.logits(index).unwrap());
        assert_eq!(alone.kv_bytes_of(0), together.kv_bytes_of(index));
    }
    // Keeping all tokens is no pruning.
    let mut whole = model.prefill(&[Sample { prompt, features }]).unwrap();
    assert_eq!(whole.logits(0).unwrap().unwrap(), logits[5]);
    assert_eq!(
        model.generate(&mut whole, &greedy(6)).unwrap()[0],
        generations[5]
    );
}

#[test]
fn a_batch_equals_single_runs() {
    let model = load();
    let features = some_features(&model);
    let prompts = prompts(8);
    let samples: Vec<Sample<'_>> = prompts
        .iter()
        .enumerate()
        .map(|(index, prompt)| Sample {
            prompt,
            features: &features[index % features.len()],
        })
        .collect();
    for config in [None, Some(pruning(QueryStrategy::AttentionWeighted))] {
        let (together, _) = model.answer(&samples, config.as_ref(), &greedy(5)).unwrap();
        for (sample, batched) in samples.iter().zip(&together) {
            let (alone, _) = model
                .answer(&[*sample], config.as_ref(), &greedy(5))
                .unwrap();
            assert_eq!(alone[0].generation, batched.generation);
            assert_eq!(alone[0].kv_tokens, batched.kv_tokens);
            assert_eq!(alone[0].prompt_logits, batched.prompt_logits);
            assert_eq!(alone[0].attention_audit(), batched.attention_audit());
        }
    }
}

#[test]
fn questions_on_a_shared_image_equal_fresh_runs() {
    let model = load();
    let features = &some_features(&model)[2];
    let prompts = prompts(2);
    let system = model.prefill_system(prompts[0].system_ids()).unwrap();
    let shared = model.prefill_image(&system, features, &[3]).unwrap();
    for prompt in &prompts {
        let layout = Sample { prompt, features }.layout();
        // Rows in the image and in the text, as for a window longer than the text.
        let text = layout.text_range();
        let query_rows = vec![text.start - 5, text.start - 1, text.start, text.end - 1];
        let options = PrefixOptions {
            depth: 3,
            query_rows: query_rows.clone(),
        };
        let fresh = model.prefill_prefix(prompt, features, &options).unwrap();
        let rows = std::slice::from_ref(&query_rows);
        let reused = model.prefill_question(&shared, prompt, rows).unwrap();
        let reused = &reused[0];
        assert_eq!(
            fresh.image_attention_rows().unwrap(),
            reused.image_attention_rows().unwrap()
        );
        let kept = [random_tokens(features.num_tokens(), 40, 9).unwrap()];
        let mut a = model.branch(&fresh, &kept).unwrap();
        let mut b = model.branch(reused, &kept).unwrap();
        assert_eq!(a.logits(0).unwrap(), b.logits(0).unwrap());
        assert_eq!(
            model.generate(&mut a, &greedy(6)).unwrap(),
            model.generate(&mut b, &greedy(6)).unwrap()
        );
        assert_eq!(a.logits(0).unwrap(), b.logits(0).unwrap());
    }
    // A prompt with another beginning is refused.
    let mut other = prompts[0].clone();
    other.input_ids[1] += 1;
    assert!(model.prefill_question(&shared, &other, &[vec![]]).is_err());
}

/// A decoded token is the same as a token of a longer prompt.
#[test]
fn decoding_equals_prefilling_the_longer_prompt() {
    let model = load();
    let features = &some_features(&model)[3];
    let mut prompt = prompts(1)[0].clone();
    let prefill = |prompt: &EncodedPrompt| model.prefill(&[Sample { prompt, features }]).unwrap();
    let mut decoded = prefill(&prompt);
    for _ in 0..4 {
        let token = model.generate(&mut decoded, &greedy(1)).unwrap()[0].token_ids[0];
        // A token is run only when the next one is requested.
        let mut probe = greedy(1);
        probe.stop_tokens = (0..model.config().text.vocab_size as u32).collect();
        model.generate(&mut decoded, &probe).unwrap();
        prompt.input_ids.push(token);
        assert_eq!(
            decoded.logits(0).unwrap(),
            prefill(&prompt).logits(0).unwrap()
        );
    }
}

#[test]
fn thread_count_changes_nothing() {
    let model = load();
    let features = some_features(&model);
    let prompts = prompts(3);
    let samples: Vec<Sample<'_>> = prompts
        .iter()
        .zip(&features)
        .map(|(prompt, features)| Sample { prompt, features })
        .collect();
    let pixels = &expected()["pixel_values_1_crop"].unsqueeze(0).unwrap();
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(|| {
            let encoded = model.encode_image(pixels).unwrap();
            let config = pruning(QueryStrategy::TextTokensOnly);
            let (outputs, _) = model.answer(&samples, Some(&config), &greedy(4)).unwrap();
            let mut whole = model.prefill(&samples).unwrap();
            let generations = model.generate(&mut whole, &greedy(4)).unwrap();
            let logits: Vec<Vec<f32>> = (0..3)
                .map(|i| whole.logits(i).unwrap().unwrap().to_vec())
                .collect();
            let pruned: Vec<_> = outputs
                .into_iter()
                .map(|output| {
                    let audit = output.attention_audit().cloned();
                    (output.prompt_logits, output.generation, audit)
                })
                .collect();
            (common::flat(encoded.embeds()), pruned, generations, logits)
        })
    };
    let one = run(1);
    for threads in [2, 3, 5] {
        assert!(one == run(threads), "{threads} threads");
    }
}

#[test]
fn caches_hold_what_is_kept_and_report_what_is_allocated() {
    let model = load();
    let features = &some_features(&model)[0];
    let prompt = &prompts(1)[0];
    let sample = Sample { prompt, features };
    let (len, new) = (sample.layout().sequence_len(), 4);
    let text = &model.config().text;
    let (outputs, _) = model
        .answer(
            &[sample],
            Some(&pruning(QueryStrategy::LastToken)),
            &greedy(new),
        )
        .unwrap();
    let kept_len = len - features.num_tokens() + 50;
    // The last token is never run, so its keys are reserved but not filled.
    let expected: Vec<usize> = (0..text.num_layers)
        .map(|layer| if layer < 3 { len } else { kept_len } + new - 1)
        .collect();
    assert_eq!(outputs[0].kv_tokens, expected);
    let shape = text.decoder_shape();
    let bytes = |first: usize, rest: usize| {
        let lengths = (0..text.num_layers).map(|layer| if layer < 3 { first } else { rest });
        shape.kv_bytes(lengths, 4) as usize
    };
    assert_eq!(outputs[0].kv_bytes, bytes(len + new, kept_len + new));

    // Branches share the prefix's part.
    let options = PrefixOptions {
        depth: 3,
        query_rows: vec![],
    };
    let prefix = model.prefill_prefix(prompt, features, &options).unwrap();
    let kept: Vec<KeptTokens> = (0..3)
        .map(|seed| random_tokens(features.num_tokens(), 50, seed).unwrap())
        .collect();
    let branches = model.branch(&prefix, &kept).unwrap();
    let own = bytes(0, kept_len);
    assert_eq!(branches.kv_bytes(), prefix.kv_bytes() + 3 * own);
    assert_eq!(branches.kv_bytes_of(0), Some(prefix.kv_bytes() + own));
}

#[test]
fn decoding_in_two_goes_equals_one() {
    let model = load();
    let features = &some_features(&model)[0];
    let prompt = &prompts(1)[0];
    let fresh = || model.prefill(&[Sample { prompt, features }]).unwrap();
    let whole = model.generate(&mut fresh(), &greedy(5)).unwrap();
    let mut parts = fresh();
    let mut tokens = Vec::new();
    for count in [1, 0, 3, 1] {
        tokens.extend(
            model.generate(&mut parts, &greedy(count)).unwrap()[0]
                .token_ids
                .clone(),
        );
    }
    assert_eq!(tokens, whole[0].token_ids);
    // Sampled decoding repeats with the same seed.
    let mut options = greedy(6);
    options.sampling = Sampling::Random {
        temperature: 1.5,
        top_p: 0.9,
        seed: 11,
    };
    let run = || model.generate(&mut fresh(), &options).unwrap();
    assert_eq!(run(), run());
    // A stop token ends a sequence and isn't part of it.
    let first = whole[0].token_ids[0];
    let mut options = greedy(6);
    options.stop_tokens = vec![first];
    let stopped = model.generate(&mut fresh(), &options).unwrap();
    assert!(stopped[0].token_ids.is_empty());
}

#[test]
fn requests_that_make_no_sense_are_refused() {
    let model = load();
    let features = &some_features(&model)[0];
    let prompt = &prompts(1)[0];
    let options = |prune_layer, query_rows| PrefixOptions {
        depth: prune_layer,
        query_rows,
    };
    let len = Sample { prompt, features }.layout().sequence_len();
    for wrong in [
        options(0, vec![len - 1]),
        options(model.config().text.num_layers, vec![]),
        options(2, vec![len]),
        options(2, vec![3]), // before the image
        options(2, vec![len - 1, len - 2]),
    ] {
        assert!(
            model.prefill_prefix(prompt, features, &wrong).is_err(),
            "{wrong:?}"
        );
    }
    let prefix = model
        .prefill_prefix(prompt, features, &options(2, vec![]))
        .unwrap();
    let too_far = KeptTokens::new(vec![600], 601).unwrap();
    assert!(model.branch(&prefix, &[too_far]).is_err());
    let mut outside = prompt.clone();
    outside.input_ids[3] = 505;
    assert!(
        model
            .prefill(&[Sample {
                prompt: &outside,
                features
            }])
            .is_err()
    );
    assert!(model.prefill_text(&[]).is_err());
    assert!(model.prefill(&[]).unwrap().is_empty());
    let mut config = pruning(QueryStrategy::LastToken);
    config.budget = TokenBudget::Kept(577);
    assert!(
        model
            .answer(&[Sample { prompt, features }], Some(&config), &greedy(1))
            .is_err()
    );
}

#[test]
fn a_prefill_in_two_is_a_prefill() {
    let model = load();
    let features = some_features(&model);
    let prompts = prompts(2);
    let samples: Vec<Sample<'_>> = prompts
        .iter()
        .zip(&features)
        .map(|(prompt, features)| Sample { prompt, features })
        .collect();
    let whole = model.prefill(&samples).unwrap();
    let last = model.config().text.num_layers - 1;
    for split in [1, last] {
        let mut calls = 0;
        let in_two = model
            .prefill_in_two(&samples, split, &mut || {
                calls += 1;
                Ok(())
            })
            .unwrap();
        assert_eq!((calls, in_two.len()), (1, samples.len()));
        for request in 0..samples.len() {
            assert_eq!(
                whole.logits(request).unwrap(),
                in_two.logits(request).unwrap(),
                "{split}"
            );
            assert_eq!(
                whole.kv_bytes_of(request),
                in_two.kv_bytes_of(request),
                "{split}"
            );
        }
    }
    for outside in [0, last + 1] {
        assert!(
            model
                .prefill_in_two(&samples, outside, &mut || Ok(()))
                .is_err()
        );
    }
}

#[test]
fn a_forced_length_is_that_length() {
    let model = load();
    let features = &some_features(&model)[0];
    let prompt = &prompts(1)[0];
    let sample = Sample { prompt, features };
    let prefilled = || model.prefill(&[sample]).unwrap();
    let greedy = |stop_tokens| GenerateOptions {
        stop_tokens,
        ..GenerateOptions::forced(12)
    };
    let mut counts = Vec::new();
    let forced = model
        .generate_observed(&mut prefilled(), &greedy(Vec::new()), &mut |count| {
            counts.push(count);
            Ok(())
        })
        .unwrap();
    let tokens = &forced[0].token_ids;
    assert_eq!(counts, (1..=12).collect::<Vec<_>>());
    assert_eq!(
        (tokens.len(), forced[0].finish_reason),
        (12, FinishReason::Length)
    );
    // With the fourth token as the end of the sequence, there are at most three.
    let ended = model
        .generate(&mut prefilled(), &greedy(vec![tokens[3]]))
        .unwrap();
    assert!(ended[0].token_ids.len() <= 3);
    assert_eq!(ended[0].finish_reason, FinishReason::Stop);
}
