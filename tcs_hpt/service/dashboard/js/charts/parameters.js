// Where the trials were in each parameter's range: left to right on the parameter's own scale, top to bottom in time, coloured by
// score. One path a colour, however many trials there are.

import { h, put, s } from "../dom.js";
import { count, number, scalar } from "../format.js";
import { better, range } from "../words.js";
import { canvas, dots } from "./frame.js";
import { linear, log, logTicks, ticks } from "./scale.js";

const HEIGHT = 92;
const SIDE = 26;
const TOP = 8;
const AXIS = 22;
const CLASSES = 5;

/**
 * The strips. `update({params, columns, values, numbers, direction, bestIndex})` draws them again; `columns` holds one array a
 * parameter, parallel to `values`.
 */
export function parameters() {
  const element = h("div", { class: "strips" });
  let data = null;
  let rows = [];
  const drawAll = () => rows.forEach((row) => draw(row, data));
  new ResizeObserver(drawAll).observe(element);
  const update = (now) => {
    const names = now.params.map((p) => p.name).join("\n");
    if (!data || data.params.map((p) => p.name).join("\n") !== names) {
      rows = now.params.map((param) => ({ param, plot: h("div", { class: "strip-plot" }), best: h("span", { class: "numbers" }) }));
      put(element, rows.map((row) => h("div", { class: "strip" },
        h("div", { class: "strip-name" }, h("strong", {}, row.param.name), h("span", { class: "muted" }, row.param.description || null),
          h("span", { class: "muted numbers" }, range(row.param, scalar)), row.best),
        row.plot)), legend());
    }
    data = now;
    drawAll();
  };
  return { element, update };
}

function legend() {
  const dot = (kind) => s("svg", { width: 12, height: 12, "aria-hidden": "true" }, s("path", { class: "dots edge", d: "M6 6h0" }), s("path", { class: `dots ${kind}`, d: "M6 6h0" }));
  return h("ul", { class: "legend" },
    h("li", {}, Array.from({ length: CLASSES }, (_, i) => dot(`q${i}`)), " from the worst to the best fifth of the scores"),
    h("li", {}, s("svg", { width: 16, height: 16, "aria-hidden": "true" }, s("circle", { class: "ring", cx: 8, cy: 8, r: 6 })), "the best trial"),
    h("li", {}, dot("none"), "no score"));
}

/** The fifth that each score belongs to, 4 the best; null without a score. Ranks, so that one outlier does not take all the colours. */
export function fifths(values, direction) {
  const order = values.map((_, i) => i).filter((i) => values[i] !== null && values[i] !== undefined);
  order.sort((a, b) => (values[a] === values[b] ? 0 : better(direction, values[a], values[b]) ? 1 : -1));
  const found = values.map(() => null);
  order.forEach((i, rank) => {
    found[i] = order.length === 1 ? CLASSES - 1 : Math.min(CLASSES - 1, Math.floor((rank / (order.length - 1)) * CLASSES));
  });
  return found;
}

function draw({ param, plot, best }, { columns, values, direction, bestIndex }) {
  const width = Math.floor(plot.clientWidth);
  if (width < 60) return;
  const column = columns[param.name] ?? [];
  const bottom = HEIGHT - AXIS;
  const { at, marks } = scaleOf(param, SIDE, width - SIDE, width);
  const y = linear(0, Math.max(1, column.length - 1), TOP, bottom - 8);
  const bins = fifths(values, direction);
  const points = column.map((v, i) => (v === null || v === undefined ? null : { x: at(v), y: y(i), bin: bins[i] }));
  const present = points.filter((p) => p && Number.isFinite(p.x));
  const winner = bestIndex >= 0 ? points[bestIndex] : null;
  const bestValue = bestIndex >= 0 ? column[bestIndex] : null;
  const svg = canvas(width, HEIGHT, `${param.name}: ${count(present.length, "tried value")}${winner ? `, the best trial has ${scalar(bestValue)}` : ""}.`);
  if (column.length > 200) svg.classList.add("many");
  svg.append(s("line", { class: "axis", x1: SIDE - 12, x2: width - SIDE + 12, y1: bottom, y2: bottom }));
  for (const [value, text] of marks) {
    svg.append(s("line", { class: "grid", x1: at(value), x2: at(value), y1: TOP - 4, y2: bottom }),
      s("text", { class: "tick", x: at(value), y: HEIGHT - 7, "text-anchor": "middle" }, text));
  }
  svg.append(dots(present, "edge"), dots(present.filter((p) => p.bin === null), "none"));
  for (let bin = 0; bin < CLASSES; bin += 1) svg.append(dots(present.filter((p) => p.bin === bin), `q${bin}`));
  if (winner) svg.append(s("circle", { class: "ring", cx: winner.x, cy: winner.y, r: 7 }));
  put(plot, svg);
  put(best, winner ? ["best ", h("strong", {}, scalar(bestValue))] : bestIndex >= 0 ? "not used by the best" : null);
}

function scaleOf(param, left, right, width) {
  const room = Math.max(2, Math.floor(width / 90));
  if (param.choices?.length) {
    const index = new Map(param.choices.map((choice, i) => [String(choice), i]));
    const inner = linear(-0.5, param.choices.length - 0.5, left - 12, right + 12);
    const longest = Math.max(4, Math.floor((width / param.choices.length) / 7));
    const short = (text) => (text.length > longest ? `${text.slice(0, longest - 1)}…` : text);
    return { at: (v) => inner(index.get(String(v))), marks: param.choices.map((choice) => [choice, short(String(choice))]) };
  }
  if (param.log) {
    return { at: log(param.low, param.high, left, right), marks: logTicks(param.low, param.high).map((v) => [v, number(v)]) };
  }
  return { at: linear(param.low, param.high, left, right), marks: ticks(param.low, param.high, room).map((v) => [v, number(v)]) };
}
