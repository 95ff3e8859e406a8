/**
 * One simulated readout of every column: traps capture charge and release trails.
 *
 * Threads   two layouts of the same step():
 *           add_cti_lanes    a group of `lanes` threads (a power of two, at least n_passes) per column.
 *                            Lane k makes pass k: a pixel travels down the lanes, one row behind
 *                            the other, and memory sees one read and one write per pixel.
 *                            Price: reads of 8 bytes by one lane; neighbouring groups fill the sector.
 *           add_cti_threads  one thread per column, pass after pass. Any number of passes, coalesced.
 *                            Price: n_passes reads and writes per pixel, 1,024 threads per image.
 * Arrays    float64, C order, (n, rows, cols); row 0 is next to the readout register.
 * Units     electrons; `reference_scale` is dimensionless.
 * Source    Anderson & Bedin 2010, PASP 122, 1035; twin of add_cti() in gpucti/backends/_numpy.py.
 */

extern "C" __global__ void add_cti_lanes(
    const double* __restrict__ signal,           // (n, rows, cols)
    const double* __restrict__ reference_scale,  // (n, cols) trap scale at the reference row
    const double* __restrict__ levels,           // (L,)
    const double* __restrict__ inverse_step,     // (L,)
    const double* __restrict__ held,             // (L, AGES)
    const short* __restrict__ level_of,          // (last_charge + 1,)
    int last_charge, int n_passes, int first_row,
    double* __restrict__ trailed,                // (n, rows, cols)
    int n_columns, int rows, int cols, int lanes)
{
    const Traps traps = {levels, inverse_step, held, level_of, last_charge};
    int thread = blockIdx.x * blockDim.x + threadIdx.x;
    int lane = thread % lanes;
    bool busy = thread / lanes < n_columns && lane < n_passes;
    Column column = column_of(reference_scale, busy ? thread / lanes : 0, rows, cols);

    Segment ring[AGES];
    Pass state = begin_pass();
    double charge = 0.0;
    double next = busy && lane == 0 ? signal[column.start] : 0.0;  // one row ahead: hides the latency
    for (int tick = 0; tick < rows + n_passes - 1; ++tick) {
        charge = __shfl_up_sync(ALL_LANES, charge, 1, lanes);
        if (lane == 0) {
            charge = next;
            if (busy && tick + 1 < rows) next = signal[column.start + (tick + 1) * cols];
        }
        int row = tick - lane;
        if (!busy || row < 0 || row >= rows) continue;
        charge = step(traps, state, ring, charge, scale_at(column, row, first_row), row);
        if (lane == n_passes - 1) trailed[column.start + row * cols] = charge;
    }
}

extern "C" __global__ void add_cti_threads(
    const double* __restrict__ signal,
    const double* __restrict__ reference_scale,
    const double* __restrict__ levels,
    const double* __restrict__ inverse_step,
    const double* __restrict__ held,
    const short* __restrict__ level_of,
    int last_charge, int n_passes, int first_row,
    double* __restrict__ trailed,
    int n_columns, int rows, int cols)
{
    const Traps traps = {levels, inverse_step, held, level_of, last_charge};
    int thread = blockIdx.x * blockDim.x + threadIdx.x;
    if (thread >= n_columns) return;
    Column column = column_of(reference_scale, thread, rows, cols);

    Segment ring[AGES];
    for (int pass = 0; pass < n_passes; ++pass) {
        Pass state = begin_pass();
        for (int row = 0; row < rows; ++row) {
            long long pixel = column.start + row * cols;
            double charge = pass == 0 ? signal[pixel] : trailed[pixel];
            trailed[pixel] = step(traps, state, ring, charge, scale_at(column, row, first_row), row);
        }
    }
}
