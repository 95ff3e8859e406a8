/**
 * One round of the correction: find the image whose simulated readout is the observed one, then lower
 * the trap scale where a pixel came out over-subtracted and put its column on the next round's list.
 *
 * Threads   two layouts of the same step():
 *           remove_cti_lanes    a group of `lanes` threads (a power of two, at least sim_nit * shft_nit)
 *                               per column. Lane k makes pass k: a pixel travels down the lanes with
 *                               its observed charge, one row behind the other, so all iterations are
 *                               one sweep, with one read and one write per pixel.
 *                               Price: 4 lanes of 32 rest with the default 28 passes, and the last
 *                               lane looks for a pixel to repair while the others wait.
 *           remove_cti_threads  one thread per column, pass after pass. Any number of passes, coalesced
 *                               in the first round (later ones gather columns).
 *                               Price: 28 reads and writes per pixel, a scratch stack, and 1,024
 *                               threads per image.
 *           Which one is faster on which batch is to be measured (benchmarks/gpu.py).
 *           Both loop over the work list with a fixed grid: its length is known on the device only.
 * Arrays    float64, C order, (n, rows, cols); row 0 is next to the readout register.
 *           `scale` is written, and read, only for columns whose `repairs` is not 0.
 * Units     electrons; `reference_scale` and `scale` are dimensionless.
 * Source    Anderson & Bedin 2010, PASP 122, 1035; twin of remove_cti() in gpucti/backends/_numpy.py.
 */

// From gpucti/backends/base.py, which says what it is; the loader always defines it.
#ifndef REPAIR_TAPER
#define REPAIR_TAPER 0.8, 0.6, 0.4, 0.2
#endif

/** What is known about a column while it is corrected. */
struct Correction {
    Column column;
    const double* observed;  // at row 0 of the column, as the next three
    const double* start;     // where the iteration starts: observed, or what the last round left
    double* current;
    double* scale;
    bool lowered;            // the column has a scale of its own
    int first_row, rows, cols;
};

/** A pixel on its way down the lanes. */
struct Pixel {
    double charge;    // as read out so far
    double current;   // as it was before readout, so far
    double observed;
    double scale;
};

__device__ __forceinline__ double scale_of(const Correction& c, int row)
{
    return c.lowered ? c.scale[row * c.cols] : scale_at(c.column, row, c.first_row);
}

__device__ __forceinline__ Pixel pixel_at(const Correction& c, int row)
{
    double start = c.start[row * c.cols];
    return Pixel{start, start, c.observed[row * c.cols], scale_of(c, row)};
}

__device__ __forceinline__ Pixel from_lane_before(Pixel pixel, int lanes)
{
    pixel.charge = __shfl_up_sync(ALL_LANES, pixel.charge, 1, lanes);
    pixel.current = __shfl_up_sync(ALL_LANES, pixel.current, 1, lanes);
    pixel.observed = __shfl_up_sync(ALL_LANES, pixel.observed, 1, lanes);
    pixel.scale = __shfl_up_sync(ALL_LANES, pixel.scale, 1, lanes);
    return pixel;
}

/** True for a pixel that was lowered by more than the threshold, to below the threshold. */
__device__ __forceinline__ bool oversubtracted(double current, double observed, double threshold, int row, int rows)
{
    return row >= 2 && row <= rows - 3 && current - observed < threshold && current < threshold;
}

/** Lower the scale from row `source` to `row`, and by less in the rows that follow. */
__device__ void lower_scale(const Correction& c, int source, int row)
{
    const double taper[] = {REPAIR_TAPER};
    if (!c.lowered)
        for (int r = 0; r < c.rows; ++r) c.scale[r * c.cols] = scale_at(c.column, r, c.first_row);

    double signal = fmax(c.observed[row * c.cols], 0.0);
    double divisor = signal - c.current[row * c.cols];
    double factor = signal == 0.0 || divisor == 0.0 ? 0.0 : signal / divisor;
    for (int r = source; r <= row; ++r) c.scale[r * c.cols] = fmax(c.scale[r * c.cols] * factor, 0.0);
    int r = row + 1;
    for (double share : taper)
        if (r < c.rows) c.scale[r++ * c.cols] *= 1.0 - share * (1.0 - factor);
}

