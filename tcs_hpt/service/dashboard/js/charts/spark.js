// A tiny line of the best so far, for a list.

import { s } from "../dom.js";
import { extent, linear } from "./scale.js";

const WIDTH = 84;
const HEIGHT = 22;

/** The line; null when there are fewer than two values. It is hidden from screen readers, as the numbers stand beside it. */
export function spark(values) {
  const known = (values ?? []).filter((v) => v !== null && v !== undefined);
  if (known.length < 2) return null;
  const [low, high] = extent(known);
  const x = linear(0, known.length - 1, 3, WIDTH - 4);
  const y = linear(low, high, HEIGHT - 4, 4);
  const d = known.map((v, i) => `${i ? "L" : "M"}${x(i).toFixed(1)} ${y(v).toFixed(1)}`).join("");
  const end = known.length - 1;
  return s("svg", { class: "spark", width: WIDTH, height: HEIGHT, viewBox: `0 0 ${WIDTH} ${HEIGHT}`, "aria-hidden": "true" },
    s("path", { class: "line best", d }), s("circle", { class: "end", r: 2.5, cx: x(end), cy: y(known[end]) }));
}
