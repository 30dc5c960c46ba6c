//! Evidence read from the vision tower, compared with a plain `f64` reference; and checks that
//! reading changes nothing.

mod naive;
mod tiny;

use candle_core::Tensor;
use fp_image::{GridPinpoints, ImageSize, Tiling};
use fp_model::{
    LlavaModel, LoadOptions, ModelError, Preset, VisionEvidence, VisionParts, VisionRead,
    VisionRequest,
};

use crate::common::{self, flat, golden};
use naive::Trace;
use tiny::{
    EVERYTHING, HEADS, LAYERS, PATCHES, SIDE, WIDTH, checkpoint, checkpoint_with, load, pixels,
};

/// Features are the output of layer 2 of 0..4.
const FEATURE_LAYERS: usize = 3;

/// Everything that can be read from layers `0..num_layers`.
fn reads_of(num_layers: usize) -> Vec<VisionRead> {
    let mut reads = vec![VisionRead::Features];
    reads.extend((0..=num_layers).map(VisionRead::HiddenState));
    for layer in 0..num_layers {
        reads.extend([
            VisionRead::ClassAttention(layer),
            VisionRead::ReceivedAttention(layer),
            VisionRead::Attention(layer),
            VisionRead::Queries(layer),
            VisionRead::Keys(layer),
            VisionRead::MeanKeys(layer),
        ]);
    }
    reads
}

fn everything() -> Vec<VisionRead> {
    let mut reads = reads_of(LAYERS);
    reads.push(VisionRead::NormedFeatures);
    reads
}

/// The expected values if the features are the output of `feature_layers` layers.
fn expected(
    tower: &naive::Tower,
    trace: &Trace,
    feature_layers: usize,
    read: VisionRead,
) -> Vec<f64> {
    let rows = |rows: &naive::Rows| rows.concat();
    match read {
        VisionRead::Features => trace.states[feature_layers][1..].concat(),
        VisionRead::NormedFeatures => {
            rows(&tower.norm("post_layernorm", &trace.states[feature_layers]))
        }
        VisionRead::HiddenState(state) => rows(&trace.states[state]),
        VisionRead::ClassAttention(layer) => {
            let heads = trace.layers[layer].attention.iter();
            heads.flat_map(|head| head[0][1..].to_vec()).collect()
        }
        VisionRead::ReceivedAttention(layer) => {
            let heads = trace.layers[layer].attention.iter();
            let received = heads.flat_map(|head| {
                (1..head.len()).map(|column| {
                    head.iter().map(|row| row[column]).sum::<f64>() / head.len() as f64
                })
            });
            received.collect()
        }
        VisionRead::Attention(layer) => trace.layers[layer]
            .attention
            .iter()
            .flat_map(rows)
            .collect(),
        VisionRead::Queries(layer) => rows(&trace.layers[layer].queries),
        VisionRead::Keys(layer) => rows(&trace.layers[layer].keys),
        VisionRead::MeanKeys(layer) => {
            let head_dim = WIDTH / HEADS;
            let mean = |key: &Vec<f64>| -> Vec<f64> {
                (0..head_dim)
                    .map(|i| (0..HEADS).map(|h| key[h * head_dim + i]).sum::<f64>() / HEADS as f64)
                    .collect()
            };
            trace.layers[layer].keys.iter().flat_map(mean).collect()
        }
        other => panic!("no expectation for {other:?}"),
    }
}

#[track_caller]
fn check_values(evidence: &VisionEvidence, read: VisionRead, expected: &[f64]) {
    let values = evidence.values(read).unwrap();
    assert_eq!(values.len(), expected.len(), "{read:?}");
    let largest = expected.iter().fold(0.0_f64, |max, v| max.max(v.abs()));
    for (value, expected) in values.iter().zip(expected) {
        let difference = (f64::from(*value) - expected).abs() / largest;
        assert!(difference < 1e-5, "{read:?}: {value}, {expected}");
    }
}

fn bits(evidence: &VisionEvidence, read: VisionRead) -> Vec<u32> {
    let values = evidence.values(read).unwrap();
    values.into_iter().map(f32::to_bits).collect()
}

