// Learning curves: metrics of the same kind, e.g. the loss in training and in validation, share one drawing.

import { h, s } from "../dom.js";
import { number } from "../format.js";
import { folded, table } from "../parts/table.js";
import { canvas, cursorLine, dots, figure, level, polyline, xAxis, yAxis } from "./frame.js";
import { linear, scoreScale, wholeTicks } from "./scale.js";

const LEFT = 62;
const RIGHT = 14;
const TOP = 16;
const BOTTOM = 38;
const HEIGHT = 210;
const MOST = 4;
const CLOCK = /^(seconds|time|duration)$/; // how long an epoch took is not how well it went
const PREFIX = /^(train|val|valid|validation|eval|dev)[_/-]/;

/** Metric names by what they measure, the objective's group first: {accuracy: [val_accuracy, train_accuracy], loss: [...]}. */
export function groups(names, metric) {
  const found = new Map();
  for (const name of [metric, ...names.filter((n) => n !== metric)]) {
    if (!names.includes(name) || (CLOCK.test(name) && name !== metric)) continue;
    const kind = name.replace(PREFIX, "");
    if (!found.has(kind)) found.set(kind, []);
    found.get(kind).push(name);
  }
  // Validation before training: it is what counts, and gets the strongest line.
  const trained = (name) => Number(name.startsWith("train"));
  return [...found.values()].map((kind) => kind.sort((a, b) => trained(a) - trained(b))).slice(0, MOST);
}

/** Names of all metrics in a curve, in the order of their first appearance. */
function metricNames(curve) {
  const names = new Set();
  for (const epoch of curve) for (const name of Object.keys(epoch.metrics)) names.add(name);
  return [...names];
}

/**
 * Drawings of a trial's epochs; `update(curve)` adds what is new.
 *
 * A single epoch, or none, is no curve: the element then stays empty.
 */
export function curves({ metric, target }) {
  const element = h("div", { class: "curves" });
  let curve = [];
  let shown = [];
  let key = "";
  const update = (now) => {
    curve = now;
    const kinds = curve.length < 2 ? [] : groups(metricNames(curve), metric);
    const newKey = JSON.stringify(kinds);
    if (newKey !== key) {
      key = newKey;
      shown = kinds.map((names) => figure({
        title: names.join(" and "),
        note: "by epoch",
        draw: (width) => draw(curve, names, names.includes(metric) ? target : null, width),
        extra: [legend(names), folded("The same as a table", () => asTable(curve, names))],
      }));
      element.replaceChildren(...shown.map((c) => c.element));
    }
    for (const chart of shown) chart.update();
  };
  return { element, update };
}

function legend(names) {
  if (names.length < 2) return null;
  return h("ul", { class: "legend" }, names.map((name, i) => h("li", {},
    s("svg", { width: 24, height: 8, "aria-hidden": "true" }, s("path", { class: `line c${i}`, d: "M1 4H23" })), name)));
}

function draw(curve, names, target, width) {
  const bottom = HEIGHT - BOTTOM;
  const right = width - RIGHT;
  const scale = scoreScale([...curve.flatMap((e) => names.map((n) => e.metrics[n])), target], bottom, TOP);
  if (!scale) return null;
  const first = curve[0].epoch;
  const last = Math.max(curve[curve.length - 1].epoch, first + 1);
  const x = linear(first, last, LEFT + 4, right - 4);
  const latest = curve[curve.length - 1];
  const svg = canvas(width, HEIGHT, `${names.join(" and ")} over ${curve.length} epochs; at last ${names.map((n) => `${n} ${number(latest.metrics[n])}`).join(", ")}.`);
  yAxis(svg, scale, LEFT, right);
  xAxis(svg, x, wholeTicks(first, last), bottom, "epoch", right);
  if (typeof target === "number" && (!scale.log || target > 0)) level(svg, scale.at(target), LEFT, right, `target ${number(target)}`, "target");
  const usable = (v) => typeof v === "number" && (!scale.log || v > 0);
  names.forEach((name, i) => {
    const line = curve.map((e) => (usable(e.metrics[name]) ? { x: x(e.epoch), y: scale.at(e.metrics[name]) } : null));
    svg.append(polyline(line, `c${Math.min(i, 4)}`));
    const end = line.filter(Boolean).pop();
    if (end) svg.append(dots([end], `end c${Math.min(i, 4)}`));
  });
  const points = curve.map((e, i) => ({ i, x: x(e.epoch) }));
  const describe = (p) => `Epoch ${curve[p.i].epoch}: ${names.map((n) => `${n} ${number(curve[p.i].metrics[n])}`).join(", ")}`;
  return { svg, points, cursor: cursorLine(svg, TOP, bottom), describe };
}

function asTable(curve, names) {
  return table({
    caption: `${names.join(" and ")} by epoch`,
    flow: false,
    columns: [
      { title: "Epoch", kind: "main", cell: (e) => String(e.epoch) },
      ...names.map((name) => ({ title: name, kind: "number", cell: (e) => number(e.metrics[name]) })),
    ],
    rows: curve,
  });
}
