"""CUDA sources, shipped as ``gpucti.kernels``; `gpucti.backends._cuda` pastes, compiles and launches them."""
