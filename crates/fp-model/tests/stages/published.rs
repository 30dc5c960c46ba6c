//! Published methods in a whole model: kept tokens and answers, compared with the authors' own
//! models on the tiny models of FINEPRUNER_METHODS_FIXTURES.

use std::path::{Path, PathBuf};

use candle_core::Tensor;
use fp_image::{ImageAspect, decode_file};
use fp_model::prompt::{EncodedPrompt, PromptTemplate};
use fp_model::{
    LlavaModel, LoadOptions, OpenedCheckpoint, OpenedClip, PlannedSample, Sample, SampleFacts,
    SampleOutput, ToTensor, VisionParts, VisionRead, VisionRequest, clip_text,
};
use fp_scoring::methods::cdpruner_relevance;
use fp_scoring::{
    Dense, MethodParams, MethodRegistry, MethodRole, Normalization, ParamScope, Plan, PlanSetting,
    PositionRule, QueryStrategy, RunCodes, TokenBudget, TokenLayout, published_method,
    published_plan,
};
use safetensors::SafeTensors;
use serde_json::{Value, json};

use super::Case;
use crate::common::greedy;

fn setting(model: &LlavaModel, num_image_tokens: usize) -> PlanSetting {
    PlanSetting {
        shape: model.config().text.decoder_shape(),
        num_image_tokens,
        grid: None,
        num_vision_layers: Some(model.config().vision.num_layers),
        has_class_token: true,
        crops: fp_scoring::ImageCrops::One,
        prune_layer: 1,
        budget: None,
        schedule: None,
        query_strategy: QueryStrategy::LastToken,
        normalization: Normalization::L1,
        allow_degenerate: false,
        seed: 0,
    }
}

fn plan(
    model: &LlavaModel,
    num_image_tokens: usize,
    name: &str,
    given: &[(String, String)],
    positions: PositionRule,
) -> Plan {
    let method = published_method(name).unwrap();
    let params = MethodParams::parse(method.card(), ParamScope::Model, given).unwrap();
    published_plan(
        method,
        &params,
        Some(positions),
        &setting(model, num_image_tokens),
    )
    .unwrap()
}

/// A method that keeps everything equals no method, bit for bit, with either rule of positions.
#[test]
fn published_methods_that_keep_everything_are_vanilla() {
    let case = Case::new();
    let num_image = case.features.num_tokens();
    let all = num_image.to_string();
    let layers = case.model.config().text.num_layers;
    assert!(layers > 2, "{layers}");
    let zeros = vec!["0"; layers].join(",");
    let settings: [(&str, Vec<(&str, &str)>); 8] = [
        ("fastervlm", vec![("keep", &all)]),
        ("vispruner", vec![("keep", &all)]),
        ("scope", vec![("keep", &all)]),
        ("divprune", vec![("ratio", "1")]),
        ("hiprune", vec![("keep", &all), ("object_layer", "1")]),
        ("pyramiddrop", vec![("layers", "1,2"), ("ratios", "1,1")]),
        ("v2drop", vec![("layers", "1,2"), ("keep_ratios", "1,1")]),
        ("fitprune", vec![("delete", &zeros)]),
    ];
    let run = |plan: &Plan| {
        let request = case.model.config().vision_request([plan]).unwrap();
        let features = case.model.encode_image_for(&case.pixels, &request).unwrap();
        let sample = Sample {
            prompt: &case.prompt,
            features: &features,
        };
        let request = PlannedSample {
            sample,
            plan,
            facts: SampleFacts::of(""),
        };
        let (mut outputs, _) = case.model.answer_planned(&[request], &greedy(4)).unwrap();
        let output: SampleOutput = outputs.pop().unwrap();
        (
            output.prompt_logits,
            output.generation.token_ids,
            output.kv_tokens,
        )
    };
    let vanilla = run(&Plan::vanilla());
    for (name, given) in settings {
        let given: Vec<(String, String)> = given
            .into_iter()
            .map(|(a, b)| (a.to_owned(), b.to_owned()))
            .collect();
        for positions in [PositionRule::Keep, PositionRule::Renumber] {
            let plan = plan(&case.model, num_image, name, &given, positions);
            assert_eq!(run(&plan), vanilla, "{name} {positions}");
        }
    }
}

