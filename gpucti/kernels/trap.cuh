/**
 * What the traps of one column do at one pixel: the device functions that every readout shares.
 *
 * Threads   none of its own: a thread calls step() once per row, rows ascending, and keeps the state.
 * State     all levels that were filled at the same row are one segment, and newer fillings always
 *           cover the lowest levels. So the trapped charge of a column is a stack of segments whose
 *           top level falls and whose bottom level is the top of the next newer one plus one.
 * Price     three look-ups per live segment and row: about 7 segments in a dark, TAIL at most. The
 *           segments lie in local memory (AGES * 24 bytes a thread); the table (150 kB) in L1 and L2.
 *           Next to measure: the lower levels of the table in shared memory.
 * Arrays    float64, C order, (n, rows, cols); row 0 is next to the readout register.
 * Units     electrons; `scale` is the trap density relative to the table's, dimensionless.
 * Order     a readout conserves charge, so a pixel gets what was trapped before it minus what is
 *           trapped after it; segments are summed from old to new. Contraction to fused
 *           multiply-add is allowed: agreement is 1e-6 electrons, not bits.
 * Source    Anderson & Bedin 2010, PASP 122, 1035; docs/algorithm.md.
 */

// Sizes of the table, see gpucti/model/traps.py. The loader always defines them; these values only let the
// file compile alone.
#ifndef TAIL
#define TAIL 60             // a segment this many rows old holds nothing
#endif
#ifndef AGES
#define AGES 64             // ages per level of the table
#endif
#ifndef REFERENCE_ROW
#define REFERENCE_ROW 1024  // 1-based row for which the trap density is given
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
 * Levels filled at the same row. `top` and `bottom` are level * AGES - row of capture: adding the
 * present row gives the index into `held`, whose low bits are the age and whose high bits the level.
 */
struct Segment {
    double fill;   // filled fraction of the top level
    double scale;  // trap density at capture, lowered where the scale fell since
    int top, bottom;
};

/** The rest of a column's state. Apart from the ring of segments, so that it can live in registers. */
struct Trapped {
    double held;          // electrons, after the last row
    double scale;         // trap density at the last row
    int oldest, newest;   // segments oldest .. newest - 1 are alive, at index & (AGES - 1)
};

__device__ __forceinline__ Trapped no_charge_trapped()
{
    return Trapped{0.0, 0.0, 0, 0};
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
    return segment.scale * (filled - traps.held[segment.bottom + row]);
}

/** Scale everything trapped: the pixels that follow have fewer traps than those before. */
__device__ __forceinline__ void scale_trapped(Trapped& trapped, Segment* ring, double ratio)
{
    trapped.held *= ratio;
    for (int i = trapped.oldest; i < trapped.newest; ++i) ring[i & (AGES - 1)].scale *= ratio;
}

/** Empty every level up to that of `charge` and fill them afresh; return what is held after it. */
__device__ __forceinline__ double capture(
    const Traps& traps, Trapped& trapped, Segment* ring, double held, double charge, double scale, int row)
{
    int level = level_at(traps, charge);
    double fill = fmin((charge - traps.levels[level]) * traps.inverse_step[level], 1.0);

    while (trapped.newest > trapped.oldest) {
        Segment& newest = ring[(trapped.newest - 1) & (AGES - 1)];
        int top = newest.top + row;
        if (top / AGES > level) {  // reaches above the charge: only its lower levels are emptied
            int bottom = (level + 1) * AGES + (top & (AGES - 1));
            held -= newest.scale * (traps.held[bottom] - traps.held[newest.bottom + row]);
            newest.bottom = bottom - row;
            break;
        }
        held -= held_by(traps, newest, row);
        --trapped.newest;
    }

    Segment filled = {fill, scale, level * AGES - row, -row};
    ring[trapped.newest & (AGES - 1)] = filled;
    ++trapped.newest;
    return held + held_by(traps, filled, row);
}

/**
 * Read out one pixel: traps release into it, then capture from it.
 *
 * Returns what is left of `charge` for the next pass. Rows must be given in ascending order.
 */
__device__ __forceinline__ double step(
    const Traps& traps, Trapped& trapped, Segment* ring, double charge, double scale, int row)
{
    if (row > 0 && scale < trapped.scale) scale_trapped(trapped, ring, scale / trapped.scale);
    double before = trapped.held;

    // At most one segment is born per row, so at most one expires.
    if (trapped.newest > trapped.oldest) {
        int age = (ring[trapped.oldest & (AGES - 1)].top + row) & (AGES - 1);
        if (age >= TAIL) ++trapped.oldest;
    }
    double held = 0.0;
    for (int i = trapped.oldest; i < trapped.newest; ++i) held += held_by(traps, ring[i & (AGES - 1)], row);

    double present = charge + (before - held);
    if (present >= traps.levels[0]) held = capture(traps, trapped, ring, held, present, scale, row);

    trapped.held = held;
    trapped.scale = scale;
    return charge + (before - held);
}

/** One column of a stack: where it starts, and its trap scale before anything lowered it. */
struct Column {
    long long start;  // index of row 0
    double unit;      // scale at the reference row
};

__device__ __forceinline__ Column column_of(const double* __restrict__ unit, int column, int rows, int cols)
{
    long long image = column / cols;
    return Column{image * rows * cols + column % cols, unit[column]};
}

/** Return the trap scale of a pixel of a column that nothing lowered. */
__device__ __forceinline__ double scale_at(const Column& column, int row, int first_row)
{
    return column.unit * (first_row + row + 1) / REFERENCE_ROW;
}
