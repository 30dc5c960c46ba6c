//! From a PNG and a question to tokens, against the golden cases.

use candle_core::Device;
use fp_image::{ImageAspect, ImageProcessor, PreprocessorConfig, decode_file};
use fp_model::prompt::PromptTemplate;
use fp_model::tokenizer::{LlavaTokenizer, SpecialTokenIds};
use fp_model::{Sample, ToTensor};

use crate::common::{self, cases, expected, flat, golden, greedy, largest_difference, load};

#[test]
fn unpruned_cases_from_png_and_question() {
    let (model, expected) = (load(), expected());
    let ids = SpecialTokenIds {
        image: model.config().image_token,
        bos: None,
    };
    let tokenizer = LlavaTokenizer::from_file(&golden("model/tokenizer.json"), ids).unwrap();
    let config = PreprocessorConfig::load(&golden("model/preprocessor_config.json")).unwrap();
    let processor = ImageProcessor::new(config);
    for case in cases().iter().filter(|case| case.study.is_none()) {
        let image = decode_file(&common::image(&case.image)).unwrap();
        let aspect = if case.aspect == "pad" {
            ImageAspect::Pad
        } else {
            ImageAspect::Crop
        };
        let pixels = processor.preprocess(&image, aspect).unwrap();
        let features = model
            .encode_image(&pixels.to_tensor(&Device::Cpu).unwrap())
            .unwrap();
        let difference = largest_difference(
            &flat(features.embeds()),
            &flat(&expected[&format!("visual_{}", case.view())]),
        );
        assert!(difference < 1e-3, "{}: {difference}", case.view());

        let prompt = PromptTemplate::VicunaV1.render(&case.question);
        assert_eq!(prompt, case.prompt);
        let encoded = tokenizer.encode(&prompt).unwrap();
        assert_eq!(encoded, case.encoded());
        let sample = Sample {
            prompt: &encoded,
            features: &features,
        };
        let (outputs, _) = model.answer(&[sample], None, &greedy(8)).unwrap();
        assert_eq!(outputs[0].generation.token_ids, case.generated);
    }
}

/// The pixel values of the model's golden cases: photographs' sizes, both aspects.
#[test]
fn golden_views_have_no_pixel_off() {
    let config = golden("model/preprocessor_config.json");
    let processor = ImageProcessor::new(PreprocessorConfig::load(&config).expect("valid"));
    let mut views = 0;
    for (name, tensor) in &expected() {
        let Some(view) = name.strip_prefix("pixel_values_") else {
            continue;
        };
        let (image, aspect) = view.split_once('_').expect("image and aspect");
        let image = decode_file(&common::image(&format!("image{image}.png"))).expect("a PNG");
        let values = processor
            .preprocess(&image, aspect.parse().expect("known"))
            .expect("values");
        let got = values.to_tensor(&Device::Cpu).expect("a tensor");
        assert_eq!(got.dims(), [1, 3, 336, 336]);
        assert!(flat(&got) == flat(tensor), "{view}");
        views += 1;
    }
    assert_eq!(views, 6);
}