/// Every published method at a budget: in every layer, its caches hold what its stages kept, the
/// number that its plan counts if the rule has no choice; and two samples in a batch give the same
/// as each alone.
#[test]
fn published_methods_cache_what_they_count_and_know_no_batch() {
    let case = Case::new();
    let n = case.features.num_tokens();
    let num_layers = case.model.config().text.num_layers;
    let text = case.prompt.input_ids.len() - 1;
    let other = EncodedPrompt {
        input_ids: (1..7).chain([500]).chain(40..63).collect(),
        image_position: 6,
    };
    let registry = MethodRegistry::standard();
    // The tower's last layer, which prumerge_plus reads, isn't loaded here.
    let left_out = ["prumerge_plus", "cdpruner"];
    let methods = registry
        .iter()
        .filter(|method| method.role() == MethodRole::Studied)
        .filter(|method| !left_out.contains(&method.name()));
    let setting = PlanSetting {
        grid: Some([n.isqrt(), n.isqrt()]),
        budget: Some(TokenBudget::AverageVisualTokens(0.4 * n as f64)),
        ..setting(&case.model, n)
    };
    for method in methods {
        let name = method.name();
        let plan = method.plan(&setting).unwrap();
        let request = case.model.config().vision_request([&plan]).unwrap();
        let features = case.model.encode_image_for(&case.pixels, &request).unwrap();
        let planned = |prompt| PlannedSample {
            sample: Sample {
                prompt,
                features: &features,
            },
            plan: &plan,
            facts: SampleFacts::of(""),
        };
        let run = |requests: &[PlannedSample<'_>]| {
            let answered = case.model.answer_planned(requests, &greedy(3));
            answered
                .unwrap_or_else(|error| panic!("{name}: {error:?}"))
                .0
        };
        let both = run(&[planned(&case.prompt), planned(&other)]);
        for (prompt, output) in [&case.prompt, &other].into_iter().zip(&both) {
            let alone = run(&[planned(prompt)]).remove(0);
            assert_eq!(alone.prompt_logits, output.prompt_logits, "{name}");
            assert_eq!(
                alone.generation.token_ids, output.generation.token_ids,
                "{name}"
            );
            let selected = |output: &SampleOutput| -> Vec<_> {
                let stages = output.stages.iter();
                stages
                    .map(|stage| stage.selected.selection.clone())
                    .collect()
            };
            assert_eq!(selected(&alone), selected(output), "{name}");
        }
        let mut lens = vec![n; num_layers];
        for stage in &both[0].stages {
            for len in &mut lens[stage.site.depth()..] {
                *len = stage.places.len();
            }
        }
        let counted = plan.schedule(num_layers, n).unwrap();
        if name != "vscan" {
            assert_eq!(counted.entering(), lens, "{name}");
        }
        let decoded = both[0].generation.token_ids.len().min(3);
        let expected: Vec<usize> = lens.iter().map(|len| len + text + decoded).collect();
        let found = &both[0].kv_tokens;
        // The last token of an answer is cached only if another one follows.
        let shorter: Vec<usize> = expected.iter().map(|len| len - 1).collect();
        assert!(
            *found == expected || *found == shorter,
            "{name}: {found:?} {expected:?}"
        );
    }
}

fn written(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(values) => values.iter().map(written).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}

fn numbers(value: &Value) -> Vec<i64> {
    value
        .as_array()
        .unwrap()
        .iter()
        .map(|n| n.as_i64().unwrap())
        .collect()
}

/// A tiny model of the fixtures.
struct Tiny {
    folder: PathBuf,
    opened: OpenedCheckpoint,
    model: LlavaModel,
    cases: Value,
    expected: Vec<u8>,
}

impl Tiny {
    fn open(folder: &Path) -> Tiny {
        let open = || OpenedCheckpoint::open(folder.join("model"), None).unwrap();
        let options = LoadOptions {
            // Everything that any method reads of the tower.
            vision: VisionParts {
                num_layers: open().config().vision.num_layers,
                post_norm: true,
            },
            ..LoadOptions::default()
        };
        let read = |name: &str| std::fs::read(folder.join(name)).unwrap();
        let clip = OpenedClip::open(folder.join("clip"), open().config()).unwrap();
        let model = open().load(&options).unwrap();
        Tiny {
            folder: folder.to_owned(),
            model: model.with_clip(clip).unwrap(),
            opened: open(),
            cases: serde_json::from_slice(&read("cases.json")).unwrap(),
            expected: read("expected.safetensors"),
        }
    }