fn embeds(model: &LlavaModel, pixels: &Tensor, reads: &[VisionRead]) -> Vec<f32> {
    let request = reads.iter().copied().collect();
    flat(
        model
            .encode_image_with(pixels, &request)
            .unwrap()
            .0
            .embeds(),
    )
}

#[test]
fn evidence_is_what_a_naive_tower_comes_by() {
    let (root, tower) = checkpoint();
    let request = VisionRequest::from_iter(everything());
    assert_eq!(request.parts(), EVERYTHING);
    for kernels in [true, false] {
        let model = load(&root, kernels, EVERYTHING);
        for seed in [1, 2] {
            let pixels = pixels(seed, 1);
            let trace = tower.run(&pixels.get(0).unwrap());
            let (_, evidence) = model.encode_image_with(&pixels, &request).unwrap();
            assert!(evidence.reads().eq(request.iter()));
            let mut num_values = 0;
            for read in request.iter() {
                let shape = read.shape(model.config());
                assert_eq!(evidence.get(read).unwrap().dims(), shape, "{read:?}");
                num_values += evidence.values(read).unwrap().len();
                let expected = expected(&tower, &trace, FEATURE_LAYERS, read);
                check_values(&evidence, read, &expected);
            }
            assert_eq!(num_values, request.num_values(model.config()));
            // Uniform attention would hide mistakes.
            let attention = evidence.values(VisionRead::ClassAttention(2)).unwrap();
            let largest = attention.iter().copied().fold(0.0, f32::max);
            assert!(largest > 4.0 / PATCHES as f32, "{largest}");
        }
    }
}

#[test]
fn each_thing_can_be_read_alone_wherever_the_features_are() {
    for (feature_layer, feature_layers) in [(0, 0), (1, 1), (-3, 2), (-1, 4)] {
        let (root, tower) = checkpoint_with(feature_layer, |_, tensor| Some(tensor));
        let pixels = pixels(8, 1);
        let trace = tower.run(&pixels.get(0).unwrap());
        for kernels in [true, false] {
            let model = load(&root, kernels, EVERYTHING);
            assert_eq!(model.config().num_vision_layers_used(), feature_layers);
            let features = flat(model.encode_image(&pixels).unwrap().embeds());
            for read in everything() {
                let request = VisionRequest::from_iter([read]);
                let (image, evidence) = model.encode_image_with(&pixels, &request).unwrap();
                let expected = expected(&tower, &trace, feature_layers, read);
                check_values(&evidence, read, &expected);
                assert_eq!(flat(image.embeds()), features, "{read:?}");
            }
        }
    }
}

#[test]
fn forms_of_the_same_evidence_agree() {
    let (root, _) = checkpoint();
    let model = load(&root, true, EVERYTHING);
    let request = VisionRequest::from_iter(everything());
    let (features, evidence) = model.encode_image_with(&pixels(3, 1), &request).unwrap();
    let tokens = PATCHES + 1;
    for layer in 0..LAYERS {
        let all = evidence.values(VisionRead::Attention(layer)).unwrap();
        for row in all.chunks_exact(tokens) {
            assert!((row.iter().sum::<f32>() - 1.0).abs() < 1e-5);
        }
        let class = evidence.values(VisionRead::ClassAttention(layer)).unwrap();
        let class_rows = all.chunks_exact(tokens * tokens);
        let class_rows: Vec<f32> = class_rows
            .flat_map(|head| head[1..tokens].to_vec())
            .collect();
        assert_eq!(class, class_rows);
    }
    // The output of layer 2, without the class token, enters the projector.
    let state = evidence
        .values(VisionRead::HiddenState(FEATURE_LAYERS))
        .unwrap();
    let projected = evidence.get(VisionRead::Features).unwrap();
    assert_eq!(flat(projected), state[WIDTH..]);
    let again = model.project_features(projected).unwrap();
    assert_eq!(flat(again.embeds()), flat(features.embeds()));
    // Some of the rows, in another order.
    let rows = Tensor::new(&[7_u32, 2, 11], projected.device()).unwrap();
    let some = model
        .project_features(&projected.index_select(&rows, 0).unwrap())
        .unwrap();
    let expected = features.embeds().index_select(&rows, 0).unwrap();
    assert_eq!(flat(some.embeds()), flat(&expected));
}

