"""One folder per fused op: contract, float64 reference, kernels, shared cases."""