    /// The results of the authors' own model.
    fn expected(&self, name: &str) -> Vec<f32> {
        let file = SafeTensors::deserialize(&self.expected).unwrap();
        let view = file.tensor(name).unwrap();
        let (values, _) = view.data().as_chunks::<4>();
        values
            .iter()
            .map(|bytes| f32::from_le_bytes(*bytes))
            .collect()
    }

    fn plan(&self, case: &Value) -> Plan {
        let Some(name) = case["method"].as_str() else {
            return Plan::vanilla();
        };
        let given = case["params"].as_object().unwrap().iter();
        let given: Vec<(String, String)> = given
            .map(|(name, value)| (name.clone(), written(value)))
            .collect();
        let num_image = self.cases["visual_tokens"].as_u64().unwrap() as usize;
        let positions = case["positions"].as_str().unwrap().parse().unwrap();
        plan(&self.model, num_image, name, &given, positions)
    }

    fn pixels(&self, input: &Value) -> Tensor {
        let image = decode_file(&self.folder.join(input["image"].as_str().unwrap())).unwrap();
        let processor = self.opened.image_processor().unwrap();
        let pixels = processor.preprocess(&image, ImageAspect::Pad).unwrap();
        pixels.to_tensor(self.model.device()).unwrap()
    }

    /// Checks a case; differences within its margins are accepted.
    fn check(&self, case: &Value) -> Result<(), String> {
        let input = &self.cases["inputs"][case["input"].as_u64().unwrap() as usize];
        let question = input["question"].as_str().unwrap();
        let text = PromptTemplate::VicunaV1.render(question);
        let prompt = self.opened.tokenizer().unwrap().encode(&text).unwrap();
        let ids: Vec<i64> = prompt.input_ids.iter().map(|&id| i64::from(id)).collect();
        assert_eq!(ids, numbers(&input["input_ids"]));
        let pixels = self.pixels(input);
        let plan = self.plan(case);
        let request = self.model.config().vision_request([&plan]).unwrap();
        let features = self.model.encode_image_for(&pixels, &request).unwrap();
        let sample = Sample {
            prompt: &prompt,
            features: &features,
        };
        let request = PlannedSample {
            sample,
            plan: &plan,
            facts: SampleFacts {
                question: Some(question),
                ..SampleFacts::of("")
            },
        };
        let answered = self.model.answer_planned(&[request], &greedy(8));
        let output = answered.map_err(|error| error.to_string())?.0.remove(0);
        if case["decision_margin"]
            .as_f64()
            .is_some_and(|margin| margin <= 1e-5)
        {
            return Ok(());
        }
        check_stages(&output, case, sample.layout())?;
        let expected = self.expected(case["logits"].as_str().unwrap());
        let apart = output
            .prompt_logits
            .iter()
            .zip(&expected)
            .map(|(a, b)| (a - b).abs());
        let apart = apart.fold(0.0, f32::max);
        if apart > 1e-4 {
            return Err(format!("logits are {apart} apart"));
        }
        let tokens: Vec<i64> = output
            .generation
            .token_ids
            .iter()
            .map(|&id| i64::from(id))
            .collect();
        let is_clear = case["min_margin"].as_f64().unwrap() > 1e-3;
        if is_clear && tokens != numbers(&case["generated"]) {
            return Err(format!("tokens {tokens:?}"));
        }
        Ok(())
    }
}

fn check_stages(output: &SampleOutput, case: &Value, layout: TokenLayout) -> Result<(), String> {
    let expected = case["stages"].as_array().map_or(&[][..], Vec::as_slice);
    if output.stages.len() != expected.len() {
        return Err(format!(
            "{} stages, not {}",
            output.stages.len(),
            expected.len()
        ));
    }
    let mut codes = RunCodes::new(layout.num_image);
    for (stage, expected) in output.stages.iter().zip(expected) {
        let choice = stage.selected.choice.as_ref().unwrap();
        let num_kept = stage.places.len();
        let named = codes.after(choice, num_kept);
        let same = |field: &str, found: Value| match &expected[field] {
            Value::Null => Ok(()),
            known if *known == found => Ok(()),
            known => Err(format!("{field}: {found}\n  instead of {known}")),
        };
        same("layers_done", json!(stage.site.depth()))?;
        same("kept_tokens", json!(named.kept))?;
        same(
            "sequence_length",
            json!(layout.num_system + num_kept + layout.num_text),
        )?;
        let places = stage.places.iter().map(|place| layout.num_system + place);
        same("visual_positions", json!(places.collect::<Vec<usize>>()))?;
        same("merged_targets", json!(named.merged_targets))?;
        if let Some(groups) = expected["merged_from"].as_array() {
            let mut known: Vec<Vec<i64>> = groups.iter().map(numbers).collect();
            let mut found = named.merged_from.unwrap_or_default();
            known
                .iter_mut()
                .chain(&mut found)
                .for_each(|group| group.sort_unstable());
            if known != found {
                return Err(format!("merged_from: {found:?}\n  instead of {known:?}"));
            }
        }
    }
    Ok(())
}