#[test]
fn asking_changes_no_bit_of_the_features() {
    let (root, _) = checkpoint();
    let pixels = pixels(4, 1);
    for kernels in [true, false] {
        let plain = load(&root, kernels, VisionParts::default());
        let features = flat(plain.encode_image(&pixels).unwrap().embeds());
        let model = load(&root, kernels, EVERYTHING);
        assert_eq!(
            features,
            flat(model.encode_image(&pixels).unwrap().embeds())
        );
        assert_eq!(features, embeds(&model, &pixels, &everything()));
        assert_eq!(features, embeds(&plain, &pixels, &reads_of(FEATURE_LAYERS)));
        for read in everything() {
            assert_eq!(features, embeds(&model, &pixels, &[read]), "{read:?}");
            // Other evidence in the request doesn't change what is read.
            let request = VisionRequest::from_iter([read]);
            let all = VisionRequest::from_iter(everything());
            let (_, alone) = model.encode_image_with(&pixels, &request).unwrap();
            let (_, together) = model.encode_image_with(&pixels, &all).unwrap();
            assert_eq!(alone.reads().count(), 1);
            assert_eq!(bits(&alone, read), bits(&together, read), "{read:?}");
        }
    }
}

#[test]
fn neither_batch_nor_threads_change_evidence() {
    let (root, _) = checkpoint();
    let request = VisionRequest::from_iter(everything());
    let pinpoints = GridPinpoints::new(&[(2 * SIDE, 2 * SIDE)]).unwrap();
    let size = ImageSize {
        width: 90,
        height: 70,
    };
    let tiling = Tiling::new(size, &pinpoints, SIDE).unwrap();
    let packing = tiling.packing(4);
    // More squares than run at one time.
    let tiles = pixels(5, 5);
    for kernels in [true, false] {
        let model = load(&root, kernels, EVERYTHING);
        let run = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .unwrap();
            pool.install(|| model.encode_tiles_with(&tiles, &packing, &request))
                .unwrap()
        };
        let (features, together) = run(1);
        let (_, on_three) = run(3);
        let plain = model.encode_tiles(&tiles, &packing).unwrap();
        assert_eq!(flat(features.embeds()), flat(plain.embeds()));
        assert_eq!(together.len(), 5);
        for (index, evidence) in together.iter().enumerate() {
            let tile = tiles.narrow(0, index, 1).unwrap();
            let (_, alone) = model.encode_image_with(&tile, &request).unwrap();
            for read in request.iter() {
                if kernels {
                    assert_eq!(
                        bits(evidence, read),
                        bits(&alone, read),
                        "{index}: {read:?}"
                    );
                    assert_eq!(bits(evidence, read), bits(&on_three[index], read));
                    continue;
                }
                // The tensor library doesn't guarantee equal bits.
                let (a, b) = (evidence.values(read).unwrap(), alone.values(read).unwrap());
                assert!(
                    common::largest_difference(&a, &b) < 1e-4,
                    "{index}: {read:?}"
                );
            }
        }
    }
}

#[test]
fn features_with_the_class_token_are_read_with_it() {
    let folder = golden("variants/biased");
    let model = LlavaModel::load(&folder, &LoadOptions::default()).unwrap();
    let side = model.config().vision.image_size;
    let values = tiny::noise(6, 3 * side * side);
    let pixels = Tensor::from_vec(values, (1, 3, side, side), model.device()).unwrap();
    let state = VisionRead::HiddenState(model.config().num_vision_layers_used());
    let request = VisionRequest::from_iter([VisionRead::Features, state]);
    let (features, evidence) = model.encode_image_with(&pixels, &request).unwrap();
    assert_eq!(
        evidence.get(VisionRead::Features).unwrap().dims()[0],
        features.num_tokens()
    );
    assert_eq!(
        bits(&evidence, VisionRead::Features),
        bits(&evidence, state)
    );
}