/** Repair the first over-subtracted pixel, at `suspect` or above, that has a source; tell whether there was one. */
__device__ bool repair(const Correction& c, int suspect, double threshold)
{
    for (int row = suspect; row <= c.rows - 3; ++row) {
        if (!oversubtracted(c.current[row * c.cols], c.observed[row * c.cols], threshold, row, c.rows)) continue;
        for (int source = row - 2; source >= 0; --source)  // row + 1 against row: the index is stis_cti's
            if (c.current[(source + 1) * c.cols] < c.observed[source * c.cols]) {
                lower_scale(c, source, row);
                return true;
            }
    }
    return false;
}

__device__ __forceinline__ Correction correction_of(
    const double* observed, const double* reference_scale, double* current, double* scale, const int* repairs,
    int round, int column, int first_row, int rows, int cols)
{
    Column where = column_of(reference_scale, column, rows, cols);
    return Correction{where, observed + where.start, (round == 0 ? observed : current) + where.start,
                      current + where.start, scale + where.start, round > 0 && repairs[column] > 0,
                      first_row, rows, cols};
}

/** Repair a column, if a pixel from `suspect` on needs it, and list it for the next round. */
__device__ __forceinline__ void finish_round(
    const Correction& c, int column, int suspect, double threshold, int round, int* repairs, int* next, int* n_work)
{
    if (suspect >= c.rows || !repair(c, suspect, threshold)) return;
    ++repairs[column];
    next[atomicAdd(n_work + round + 1, 1)] = column;
}

extern "C" __global__ void remove_cti_lanes(
    const double* __restrict__ observed,         // (n, rows, cols)
    const double* __restrict__ reference_scale,  // (n, cols) trap scale at the reference row
    const double* __restrict__ levels,           // (L,)
    const double* __restrict__ inverse_step,     // (L,)
    const double* __restrict__ held,             // (L, AGES)
    const short* __restrict__ level_of,          // (last_charge + 1,)
    int last_charge, int sim_nit, int shft_nit, double threshold, int first_row,
    int round,                                   // 0: every column, from `observed`
    double* current,                             // (n, rows, cols) in (round > 0) and out
    double* scale,                               // (n, rows, cols)
    int* repairs,                                // (n, cols)
    int* work,                                   // (2, n * cols) columns to do, this round's and the next's
    int* n_work,                                 // (MAX_ROUNDS + 1,) their number
    int n_columns, int rows, int cols, int lanes)
{
    const Traps traps = {levels, inverse_step, held, level_of, last_charge};
    const int* todo = work + (round % 2) * (long long)n_columns;
    int* next = work + (1 - round % 2) * (long long)n_columns;
    int n_todo = round == 0 ? n_columns : n_work[round];
    int n_passes = sim_nit * shft_nit;

    int thread = blockIdx.x * blockDim.x + threadIdx.x;
    int lane = thread % lanes;
    bool ends_iteration = lane % shft_nit == shft_nit - 1;
    int groups = gridDim.x * blockDim.x / lanes;
    int group = thread / lanes;
    int group_in_warp = group % (WARP / lanes);
    Segment ring[AGES];
    // The whole warp takes part in every shuffle, also where the list ends inside it.
    for (int item = group; item - group_in_warp < n_todo; item += groups) {
        bool busy = item < n_todo && lane < n_passes;
        int column = !busy ? 0 : round == 0 ? item : todo[item];
        Correction c = correction_of(
            observed, reference_scale, current, scale, repairs, round, column, first_row, rows, cols);

        Pass state = begin_pass();
        Pixel pixel = {0.0, 0.0, 0.0, 0.0};
        Pixel ahead = pixel_at(c, 0);  // one row ahead: hides the latency
        int suspect = rows;
        for (int tick = 0; tick < rows + n_passes - 1; ++tick) {
            pixel = from_lane_before(pixel, lanes);
            if (lane == 0) {
                pixel = ahead;
                if (tick + 1 < rows) ahead = pixel_at(c, tick + 1);
            }
            int row = tick - lane;
            if (!busy || row < 0 || row >= rows) continue;

            pixel.charge = step(traps, state, ring, pixel.charge, pixel.scale, row);
            if (ends_iteration) {
                pixel.current += pixel.observed - pixel.charge;
                pixel.charge = pixel.current;
            }
            if (lane == n_passes - 1) {
                c.current[row * cols] = pixel.current;
                if (suspect == rows && oversubtracted(pixel.current, pixel.observed, threshold, row, rows)) suspect = row;
            }
        }
        // The last lane wrote the whole column itself: it can read it back without a barrier.
        if (busy && lane == n_passes - 1) finish_round(c, column, suspect, threshold, round, repairs, next, n_work);
    }
}