#[test]
fn published_methods_in_the_authors_models() {
    let Some(root) = std::env::var_os("FINEPRUNER_METHODS_FIXTURES") else {
        println!("skipped: FINEPRUNER_METHODS_FIXTURES doesn't name the folder of m64 and m144");
        return;
    };
    let mut problems = Vec::new();
    let mut count = 0;
    for name in ["m64", "m144"] {
        let tiny = Tiny::open(&Path::new(&root).join(name));
        for case in tiny.cases["cases"].as_array().unwrap() {
            count += 1;
            if let Err(problem) = tiny.check(case) {
                let [input, method, params, positions] =
                    ["input", "method", "params", "positions"].map(|field| &case[field]);
                let case = format!("{name} {input} {method} {params} {positions}");
                problems.push(format!("{case}: {problem}"));
            }
        }
    }
    println!("{count} cases");
    assert!(
        problems.is_empty(),
        "{} problems\n{}",
        problems.len(),
        problems.join("\n")
    );
}

/// The largest difference between two lists of equal length.
fn apart<A: Copy + Into<f64>, B: Copy + Into<f64>>(a: &[A], b: &[B]) -> f64 {
    assert_eq!(a.len(), b.len());
    let pairs = a.iter().zip(b);
    let gaps = pairs.map(|(a, b)| ((*a).into() - (*b).into()).abs());
    gaps.fold(0.0, f64::max)
}

#[test]
fn clips_embeddings_in_the_authors_models() {
    let Some(root) = std::env::var_os("FINEPRUNER_METHODS_FIXTURES") else {
        println!("skipped: FINEPRUNER_METHODS_FIXTURES doesn't name the folder of m64 and m144");
        return;
    };
    for name in ["m64", "m144"] {
        let tiny = Tiny::open(&Path::new(&root).join(name));
        let config = tiny.opened.config();
        let request = VisionRequest::from_iter([VisionRead::NormedFeatures]);
        for (index, input) in tiny.cases["inputs"].as_array().unwrap().iter().enumerate() {
            let question = input["question"].as_str().unwrap();
            assert_eq!(clip_text(question), input["clip_text"].as_str().unwrap());
            let expected = tiny.expected(&format!("clip_text_embeds_{index}"));
            for files in [&["tokenizer.json"][..], &["vocab.json", "merges.txt"]] {
                let dir = tempfile::tempdir().unwrap();
                for file in files.iter().chain(&["config.json", "model.safetensors"]) {
                    let from = tiny.folder.join("clip").join(file);
                    std::fs::copy(from, dir.path().join(file)).unwrap();
                }
                let clip = OpenedClip::open(dir.path(), config).unwrap();
                // Ids after the text are padding.
                let ids: Vec<i64> = numbers(&input["clip_input_ids"]);
                let padding = ids.iter().rev().take_while(|id| **id == 0).count();
                let found = clip.token_ids(clip_text(question)).unwrap();
                let found: Vec<i64> = found.into_iter().map(i64::from).collect();
                assert_eq!(found, ids[..ids.len() - padding], "{files:?}");
            }
            let texts = tiny.model.clip_text_embeds(clip_text(question)).unwrap();
            let gap = apart(&texts.concat(), &expected);
            assert!(gap < 1e-5, "{name} {index}: {gap}");

            let features = tiny.model.encode_image_for(&tiny.pixels(input), &request);
            let images = tiny.model.clip_image_embeds(&features.unwrap()).unwrap();
            let dense = |rows: Vec<Vec<f32>>| {
                let width = rows[0].len();
                let values = rows.concat().into_iter().map(f64::from);
                Dense::new(values.collect(), width).unwrap()
            };
            let relevance = cdpruner_relevance(&dense(images), &dense(texts)).unwrap();
            let gap = apart(&relevance, &tiny.expected(&format!("relevance_{index}")));
            assert!(gap < 1e-5, "{name} {index}: {gap}");
        }
    }
}
