/**
 * Signal and read noise apart: noise is what can be smoothed away along a column in small steps.
 *
 * Threads   split_noise   one thread per column. A step looks only at the row before, so all steps are
 *                         one sweep with the neighbours of every step in registers.
 *                         Price: 1,024 threads per image, each with a chain of 30 dependent steps.
 *           choose_steps  one warp per image.
 *           limit_noise   one thread per pixel.
 * Arrays    float64, C order, (n, rows, cols); row 0 is next to the readout register.
 * Units     electrons.
 * Order     the sums of squares are added per column from row 1 on, then by columns in a fixed
 *           order: the same image gives the same number of steps in every run.
 * Source    stis_cti DecomposeRN; twin of split_noise() in gpucti/backends/_numpy.py.
 */

// From gpucti/backends/base.py, which says what they are; the loader always defines them.
#ifndef MIN_NOISE_STEPS
#define MIN_NOISE_STEPS 25
#endif
#ifndef MAX_NOISE_STEPS
#define MAX_NOISE_STEPS 30
#endif
#ifndef NOISE_STEP
#define NOISE_STEP 0.1
#endif
#ifndef NOISE_RMS_ENOUGH
#define NOISE_RMS_ENOUGH 1.1
#endif
#ifndef NOISE_BOX_LIMIT
#define NOISE_BOX_LIMIT 1.25
#endif
#define N_SUMS (MAX_NOISE_STEPS - MIN_NOISE_STEPS + 1)

extern "C" __global__ void split_noise(
    const double* __restrict__ stack,  // (n, rows, cols)
    const int* __restrict__ steps,     // (n,) at most MAX_NOISE_STEPS
    double read_noise,
    int again,                         // 1: only images whose number of steps is not MAX_NOISE_STEPS
    double* __restrict__ noise,        // (n, rows, cols)
    double* __restrict__ signal,       // (n, rows, cols)
    double* __restrict__ squares,      // (n, N_SUMS, cols) noise squared after step MIN_NOISE_STEPS, ...
    int n_columns, int rows, int cols)
{
    int thread = blockIdx.x * blockDim.x + threadIdx.x;
    if (thread >= n_columns) return;
    int image = thread / cols, col = thread % cols;
    int n_steps = steps[image];
    if (again && n_steps == MAX_NOISE_STEPS) return;

    double largest_change = NOISE_STEP * read_noise;
    long long start = (long long)image * rows * cols + col;
    double previous[MAX_NOISE_STEPS];  // the row before, as each step found it
    double sums[N_SUMS] = {0.0};
#pragma unroll
    for (int step = 0; step < MAX_NOISE_STEPS; ++step) previous[step] = stack[start];
    noise[start] = 0.0;
    signal[start] = stack[start];

    for (int row = 1; row < rows; ++row) {
        double value = stack[start + row * cols];
        double left = value, taken = 0.0;
#pragma unroll
        for (int step = 0; step < MAX_NOISE_STEPS; ++step) {
            double change = fmin(fmax(left - previous[step], -largest_change), largest_change);
            previous[step] = left;
            if (step < n_steps) taken += change;
            left = value - taken;
            if (step + 1 >= MIN_NOISE_STEPS) sums[step + 1 - MIN_NOISE_STEPS] += taken * taken;
        }
        noise[start + row * cols] = taken;
        signal[start + row * cols] = left;
    }
#pragma unroll
    for (int i = 0; i < N_SUMS; ++i) squares[((long long)image * N_SUMS + i) * cols + col] = sums[i];
}

/** Take the first number of steps whose rms is enough. Row 0 is not counted: it has no noise. */
extern "C" __global__ void choose_steps(
    const double* __restrict__ squares,  // (n, N_SUMS, cols)
    double read_noise,
    int* __restrict__ steps,             // (n,)
    int rows, int cols)
{
    int image = blockIdx.x, lane = threadIdx.x;
    int chosen = MAX_NOISE_STEPS;
    for (int i = N_SUMS - 1; i >= 0; --i) {
        double sum = 0.0;
        for (int col = lane; col < cols; col += WARP) sum += squares[((long long)image * N_SUMS + i) * cols + col];
        for (int distance = 1; distance < WARP; distance *= 2) {  // running sum: the last lane gets all
            double other = __shfl_up_sync(ALL_LANES, sum, distance, WARP);
            if (lane >= distance) sum += other;
        }
        if (sqrt(sum / ((rows - 1.0) * cols)) >= NOISE_RMS_ENOUGH * read_noise) chosen = MIN_NOISE_STEPS + i;
    }
    if (lane == WARP - 1) steps[image] = chosen;
}

/** Scale the noise down where it is larger than read noise can be: around sources. */
extern "C" __global__ void limit_noise(
    const double* __restrict__ stack,  // (n, rows, cols)
    const double* __restrict__ noise,  // (n, rows, cols) as split_noise left it
    double read_noise,
    double* __restrict__ limited,      // (n, rows, cols)
    double* __restrict__ signal,       // (n, rows, cols)
    long long n_pixels, int rows, int cols)
{
    long long pixel = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (pixel >= n_pixels) return;
    int col = (int)(pixel % cols), row = (int)(pixel / cols % rows);
    double value = noise[pixel];
    if (row > 1 && row < rows - 1 && col > 0 && col < cols - 1) {  // row 1 is left alone, as in stis_cti
        double power = 0.0;
        for (int r = -1; r <= 1; ++r)
            for (int c = -1; c <= 1; ++c) {
                double neighbour = noise[pixel + r * cols + c];
                power += neighbour * neighbour;
            }
        double limit = NOISE_BOX_LIMIT * read_noise;
        value /= fmax(1.0, sqrt(power / 9.0) / limit);
    }
    limited[pixel] = value;
    signal[pixel] = stack[pixel] - value;
}
