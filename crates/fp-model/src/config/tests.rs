//! Complete, partial and invalid configs.

use serde_json::json;

use super::*;

fn parse(value: &Value) -> Result<ModelConfig> {
    ModelConfig::from_value(value, Path::new("config.json"))
}

#[test]
fn absent_fields_take_the_class_defaults() {
    let config = parse(&json!({"model_type": "llava"})).unwrap();
    assert_eq!(
        (config.text.hidden_size, config.text.num_layers),
        (4096, 32)
    );
    assert_eq!(
        (config.text.num_kv_heads, config.text.head_dim()),
        (32, 128)
    );
    assert_eq!(
        (config.text.rope_theta, config.text.rms_norm_eps),
        (10000.0, 1e-6)
    );
    assert_eq!(
        (config.vision.hidden_size, config.vision.num_layers),
        (1024, 24)
    );
    assert_eq!(config.vision.num_patches(), 576);
    assert_eq!(
        (config.image_token, config.num_vision_layers_used()),
        (Some(32000), 23)
    );
    // A vision_config that is present takes the class defaults, which differ.
    let config = parse(&json!({"vision_config": {}})).unwrap();
    assert_eq!(
        (config.vision.hidden_size, config.vision.patch_size),
        (768, 32)
    );
    assert_eq!(config.vision.activation, Activation::QuickGelu);
    let config = parse(&json!({"text_config": {"model_type": "mistral"}})).unwrap();
    assert_eq!(
        (config.text.num_kv_heads, config.text.intermediate_size),
        (8, 14336)
    );
}

#[test]
fn bad_fields_are_named() {
    for (value, field) in [
        (json!({"model_type": "blip"}), "model_type"),
        (
            json!({"text_config": {"hidden_size": "x"}}),
            "text_config.hidden_size",
        ),
        (
            json!({"text_config": {"hidden_size": 0}}),
            "text_config.hidden_size",
        ),
        (
            json!({"text_config": {"model_type": "opt"}}),
            "text_config.model_type",
        ),
        (
            json!({"text_config": {"num_attention_heads": 7}}),
            "text_config.hidden_size",
        ),
        (
            json!({"text_config": {"num_key_value_heads": 5}}),
            "text_config.num_key_value_heads",
        ),
        (
            json!({"text_config": {"hidden_act": "relu"}}),
            "text_config.hidden_act",
        ),
        (
            json!({"text_config": {"rope_scaling": {"rope_type": "yarn", "factor": 2.0}}}),
            "text_config.rope_scaling",
        ),
        (
            json!({"vision_config": {"model_type": "siglip_vision_model"}}),
            "vision_config.model_type",
        ),
        (
            json!({"vision_config": {"image_size": 100}}),
            "vision_config.image_size",
        ),
        (json!({"vision_feature_layer": 99}), "vision_feature_layer"),
        (
            json!({"vision_feature_select_strategy": "cls"}),
            "vision_feature_select_strategy",
        ),
        (json!({"image_token_index": -200}), "image_token_index"),
    ] {
        match parse(&value) {
            Err(ModelError::ConfigField { field: found, .. }) => assert_eq!(found, field),
            other => panic!("{value}: {other:?}"),
        }
    }
    assert!(parse(&json!([])).is_err());
}

#[test]
fn original_layout() {
    let config = parse(&json!({
        "model_type": "llava", "hidden_size": 5120, "num_hidden_layers": 40,
        "num_attention_heads": 40, "intermediate_size": 13824, "rms_norm_eps": 1e-5,
        "mm_vision_tower": "openai/clip-vit-large-patch14-336",
        "mm_projector_type": "mlp2x_gelu", "mm_vision_select_layer": -2,
        "mm_vision_select_feature": "patch", "image_aspect_ratio": "pad",
    }))
    .unwrap();
    assert_eq!(config.text.num_layers, 40);
    assert_eq!(config.image_token, None);
    assert_eq!(
        config.origin,
        Origin::Original {
            vision_tower: "openai/clip-vit-large-patch14-336".to_owned()
        }
    );
    for wrong in [
        json!({"mm_vision_tower": "x", "mm_projector_type": "linear"}),
        json!({"mm_vision_tower": "x", "mm_projector_type": "mlp2x_gelu", "image_aspect_ratio": "anyres_max_9"}),
    ] {
        assert!(
            matches!(parse(&wrong), Err(ModelError::ConfigField { .. })),
            "{wrong}"
        );
    }
}

#[test]
fn newer_spellings() {
    let config = parse(&json!({
        "image_token_id": 7, "dtype": "bfloat16",
        "text_config": {"rope_parameters": {"rope_theta": 5e5, "rope_type": "linear", "factor": 4.0}},
    }))
    .unwrap();
    assert_eq!(
        (config.image_token, config.stored_dtype.as_deref()),
        (Some(7), Some("bfloat16"))
    );
    assert_eq!(
        (config.text.rope_theta, config.text.rope_scaling),
        (5e5, RopeScaling::Linear(4.0))
    );
}

#[test]
fn sliding_windows_end_where_they_are_switched_off() {
    let window = |text: Value| {
        parse(&json!({"text_config": text}))
            .unwrap()
            .text
            .sliding_window
    };
    assert_eq!(window(json!({"model_type": "mistral"})), Some(4096));
    assert_eq!(
        window(json!({"model_type": "mistral", "sliding_window": null})),
        None
    );
    assert_eq!(window(json!({})), None);
}

#[test]
fn any_resolution() {
    let config = parse(&json!({"model_type": "llava_next"})).unwrap();
    assert_eq!(config.grid_pinpoints.map(|grid| grid.len()), Some(5));
}
