//! Launches captured as a CUDA graph and replayed.

use cudarc::driver::sys::{CUgraphInstantiate_flags, CUresult, CUstreamCaptureMode};
use cudarc::driver::{CudaSlice, CudaStream};
use fp_kernels::Normalization;
use fp_kernels::cuda::{
    CudaError, ErrorWord, Fused, FusedPath, ScoreShape, SelectionOutputs, Strategies, Strategy,
    fused,
};

use crate::{Random, gpu};

const SHAPE: ScoreShape = ScoreShape {
    batch_size: 3,
    num_heads: 8,
    num_image_tokens: 200,
};
const STRATEGIES: [Strategy; 2] = [Strategy::Variance, Strategy::GiniCoefficient];
const KEPT: usize = 50;

/// Buffers of a pass, allocated in advance.
struct Buffers {
    attention: CudaSlice<f32>,
    scores: CudaSlice<f64>,
    tokens: CudaSlice<u32>,
    error: ErrorWord,
}

impl Buffers {
    fn launch(&mut self, stream: &CudaStream, path: FusedPath) -> Result<(), CudaError> {
        fused(
            stream,
            Fused {
                shape: SHAPE,
                attention: self.attention.as_view(),
                normalization: Normalization::L1,
                strategies: &Strategies::new(&STRATEGIES)?,
                allow_degenerate: true,
                path,
                scores: self.scores.as_view_mut(),
                statistics: None,
                selection: SelectionOutputs {
                    num_selected_heads: 4,
                    num_kept_tokens: KEPT,
                    selected_heads: None,
                    token_importance: None,
                    kept_tokens: self.tokens.as_view_mut(),
                    audits: None,
                },
                error: &mut self.error,
            },
        )
    }
}

#[test]
fn a_captured_pass_gives_what_launches_give() {
    let Some(stream) = gpu("a_captured_pass_gives_what_launches_give") else {
        return;
    };
    let [b, h, n] = SHAPE.dims();
    let slots = b * STRATEGIES.len();
    let mut random = Random(31);
    let [first, second] = [(); 2].map(|()| random.attention(b * h, n));
    let mut buffers = Buffers {
        attention: stream.clone_htod(&first).unwrap(),
        scores: stream.alloc_zeros(slots * h).unwrap(),
        tokens: stream.alloc_zeros(slots * KEPT).unwrap(),
        error: ErrorWord::new(&stream).unwrap(),
    };
    for path in [FusedPath::Two, FusedPath::Auto] {
        buffers.launch(&stream, path).unwrap();
        let mode = CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL;
        match stream.begin_capture(mode) {
            Err(refused) if refused.0 == CUresult::CUDA_ERROR_NOT_SUPPORTED => {
                eprintln!("this driver makes no graphs: nothing was checked");
                return;
            }
            begun => begun.unwrap(),
        }
        let launched = buffers.launch(&stream, path);
        let flags = CUgraphInstantiate_flags::CUDA_GRAPH_INSTANTIATE_FLAG_AUTO_FREE_ON_LAUNCH;
        let graph = stream.end_capture(flags).unwrap();
        launched.unwrap();
        let graph = graph.expect("the capture holds a launch");

        // A replay reads the current contents.
        stream.memcpy_htod(&second, &mut buffers.attention).unwrap();
        graph.launch().unwrap();
        let replayed = stream.clone_dtoh(&buffers.tokens).unwrap();
        stream.memset_zeros(&mut buffers.tokens).unwrap();
        buffers.launch(&stream, path).unwrap();
        let launched = stream.clone_dtoh(&buffers.tokens).unwrap();
        buffers.error.check(&stream, "fused").unwrap();
        assert_eq!(replayed, launched, "{path:?}");
        stream.memcpy_htod(&first, &mut buffers.attention).unwrap();
    }
}