#[test]
fn what_is_not_loaded_is_refused() {
    let (root, _) = checkpoint();
    let pixels = pixels(7, 1);
    let refusal = |model: &LlavaModel, read: VisionRead| {
        let request = VisionRequest::from_iter([read]);
        let refused = model.encode_image_with(&pixels, &request);
        match refused {
            Err(error @ ModelError::InputValue { .. }) => error.to_string(),
            other => panic!("{read:?}: {other:?}"),
        }
    };
    for kernels in [true, false] {
        let plain = load(&root, kernels, VisionParts::default());
        // The inside of the layer after the features, and its output.
        for read in [
            VisionRead::ClassAttention(3),
            VisionRead::Keys(3),
            VisionRead::HiddenState(4),
        ] {
            let message = refusal(&plain, read);
            assert!(message.contains("3 vision layers"), "{message}");
            assert!(message.contains("LoadOptions::vision"), "{message}");
        }
        let message = refusal(&plain, VisionRead::NormedFeatures);
        assert!(message.contains("last norm"), "{message}");
        let full = load(&root, kernels, EVERYTHING);
        for read in [
            VisionRead::Attention(4),
            VisionRead::Queries(usize::MAX),
            VisionRead::HiddenState(5),
        ] {
            let message = refusal(&full, read);
            assert!(message.contains("the tower's 4 layers"), "{message}");
        }
        // One more layer suffices to read its inside; it isn't run to its end.
        let request = VisionRequest::from_iter([VisionRead::Queries(3)]);
        let model = load(&root, kernels, request.parts());
        assert!(model.encode_image_with(&pixels, &request).is_ok());
        let (_, evidence) = model
            .encode_image_with(&pixels, &VisionRequest::new())
            .unwrap();
        assert_eq!(evidence.reads().count(), 0);
        assert!(evidence.get(VisionRead::Features).is_err());
        let zeros = |dims: (usize, usize)| {
            Tensor::zeros(dims, candle_core::DType::F32, model.device()).unwrap()
        };
        assert!(model.project_features(&zeros((0, WIDTH))).is_err());
        assert!(model.project_features(&zeros((4, WIDTH + 1))).is_err());
    }
}

#[test]
fn parts_that_are_not_stored_are_missed_before_weights_are_read() {
    let options = |vision| LoadOptions {
        vision,
        ..LoadOptions::default()
    };
    let load = |root: &tempfile::TempDir, vision| LlavaModel::load(root.path(), &options(vision));
    let layer = VisionParts {
        num_layers: LAYERS,
        ..VisionParts::default()
    };
    let norm = VisionParts {
        post_norm: true,
        ..VisionParts::default()
    };
    for (parts, gone) in [
        (layer, "encoder.layers.3.mlp.fc2.bias"),
        (norm, "post_layernorm.weight"),
    ] {
        let (root, _) = checkpoint_with(-2, |name, tensor| (name != gone).then_some(tensor));
        assert!(load(&root, VisionParts::default()).is_ok());
        // The first values to be read are damaged, but not read yet.
        let (root, _) = checkpoint_with(-2, |name, tensor| match name {
            "encoder.layers.0.layer_norm1.weight" => Some((tensor * f64::NAN).unwrap()),
            name => (name != gone).then_some(tensor),
        });
        match load(&root, parts) {
            Err(ModelError::TensorMissing { name, .. }) => assert!(name.ends_with(gone)),
            other => panic!("{other:?}"),
        }
    }
    let (root, _) = checkpoint();
    let too_many = VisionParts {
        num_layers: LAYERS + 1,
        ..VisionParts::default()
    };
    assert!(load(&root, too_many).is_err());
    assert!(LlavaModel::random(Preset::Tiny, 1, &options(too_many)).is_err());
}

#[test]
fn indices_are_those_of_transformers() {
    let clip = Preset::Llava15With7b.config();
    let vision = &clip.vision;
    assert_eq!(vision.layer_index(-2).unwrap(), 22);
    assert_eq!(vision.layer_index(5).unwrap(), 5);
    assert_eq!(vision.layer_index(-24).unwrap(), 0);
    assert_eq!(vision.state_index(-2).unwrap(), 23);
    assert_eq!(
        vision.state_index(-2).unwrap(),
        clip.num_vision_layers_used()
    );
    assert_eq!(vision.state_index(24).unwrap(), 24);
    assert_eq!(vision.state_index(-25).unwrap(), 0);
    for outside in [24, -25, i64::MAX, i64::MIN] {
        assert!(vision.layer_index(outside).is_err(), "{outside}");
    }
    for outside in [25, -26, i64::MAX, i64::MIN] {
        assert!(vision.state_index(outside).is_err(), "{outside}");
    }
}
