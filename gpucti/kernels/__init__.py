"""CUDA sources, shipped as ``gpucti.kernels``; `gpucti.backends._cuda_device` pastes, compiles and launches them."""
