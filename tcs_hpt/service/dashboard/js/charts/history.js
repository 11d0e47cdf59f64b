// Every trial's score, with the best so far.

import { count, number } from "../format.js";
import { folded, table } from "../parts/table.js";
import { canvas, crosses, cursorLine, dots, figure, level, steps, xAxis, yAxis } from "./frame.js";
import { linear, scoreScale, wholeTicks } from "./scale.js";

const LEFT = 62;
const RIGHT = 16;
const TOP = 18;
const BOTTOM = 40;
const HEIGHT = 260;

/**
 * The chart of a study.
 *
 * `data()` returns {numbers, values, best, states, metric, direction, target, start}; the arrays are parallel, one entry a trial.
 */
export function history({ data, open }) {
  const chart = figure({
    title: "Every trial",
    note: "one dot a trial, the line is the best so far",
    draw: (width) => draw(data(), width, open),
    extra: [folded("The same as a table", () => asTable(data()))],
  });
  return chart;
}

function draw(d, width, open) {
  if (!d.numbers.length) return null;
  const bottom = HEIGHT - BOTTOM;
  const right = width - RIGHT;
  const scale = scoreScale([...d.values, d.target, d.start], bottom - 14, TOP);
  if (!scale) return null;
  const last = Math.max(d.numbers[d.numbers.length - 1], 2);
  const x = linear(d.numbers[0], last, LEFT + 8, right - 8);
  const svg = canvas(width, HEIGHT, described(d));
  if (d.numbers.length > 200) svg.classList.add("many");
  yAxis(svg, scale, LEFT, right);
  xAxis(svg, x, wholeTicks(d.numbers[0], last), bottom, "trial", right);
  if (typeof d.target === "number" && (!scale.log || d.target > 0)) level(svg, scale.at(d.target), LEFT, right, `target ${number(d.target)}`, "target");

  const points = d.numbers.map((n, i) => {
    const value = d.values[i];
    const scored = value !== null && value !== undefined;
    return { i, x: x(n), y: scored ? scale.at(value) : bottom - 4, scored, state: d.states[i] };
  });
  const record = (p) => p.scored && d.best[p.i] === d.values[p.i] && (p.i === 0 || d.best[p.i - 1] !== d.best[p.i]);
  const bests = [];
  for (const p of points) {
    const best = d.best[p.i];
    if (best !== null && best !== undefined) bests.push({ x: p.x, y: scale.at(best) });
  }
  svg.append(
    steps(bests, "best"),
    dots(points.filter((p) => p.scored && !record(p)), "plain"),
    dots(points.filter(record), "record"),
    crosses(points.filter((p) => !p.scored && p.state !== "running"), "failed"),
    dots(points.filter((p) => p.state === "running"), "running"),
  );
  return { svg, points, cursor: cursorLine(svg, TOP, bottom), describe: (p) => said(d, p.i), open: (p) => open(d.numbers[p.i]) };
}

function said(d, i) {
  const value = d.values[i];
  const score = value === null || value === undefined ? d.states[i] : `${d.metric} ${number(value)}`;
  return `Trial ${d.numbers[i]}: ${score}. Best so far ${number(d.best[i])}.`;
}

function described(d) {
  const final = d.best[d.best.length - 1];
  const failed = d.states.filter((state) => state === "failed").length;
  return `${d.metric} of ${count(d.numbers.length, "trial")}${failed ? `, ${failed} of them failed` : ""}. `
    + `The best so far went from ${number(d.best.find((v) => v !== null))} to ${number(final)}.`;
}

function asTable(d) {
  return table({
    caption: `${d.metric} of every trial`,
    flow: false,
    columns: [
      { title: "Trial", kind: "main", cell: (i) => String(d.numbers[i]) },
      { title: "State", cell: (i) => d.states[i] },
      { title: d.metric, kind: "number", cell: (i) => number(d.values[i], 6) },
      { title: "Best so far", kind: "number", cell: (i) => number(d.best[i], 6) },
    ],
    rows: d.numbers.map((_, i) => i),
  });
}
