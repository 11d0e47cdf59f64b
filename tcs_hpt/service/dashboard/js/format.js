// Numbers and times as people read them. Pure.

/** Five significant digits, without trailing zeros; a dash for nothing. */
export function number(value, digits = 5) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  if (typeof value !== "number") return String(value);
  const rounded = Number(value.toPrecision(digits));
  const size = Math.abs(rounded);
  if (size !== 0 && (size < 1e-4 || size >= 1e7)) return rounded.toExponential().replace("e+", "e");
  return String(rounded);
}

/** A parameter's value: numbers short, everything else as it is. */
export function scalar(value) {
  if (typeof value === "number") return number(value);
  if (value === null || value === undefined) return "–";
  return String(value);
}

/** Seconds as `0.4 s`, `12 s`, `3 min 20 s`, `2 h 5 min`. */
export function duration(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  if (seconds < 10) return `${Number(seconds.toFixed(1))} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
}

/** How long ago an ISO time was. */
export function ago(iso, now = Date.now()) {
  const seconds = (now - Date.parse(iso)) / 1000;
  if (Number.isNaN(seconds)) return "";
  if (seconds < 10) return "just now";
  const steps = [[60, "s", 1], [3600, "min", 60], [86400, "h", 3600]];
  for (const [below, unit, size] of steps) {
    if (seconds < below) return `${Math.floor(seconds / size)} ${unit} ago`;
  }
  const days = Math.floor(seconds / 86400);
  return days === 1 ? "1 day ago" : `${days} days ago`;
}

/** `1 trial`, `3 trials`. */
export function count(n, one, many = `${one}s`) {
  return `${n} ${n === 1 ? one : many}`;
}

/** `a`, `a and b`, `a, b and c`. */
export function listed(words) {
  if (words.length < 2) return words.join("");
  return `${words.slice(0, -1).join(", ")} and ${words[words.length - 1]}`;
}

/** A sentence that starts with a capital and ends with a point. */
export function sentence(text) {
  const bare = (text ?? "").trim();
  if (!bare) return "";
  return bare[0].toUpperCase() + bare.slice(1) + (/[.!?:]$/.test(bare) ? "" : ".");
}
