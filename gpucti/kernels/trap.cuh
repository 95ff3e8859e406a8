/**
 * What the traps of one column do at one pixel: the device functions that every readout shares.
 *
 * Threads   none of its own: a thread calls step() once per row, rows ascending, and keeps the state.
 * State     all levels that were filled at the same row are one segment, and newer segments always
 *           cover the lowest levels. So the trapped charge of a column is a stack of segments whose
 *           top level falls and whose first level is the top of the next newer one plus one.
 * Price     three look-ups per live segment and row: about 7 segments in a dark, TAIL at most. The
 *           segments lie in local memory (AGES * SEGMENT_BYTES a thread); the table (150 kB) in L1
 *           and L2. Next to measure: the lower levels of the table in shared memory.
 * Arrays    float64, C order, (n, rows, cols); row 0 is next to the readout register.
 * Units     electrons; `scale` is the trap density relative to the table's, dimensionless.
 * Order     a readout conserves charge, so a pixel gets what was trapped before it minus what is
 *           trapped after it; segments are summed from old to new. Contraction to fused
 *           multiply-add is allowed: agreement is 1e-6 electrons, not bits.
 * Names     those of the table in docs/algorithm.md.
 * Source    Anderson & Bedin 2010, PASP 122, 1035; docs/algorithm.md.
 */

// From gpucti/model/traps.py and gpucti/backends/_cuda_device.py. The loader always defines them; these
// values only let the file compile alone.
#ifndef TAIL
#define TAIL 60             // a segment this many rows old holds nothing
#endif
#ifndef AGES
#define AGES 64             // ages per level of the table
#endif
#ifndef REFERENCE_ROW
#define REFERENCE_ROW 1024  // 1-based row for which the trap density is given
#endif
#ifndef WARP
#define WARP 32             // lanes of a warp
#endif
#ifndef SEGMENT_BYTES
#define SEGMENT_BYTES 24    // what the launcher reckons with
#endif
#define ALL_LANES 0xffffffffu

static_assert((AGES & (AGES - 1)) == 0 && TAIL < AGES, "ages are masked, and the ring needs a free slot");

/** The traps of one epoch: TrapTable of gpucti/model/traps.py. */
struct Traps {
    const double* __restrict__ levels;        // (L,) electrons
    const double* __restrict__ inverse_step;  // (L,) 1 / electrons
    const double* __restrict__ held;          // (L, AGES) electrons held below a level, by age
    const short* __restrict__ level_of;       // (last_charge + 1,)
    int last_charge;                          // electrons
};

/**
 * Levels filled at the same row. `top` and `first` are level * AGES - row of capture: adding the
 * present row gives the place in `held`, whose low bits are the age and whose high bits the level.
 */
struct Segment {
    double fill;   // filled fraction of the top level
    double scale;  // trap scale at capture, lowered where the scale fell since
    int top, first;
};
static_assert(sizeof(Segment) == SEGMENT_BYTES, "the launcher reckons with this much local memory");

/** The rest of the state of one pass over a column. Apart from the ring of segments: it can live in registers. */
struct Pass {
    double trapped;       // electrons, after the last row
    double scale;         // trap scale at the last row
    int oldest, newest;   // segments oldest .. newest - 1 are alive, at index & (AGES - 1)
};

__device__ __forceinline__ Pass begin_pass()
{
    return Pass{0.0, 0.0, 0, 0};
}

/** Return the index of the highest level at or below a charge that is at least the first level. */
__device__ __forceinline__ int level_at(const Traps& traps, double charge)
{
    return traps.level_of[(int)fmin(charge, (double)traps.last_charge)];  // fmin first: int overflows
}

/** Return the electrons that a segment still holds. */
__device__ __forceinline__ double held_by(const Traps& traps, const Segment& segment, int row)
{
    const double* top = traps.held + (segment.top + row);
    double filled = top[0] + segment.fill * (top[AGES] - top[0]);
    return segment.scale * (filled - traps.held[segment.first + row]);
}

/** Scale everything trapped: the pixels that follow have fewer traps than those before. */
__device__ __forceinline__ void scale_trapped(Pass& state, Segment* ring, double ratio)
{
    state.trapped *= ratio;
    for (int i = state.oldest; i < state.newest; ++i) ring[i & (AGES - 1)].scale *= ratio;
}

/** Empty every level up to that of `present` and fill them afresh; return what is trapped after it. */
__device__ __forceinline__ double capture(
    const Traps& traps, Pass& state, Segment* ring, double after, double present, double scale, int row)
{
    int reached = level_at(traps, present);
    double fill = fmin((present - traps.levels[reached]) * traps.inverse_step[reached], 1.0);

    while (state.newest > state.oldest) {
        Segment& newest = ring[(state.newest - 1) & (AGES - 1)];
        int place = newest.top + row;
        if (place / AGES > reached) {  // reaches above the charge: only its lower levels are emptied
            int higher = (reached + 1) * AGES + (place & (AGES - 1));
            after -= newest.scale * (traps.held[higher] - traps.held[newest.first + row]);
            newest.first = higher - row;
            break;
        }
        after -= held_by(traps, newest, row);
        --state.newest;
    }

    Segment segment = {fill, scale, reached * AGES - row, -row};
    ring[state.newest & (AGES - 1)] = segment;
    ++state.newest;
    return after + held_by(traps, segment, row);
}

/**
 * Read out one pixel: traps release into it, then capture from it.
 *
 * Returns what is left of `charge` for the next pass. Rows must be given in ascending order.
 */
__device__ __forceinline__ double step(
    const Traps& traps, Pass& state, Segment* ring, double charge, double scale, int row)
{
    if (row > 0 && scale < state.scale) scale_trapped(state, ring, scale / state.scale);
    double before = state.trapped;

    // At most one segment is born per row, so at most one expires.
    if (state.newest > state.oldest) {
        int age = (ring[state.oldest & (AGES - 1)].top + row) & (AGES - 1);
        if (age >= TAIL) ++state.oldest;
    }
    double after = 0.0;
    for (int i = state.oldest; i < state.newest; ++i) after += held_by(traps, ring[i & (AGES - 1)], row);

    double present = charge + (before - after);
    if (present >= traps.levels[0]) after = capture(traps, state, ring, after, present, scale, row);

    state.trapped = after;
    state.scale = scale;
    return charge + (before - after);
}

/** One column of a stack: where it starts, and its trap scale before anything lowered it. */
struct Column {
    long long start;         // index of row 0
    double reference_scale;  // at REFERENCE_ROW
};

__device__ __forceinline__ Column column_of(
    const double* __restrict__ reference_scale, int column, int rows, int cols)
{
    long long image = column / cols;
    return Column{image * rows * cols + column % cols, reference_scale[column]};
}

/** Return the trap scale of a pixel of a column that nothing lowered. */
__device__ __forceinline__ double scale_at(const Column& column, int row, int first_row)
{
    return column.reference_scale * (first_row + row + 1) / REFERENCE_ROW;
}
