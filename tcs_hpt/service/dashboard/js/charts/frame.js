// What every chart has: a figure that redraws to its width, axes, and a cursor for mouse and arrow keys.

import { h, put, s, setText } from "../dom.js";
import { number } from "../format.js";

const TICK_ROOM = 14;

/**
 * A figure around a drawing.
 *
 * `draw(width)` returns {svg, points, describe, open}: `points` are {x, ...} in pixels from left to right, `describe(point)` says one
 * in words, `open(point)` goes to its page. Call `update()` when the data changed.
 */
export function figure({ title, note, draw, extra = [] }) {
  const plot = h("div", { class: "plot" });
  const readout = h("p", { class: "readout numbers" });
  const caption = h("figcaption", {}, h("strong", {}, title), note ? h("span", { class: "muted" }, ` ${note}`) : null);
  const element = h("figure", { class: "chart" }, caption, plot, readout, extra);
  let drawing = null;
  let at = -1;

  const move = (index, byKey) => {
    at = index;
    const point = drawing?.points?.[at];
    drawing?.cursor?.(point ?? null);
    if (byKey) readout.setAttribute("aria-live", "polite");
    else readout.removeAttribute("aria-live");
    setText(readout, point ? drawing.describe(point) : "");
  };
  const update = () => {
    const width = Math.floor(plot.clientWidth);
    if (width < 40) return;
    drawing = draw(width);
    if (!drawing) {
      put(plot, h("p", { class: "muted" }, "Nothing to draw yet."));
      plot.removeAttribute("tabindex");
      return;
    }
    put(plot, drawing.svg);
    plot.toggleAttribute("data-opens", Boolean(drawing.open));
    if (drawing.points?.length) {
      plot.setAttribute("tabindex", "0");
      plot.setAttribute("role", "group");
      plot.setAttribute("aria-label", `${title}. The left and right arrow keys walk through it.`);
    }
    if (at >= 0) move(Math.min(at, drawing.points.length - 1), false);
  };
  plot.addEventListener("pointermove", (event) => {
    if (!drawing?.points?.length) return;
    move(nearest(drawing.points, event.clientX - plot.getBoundingClientRect().left), false);
  });
  plot.addEventListener("pointerleave", (event) => {
    if (event.pointerType !== "touch") move(-1, false);
  });
  plot.addEventListener("click", (event) => {
    if (!drawing?.points?.length) return;
    const index = nearest(drawing.points, event.clientX - plot.getBoundingClientRect().left);
    // A finger cannot hover: the first tap says what is there, the second opens it.
    if (event.pointerType === "touch" && index !== at) move(index, false);
    else drawing.open?.(drawing.points[index]);
  });
  plot.addEventListener("keydown", (event) => {
    const last = (drawing?.points?.length ?? 0) - 1;
    const to = { ArrowLeft: Math.max(0, at - 1), ArrowRight: Math.min(last, at + 1), Home: 0, End: last }[event.key];
    if (event.key === "Enter" && at >= 0) drawing?.open?.(drawing.points[at]);
    if (to === undefined || last < 0) return;
    event.preventDefault();
    move(to, true);
  });
  const observer = new ResizeObserver(() => {
    if (Math.floor(plot.clientWidth) !== Number(plot.dataset.width)) {
      plot.dataset.width = Math.floor(plot.clientWidth);
      update();
    }
  });
  observer.observe(plot);
  return { element, update };
}

function nearest(points, x) {
  let low = 0;
  let high = points.length - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (points[middle].x < x) low = middle + 1;
    else high = middle;
  }
  return low > 0 && x - points[low - 1].x < points[low].x - x ? low - 1 : low;
}

/** An empty drawing with its text alternative. */
export function canvas(width, height, label) {
  return s("svg", { class: "drawing", width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label });
}

/** Horizontal lines with their values at the left. */
export function yAxis(svg, scale, left, right) {
  for (const tick of scale.ticks) {
    const y = scale.at(tick);
    svg.append(s("line", { class: "grid", x1: left, x2: right, y1: y, y2: y }),
      s("text", { class: "tick", x: left - 6, y: y + 4, "text-anchor": "end" }, number(tick, 4)));
  }
}

/** Values below the drawing. */
export function xAxis(svg, at, values, y, name, right) {
  for (const value of values) {
    svg.append(s("text", { class: "tick", x: at(value), y: y + TICK_ROOM, "text-anchor": "middle" }, number(value)));
  }
  svg.append(s("text", { class: "tick name", x: right, y: y + TICK_ROOM * 2 + 2, "text-anchor": "end" }, name));
}

/** A dashed line across with a name, for a target or a start. */
export function level(svg, y, left, right, name, kind) {
  svg.append(s("line", { class: `level ${kind}`, x1: left, x2: right, y1: y, y2: y }),
    s("text", { class: `tick ${kind}`, x: left + 4, y: y - 5 }, name));
}

/** A vertical line that follows the cursor. */
export function cursorLine(svg, top, bottom) {
  const line = s("line", { class: "cursor", y1: top, y2: bottom, visibility: "hidden" });
  const ring = s("circle", { class: "cursor", r: 6, visibility: "hidden" });
  svg.append(line, ring);
  return (point) => {
    line.setAttribute("visibility", point ? "visible" : "hidden");
    ring.setAttribute("visibility", point && point.y !== undefined ? "visible" : "hidden");
    if (!point) return;
    line.setAttribute("x1", point.x);
    line.setAttribute("x2", point.x);
    if (point.y !== undefined) {
      ring.setAttribute("cx", point.x);
      ring.setAttribute("cy", point.y);
    }
  };
}

/** Many dots as one path: strokes of no length with round ends. */
export function dots(points, kind) {
  return s("path", { class: `dots ${kind}`, d: points.map((p) => `M${p.x.toFixed(1)} ${p.y.toFixed(1)}h0`).join("") });
}

/** Many crosses as one path. */
export function crosses(points, kind, size = 4) {
  const one = (p) => `M${p.x - size} ${p.y - size}l${2 * size} ${2 * size}M${p.x + size} ${p.y - size}l${-2 * size} ${2 * size}`;
  return s("path", { class: `crosses ${kind}`, d: points.map(one).join("") });
}

/** A line through points; a missing value breaks it. */
export function polyline(points, kind) {
  let d = "";
  let pen = false;
  for (const p of points) {
    if (p === null) pen = false;
    else {
      d += `${pen ? "L" : "M"}${p.x.toFixed(1)} ${p.y.toFixed(1)}`;
      pen = true;
    }
  }
  return s("path", { class: `line ${kind}`, d });
}

/** The best so far as steps. */
export function steps(points, kind) {
  let d = "";
  for (const p of points) d += d ? `H${p.x.toFixed(1)}V${p.y.toFixed(1)}` : `M${p.x.toFixed(1)} ${p.y.toFixed(1)}`;
  return s("path", { class: `line ${kind}`, d });
}
