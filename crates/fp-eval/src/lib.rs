//! Data sets, metrics, studies, statistics and reports: their place in the
//! workspace. Nothing is here yet; scoring and the model come first.
