// The best so far of several studies in one drawing.

import { h, s } from "../dom.js";
import { number } from "../format.js";
import { folded, table } from "../parts/table.js";
import { canvas, cursorLine, figure, level, steps, xAxis, yAxis } from "./frame.js";
import { linear, scoreScale, wholeTicks } from "./scale.js";

const LEFT = 62;
const RIGHT = 16;
const TOP = 18;
const BOTTOM = 40;
const HEIGHT = 300;

/** The chart; `series` are {name, numbers, best}. Lines differ by colour and by dashes. */
export function overlay({ series, metric, target }) {
  return figure({
    title: `Best ${metric} so far`,
    note: "by number of trials",
    draw: (width) => draw(series, metric, target, width),
    extra: [
      h("ul", { class: "legend" }, series.map((line, i) => h("li", {},
        s("svg", { width: 28, height: 8, "aria-hidden": "true" }, s("path", { class: `line s${i}`, d: "M1 4H27" })), line.name))),
      folded("The same as a table", () => asTable(series, metric)),
    ],
  });
}

function draw(series, metric, target, width) {
  const bottom = HEIGHT - BOTTOM;
  const right = width - RIGHT;
  const scale = scoreScale([...series.flatMap((line) => line.best), target], bottom, TOP);
  if (!scale) return null;
  const longest = Math.max(2, ...series.map((line) => line.best.length));
  const x = linear(1, longest, LEFT + 6, right - 6);
  const svg = canvas(width, HEIGHT, series.map((line) => `${line.name} reached ${number(line.best[line.best.length - 1])} after ${line.best.length} trials`).join("; "));
  yAxis(svg, scale, LEFT, right);
  xAxis(svg, x, wholeTicks(1, longest), bottom, "trials", right);
  if (typeof target === "number" && (!scale.log || target > 0)) level(svg, scale.at(target), LEFT, right, `target ${number(target)}`, "target");
  series.forEach((line, i) => {
    const points = line.best.map((v, n) => (v === null ? null : { x: x(n + 1), y: scale.at(v) })).filter(Boolean);
    svg.append(steps(points, `s${i}`));
  });
  const points = Array.from({ length: longest }, (_, n) => ({ n, x: x(n + 1) }));
  const describe = (p) => `After ${p.n + 1}: ${series.map((line) => `${line.name} ${number(line.best[Math.min(p.n, line.best.length - 1)])}`).join(", ")}`;
  return { svg, points, cursor: cursorLine(svg, TOP, bottom), describe };
}

function asTable(series, metric) {
  const longest = Math.max(0, ...series.map((line) => line.best.length));
  return table({
    caption: `Best ${metric} so far by number of trials`,
    flow: false,
    columns: [
      { title: "Trials", kind: "main", cell: (n) => String(n + 1) },
      ...series.map((line) => ({ title: line.name, kind: "number", cell: (n) => number(line.best[n]) })),
    ],
    rows: Array.from({ length: longest }, (_, n) => n),
  });
}