extern "C" __global__ void remove_cti_threads(  // as above
    const double* __restrict__ observed,
    const double* __restrict__ reference_scale,
    const double* __restrict__ levels,
    const double* __restrict__ inverse_step,
    const double* __restrict__ held,
    const short* __restrict__ level_of,
    int last_charge, int sim_nit, int shft_nit, double threshold, int first_row,
    int round,
    double* current,
    double* scale,
    int* repairs,
    int* work,
    int* n_work,
    int n_columns, int rows, int cols,
    double* __restrict__ passed)  // (n, rows, cols) scratch: the charge between two passes
{
    const Traps traps = {levels, inverse_step, held, level_of, last_charge};
    const int* todo = work + (round % 2) * (long long)n_columns;
    int* next = work + (1 - round % 2) * (long long)n_columns;
    int n_todo = round == 0 ? n_columns : n_work[round];

    Segment ring[AGES];
    for (int item = blockIdx.x * blockDim.x + threadIdx.x; item < n_todo; item += gridDim.x * blockDim.x) {
        int column = round == 0 ? item : todo[item];
        Correction c = correction_of(
            observed, reference_scale, current, scale, repairs, round, column, first_row, rows, cols);
        double* charge_of = passed + c.column.start;
        int suspect = rows;

        for (int iteration = 0; iteration < sim_nit; ++iteration) {
            const double* start = iteration == 0 ? c.start : c.current;
            for (int pass = 0; pass < shft_nit; ++pass) {
                Pass state = begin_pass();
                for (int row = 0; row < rows; ++row) {
                    double charge = pass == 0 ? start[row * cols] : charge_of[row * cols];
                    charge = step(traps, state, ring, charge, scale_of(c, row), row);
                    charge_of[row * cols] = charge;
                    if (pass < shft_nit - 1) continue;

                    double value = start[row * cols] + (c.observed[row * cols] - charge);
                    c.current[row * cols] = value;
                    if (iteration == sim_nit - 1 && suspect == rows
                        && oversubtracted(value, c.observed[row * cols], threshold, row, rows)) suspect = row;
                }
            }
        }
        finish_round(c, column, suspect, threshold, round, repairs, next, n_work);
    }
}

/** Write the scale of every column that was never lowered; one thread per column. */
extern "C" __global__ void complete_scale(
    const double* __restrict__ reference_scale,  // (n, cols)
    const int* __restrict__ repairs,             // (n, cols)
    int first_row,
    double* __restrict__ scale,                  // (n, rows, cols)
    int n_columns, int rows, int cols)
{
    int thread = blockIdx.x * blockDim.x + threadIdx.x;
    if (thread >= n_columns || repairs[thread] > 0) return;
    Column column = column_of(reference_scale, thread, rows, cols);
    for (int row = 0; row < rows; ++row) scale[column.start + row * cols] = scale_at(column, row, first_row);
}
