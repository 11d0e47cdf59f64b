// Scales and ticks. Pure.

/** Maps [low, high] onto [from, to]; a single value lies in the middle. */
export function linear(low, high, from, to) {
  if (!(high > low)) return () => (from + to) / 2;
  return (v) => from + ((v - low) / (high - low)) * (to - from);
}

/** The same for logarithms; everything must be above 0. */
export function log(low, high, from, to) {
  const inner = linear(Math.log(low), Math.log(high), from, to);
  return (v) => inner(Math.log(v));
}

/** About `wanted` round numbers between low and high. */
export function ticks(low, high, wanted = 4) {
  if (!(high > low)) return [low];
  const rough = (high - low) / wanted;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= rough);
  const found = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-9; i += 1) found.push(Number((i * step).toPrecision(12)));
  return found;
}

/** Whole numbers, for trials and epochs. */
export function wholeTicks(low, high, wanted = 6) {
  return [...new Set(ticks(low, high, wanted).map(Math.round))].filter((t) => t >= low && t <= high);
}

/** Powers of ten between low and high, thinned to at most six; the ends where there are fewer than two. */
export function logTicks(low, high) {
  const first = Math.ceil(Math.log10(low) - 1e-9);
  const last = Math.floor(Math.log10(high) + 1e-9);
  const every = Math.max(1, Math.ceil((last - first + 1) / 6));
  const found = [];
  for (let e = first; e <= last; e += every) found.push(Number(`1e${e}`));
  return found.length >= 2 ? found : [low, high];
}

/** Smallest and largest of the finite values; null for none. One pass, as spreading 10,000 values into Math.min is slow. */
export function extent(values) {
  let low = Infinity;
  let high = -Infinity;
  for (const v of values) {
    if (v === null || v === undefined || !Number.isFinite(v)) continue;
    if (v < low) low = v;
    if (v > high) high = v;
  }
  return low <= high ? [low, high] : null;
}

/**
 * The vertical scale for scores: logarithmic when they are all positive and span more than two powers of ten, as one bad start
 * would flatten everything after it.
 */
export function scoreScale(values, bottom, top) {
  const found = extent(values);
  if (!found) return null;
  let [low, high] = found;
  if (low > 0 && high / low > 100) {
    return { at: log(low, high, bottom, top), ticks: logTicks(low, high), low, high, log: true };
  }
  const room = (high - low || Math.abs(high) || 1) * 0.05;
  low -= room;
  high += room;
  return { at: linear(low, high, bottom, top), ticks: ticks(low, high), low, high, log: false };
}
