//! From a PNG and a question to tokens, against the golden cases.

mod common;

use candle_core::Device;
use common::{cases, expected, flat, golden, greedy, largest_difference, load};
use fp_model::Sample;
use fp_model::image::{ImageAspect, ImageProcessor, PreprocessorConfig, decode_file};
use fp_model::prompt::PromptTemplate;
use fp_model::tokenizer::{LlavaTokenizer, SpecialTokenIds};

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
